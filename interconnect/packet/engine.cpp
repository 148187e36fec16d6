#include "interconnect/packet/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace podsim {

PacketEngine::PacketEngine(const sc_core::sc_module_name& name, Picoseconds quantum)
    : sc_module(name), due_("due"), quantum_(quantum) {
    if (quantum < 0) throw std::invalid_argument("a quantum below zero");
    SC_METHOD(run);
    sensitive << due_;
    dont_initialize();
}

namespace {

// What is far away in a large network comes while the events before it run.
void fetch(const void* memory) {
    __builtin_prefetch(memory);
    __builtin_prefetch(static_cast<const char*>(memory) + 64);
}

constexpr std::size_t kAhead = 4;

}  // namespace

void PacketEngine::at(Picoseconds time, EventTarget& target, std::uint64_t what,
                      const void* touches) {
    // Between activations the kernel's time may be ahead, never the network's past.
    if (!running_) now_ = std::max(now_, to_picoseconds(sc_core::sc_time_stamp()));
    if (time < now_) {
        throw std::logic_error(
            fmt::format("{}: an event at {} ps, it is {} ps", name(), time, now_));
    }
    queue_.push(time, target, what, touches);
    if (!running_) arm();
}

void PacketEngine::arm() {
    if (queue_.empty()) return;
    const Picoseconds kernel = to_picoseconds(sc_core::sc_time_stamp());
    due_.notify(to_sc_time(std::max<Picoseconds>(0, queue_.next().time - kernel)));
}

void PacketEngine::run() {
    const Picoseconds until = to_picoseconds(sc_core::sc_time_stamp()) + quantum_;
    running_ = true;
    try {
        while (!queue_.empty() && queue_.next().time <= until) {
            const EventQueue::Event event = queue_.pop();
            if (const EventQueue::Event* later = queue_.later(kAhead)) {
                fetch(later->target);
                if (later->touches != nullptr) fetch(later->touches);
            }
            now_ = event.time;
            event.target->on_event(event.what);
        }
        running_ = false;
        arm();
    } catch (...) {
        running_ = false;
        error_ = std::current_exception();
    }
}

}  // namespace podsim

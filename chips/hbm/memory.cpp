#include "chips/hbm/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace podsim {

namespace {

BytesPerSecond rate_of(const HbmMemorySpec& spec) {
    return spec.pin_rate.value() > 0 ? spec.pin_rate : spec.device.pin_rate.value;
}

BankLayout layout_of(const MemoryOrganisation& o) {
    return {static_cast<int>(o.stack_ids.value), static_cast<int>(o.bank_groups.value),
            static_cast<int>(o.banks.value)};
}

}  // namespace

BytesPerSecond peak_bandwidth(const HbmMemorySpec& spec) {
    const MemoryOrganisation& o = spec.device.organisation;
    return static_cast<double>(spec.stacks * o.channels.value * o.pseudo_channels.value *
                               o.width.value) *
           rate_of(spec);
}

AddressShape address_shape(const HbmMemorySpec& spec) {
    const MemoryOrganisation& o = spec.device.organisation;
    const auto access = static_cast<double>(spec.device.controller.access);
    AddressShape shape;
    shape.access = spec.device.controller.access;
    shape.accesses_per_row = static_cast<long>(o.page.value.value() / access);
    shape.channels = spec.stacks * o.channels.value * o.pseudo_channels.value;
    shape.groups = o.bank_groups.value;
    shape.banks = o.banks.value;
    shape.stack_ids = o.stack_ids.value;
    shape.bursts_per_access = std::lround(access / burst_bytes(spec.device).value());
    return shape;
}

HbmChannel::HbmChannel(const sc_core::sc_module_name& name, const BankTiming& timing,
                       const MemoryDevice& device)
    : sc_module(name) {
    for (long i = 0; i < device.organisation.pseudo_channels.value; ++i)
        pseudo_channels.emplace_back(timing, layout_of(device.organisation), device.controller);
}

HbmStack::HbmStack(const sc_core::sc_module_name& name, const BankTiming& timing,
                   const MemoryDevice& device)
    : sc_module(name) {
    for (long i = 0; i < device.organisation.channels.value; ++i) {
        channels.push_back(std::make_unique<HbmChannel>(
            sc_core::sc_module_name(fmt::format("channel{}", i).c_str()), timing, device));
    }
}

HbmMemory::HbmMemory(const sc_core::sc_module_name& name, const HbmMemorySpec& spec)
    : sc_module(name),
      spec_(spec),
      timing_(bank_timing(spec.device, rate_of(spec))),
      map_(spec.device.controller.address, address_shape(spec), spec.device.controller.hash_banks,
           spec.device.controller.hash_channels),
      access_(spec.device.controller.access),
      burst_(static_cast<long>(burst_bytes(spec.device).value())),
      held_(static_cast<std::size_t>(spec.sockets)),
      held_payload_(static_cast<std::size_t>(spec.sockets), nullptr),
      event_("due") {
    for (long i = 0; i < spec.stacks; ++i) {
        stacks_.push_back(std::make_unique<HbmStack>(
            sc_core::sc_module_name(fmt::format("stack{}", i).c_str()), timing_, spec.device));
        for (auto& channel : stacks_.back()->channels) {
            for (PseudoChannel& pseudo : channel->pseudo_channels) flat_.push_back(&pseudo);
        }
    }
    is_busy_.assign(flat_.size(), 0);
    for (int i = 0; i < spec.sockets; ++i) {
        sockets.push_back(std::make_unique<Socket>(fmt::format("socket{}", i).c_str()));
        sockets.back()->register_nb_transport_fw(this, &HbmMemory::nb_transport_fw, i);
    }
    latency_ = static_cast<Picoseconds>(
        std::floor(static_cast<double>(flat_.front()->shortest_latency()) * timing_.period_ps));
    SC_METHOD(wake);
    sensitive << event_;
    dont_initialize();
}

Cycle HbmMemory::cycle_from(Picoseconds time) const {
    return static_cast<Cycle>(std::ceil(static_cast<double>(time) / timing_.period_ps - 1e-6));
}

Picoseconds HbmMemory::time_of(Cycle cycle) const {
    return std::llround(static_cast<double>(cycle) * timing_.period_ps);
}

bool HbmMemory::is_full(int channel) const {
    return static_cast<long>(flat_[static_cast<std::size_t>(channel)]->waiting()) >
           spec_.device.controller.entry;
}

tlm::tlm_sync_enum HbmMemory::nb_transport_fw(int socket, tlm::tlm_generic_payload& payload,
                                              tlm::tlm_phase& phase, sc_core::sc_time& delay) {
    if (phase == tlm::END_RESP) return tlm::TLM_COMPLETED;
    if (phase != tlm::BEGIN_REQ || held_payload_[static_cast<std::size_t>(socket)] != nullptr) {
        throw std::logic_error(fmt::format(
            "{}: a phase that does not fit; a socket sends no request before the END_REQ of the "
            "last one",
            name()));
    }
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    begin(socket, payload, now + to_picoseconds(delay));
    wake_at(now + latency_);
    std::vector<int>& held = held_[static_cast<std::size_t>(socket)];
    for (const int channel : touched_) {
        if (is_full(channel)) held.push_back(channel);
    }
    if (held.empty()) {
        phase = tlm::END_REQ;
        return tlm::TLM_UPDATED;
    }
    ++statistics_.held_back;
    held_payload_[static_cast<std::size_t>(socket)] = &payload;
    return tlm::TLM_ACCEPTED;
}

// Cuts a payload into accesses and hands them to their channels.
void HbmMemory::begin(int socket, tlm::tlm_generic_payload& payload, Picoseconds arrival) {
    const std::uint64_t first = payload.get_address();
    const std::uint64_t end = first + std::max(1U, payload.get_data_length());
    std::uint32_t id = 0;
    if (free_.empty()) {
        id = static_cast<std::uint32_t>(pending_.size());
        pending_.emplace_back();
    } else {
        id = free_.back();
        free_.pop_back();
    }
    Pending& pending = pending_[id];
    pending = {&payload, socket, 0, 0};
    ++statistics_.transactions;
    statistics_.bytes += Bytes(static_cast<double>(payload.get_data_length()));
    const auto access = static_cast<std::uint64_t>(access_);
    const auto burst = static_cast<std::uint64_t>(burst_);
    MemoryAccess part;
    part.id = id;
    part.arrival = cycle_from(arrival);
    part.write = payload.is_write();
    touched_.clear();
    for (std::uint64_t at = first; at < end; ++pending.left) {
        const std::uint64_t start = at / access * access;
        const std::uint64_t stop = std::min(end, start + access);
        const MemoryPlace place = map_.place(at);
        part.bank = static_cast<std::int16_t>(place.bank);
        part.row = place.row;
        part.bursts =
            static_cast<std::int16_t>((stop - start + burst - 1) / burst - (at - start) / burst);
        flat_[static_cast<std::size_t>(place.channel)]->push(part);
        if (is_busy_[static_cast<std::size_t>(place.channel)] == 0) {
            is_busy_[static_cast<std::size_t>(place.channel)] = 1;
            busy_.push_back(place.channel);
        }
        if (touched_.empty() || touched_.back() != place.channel) touched_.push_back(place.channel);
        at = stop;
    }
}

void HbmMemory::wake_at(Picoseconds time) {
    if (waking_ >= 0 && waking_ <= time) return;
    waking_ = time;
    event_.notify(to_sc_time(time - to_picoseconds(sc_core::sc_time_stamp())));
}

void HbmMemory::wake() {
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    waking_ = -1;
    go_on(now);
    while (!due_.empty() && due_.top().time <= now) {
        const std::uint32_t id = due_.top().id;
        due_.pop();
        respond(id, 0);
    }
    release_senders();
    if (!busy_.empty()) wake_at(now + latency_);
    if (!due_.empty()) wake_at(due_.top().time);
}

// All decisions up to now, and what they complete.
void HbmMemory::go_on(Picoseconds now) {
    const auto until =
        static_cast<Cycle>(std::floor(static_cast<double>(now) / timing_.period_ps + 1e-6));
    completed_.clear();
    std::size_t kept = 0;
    for (const int channel : busy_) {
        PseudoChannel& pseudo = *flat_[static_cast<std::size_t>(channel)];
        pseudo.advance(until, completed_);
        if (pseudo.idle()) {
            is_busy_[static_cast<std::size_t>(channel)] = 0;
        } else {
            busy_[kept++] = channel;
        }
    }
    busy_.resize(kept);
    // In the order of time, as if each were told when it is due.
    const auto earlier = [](const MemoryCompletion& a, const MemoryCompletion& b) {
        return a.time < b.time;
    };
    if (!std::is_sorted(completed_.begin(), completed_.end(), earlier))
        std::stable_sort(completed_.begin(), completed_.end(), earlier);
    // respond() may bring new requests, which do not touch completed_.
    for (const MemoryCompletion& completion : completed_) {
        Pending& pending = pending_[completion.id];
        pending.last = std::max(pending.last, completion.time);
        if (--pending.left > 0) continue;
        const Picoseconds time = std::max(now, time_of(pending.last));
        if (spec_.responses == Responses::annotated) {
            respond(completion.id, time - now);
        } else {
            due_.push({time, order_++, completion.id});
        }
    }
}

void HbmMemory::respond(std::uint32_t id, Picoseconds delay) {
    const Pending pending = pending_[id];
    free_.push_back(id);
    ++statistics_.responses;
    pending.payload->set_response_status(tlm::TLM_OK_RESPONSE);
    tlm::tlm_phase phase = tlm::BEGIN_RESP;
    sc_core::sc_time after = to_sc_time(delay);
    (*sockets[static_cast<std::size_t>(pending.socket)])
        ->nb_transport_bw(*pending.payload, phase, after);
}

void HbmMemory::release_senders() {
    for (std::size_t socket = 0; socket < held_.size(); ++socket) {
        if (held_payload_[socket] == nullptr) continue;
        std::vector<int>& held = held_[socket];
        held.erase(std::remove_if(held.begin(), held.end(),
                                  [this](int channel) { return !is_full(channel); }),
                   held.end());
        if (!held.empty()) continue;
        tlm::tlm_generic_payload& payload = *held_payload_[socket];
        held_payload_[socket] = nullptr;
        tlm::tlm_phase phase = tlm::END_REQ;
        sc_core::sc_time none = sc_core::SC_ZERO_TIME;
        (*sockets[socket])->nb_transport_bw(payload, phase, none);
    }
}

HbmStatistics HbmMemory::statistics() const {
    HbmStatistics result = statistics_;
    PseudoChannelStatistics& all = result.commands;
    for (const PseudoChannel* pseudo : flat_) {
        const PseudoChannelStatistics& one = pseudo->statistics();
        all.accesses += one.accesses;
        all.completed += one.completed;
        all.reads += one.reads;
        all.writes += one.writes;
        all.activates += one.activates;
        all.precharges += one.precharges;
        all.refreshes += one.refreshes;
        all.row_hits += one.row_hits;
        all.row_misses += one.row_misses;
        all.row_conflicts += one.row_conflicts;
        all.drains += one.drains;
        all.refresh_cycles += one.refresh_cycles;
        all.latency_cycles += one.latency_cycles;
        all.most_waiting = std::max(all.most_waiting, one.most_waiting);
    }
    result.moved = static_cast<double>(all.reads + all.writes) * burst_bytes(spec_.device);
    result.energy = result.moved * spec_.device.energy.value;
    return result;
}

}  // namespace podsim

#include "chips/npu/l2_cache.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace podsim::npu {

namespace {

Picoseconds time_for(double bytes, double bytes_per_second) {
    return std::llround(bytes / bytes_per_second * 1e12);
}

template <class T>
int take_spare(std::vector<T>& all, std::vector<int>& spare) {
    if (spare.empty()) {
        all.emplace_back();
        return static_cast<int>(all.size()) - 1;
    }
    const int index = spare.back();
    spare.pop_back();
    all[static_cast<std::size_t>(index)] = T{};
    return index;
}

template <class T>
T& get(std::vector<T>& all, int index) {
    return all[static_cast<std::size_t>(index)];
}

// Runs longer than this are fetched in pieces.
constexpr std::uint64_t kLongestRun = 32768 / kBlock;

}  // namespace

L2Cache::L2Cache(const sc_core::sc_module_name& name, const L2Parameters& parameters)
    : sc_module(name),
      memory_("memory"),
      far_out_("far_out"),
      far_in_("far_in"),
      parameters_(parameters),
      latency_(to_picoseconds(Seconds(parameters.latency))),
      read_free_(static_cast<std::size_t>(parameters.cores)),
      write_free_(static_cast<std::size_t>(parameters.cores)),
      capacity_(static_cast<std::size_t>(parameters.capacity / static_cast<double>(kBlock))),
      due_(due_event_) {
    SC_HAS_PROCESS(L2Cache);
    for (int i = 0; i < parameters.cores * parameters.engines_per_core; ++i) {
        in_.push_back(std::make_unique<Port>(("in" + std::to_string(i)).c_str()));
        in_.back()->register_nb_transport_fw(this, &L2Cache::from_core, i);
    }
    memory_.register_nb_transport_bw(this, &L2Cache::from_behind);
    far_out_.register_nb_transport_bw(this, &L2Cache::from_behind);
    far_in_.register_nb_transport_fw(this, &L2Cache::from_far);
    capacity_ = std::max<std::size_t>(1, capacity_);
    where_.reserve(std::min<std::size_t>(capacity_, 1U << 18));
    SC_METHOD(answer);
    sensitive << due_event_;
    dont_initialize();
}

tlm::tlm_sync_enum L2Cache::from_core(int port, tlm::tlm_generic_payload& payload,
                                      tlm::tlm_phase& phase, sc_core::sc_time& delay) {
    if (phase != tlm::BEGIN_REQ) return tlm::TLM_COMPLETED;
    accept(port, payload, to_picoseconds(sc_core::sc_time_stamp() + delay));
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
}

tlm::tlm_sync_enum L2Cache::from_far(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay) {
    if (phase != tlm::BEGIN_REQ) return tlm::TLM_COMPLETED;
    accept(-1, payload, to_picoseconds(sc_core::sc_time_stamp() + delay));
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
}

void L2Cache::accept(int port, tlm::tlm_generic_payload& payload, Picoseconds arrival) {
    payload.acquire();
    const int index = take_spare(requests_, spare_requests_);
    Request& request = get(requests_, index);
    request.payload = &payload;
    request.port = port;
    request.arrival = arrival;
    const auto dies = static_cast<std::uint64_t>(parameters_.dies);
    const bool away =
        dies > 1 && port >= 0 &&
        payload.get_address() / kInterleave % dies != static_cast<std::uint64_t>(parameters_.die);
    if (away) {
        send_far(index);
    } else if (payload.is_write()) {
        write(index);
    } else {
        read(index);
    }
}

// The block's place, most recently used from now on; a new one when it was not there.
int L2Cache::touch(std::uint64_t number, bool& present) {
    const auto [found, is_new] = where_.try_emplace(number, -1);
    present = !is_new;
    if (!is_new) {
        const int block = found->second;
        if (block != newest_) {
            unlink(block);
            push_front(block);
        }
        return block;
    }
    if (where_.size() > capacity_ && oldest_ >= 0 && get(blocks_, oldest_).fetch < 0) {
        const int victim = oldest_;
        unlink(victim);
        where_.erase(get(blocks_, victim).number);
        spare_.push_back(victim);
        ++statistics_.evictions;
    }
    const int block = take_spare(blocks_, spare_);
    get(blocks_, block).number = number;
    where_[number] = block;
    push_front(block);
    return block;
}

void L2Cache::unlink(int index) {
    const Block& block = get(blocks_, index);
    (block.newer >= 0 ? get(blocks_, block.newer).older : newest_) = block.older;
    (block.older >= 0 ? get(blocks_, block.older).newer : oldest_) = block.newer;
}

void L2Cache::push_front(int index) {
    Block& block = get(blocks_, index);
    block.newer = -1;
    block.older = newest_;
    if (newest_ >= 0) get(blocks_, newest_).newer = index;
    newest_ = index;
    if (oldest_ < 0) oldest_ = index;
}

void L2Cache::read(int index) {
    tlm::tlm_generic_payload& payload = *get(requests_, index).payload;
    const double bytes = payload.get_data_length();
    if (parameters_.resident) {
        statistics_.hit += bytes;
        deliver(index);
        return;
    }
    const std::uint64_t first = payload.get_address() / kBlock;
    const std::uint64_t last = (payload.get_address() + payload.get_data_length() - 1) / kBlock;
    std::uint64_t run = 0;
    for (std::uint64_t number = first; number <= last; ++number) {
        bool present = false;
        const int block = touch(number, present);
        if (!present) {
            ++run;
            if (run == kLongestRun || number == last) {
                fetch(number + 1 - run, run, index);
                run = 0;
            }
            continue;
        }
        if (run > 0) fetch(number - run, run, index);
        run = 0;
        const int coming = get(blocks_, block).fetch;
        if (coming < 0) continue;
        auto& waiters = get(fetches_, coming).waiters;
        if (std::find(waiters.begin(), waiters.end(), index) != waiters.end()) continue;
        waiters.push_back(index);
        ++get(requests_, index).fetches;
    }
    Request& request = get(requests_, index);
    statistics_.missed += std::min(bytes, request.missed);
    statistics_.hit += std::max(0.0, bytes - request.missed);
    if (request.fetches == 0) deliver(index);
}

void L2Cache::fetch(std::uint64_t first, std::uint64_t blocks, int request) {
    const int index = take_spare(fetches_, spare_fetches_);
    Fetch& fetch = get(fetches_, index);
    fetch.first = first;
    fetch.blocks = blocks;
    fetch.waiters.push_back(request);
    ++get(requests_, request).fetches;
    get(requests_, request).missed += static_cast<double>(blocks * kBlock);
    for (std::uint64_t i = 0; i < blocks; ++i) {
        const auto block = where_.find(first + i);  // a cache of few blocks may have lost it again
        if (block != where_.end()) get(blocks_, block->second).fetch = index;
    }
    tlm::tlm_generic_payload& payload = pool_.take(first * kBlock, blocks * kBlock, false);
    fetch_of_[&payload] = index;
    send_behind(payload, false);
}

void L2Cache::send_far(int index) {
    const Request& request = get(requests_, index);
    const int fetch = take_spare(fetches_, spare_fetches_);
    get(fetches_, fetch).far_request = index;
    statistics_.far += request.payload->get_data_length();
    tlm::tlm_generic_payload& payload =
        pool_.take(request.payload->get_address(), request.payload->get_data_length(),
                   request.payload->is_write());
    payload.get_extension<BurstHints>()->stays =
        request.payload->get_extension<BurstHints>()->stays;
    fetch_of_[&payload] = fetch;
    send_behind(payload, true);
}

void L2Cache::send_behind(tlm::tlm_generic_payload& payload, bool far) {
    if (!far) {
        to_memory_.push_back(&payload);
        send_next();
        return;
    }
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    far_out_->nb_transport_fw(payload, phase, delay);
}

void L2Cache::send_next() {
    while (!memory_open_ && !to_memory_.empty()) {
        tlm::tlm_generic_payload& payload = *to_memory_.front();
        to_memory_.pop_front();
        tlm::tlm_phase phase = tlm::BEGIN_REQ;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        memory_open_ = true;
        const auto status = memory_->nb_transport_fw(payload, phase, delay);
        if (status == tlm::TLM_UPDATED && phase == tlm::END_REQ) memory_open_ = false;
    }
}

tlm::tlm_sync_enum L2Cache::from_behind(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                        sc_core::sc_time& delay) {
    if (phase == tlm::END_REQ) {
        memory_open_ = false;
        send_next();
        return tlm::TLM_ACCEPTED;
    }
    finished_ = to_picoseconds(sc_core::sc_time_stamp() + delay);
    const auto found = fetch_of_.find(&payload);
    const int index = found == fetch_of_.end() ? -1 : found->second;
    if (index >= 0) {
        fetch_of_.erase(found);
        // Taken out: deliver() may begin new fetches.
        const Fetch fetch = get(fetches_, index);
        for (std::uint64_t i = 0; i < fetch.blocks; ++i) {
            const auto block = where_.find(fetch.first + i);
            if (block != where_.end() && get(blocks_, block->second).fetch == index)
                get(blocks_, block->second).fetch = -1;
        }
        spare_fetches_.push_back(index);
        if (fetch.far_request >= 0) deliver(fetch.far_request);
        for (const int request : fetch.waiters) {
            if (--get(requests_, request).fetches == 0) deliver(request);
        }
    }
    payload.release();
    return tlm::TLM_COMPLETED;
}

// Until when the cache as a whole is busy with these bytes, too. What arrives from behind passes
// while it arrives.
Picoseconds L2Cache::total_until(double bytes, Picoseconds now, bool arrives) {
    const Picoseconds takes = time_for(bytes, parameters_.total);
    statistics_.busy += takes;
    total_free_ = std::max(total_free_, arrives ? now - takes : now) + takes;
    return total_free_;
}

// Written bytes have a direction of their own.
Picoseconds L2Cache::written_until(double bytes, Picoseconds now) {
    total_write_free_ = std::max(total_write_free_, now) + time_for(bytes, parameters_.total);
    return total_write_free_;
}

// All of a read's data is in the cache, or came from another die: through the core's port.
void L2Cache::deliver(int index) {
    Request& request = get(requests_, index);
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    const double bytes = request.payload->get_data_length();
    const bool shared = request.payload->get_extension<BurstHints>()->shared;
    const double charged = shared ? bytes / static_cast<double>(parameters_.multicast) : bytes;
    Picoseconds done = total_until(charged, now, now > request.arrival) + latency_;
    if (request.payload->is_write()) {
        due_.add(done, index);
        return;
    }
    if (request.port >= 0) {
        const auto core = static_cast<std::size_t>(request.port / parameters_.engines_per_core);
        const double missed = std::min(bytes, request.missed);
        const Picoseconds passes =
            time_for(bytes - missed, parameters_.read) + time_for(missed, parameters_.memory_read);
        // While data arrives it passes: the port is taken from when it began to come.
        const Picoseconds began = request.arrival + latency_;
        done = std::max(done, std::max(read_free_[core], began) + passes);
        if (now > request.arrival) {
            const double tail = std::min(bytes, static_cast<double>(kBlock));
            done = std::max(done, now + latency_ + time_for(tail, parameters_.read));
        }
        read_free_[core] = done;
    }
    due_.add(done, index);
}

void L2Cache::write(int index) {
    const Request& request = get(requests_, index);
    tlm::tlm_generic_payload& payload = *request.payload;
    const double bytes = payload.get_data_length();
    Picoseconds done = written_until(bytes, request.arrival);
    if (request.port >= 0) {
        Picoseconds& free_at =
            write_free_[static_cast<std::size_t>(request.port / parameters_.engines_per_core)];
        free_at = std::max(free_at, request.arrival) + time_for(bytes, parameters_.write);
        done = std::max(done, free_at);
    }
    const bool stays = payload.get_extension<BurstHints>()->stays || parameters_.resident;
    if (stays) {
        statistics_.kept += bytes;
        const std::uint64_t last = (payload.get_address() + payload.get_data_length() - 1) / kBlock;
        bool present = false;
        for (std::uint64_t number = payload.get_address() / kBlock; number <= last; ++number)
            touch(number, present);
    } else {
        statistics_.written += bytes;
        const std::uint64_t end = payload.get_address() + payload.get_data_length();
        for (std::uint64_t at = payload.get_address(); at < end; at += kLongestRun * kBlock) {
            const std::uint64_t piece = std::min(kLongestRun * kBlock, end - at);
            send_behind(pool_.take(at, piece, true), false);
        }
    }
    due_.add(done, index);
}

void L2Cache::answer() {
    int index = -1;
    while (due_.take(index)) {
        const Request request = get(requests_, index);
        spare_requests_.push_back(index);
        finished_ = to_picoseconds(sc_core::sc_time_stamp());
        request.payload->set_response_status(tlm::TLM_OK_RESPONSE);
        tlm::tlm_phase phase = tlm::BEGIN_RESP;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        if (request.port < 0) {
            far_in_->nb_transport_bw(*request.payload, phase, delay);
        } else {
            Port& port = *in_[static_cast<std::size_t>(request.port)];
            port->nb_transport_bw(*request.payload, phase, delay);
        }
        request.payload->release();
    }
}

}  // namespace podsim::npu

// The last-level cache of a die: tags of blocks in order of last use, one port per core, a total
// rate, and misses fetched from whatever stands behind its memory socket.
//
// Ports        in_[i]: target, one for each engine that moves bytes, `engines_per_core` a core;
//              memory_: initiator, bound to a memory of any kind (simple_memory, chips/hbm);
//              far_out_, far_in_: to and from other dies' caches (die_link), where there are any.
// Parameters   L2Parameters.
// Statistics   bytes hit and missed (in whole blocks), written on, evicted; busy of the total rate.
//
// A read whose blocks are all there leaves its core's port at the port's rate, not before the cache
// as a whole could deliver it, a latency after it came. Blocks that are missing are fetched in
// runs; who asks for a block that is on its way waits for it. Fetched data passes the port while it
// arrives: the last burst adds no more than a block. Writes go through to memory without allocating
// and are answered when the cache has them, unless they are to stay.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "chips/npu/burst.hpp"
#include "chips/npu/due_list.hpp"

namespace podsim::npu {

struct L2Parameters {
    int cores = 1, engines_per_core = 1;
    double capacity = 0;
    double read = 0, write = 0, memory_read = 0;  // bytes per second of one core's port
    double total = 0;                             // bytes per second, all ports, each way
    double latency = 0;                           // seconds
    long multicast = 1;
    bool resident = false;  // everything is there from the beginning
    long dies = 1, die = 0;
};

// Addresses are dealt out to dies in pieces of this size.
inline constexpr std::uint64_t kInterleave = 65536;
inline constexpr std::uint64_t kBlock = 4096;

struct L2Statistics {
    double hit = 0, missed = 0, written = 0, kept = 0, far = 0;  // bytes
    std::int64_t evictions = 0;
    Picoseconds busy = 0;
};

class L2Cache : public sc_core::sc_module {
  public:
    using Port = tlm_utils::simple_target_socket_tagged<L2Cache>;
    std::vector<std::unique_ptr<Port>> in_;
    tlm_utils::simple_initiator_socket<L2Cache> memory_;
    tlm_utils::simple_initiator_socket_optional<L2Cache> far_out_;
    tlm_utils::simple_target_socket_optional<L2Cache> far_in_;

    L2Cache(const sc_core::sc_module_name& name, const L2Parameters& parameters);

    const L2Statistics& statistics() const { return statistics_; }
    Picoseconds finished() const { return finished_; }  // the last burst on either side

  private:
    struct Request {
        tlm::tlm_generic_payload* payload = nullptr;
        int port = -1;  // -1: another die
        Picoseconds arrival = 0;
        int fetches = 0;  // that it waits for
        double missed = 0;
    };
    struct Fetch {
        std::uint64_t first = 0, blocks = 0;
        std::vector<int> waiters;  // requests
        int far_request = -1;      // a write or read that another die answers
    };
    struct Block {
        std::uint64_t number = 0;
        int newer = -1, older = -1;
        int fetch = -1;  // on its way
    };

    tlm::tlm_sync_enum from_core(int port, tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                 sc_core::sc_time& delay);
    tlm::tlm_sync_enum from_far(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                sc_core::sc_time& delay);
    tlm::tlm_sync_enum from_behind(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                   sc_core::sc_time& delay);
    void accept(int port, tlm::tlm_generic_payload& payload, Picoseconds arrival);
    void read(int index);
    void write(int index);
    void send_far(int index);
    void fetch(std::uint64_t first, std::uint64_t blocks, int request);
    void deliver(int index);
    void answer();
    int touch(std::uint64_t number, bool& present);
    void unlink(int index);
    void push_front(int index);
    Picoseconds total_until(double bytes, Picoseconds now, bool arrives);
    Picoseconds written_until(double bytes, Picoseconds now);
    void send_behind(tlm::tlm_generic_payload& payload, bool far);
    void send_next();

    L2Parameters parameters_;
    Picoseconds latency_;
    std::vector<Picoseconds> read_free_, write_free_;
    Picoseconds total_free_ = 0, total_write_free_ = 0, finished_ = 0;

    std::unordered_map<std::uint64_t, int> where_;
    std::vector<Block> blocks_;
    std::vector<int> spare_;
    std::size_t capacity_ = 0;
    int newest_ = -1, oldest_ = -1;

    std::vector<Request> requests_;
    std::vector<int> spare_requests_;
    std::vector<Fetch> fetches_;
    std::vector<int> spare_fetches_;
    std::unordered_map<const tlm::tlm_generic_payload*, int> fetch_of_;

    BurstPool pool_;
    std::deque<tlm::tlm_generic_payload*> to_memory_;
    bool memory_open_ = false;
    sc_core::sc_event due_event_;
    DueList<int> due_;
    L2Statistics statistics_;
};

}  // namespace podsim::npu

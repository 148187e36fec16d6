// Replicas, who sends them requests, links between pools, and what becomes of every request.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/calendar.hpp"
#include "workloads/autoscaling.hpp"
#include "workloads/serving/replica.hpp"

namespace podsim {

// off: nobody pays for it. drains: ends what it has and is sent nothing more.
enum class ReplicaState { off, starts, serves, drains };

struct ReplicaLife {
    ReplicaState state = ReplicaState::off;
    std::uint32_t number = 0;  // of the present life: what an earlier one awaited finds another
    std::uint64_t failures = 0;
    Picoseconds paid_since = -1;
    Picoseconds down_since = -1;   // by a failure
    Picoseconds broken_until = 0;  // the latest repair, of a part of it
    double paid = 0;               // seconds
    Windows paid_over_time;
};

class Fleet {
  public:
    Fleet(const ServingCase& serving, RequestStream& requests);
    ServingOutcome run();

  private:
    void pull();
    Picoseconds time_of(const Request& request) const;
    void schedule(Request request);
    void arrive(Request request);
    std::string refusal(const Request& request) const;
    std::size_t route(const Request& request);
    std::size_t least_loaded(const std::vector<std::size_t>& replicas) const;
    void put(std::size_t slot);
    bool first_token(std::size_t slot);
    void admit_waiting_caches(std::size_t replica);
    void transfer(std::size_t slot, std::size_t to);
    BytesPerSecond link_of(std::size_t replica) const;
    void finish(std::size_t slot);
    void time_out(std::size_t slot, std::uint32_t visit);
    void leave(std::size_t slot);
    // Of a request's class; nothing where there is one alone.
    ClassOutcome* class_of(const Request& request);
    void follow(const Request& ended);
    bool is_over() const { return exhausted_ && number_ == 0 && coming_ == 0; }
    void begin_again(std::size_t slot);
    // Of replicas: fleet_replicas.cpp.
    void await_failure(std::size_t replica);
    void fail(std::size_t replica, std::optional<Seconds> repair);
    void schedule_faults();
    void repaired(std::size_t replica);
    void serves_again(std::size_t replica);
    void move_inbound(std::size_t replica);
    void look(std::size_t pool);
    double load_of(std::size_t pool) const;
    void start(std::size_t replica, Seconds start_up);
    void started(std::size_t replica);
    void drain_one(std::size_t pool);
    void stop_if_drained(std::size_t replica);
    void stop(std::size_t replica);
    void count_who_waits(std::size_t pool);
    void close_books();
    // That it is sent requests.
    bool takes(std::size_t replica) const {
        return life_[replica].state == ReplicaState::serves && !replicas_[replica]->is_down();
    }
    void count_change(long change);
    const PoolRole& role_of(std::size_t replica) const {
        return serving_.pools[pool_of_[replica]].role;
    }

    const ServingCase& serving_;
    RequestStream& requests_;
    Calendar calendar_;
    std::vector<Live> lives_;
    std::vector<std::size_t> free_slots_;
    std::optional<SharedStore> shared_;  // outlives the replicas
    std::vector<std::unique_ptr<Replica>> replicas_;
    std::vector<std::size_t> pool_of_, readers_, writers_;
    std::vector<Picoseconds> port_free_;  // of each replica, towards the other pools
    // Sequences whose caches wait for room, by decode replica, in order.
    std::vector<std::set<std::pair<std::uint64_t, std::size_t>>> inbound_;
    std::vector<double> inbound_tokens_;
    std::vector<ReplicaLife> life_;
    std::vector<std::optional<Autoscaler>> scalers_;  // of each pool
    std::vector<std::size_t> stranded_;               // no replica that reads is up
    std::size_t next_reader_ = 0;
    std::uint64_t next_order_ = 0;
    bool exhausted_ = false, begun_ = false;
    std::uint64_t pulled_ = 0;
    Picoseconds begin_ = 0, changed_ = 0, last_end_ = 0;
    long number_ = 0, coming_ = 0;  // in the system; next turns on the calendar
    LogHistogram inter_token_;
    std::vector<float> ttft_, tpot_, e2e_;
    std::vector<std::vector<float>> class_ttft_, class_tpot_;  // where there are several
    struct Rejected {
        long count = 0;
        std::uint64_t first = 0;  // line of the trace, or number of the draw
    };
    std::map<std::string, Rejected> rejected_;  // by reason
    ServingOutcome out_;
};

}  // namespace podsim

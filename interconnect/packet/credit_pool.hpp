// Credits for packets in flight to one destination, shared by all senders: taken when a packet
// leaves its source, back a while after it was delivered.
//
// It stands for a receiver that grants its buffer to whoever asks; the asking itself takes no
// time, `pool_return` is all that is modelled of the loop.
// Parameters: bytes, time of return, who is next. Statistics: bytes returned.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "interconnect/packet/engine.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {

class CreditUser {
  public:
    virtual void pool_ready() = 0;

  protected:
    ~CreditUser() = default;
};

class CreditPool final : public EventTarget {
  public:
    CreditPool(PacketEngine& engine, std::int64_t bytes, Picoseconds return_time, CreditGrant grant,
               std::vector<CreditUser*> users);

    // False, and pool_ready() of the user later, when there are too few or others wait longer.
    bool take(int user, std::uint32_t bytes);
    void give_back(std::uint32_t bytes);

    bool complete() const { return available_ == full_; }
    std::int64_t returned() const { return returned_; }

  private:
    void on_event(std::uint64_t bytes) override;
    void wait(int user, std::uint32_t bytes);

    PacketEngine& engine_;
    const std::int64_t full_;
    const Picoseconds return_time_;
    const CreditGrant grant_;
    const std::vector<CreditUser*> users_;
    std::int64_t available_, returned_ = 0;
    struct Waiting {
        int user;
        std::uint32_t bytes;
    };
    std::deque<Waiting> waiting_;  // in the order of being served
    std::vector<char> waits_;      // [user]
    int granted_ = -1;             // who is being asked now
};

}  // namespace podsim

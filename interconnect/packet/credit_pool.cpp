#include "interconnect/packet/credit_pool.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace podsim {

CreditPool::CreditPool(PacketEngine& engine, std::int64_t bytes, Picoseconds return_time,
                       CreditGrant grant, std::vector<CreditUser*> users)
    : engine_(engine),
      full_(bytes),
      return_time_(return_time),
      grant_(grant),
      users_(std::move(users)),
      available_(bytes),
      waits_(users_.size()) {}

bool CreditPool::take(int user, std::uint32_t bytes) {
    if (bytes > full_) throw std::invalid_argument("a pool of credits smaller than a packet");
    const bool in_turn =
        grant_ == CreditGrant::lowest_source || waiting_.empty() || granted_ == user;
    if (!in_turn || available_ < bytes) {
        wait(user, bytes);
        return false;
    }
    available_ -= bytes;
    return true;
}

void CreditPool::wait(int user, std::uint32_t bytes) {
    if (waits_[static_cast<std::size_t>(user)]) return;
    waits_[static_cast<std::size_t>(user)] = 1;
    auto place = waiting_.end();
    if (grant_ == CreditGrant::lowest_source) {
        place = std::lower_bound(waiting_.begin(), waiting_.end(), user,
                                 [](const Waiting& w, int number) { return w.user < number; });
    }
    waiting_.insert(place, {user, bytes});
}

void CreditPool::give_back(std::uint32_t bytes) {
    engine_.at(engine_.now() + return_time_, *this, bytes);
}

void CreditPool::on_event(std::uint64_t bytes) {
    available_ += static_cast<std::int64_t>(bytes);
    returned_ += static_cast<std::int64_t>(bytes);
    // Everybody who waits is asked once at most; who still cannot go waits anew.
    for (std::size_t asked = waiting_.size(); asked > 0 && !waiting_.empty(); --asked) {
        const Waiting first = waiting_.front();
        if (available_ < first.bytes) break;
        waiting_.pop_front();
        waits_[static_cast<std::size_t>(first.user)] = 0;
        granted_ = first.user;
        users_[static_cast<std::size_t>(first.user)]->pool_ready();
        granted_ = -1;
    }
}

}  // namespace podsim

#include "workloads/expert_drift.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "base/random.hpp"

namespace podsim {

namespace {

// Of the draw that deals popularity out anew; part of the model, not of a run.
constexpr std::uint64_t kDealSeed = 2;

}  // namespace

double ExpertBalancing::moved(Seconds since) const {
    if (!(drift_time > Seconds(0.0))) return 0;
    return 1 - std::exp(-std::max(0.0, since / drift_time));
}

std::vector<double> dealt_anew(const std::vector<double>& shares) {
    std::vector<std::pair<std::uint64_t, std::size_t>> order;
    for (std::size_t i = 0; i < shares.size(); ++i)
        order.emplace_back(random_bits(kDealSeed, i), i);
    std::sort(order.begin(), order.end());
    std::vector<double> dealt(shares.size());
    for (std::size_t i = 0; i < shares.size(); ++i) dealt[i] = shares[order[i].second];
    return dealt;
}

std::vector<double> drifted_shares(const std::vector<double>& shares,
                                   const std::vector<double>& toward, double moved) {
    if (shares.size() != toward.size())
        throw std::invalid_argument("popularity moves between different numbers of experts");
    std::vector<double> drifted(shares.size());
    for (std::size_t i = 0; i < shares.size(); ++i)
        drifted[i] = (1 - moved) * shares[i] + moved * toward[i];
    return drifted;
}

ReceivedExperts received_experts(const std::vector<int>& before, const std::vector<int>& after,
                                 int ranks) {
    if (ranks < 1 || before.size() != after.size() ||
        before.size() % static_cast<std::size_t>(ranks) != 0)
        throw std::invalid_argument("slots of two layouts that are not those of the same ranks");
    const std::ptrdiff_t each =
        static_cast<std::ptrdiff_t>(before.size()) / static_cast<std::ptrdiff_t>(ranks);
    ReceivedExperts received;
    for (std::ptrdiff_t first = 0; first < static_cast<std::ptrdiff_t>(before.size());
         first += each) {
        std::vector<int> held(before.begin() + first, before.begin() + first + each);
        std::vector<int> wanted(after.begin() + first, after.begin() + first + each);
        std::sort(held.begin(), held.end());
        std::sort(wanted.begin(), wanted.end());
        wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
        const auto own = std::count_if(wanted.begin(), wanted.end(), [&](int expert) {
            return !std::binary_search(held.begin(), held.end(), expert);
        });
        received.busiest = std::max(received.busiest, static_cast<long>(own));
        received.all += static_cast<long>(own);
    }
    return received;
}

}  // namespace podsim

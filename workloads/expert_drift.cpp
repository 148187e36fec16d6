#include "workloads/expert_drift.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "base/random.hpp"

namespace podsim {

namespace {

// Of the order in which experts hand their popularity on; part of the model, not of a run.
constexpr std::uint64_t kOrderSeed = 2;
// Where there is one popularity for all layers it stands for their mean: of 256 orders this is the
// one whose busiest rank is nearest to the mean of all (8 % off, root mean square over Zipf 0.3 to
// 0.8, 16 to 64 ranks, 0 to 64 copies and all parts moved; any of them: 14 %).
constexpr std::uint64_t kTypicalOrder = 43;

}  // namespace

double ExpertBalancing::moved(Seconds since) const {
    if (!(drift_time > Seconds(0.0))) return 0;
    return 1 - std::exp(-std::max(0.0, since / drift_time));
}

std::vector<double> exchanged_shares(const std::vector<double>& shares, double moved, long layer) {
    if (!(moved >= 0 && moved <= 1))
        throw std::invalid_argument("a part of the popularity between 0 and 1");
    std::vector<std::pair<std::uint64_t, std::size_t>> order;
    for (std::size_t i = 0; i < shares.size(); ++i)
        order.emplace_back(
            random_bits(kOrderSeed, kTypicalOrder + static_cast<std::uint64_t>(layer), i), i);
    std::sort(order.begin(), order.end());
    // As many as come nearest to that part of all shares.
    const double wanted = moved * std::accumulate(shares.begin(), shares.end(), 0.0);
    std::size_t count = 0;
    double sum = 0;
    while (count < order.size() && sum + shares[order[count].second] / 2 <= wanted)
        sum += shares[order[count++].second];
    std::vector<double> exchanged = shares;
    for (std::size_t i = 0; i < count; ++i)
        exchanged[order[i].second] = shares[order[(i + 1) % count].second];
    return exchanged;
}

std::vector<double> mixed_shares(const std::vector<double>& shares,
                                 const std::vector<double>& toward, double moved) {
    if (shares.size() != toward.size())
        throw std::invalid_argument("popularity moves between different numbers of experts");
    std::vector<double> mixed(shares.size());
    for (std::size_t i = 0; i < shares.size(); ++i)
        mixed[i] = (1 - moved) * shares[i] + moved * toward[i];
    return mixed;
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

#include "workloads/expert_balance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <utility>

#include "base/random.hpp"
#include "workloads/pipeline.hpp"

namespace podsim {

namespace {

// Of the draw that deals popularity out; part of the model, not of a run.
constexpr std::uint64_t kZipfSeed = 1;

using Slots = std::vector<std::size_t>;  // by slot: its expert

// One copy of each expert in order, then the further copies as they are handed out.
Slots replicate(const std::vector<double>& shares, std::size_t slots) {
    std::vector<double> copies(shares.size(), 1.0);
    const auto lighter = [&](std::size_t a, std::size_t b) {
        const double load_a = shares[a] / copies[a], load_b = shares[b] / copies[b];
        return load_a < load_b || (load_a == load_b && a > b);
    };
    Slots experts(shares.size());
    std::iota(experts.begin(), experts.end(), std::size_t{0});
    std::priority_queue<std::size_t, Slots, decltype(lighter)> heaviest(lighter, experts);
    while (experts.size() < slots) {
        const std::size_t expert = heaviest.top();
        heaviest.pop();
        copies[expert] += 1;
        heaviest.push(expert);
        experts.push_back(expert);
    }
    return experts;
}

std::vector<double> copies_of(const Slots& slots, std::size_t experts) {
    std::vector<double> copies(experts, 0.0);
    for (const std::size_t expert : slots) copies[expert] += 1;
    return copies;
}

// Slots in the order of the ranks that take them.
Slots pack(const std::vector<double>& shares, const Slots& slots, std::size_t ranks) {
    const std::vector<double> copies = copies_of(slots, shares.size());
    const auto load = [&](std::size_t slot) { return shares[slots[slot]] / copies[slots[slot]]; };
    Slots order(slots.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return load(a) > load(b); });
    using Entry = std::pair<double, std::size_t>;  // load and rank
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> lightest;
    for (std::size_t rank = 0; rank < ranks; ++rank) lightest.emplace(0.0, rank);
    const std::size_t room = slots.size() / ranks;
    std::vector<Slots> held(ranks);
    for (const std::size_t slot : order) {
        const auto [carried, rank] = lightest.top();
        lightest.pop();
        held[rank].push_back(slots[slot]);
        if (held[rank].size() < room) lightest.emplace(carried + load(slot), rank);
    }
    Slots packed;
    for (const Slots& of_rank : held) packed.insert(packed.end(), of_rank.begin(), of_rank.end());
    return packed;
}

// Chance that a count stays at or below x.
double at_most(const CountLaw& count, double x) {
    if (count.deviation <= 0) return x >= count.mean ? 1.0 : 0.0;
    const double z = (x - count.mean) / count.deviation;
    if (z > 8) return 1.0;
    const double density = std::exp(-0.5 * z * z) * 0.3989422804014327;  // 1 / sqrt(2 pi)
    const double normal = 0.5 * std::erfc(-z * 0.7071067811865476);      // 1 / sqrt(2)
    return std::clamp(normal - count.skewness / 6 * (z * z - 1) * density, 0.0, 1.0);
}

CountLaw count_of(const double* chances, std::size_t slots, double tokens) {
    double mean = 0, variance = 0, third = 0;
    for (std::size_t i = 0; i < slots; ++i) {
        const double p = chances[i], spread = p * (1 - p);
        mean += p;
        variance += spread;
        third += spread * (1 - 2 * p);
    }
    CountLaw count{tokens * mean, std::sqrt(tokens * variance), 0};
    if (variance > 0) count.skewness = third / (std::sqrt(tokens * variance) * variance);
    return count;
}

// The same where a rank sends an expert no more than its capacity.
CountLaw limited_count_of(const SlotChances& all, std::size_t first, std::size_t slots,
                          double tokens, const SenderLimit& limit) {
    const auto senders = static_cast<double>(limit.senders);
    const long each = std::lround(tokens / senders);
    Cumulants sum;
    for (std::size_t i = first; i < first + slots; ++i) {
        const double copies = all.copies[i];
        const Cumulants one =
            thinned(kept_of(each, all.chances[i] * copies, limit.capacity), 1 / copies);
        sum.first += senders * one.first;
        sum.second += senders * one.second;
        sum.third += senders * one.third;
    }
    CountLaw count{sum.first, std::sqrt(sum.second), 0};
    if (sum.second > 0) count.skewness = sum.third / (count.deviation * sum.second);
    return count;
}

// The most that the slots of one rank take.
double room_of(const SlotChances& all, std::size_t each, double tokens, const SenderLimit& limit) {
    if (limit.senders == 0) return tokens * static_cast<double>(each);
    double most = 0;
    for (std::size_t first = 0; first < all.copies.size(); first += each) {
        double room = 0;
        for (std::size_t i = first; i < first + each; ++i)
            room += static_cast<double>(limit.senders * limit.capacity) / all.copies[i];
        most = std::max(most, room);
    }
    return most;
}

}  // namespace

double active_slots(const double* chances, std::size_t slots, double tokens) {
    double active = 0;
    for (std::size_t i = 0; i < slots; ++i)
        active += 1 - std::pow(1 - std::min(1.0, chances[i]), tokens);
    return active;
}

std::vector<double> zipf_shares(long experts, double exponent) {
    std::vector<std::pair<std::uint64_t, std::size_t>> order;
    for (std::size_t i = 0; i < static_cast<std::size_t>(experts); ++i)
        order.emplace_back(random_bits(kZipfSeed, i), i);
    std::sort(order.begin(), order.end());
    std::vector<double> shares(order.size());
    double sum = 0;
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        shares[order[rank].second] = std::pow(static_cast<double>(rank + 1), -exponent);
        sum += shares[order[rank].second];
    }
    for (double& share : shares) share /= sum;
    return shares;
}

std::vector<double> expert_chances(const std::vector<double>& shares, long experts_per_token) {
    std::vector<double> chances = shares;
    std::vector<bool> certain(shares.size(), false);
    double left = static_cast<double>(experts_per_token);  // assignments of a token
    while (true) {
        double sum = 0;
        for (std::size_t i = 0; i < shares.size(); ++i) {
            if (!(shares[i] >= 0) || std::isinf(shares[i]))
                throw std::invalid_argument("a share of an expert is negative or infinite");
            if (!certain[i]) sum += shares[i];
        }
        if (left > 0 && !(sum > 0)) {
            throw std::invalid_argument(fmt::format(
                "a token takes {} experts, but fewer are ever chosen", experts_per_token));
        }
        bool again = false;
        const double each = left > 0 ? left / sum : 0;
        for (std::size_t i = 0; i < shares.size(); ++i) {
            if (certain[i]) continue;
            chances[i] = each * shares[i];
            if (chances[i] <= 1) continue;
            chances[i] = 1;
            left -= 1;
            certain[i] = again = true;
        }
        if (!again) return chances;
    }
}

std::vector<int> place_experts(const std::vector<double>& shares, long slots, int ranks,
                               ExpertPlacement placement) {
    if (shares.empty() || slots < static_cast<long>(shares.size()) || ranks < 1 ||
        slots % ranks != 0) {
        throw std::invalid_argument(
            fmt::format("{} experts in {} slots on {} ranks", shares.size(), slots, ranks));
    }
    const auto count = static_cast<std::size_t>(slots);
    Slots experts;
    if (placement == ExpertPlacement::eplb) {
        experts = pack(shares, replicate(shares, count), static_cast<std::size_t>(ranks));
    } else {
        for (std::size_t slot = 0; slot < count; ++slot) experts.push_back(slot % shares.size());
    }
    return {experts.begin(), experts.end()};
}

SlotChances slot_chances(const std::vector<double>& expert_chances, const std::vector<int>& slots,
                         int ranks) {
    std::vector<double> copies(expert_chances.size(), 0.0);
    for (const int expert : slots) copies.at(static_cast<std::size_t>(expert)) += 1;
    SlotChances result{ranks, {}, {}};
    for (const int expert : slots) {
        const auto i = static_cast<std::size_t>(expert);
        result.chances.push_back(expert_chances[i] / copies[i]);
        result.copies.push_back(copies[i]);
    }
    return result;
}

double expected_maximum(const std::vector<CountLaw>& counts) {
    if (counts.empty()) throw std::invalid_argument("the maximum of no counts");
    // Below `low` the maximum never lies, above `high` hardly.
    double low = 0, high = 0, most = 0;
    for (const CountLaw& count : counts) {
        low = std::max(low, count.mean - 5 * count.deviation);
        high = std::max(high, count.mean + 8 * count.deviation);
        most = std::max(most, count.mean);
    }
    // E max = low + integral of 1 - F_1 F_2 ... F_R from there on, by the trapezoidal rule, which
    // for an integrand flat at both ends converges faster than any power of the step.
    constexpr int steps = 40;
    const double step = (high - low) / steps;
    constexpr double nothing = 1e-12;
    double sum = 0;
    for (int i = 0; i <= steps; ++i) {
        double all = 1;
        for (const CountLaw& count : counts) {
            all *= at_most(count, low + i * step);
            if (all < nothing) break;
        }
        if (1 - all < nothing) break;  // from here on as well
        sum += (i == 0 || i == steps ? 0.5 : 1.0) * (1 - all);
    }
    return std::max(most, low + sum * step);
}

std::vector<CountLaw> rank_counts(const SlotChances& slots, double tokens) {
    const auto ranks = static_cast<std::size_t>(slots.ranks);
    const std::size_t each = slots.chances.size() / ranks;
    std::vector<CountLaw> counts;
    for (std::size_t rank = 0; rank < ranks; ++rank)
        counts.push_back(count_of(slots.chances.data() + rank * each, each, tokens));
    return counts;
}

double drawn_count(const CountLaw& count, double z) {
    return std::max(0.0, count.mean + count.deviation * (z + count.skewness * (z * z - 1) / 6));
}

double expected_imbalance(const SlotChances& slots) {
    const auto each =
        static_cast<std::ptrdiff_t>(slots.chances.size() / static_cast<std::size_t>(slots.ranks));
    double all = 0, most = 0;
    for (auto first = slots.chances.begin(); first != slots.chances.end(); first += each) {
        const double own = std::accumulate(first, first + each, 0.0);
        most = std::max(most, own);
        all += own;
    }
    return all > 0 ? most * slots.ranks / all : 1;
}

GroupLoad group_load(const SlotChances& slots, double tokens, const SenderLimit& limit) {
    const auto ranks = static_cast<std::size_t>(slots.ranks);
    const std::size_t each = slots.chances.size() / ranks;
    std::vector<CountLaw> counts;
    double all = 0, active = 0, wanted = 0;
    std::size_t hottest = 0;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        const double* chances = slots.chances.data() + rank * each;
        counts.push_back(count_of(chances, each, tokens));
        wanted += counts.back().mean;
        if (limit.senders > 0)
            counts.back() = limited_count_of(slots, rank * each, each, tokens, limit);
        all += counts.back().mean;
        active += active_slots(chances, each, tokens);
        if (counts[rank].mean > counts[hottest].mean) hottest = rank;
    }
    GroupLoad load;
    load.kept = wanted > 0 ? std::min(1.0, all / wanted) : 1;
    if (ranks == 1) {
        load.busiest = load.others = {all, active};
        return load;
    }
    const double room = std::min(all, room_of(slots, each, tokens, limit));
    load.busiest.tokens = std::min(room, expected_maximum(counts));
    // The busiest rank by luck sees as many more tokens as it has more assignments.
    const double* chances = slots.chances.data() + hottest * each;
    const double usual = active_slots(chances, each, tokens);
    const double luck = load.busiest.tokens / counts[hottest].mean;
    load.busiest.active_slots =
        std::min(load.busiest.tokens, active_slots(chances, each, tokens * luck));
    const auto rest = static_cast<double>(ranks - 1);
    load.others.tokens = std::max(0.0, all - load.busiest.tokens) / rest;
    load.others.active_slots = std::min(load.others.tokens, (active - usual) / rest);
    return load;
}

namespace {

long whole(double value) {
    return static_cast<long>(std::ceil(value * (1.0 - 1e-9)));
}

// `rows` over `experts` of them, at least one each.
ExpertRows divided(long rows, long experts) {
    return {experts, std::max(1L, rows / experts), rows < experts ? 0 : rows % experts};
}

}  // namespace

ExpertRows whole_rows(const RankLoad& load) {
    const long active = whole(load.active_slots);
    return active > 0 ? divided(whole(load.tokens), active) : ExpertRows{};
}

ExpertRows balanced_rows(double assignments, long slots) {
    const long rows = std::max(1L, whole(assignments));
    return divided(rows, std::min(rows, std::max(1L, slots)));
}

ExpertRows part_of(const ExpertRows& rows, int parts, int part) {
    const long experts = even_part(rows.active_experts, parts, part);
    if (experts == 0) return {};
    return divided(experts * rows.tokens_per_expert + even_part(rows.longer_experts, parts, part),
                   experts);
}

}  // namespace podsim

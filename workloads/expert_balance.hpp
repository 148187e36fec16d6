// How unevenly tokens fall on experts, and on the ranks that hold them.
//
// Popularity is each expert's share of the assignments (tokens x top-k). A token takes an expert at
// most once, so with shares s_e that sum to 1 it goes to expert e with the chance k s_e, at most 1.
// The c_e slots that hold copies of an expert take its tokens in equal parts: p = k s_e / c_e.
//
// With T tokens in flight, drawn one by one, the count of a slot is a sum of T draws. Slots are
// taken as independent (Poisson sampling; Hajek, Ann. Math. Statist. 35, 1964), which leaves out
// that counts add up: that shifts all ranks alike and hardly their differences. Rank r then has
//
//   mean T sum p,  variance T sum p (1 - p),  third moment T sum p (1 - p) (1 - 2 p)
//
// over its slots, a distribution F_r by Edgeworth's first correction of the normal law (Cramer,
// Mathematical Methods of Statistics, 1946, 17.7), and the step waits for the busiest rank
// (David and Nagaraja, Order Statistics, 3rd ed. 2003, ch. 3):
//
//   E max = integral of x d(F_1 F_2 ... F_R)
#pragma once

#include <vector>

#include "models/blocks.hpp"
#include "workloads/expert_capacity.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

// Share of expert i: proportional to 1 / rank^exponent, the ranks of popularity dealt out in one
// fixed random order, since hot experts do not sit side by side. Exponent 0: all alike.
std::vector<double> zipf_shares(long experts, double exponent);

// Chance that a token goes to each expert. What is above one assignment a token goes to the other
// experts in proportion. Throws std::invalid_argument: fewer experts than a token takes, a share
// below zero or without end, fewer experts with a share than a token takes.
std::vector<double> expert_chances(const std::vector<double>& shares, long experts_per_token);

// The expert that each slot holds, rank after rank.
//
// contiguous: slot j holds expert j modulo their number, as SGLang and vLLM begin.
// eplb: DeepSeek's load balancer (deepseek-ai/EPLB, its global policy): every further slot is a
// copy of the expert with the largest share a copy, then the heaviest slot goes to the lightest
// rank that has room. The lower index first where equal.
//
// Throws std::invalid_argument: fewer slots than experts, slots that do not divide over the ranks.
std::vector<int> place_experts(const std::vector<double>& shares, long slots, int ranks,
                               ExpertPlacement placement);

// Chance that a token goes to each slot, rank after rank, and among how many copies of its expert
// that slot is.
struct SlotChances {
    int ranks = 1;
    std::vector<double> chances, copies;
};
SlotChances slot_chances(const std::vector<double>& expert_chances, const std::vector<int>& slots,
                         int ranks);

// Expected assignments of a rank, and how many of its slots any token reaches.
// What the busiest rank is asked over the mean, of many tokens: shares of the assignments alone,
// without the chance in a step.
double expected_imbalance(const SlotChances& slots);

// Slots that at least one of `tokens` is expected to reach.
double active_slots(const double* chances, std::size_t slots, double tokens);

struct RankLoad {
    double tokens = 0, active_slots = 0;
};

// Of `tokens` that a group has in flight: the busiest rank, and the mean of the others. With a
// limit on what a rank sends an expert, what is left of them: `kept`, the share.
struct GroupLoad {
    RankLoad busiest, others;
    double kept = 1;
};
GroupLoad group_load(const SlotChances& slots, double tokens, const SenderLimit& limit = {});

// The active slots, a whole number of them, share the rank's tokens, as equally as whole tokens go.
// A number that sums of chances put a rounding error above a whole one is that one.
ExpertRows whole_rows(const RankLoad& load);
// Every slot gets its share of a rank's assignments; with fewer assignments than slots, one token
// each for as many slots, at least one.
ExpertRows balanced_rows(double assignments, long slots);
// `experts` of a kernel that takes them in parts: those of one part.
ExpertRows part_of(const ExpertRows& rows, int parts, int part);

// A count by its moments.
struct CountLaw {
    double mean = 0, deviation = 0, skewness = 0;
};
// Assignments of each rank with `tokens` in flight.
std::vector<CountLaw> rank_counts(const SlotChances& slots, double tokens);
// One count: mean + deviation (z + skewness (z^2 - 1) / 6) of a standard normal z (Cornish and
// Fisher, Rev. Inst. Int. Stat. 5, 1938), not below zero.
double drawn_count(const CountLaw& count, double z);
// Expected maximum of independent counts. Throws std::invalid_argument for none.
double expected_maximum(const std::vector<CountLaw>& counts);

}  // namespace podsim

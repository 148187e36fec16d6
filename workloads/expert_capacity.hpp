// Experts that take no more than a capacity: what comes above it is dropped.
//
// Each rank sends an expert at most C = ceil(f T k / E) of its T tokens, k of E experts a token,
// f the capacity factor (GShard, arXiv 2006.16668, section 2.2; Megatron-Core's
// moe_expert_capacity_factor). With N ~ Binomial(T, p) tokens that choose the expert, min(N, C)
// are kept; its first three cumulants follow from the distribution's terms. Copies of an expert
// take each a part q of what is kept, drawn token by token, which thins the count:
//
//   k1 = q c1,  k2 = q^2 c2 + q (1 - q) c1,  k3 = q^3 c3 + 3 q^2 (1 - q) c2 + q (1 - q)(1 - 2 q) c1
//
// and what several ranks send adds up, as cumulants of independent counts do.
#pragma once

namespace podsim {

// Of a count: mean, variance, third central moment.
struct Cumulants {
    double first = 0, second = 0, third = 0;
};

// min(N, capacity), N ~ Binomial(tokens, chance).
Cumulants kept_of(long tokens, double chance, long capacity);

// A part of each of them, drawn one by one.
Cumulants thinned(const Cumulants& count, double part);

// What each of `senders` ranks may send an expert; senders 0: all it wants.
struct SenderLimit {
    long senders = 0, capacity = 0;
};

long expert_capacity(double factor, long tokens, long experts_per_token, long experts);

}  // namespace podsim

// What a layer of a step is made of: the kernels of its blocks, by class of ranks where their
// experts are asked different amounts, and what its ranks exchange.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "workloads/expert_offload.hpp"
#include "workloads/step.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

using Kernels = std::vector<Kernel>;

// Ends the name of what belongs to a running kernel and pays no launch or latency of its own.
inline constexpr const char* kLaterPart = ", later part";

struct ExpertPart {
    Transfer dispatch, combine;
    std::vector<Kernels> experts;  // by class
};

// What the layers of a micro-batch have in common, worked out once.
struct StepLayer {
    LayerKind kind;
    Bytes hidden{0.0};                 // of the group's tokens
    Bytes latents{0.0}, outputs{0.0};  // what split attention exchanges, of the group's tokens
    ContextExchanged context;          // what ranks that share sequences tell each other
    Kernels attention, dense, router, shared, sum;
    Kernels score, attend, output;  // of attention in parts, after `attention`
    Kernels own_sum;                // gather: of what a rank's own experts make, before combine
    std::vector<Kernels> experts;   // by class
    // By class of ranks with routed experts that lie elsewhere: weights that are fetched, or what
    // goes to the host and comes back, none where everything is found.
    std::vector<OffloadedExperts> offloaded;
    std::vector<Kernels> fetch, to_host, from_host;
    Seconds host_time{0.0};
    std::vector<ExpertPart> parts;  // of one kernel for dispatch, experts and combine
    ExpertLoad load;
};

// Attention divides the group's tokens.
bool splits_tokens(const StepSpec& spec);

// Ranks that share sequences.
bool shares_sequences(const StepSpec& spec);

Bytes hidden_bytes(const StepSpec& spec, long rows);

// The layers of one pass, one for each kind and popularity of experts, made when first asked.
class StepLayers {
  public:
    // All must outlive it; kernels are interned in `program`.
    StepLayers(const StepSpec& spec, const ExpertLayout& layout, Program& program,
               const StepSpec::Pass& pass, long sequences)
        : spec_(spec), layout_(layout), program_(program), pass_(pass), sequences_(sequences) {}

    const StepLayer& of(const LayerKind& kind, std::size_t balance);

  private:
    Kernels kernels(const std::vector<Operator>& operators, bool is_attention = false);
    StepLayer make(const LayerKind& kind, std::size_t balance);
    void add_parts(StepLayer& layer);
    Kernels part_kernels(const ExpertRows& rows, long part);
    void add_sums(StepLayer& layer, long own, bool beside);
    std::vector<Operator> routed_experts(const ExpertRows& asked) const;
    Seconds shared_host_time(const StepLayer& layer) const;
    void add_routed(StepLayer& layer, const ExpertRows& asked, const MissShares& missing);

    const StepSpec& spec_;
    const ExpertLayout& layout_;
    Program& program_;
    const StepSpec::Pass& pass_;
    long sequences_;
    std::deque<std::pair<std::size_t, StepLayer>> layers_;
};

}  // namespace podsim

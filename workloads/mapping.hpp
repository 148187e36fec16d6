// How a model is laid over ranks, and how an engine runs it: what an experiment says under
// `mapping`, `experts` and `speculation`, and the engine's record.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/fit_record.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "models/model.hpp"
#include "models/sizes.hpp"
#include "program/operator.hpp"
#include "workloads/context_mapping.hpp"
#include "workloads/training_mapping.hpp"

namespace podsim {

// Ranks of a pipeline stage are numbered with those of a tensor-parallel group side by side, such
// groups that share sequences next to each other, then data-parallel groups.
struct MappingSpec {
    int data_parallel = 0;    // groups that hold different sequences; 0: as many as the ranks allow
    int tensor_parallel = 1;  // ranks that share one group's attention and dense layers
    int expert_parallel =
        0;  // ranks over which one set of experts is spread; 0: all of a pipeline stage
    int pipeline_parallel = 1;  // stages that hold the layers one after the other
    int micro_batches =
        1;  // parts a step's batch is cut into, to overlap one's transfers with the other's compute
    AttentionSplit attention = AttentionSplit::heads;  // of a tensor-parallel group
    // Tensor-parallel groups that share one LM head, of one data-parallel group or of several: each
    // has a part of the vocabulary and works on the tokens of all.
    int head_parallel = 1;
    TablePlace engram_tables = TablePlace::host;  // of conditional memory
    ContextMapping context{};
    TrainingMapping training{};
    int context_parallel() const { return context.context_parallel; }
    int stage_ranks() const { return data_parallel * tensor_parallel * context_parallel(); }
    // Of a data-parallel group.
    long group_ranks() const {
        return static_cast<long>(tensor_parallel) * context_parallel() * pipeline_parallel;
    }
    int ranks() const { return stage_ranks() * pipeline_parallel; }
};

const std::vector<std::pair<const char*, AttentionSplit>>& names_of(const AttentionSplit*);

// How tokens spread over the routed experts. balanced: every copy gets the same, to the token, as
// if routing were forced (benchmarks do). uniform: every expert is as popular as the others, tokens
// draw at random. zipf: the r-th most popular expert gets a share of assignments as 1 / r^exponent.
// histogram: shares as somebody counted them. All but balanced are drawn: the step waits for the
// busiest rank.
enum class Popularity { balanced, uniform, zipf, histogram };
const std::vector<std::pair<const char*, Popularity>>& names_of(const Popularity*);

// Which ranks hold which experts and copies (workloads/expert_balance).
enum class ExpertPlacement { contiguous, eplb };
const std::vector<std::pair<const char*, ExpertPlacement>>& names_of(const ExpertPlacement*);

// Assignments counted in one layer, by expert, on any scale.
struct ExpertCounts {
    long layer = 0;
    std::vector<double> counts;
};

// How tokens meet their experts. all_to_all: each token goes to the ranks of its experts and back
// (dispatch and combine). gather: every rank of the expert group has all its tokens and sums what
// its own experts make of them. Under data parallelism an all-gather brings them and a
// reduce-scatter takes the sums away; in a tensor-parallel group they are there already, and one
// all-reduce adds up (TensorRT-LLM on one node). fused: as all_to_all, with dispatch, products and
// combine of a layer as one kernel; of an experiment of one layer alone, a step's engine says
// expert_parts.
enum class ExpertExchange { all_to_all, gather, fused };
const std::vector<std::pair<const char*, ExpertExchange>>& names_of(const ExpertExchange*);

// Routed experts whose weights lie outside the chips' memory (workloads/expert_offload).
enum class OffloadPlace { none, host, ssd };
const std::vector<std::pair<const char*, OffloadPlace>>& names_of(const OffloadPlace*);
// Who works on an expert that is not in the chips' memory: the chip, to which its weights come over
// the host link, or the host's processors, to which its tokens go (KTransformers).
enum class OffloadCompute { chip, host };
const std::vector<std::pair<const char*, OffloadCompute>>& names_of(const OffloadCompute*);

struct ExpertOffload {
    OffloadPlace to = OffloadPlace::none;
    // Share of a rank's experts that stay in its memory, the most popular ones; absent: as many as
    // find room (not in serving, where the cache takes what is left).
    std::optional<double> resident;
    // Share of the experts asked for that are found there, as somebody measured it; absent: what
    // follows from popularity.
    std::optional<double> hit_rate;
    OffloadCompute compute = OffloadCompute::chip;
    bool prefetch = false;  // a layer's experts are known, and fetched, a layer ahead
    // A rank's part of its host, filled in by who knows the system.
    BytesPerSecond host_memory{0.0};
    FlopsPerSecond host_peak{0.0};
    bool is_used() const { return to != OffloadPlace::none; }
};

struct ExpertsSpec {
    int redundant = 0;  // extra copies of routed experts
    int shared_ranks =
        0;  // ranks of each expert group that hold the shared expert alone; 0: on every rank
    Popularity popularity = Popularity::balanced;
    double zipf_exponent = 0;
    std::string histogram{}, histogram_part{};  // a file, and where in it the counts stand
    ExpertPlacement placement = ExpertPlacement::eplb;
    std::vector<ExpertCounts> counts{};  // read from `histogram`, by layer
    // Serving: of the popularity that experts were placed for, the share that has moved since, and
    // where to (workloads/expert_drift); nothing there: dealt out anew.
    double moved = 0;
    std::vector<ExpertCounts> toward{};
    ExpertExchange exchange = ExpertExchange::all_to_all;
    // Serving, exchange gather: so many ranks of an expert group share each expert's width, and
    // whole experts are spread over the groups of them.
    int tensor_parallel = 1;
    // Training: tokens that a rank sends an expert at most, over their even share; what comes above
    // is dropped (workloads/expert_capacity). 0: everything is taken.
    double capacity_factor = 0;
    // Training: a token goes to the domains of so many expert groups as its model says
    // (node-limited routing).
    bool node_limited = false;
    ExpertOffload offload{};
};

// Drafts come from the model's own module (multi-token prediction), or from a model beside it: a
// small one, or the few layers of an EAGLE head. That one runs on the same ranks, divided like the
// model over each tensor-parallel group.
struct SpeculationSpec {
    int draft_tokens = 0;
    double acceptance = 0;  // chance that a draft token is accepted, given those before it were
    // The same draft by draft, the first first: a curve in place of one chance. Empty: as above.
    std::vector<double> acceptance_by_position{};
    std::string draft_model{};                 // "": the model's own module
    DType draft_weights = DType::bf16;         // of that model and its products
    std::shared_ptr<const ModelSpec> draft{};  // read by that name
    double chance(int position) const;         // of draft 0, 1, ..., given those before it
    // Tokens a sequence gains in a step: 1 + a1 + a1 a2 + ... + a1 a2 ... an.
    double tokens_per_step() const;
};

// How compute and transfers of micro-batches share a rank.
// two_batch: one compute stream taken in turn, transfers beside it (DeepSeek's inference system).
// partitioned: cores split into an attention stream and an expert stream that also does dispatch
// and combine (CloudMatrix-Infer: 16 cube cores and 8).
enum class Overlap { two_batch, partitioned };
const std::vector<std::pair<const char*, Overlap>>& names_of(const Overlap*);

// In which order the kernels of two micro-batches go onto the cores they share (two_batch).
// earliest: whichever is ready, a micro-batch's chain as a whole. staged: in the fixed order of
// their stages, as they are enqueued on one stream (DeepSeek's inference system, SGLang;
// workloads/stage_order.hpp).
enum class KernelOrder { earliest, staged };
const std::vector<std::pair<const char*, KernelOrder>>& names_of(const KernelOrder*);

// vector_chains: neighbouring vector operators run as one kernel. mla_prolog: everything of an
// attention block in front of the attention itself runs as one kernel.
enum class Fusion { vector_chains, mla_prolog };
const std::vector<std::pair<const char*, Fusion>>& names_of(const Fusion*);

struct EngineSpec {
    std::string name, title;
    std::optional<Phase> phase;  // it was made for; none: both
    Overlap overlap = Overlap::two_batch;
    double attention_core_share = 1, expert_core_share = 1;  // partitioned only
    KernelOrder order = KernelOrder::earliest;
    bool experts_first =
        false;  // a micro-batch's experts come in between the other's attention kernels
    // Share of the cores that transfers hold while micro-batches overlap (two_batch): DeepEP's
    // kernels of normal mode run on some. 0: network cards or DMA engines move everything.
    double transfer_core_share = 0;
    // Tokens reach a rank one sender after the other and are sorted by expert around the products;
    // else the exchange itself puts them where their expert expects them.
    bool sorts_tokens = false;
    // More than 1: dispatch, routed experts and combine are one kernel that works in so many parts,
    // each part's exchange beside another's products (DeepGEMM's MegaMoE, CANN's
    // dispatch-FFN-combine).
    int expert_parts = 1;
    // How tokens meet their experts under data-parallel attention, where the experiment does not
    // say; absent: all_to_all.
    std::optional<ExpertExchange> expert_exchange;
    std::vector<Fusion> fused;
    Sourced<Seconds> kernel_gap;  // between dependent kernels
    Sourced<Seconds> host_step;   // scheduling, sampling results, launch: once a step, not hidden
    Sourced<double>
        rank_skew;  // wait for the slowest rank, share of compute since the last transfer
    Sourced<Bytes> memory_reserve;  // runtime, graphs, fragmentation
    // Rate at which a rank gets the cache of a prefix from where it is kept, before the pass;
    // absent: it is in the rank's memory.
    std::optional<Sourced<BytesPerSecond>> prefix_fetch;
    std::optional<TrainingHabits> training;  // of an engine that trains
    std::string fitted_case;  // the one published point it was fitted on, "" for none
    FitRecord record;
    bool fuses(Fusion fusion) const;
};

EngineSpec read_engine(const Node& document, const std::string& name);
nlohmann::ordered_json engine_schema();

}  // namespace podsim

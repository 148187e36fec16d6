// An experiment file as plain data, before any name in it is resolved.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/units.hpp"
#include "chips/tiling_rules.hpp"
#include "models/model.hpp"
#include "program/operator.hpp"
#include "program/transfer.hpp"
#include "sim/autoscaling_spec.hpp"
#include "sim/collective_jobs_spec.hpp"
#include "sim/faults.hpp"
#include "sim/moe_operator.hpp"
#include "sim/packets_form.hpp"
#include "sim/plan_form.hpp"
#include "sim/replay_spec.hpp"
#include "sim/serving_plan_form.hpp"
#include "sim/serving_spec.hpp"
#include "sim/training_spec_form.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

// kernel: `operator` in the file (a C++ word).
enum class WorkloadKind { kernel, collective, decode, prefill, training, serving, replay };
const std::vector<std::pair<const char*, WorkloadKind>>& names_of(const WorkloadKind*);

// Whether it is a step of a served model, with a mapping and an engine.
bool is_step(WorkloadKind kind);

// How many sequences: exactly one of these.
struct BatchSpec {
    std::optional<long> per_chip, per_rank, per_group;  // of a data-parallel group
    std::optional<Tokens> tokens_per_rank;              // prefill: that are computed
    // The largest batch whose time per output token, or to the first token, keeps it.
    std::optional<Seconds> latency_target;
    bool given() const { return !key().empty(); }
    std::string key() const;  // that gives it, "" for none
};

// Where a map and the keys in it stand, dotted ones too ("mapping.micro_batches"), for errors that
// only show when names are resolved.
struct KeyPlaces {
    Place map;
    std::map<std::string, Place> keys;
    bool has(const std::string& key) const { return keys.count(key) != 0; }
    // Of the key, or of the map that it is missing from.
    Place of(std::string key) const;
};

// Of each prompt, all of one size in pixels; frames above 1 are videos.
struct ImagesSpec {
    long count = 0, width = 0, height = 0, frames = 1;
};

struct WorkloadSpec {
    WorkloadKind kind = WorkloadKind::decode;
    // decode, prefill
    std::string model;
    Tokens context{0.0};  // prefill: the whole prompt, once the model is known with image tokens
    Tokens cached{0.0};   // prefill: the part of it that a cache holds
    Tokens chunk{0.0};    // prefill: tokens of a sequence that one pass takes, 0 for all
    std::optional<ImagesSpec> images;  // prefill: beside the text of the prompt
    Tokens image_tokens{0.0};          // that a tower makes of them, once the model is known
    Tokens computed() const { return context - cached; }
    BatchSpec batch;
    Place batch_place;  // of the key that gives it
    SpeculationSpec speculation;
    // operator, collective
    std::vector<Operator> kernels;       // one after another
    std::optional<MoeLayer> layer;       // that they are the products of, for a whole exchange
    std::optional<Transfer> collective;  // group_ranks and sizes filled in; or
    std::vector<CollectiveJobSpec> collectives;  // several at once
    std::optional<Operator> fused_work;          // of the collective's kernel, on every rank
    std::optional<PacketsForm> packets;          // collective: knobs of the packet level
    bool moves_bytes_alone() const { return (collective && !fused_work) || !collectives.empty(); }
    std::optional<ReplaySpec> replay;
    std::optional<ServingSpec> serving;
    std::optional<TrainingForm> training;
    KeyPlaces places;
};

// Who pays for chips of a host that a pool uses a part of: nobody, or the pool.
enum class HostCharge { chips, whole_hosts };
const std::vector<std::pair<const char*, HostCharge>>& names_of(const HostCharge*);

struct PoolSpec {
    std::string name, role;
    std::string system, chip, engine, kernels,
        collectives;  // chip and below default to the system's
    int chips = 0;
    Precision precision;
    MappingSpec mapping;
    ExpertsSpec experts;
    BatchSpec batch;  // instead of the workload's
    std::vector<PoolFault> faults;
    std::vector<long> slice;            // of a torus or mesh; none: its first chips
    std::optional<TilingRules> tiling;  // instead of the kernel library's
    int replicas = 1;                   // serving: engines, over which the chips are divided
    std::optional<AutoscalingSpec> autoscaling;  // serving: up to `replicas`
    SchedulerSettings scheduler;                 // serving: over the workload's
    HostCharge charge = HostCharge::chips;
    std::optional<PacketsForm> packets;     // collective: over the workload's
    std::optional<PoolLink> exchange_over;  // role ffn: to the attention pool and back
    KeyPlaces places;
    bool exchanges_layer() const { return places.has("experts.exchange"); }
    std::string path;  // "alternatives.H800"
};

struct AlternativeSpec {
    std::string name;
    std::vector<PoolSpec> pools;
    Place pools_place;
};

struct ExperimentSpec {
    std::string name;
    WorkloadSpec workload;
    std::vector<AlternativeSpec> alternatives;
    std::string prices = "default";
    std::optional<Watts> site_power;              // what the facility may draw, cooling included
    std::optional<PlanForm> plan;                 // training: over what `podsim plan` searches
    std::optional<ServingPlanForm> serving_plan;  // serving: the same
    KeyPlaces plan_places;
};

// Throws InputError with everything wrong in the file itself.
ExperimentSpec read_experiment(const Node& document);

}  // namespace podsim

// From names to Specs: everything one alternative of an experiment rests on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/catalog.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "chips/memory_device.hpp"
#include "interconnect/collective_library.hpp"
#include "interconnect/system.hpp"
#include "models/model.hpp"
#include "sim/experiment_spec.hpp"
#include "sim/price.hpp"
#include "sim/replay_jobs.hpp"
#include "workloads/mapping.hpp"
#include "workloads/step.hpp"
#include "workloads/trace_program.hpp"
#include "workloads/traffic.hpp"

namespace podsim {

struct ResolvedAlternative {
    std::string name;
    PoolSpec pool;  // mapping filled in: no zeros left
    SystemSpec system;
    ChipSpec chip;
    std::optional<MemoryDevice> memory;  // behind the chip's, where that is known
    KernelLibrarySpec kernels;
    CollectiveLibrarySpec collectives;
    std::optional<EngineSpec> engine;  // of workloads that need one
    int packages = 0, ranks = 0;       // at work
    int standing_by = 0;               // packages of training that make no group
    Watts host_power{0.0};             // of a chip's part of host, network and fans
    BatchSpec batch;                   // the pool's, or the workload's
    std::vector<std::vector<ExpertCounts>> load_steps;  // of training, in their order
    // Keys and values that the default rule chose: "mapping.tensor_parallel" "8".
    std::vector<std::pair<std::string, std::string>> chosen;
    std::vector<std::string> warnings;
    // Serving: one replica of each pool, the first of which is this alternative too.
    std::vector<ResolvedAlternative> pools;
};

// What a replay runs: the program that its trace stands for. The trace itself is let go, since a
// large one weighs as much as the run.
struct ReplayedTrace {
    TraceProgram traced;
    std::vector<PlacedJob> jobs;        // where it is of several
    std::vector<std::string> warnings;  // of reading it
};

struct ResolvedExperiment {
    ExperimentSpec spec;
    std::optional<ModelSpec> model;
    std::optional<StepImages> images;            // of a prompt, with the model's tower
    std::vector<Diagnostic> unexpected;          // keys of the model that no size comes from
    std::shared_ptr<const ReplayedTrace> trace;  // of a replay
    std::optional<TrafficSpec> traffic;          // of serving
    PriceSpec prices;
    std::vector<ResolvedAlternative> alternatives;
};

// Throws one InputError with every problem of the file and of all it names.
ResolvedExperiment resolve(const Node& experiment, Catalog& catalog);

// Fills in chip.process, of silicon.process, where the chip names one.
void load_process(ChipSpec& chip, const Node& document, Catalog& catalog);
// A chip of the catalog with its process.
ChipSpec load_chip(Catalog& catalog, const std::string& name, const Place& asked_at,
                   const std::string& path);

// What one rank has of its chip, and of its system's memory pool: tables in pooled memory are read
// over the scale-up links.
RankHardware hardware_of(const ResolvedAlternative& alternative);

// Sequences of a data-parallel group, as the alternative's batch gives them; 0 for a target.
double sequences_per_group(const ResolvedAlternative& alternative, const WorkloadSpec& workload);

// What is wrong at a key of a pool or of the workload, or at the whole where the key is absent;
// dotted keys reach inside ("mapping.micro_batches").
Diagnostic at_key(const PoolSpec& pool, const std::string& key, std::string what,
                  std::string hint = "");
Diagnostic at_key(const WorkloadSpec& workload, const std::string& key, std::string what,
                  std::string hint = "");
// At the key that says how many sequences this alternative runs, wherever it stands.
Diagnostic at_batch(const ResolvedAlternative& alternative, const WorkloadSpec& workload,
                    std::string what, std::string hint = "");

}  // namespace podsim

// What an experiment of kind training says under `workload` and, beyond serving, under `mapping`.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "models/training.hpp"
#include "models/training_memory.hpp"
#include "sim/form_variants.hpp"
#include "workloads/schedule.hpp"
#include "workloads/stragglers.hpp"
#include "workloads/training_checkpoint.hpp"
#include "workloads/training_mapping.hpp"
#include "workloads/training_offload.hpp"
#include "workloads/training_run.hpp"

namespace podsim {

struct TrainingOptimizerForm {
    OptimizerFormats formats;
    DType reduction = DType::fp32;
};

// A run of many steps.
struct TrainingRunForm {
    std::optional<Tokens> tokens;
    std::optional<Usd> budget;  // instead of tokens: how many it buys
    double evaluate_every = 0;
    Seconds evaluation{0.0};
    CheckpointForm storage, memory;
    Seconds restart{0.0};
    long spares = 0;
    std::vector<FailureSource> failures;  // units of 0: as many as the job has chips
    std::optional<StragglerSpec> stragglers;
};

struct TrainingForm {
    std::optional<long> sequences;  // global batch
    std::optional<Tokens> batch_tokens;
    long micro_batch = 1;
    Tokens sequence{0.0};
    ScheduleKind schedule = ScheduleKind::one_forward_one_backward;
    bool overlap_passes = false;
    RecomputePolicy recompute = RecomputePolicy::none;
    RecomputeModules recompute_modules;
    long recompute_layers = 0;  // of each part of the model; 0: all
    TrainingOptimizerForm optimizer;
    int zero_stage = 1;
    TrainingOffload offload;
    bool drafts = true, dropout = false;
    NarrowScaling scaling = NarrowScaling::blocks;
    bool fold = true;        // else ranks are drawn one by one too (sim/training_unfolded.hpp)
    std::string load_steps;  // of experts.histogram's file; "": one load for all steps
    std::optional<TrainingRunForm> run;
    double global_batch() const;  // sequences
    RecomputeChoice recompute_choice() const {
        if (recompute_layers > 0) return RecomputeChoice::of_layers(recompute_layers);
        return recompute_modules.empty() ? RecomputeChoice(recompute)
                                         : RecomputeChoice(recompute_modules);
    }
};

template <class Form>
void describe(Form& form, TrainingOptimizerForm& optimizer) {
    form.optional("type", optimizer.formats.optimizer, "adam or muon");
    form.optional("gradients", optimizer.formats.gradients, "format in which gradients are summed");
    form.optional("master", optimizer.formats.master, "format of the weights that are stepped");
    form.optional("moments", optimizer.formats.moments, "format of the optimiser's moments");
    form.optional("reduction", optimizer.reduction,
                  "format in which gradients cross between data-parallel ranks");
}

template <class Form>
void describe(Form& form, FailureSource& source) {
    form.required("component", source.component, "what fails");
    form.optional("units", source.units, "of them in the job; as many as hold its chips if absent",
                  positive());
    form.required("mean_time_between", source.mean_time_between, "failures of one unit",
                  positive());
    form.optional("repair", source.repair, "until the unit is back as a spare", non_negative());
    form.optional("chips", source.chips,
                  "that go with one unit; as many spares take its place at once", at_least(1));
    form.optional("spares_memory", source.spares_memory,
                  "whether copies in other ranks' memory survive it");
}

template <class Form>
void describe(Form& form, TrainingRunForm& run) {
    form.optional("tokens", run.tokens, "to train on", positive());
    form.optional("budget", run.budget, "dollars to spend, instead of tokens", positive());
    if (form.ok() && run.tokens.has_value() == run.budget.has_value())
        form.problem("tokens", "or budget has to be given, one of them");
    form.optional("evaluate_every", run.evaluate_every, "steps", positive());
    form.optional("evaluation", run.evaluation, "time of one", non_negative());
    form.optional("checkpoint", run.storage, "to storage");
    form.optional("memory_checkpoint", run.memory, "copies in other ranks' memory");
    form.optional("restart", run.restart,
                  "to notice a failure, reschedule, start, set up communication", non_negative());
    form.optional("spares", run.spares, "chips that stand by", non_negative());
    form.optional("failures", run.failures, "what fails, how often");
    form.optional("stragglers", run.stragglers, "chips that are slower than others");
}

template <class Form>
void describe_training(Form& form, bool training, TrainingForm& spec) {
    Node batch;
    of_variant(form, training, "global_batch", batch,
               "training: of one step, sequences (a number) or tokens (16 Mtok)");
    of_variant(form, training, "sequence", spec.sequence, "training: tokens of a sequence",
               count());
    optional_of_variant(form, training, "micro_batch", spec.micro_batch,
                        "training: sequences that a data-parallel group works on at a time",
                        count());
    optional_of_variant(form, training, "schedule", spec.schedule,
                        "training: order of passes in the pipeline");
    optional_of_variant(form, training, "overlap_passes", spec.overlap_passes,
                        "training: 1f1b and interleaved run a forward and a backward pass as one, "
                        "each hiding what the other sends");
    optional_of_variant(form, training, "recompute", spec.recompute,
                        "training: what is computed again in the backward pass");
    optional_of_variant(form, training, "recompute_modules", spec.recompute_modules,
                        "training: modules computed again in place of a policy, by Megatron-Core's "
                        "names");
    if (training && form.ok() && !spec.recompute_modules.empty() &&
        spec.recompute != RecomputePolicy::none && spec.recompute != RecomputePolicy::selective)
        form.problem(
            "recompute_modules",
            "name what is computed again, and so does recompute: " + name_of(spec.recompute),
            "leave one of the two away");
    optional_of_variant(form, training, "recompute_layers", spec.recompute_layers,
                        "training: with recompute: full, of each part of the model that a stage "
                        "holds the first so many layers alone; all if absent",
                        at_least(1));
    if (training && form.ok() && spec.recompute_layers > 0 &&
        spec.recompute != RecomputePolicy::full)
        form.problem("recompute_layers",
                     "is of whole layers, recompute is " + name_of(spec.recompute),
                     "recompute: full, or leave it away");
    optional_of_variant(form, training, "optimizer", spec.optimizer, "training: kind and formats");
    optional_of_variant(form, training, "zero_stage", spec.zero_stage,
                        "training: what data-parallel ranks divide: 0 nothing, 1 optimiser states, "
                        "2 gradients too, 3 weights too",
                        Check{0, 3, false, "a whole number of 0 to 3"});
    optional_of_variant(form, training, "offload", spec.offload,
                        "training: what the host's memory holds");
    optional_of_variant(form, training, "drafts", spec.drafts,
                        "training: with the model's modules of multi-token prediction");
    optional_of_variant(form, training, "dropout", spec.dropout,
                        "training: as models of 2022 had it");
    optional_of_variant(form, training, "scaling", spec.scaling,
                        "training: which elements of 8 bits and fewer share a scale");
    optional_of_variant(form, training, "fold", spec.fold,
                        "training: take ranks as equal; false: also draw the experts' load of "
                        "every rank, micro-batch and layer");
    optional_of_variant(form, training, "load_steps", spec.load_steps,
                        "training: where in the file of experts.histogram counts stand step by "
                        "step, as steps (of a CSV file the column): the step time over them");
    optional_of_variant(form, training, "run", spec.run, "training: a run of many steps");
    if (!training || !form.ok() || batch.kind == Node::Kind::null) return;
    std::vector<Diagnostic> problems;
    double value = 0;
    const bool plain = batch.text.find_first_not_of("0123456789") == std::string::npos;
    form_detail::read_number(batch, "global_batch", plain ? Dimension{} : Tokens::dimension,
                             {count()}, value, problems);
    if (!problems.empty())
        return form.problem("global_batch", problems.front().what + ", sequences or tokens");
    if (plain) {
        spec.sequences = static_cast<long>(value);
    } else {
        spec.batch_tokens = Tokens(value);
    }
    const double sequences = spec.global_batch();
    if (sequences != std::floor(sequences) || sequences < 1) {
        const double down = std::max(1.0, std::floor(sequences)) * spec.sequence.value();
        form.problem(
            "global_batch",
            fmt::format("is {:.6g} sequences of {:.0f} tokens, no whole number", sequences,
                        spec.sequence.value()),
            fmt::format("{:.0f} tok or {:.0f} tok would be", down, down + spec.sequence.value()));
    }
}

// Under `mapping`.
template <class Form>
void describe_training_mapping(Form& form, TrainingMapping& mapping) {
    form.optional("sequence_parallel", mapping.sequence_parallel,
                  "training: a tensor-parallel group divides the tokens between its blocks");
    form.optional("expert_tensor_parallel", mapping.expert_tensor_parallel,
                  "training: ranks that share each expert's width", at_least(1));
    form.optional("positions_per_stage", mapping.positions_per_stage,
                  "training: parts of the model that a stage holds (interleaved)", at_least(1));
    std::string placement = to_string(mapping.placement);
    form.optional("placement", placement,
                  "training: which ranks lie side by side: topology (the order that keeps most "
                  "bytes in scale-up domains), flat (tp-cp-dp-pp), or an order, innermost first");
    if (const auto read = placement_from(placement)) {
        mapping.placement = *read;
    } else if (form.ok()) {
        form.problem("placement", "is '" + placement + "', no order of tp, cp, dp and pp",
                     "topology, flat, or one such as tp-cp-dp-pp or tp-cp-ep-pp-dp");
    }
    form.optional("unequal_groups", mapping.unequal_groups,
                  "training: data-parallel groups of different size and batch; ranks that make no "
                  "group stand by");
    form.optional(
        "last_block_micro_batches", mapping.last_block_micro_batches,
        "training: of the groups that are too few for a block of their own; as the others' "
        "if absent",
        at_least(1));
    form.optional("layers", mapping.layers, "training: layers of each part of the model");
}

// Dotted keys of a pool that say something to training alone.
inline const std::vector<const char*>& training_mapping_keys() {
    static const std::vector<const char*> keys = {
        "mapping.sequence_parallel",       "mapping.expert_tensor_parallel",
        "mapping.positions_per_stage",     "mapping.layers",
        "mapping.unequal_groups",          "mapping.placement",
        "mapping.last_block_micro_batches"};
    return keys;
}

}  // namespace podsim

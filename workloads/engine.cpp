#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/form.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, EngineSpec& engine) {
    form.required("title", engine.title, "name in words");
    form.optional("phase", engine.phase, "what it was made for; without it both");
    form.optional("training", engine.training, "what it does in a training step");
    const char* const overlap = "serving: how two micro-batches share a rank";
    if (form.has("training")) {
        form.optional("overlap", engine.overlap, overlap);
    } else {
        form.required("overlap", engine.overlap, overlap);
    }
    form.optional("attention_core_share", engine.attention_core_share,
                  "cores of the attention stream (partitioned)", share_above_zero());
    form.optional("expert_core_share", engine.expert_core_share,
                  "cores of the expert stream (partitioned)", share_above_zero());
    form.optional("order", engine.order,
                  "in which order the kernels of two micro-batches run (two_batch): whichever is "
                  "ready, or enqueued stage by stage");
    form.optional("experts_first", engine.experts_first,
                  "a micro-batch's experts come in between the other's attention kernels");
    form.optional("transfer_core_share", engine.transfer_core_share,
                  "cores that transfers hold while micro-batches overlap (two_batch)", share());
    form.optional("sorts_tokens", engine.sorts_tokens,
                  "tokens are sorted by expert around the experts' products");
    form.optional("expert_parts", engine.expert_parts,
                  "dispatch, experts and combine are one kernel that works in so many parts "
                  "(two_batch); 1: one after the other",
                  at_least(1));
    form.optional("expert_exchange", engine.expert_exchange,
                  "how tokens meet their experts under data-parallel attention, where an "
                  "experiment does not say: all_to_all or gather");
    form.optional("fused", engine.fused, "what runs as one kernel");
    form.required("kernel_gap", engine.kernel_gap, "idle time between dependent kernels",
                  non_negative());
    form.required("host_step", engine.host_step, "host work of a step that nothing hides",
                  non_negative());
    form.required(
        "rank_skew", engine.rank_skew,
        "wait for the slowest rank at a transfer, as a share of the compute since the last one",
        non_negative());
    form.required("memory_reserve", engine.memory_reserve,
                  "memory of a rank that is not for the model", non_negative());
    form.optional("prefix_fetch", engine.prefix_fetch,
                  "rate at which a rank gets the cache of a prefix from where it is kept; absent: "
                  "it is in the rank's memory",
                  positive());
    form.optional("fitted_case", engine.fitted_case,
                  "the one published point the record was fitted on");
    form.required("record", engine.record, "where the parameters come from");
    if (form.ok() && engine.expert_exchange == ExpertExchange::fused)
        form.problem("expert_exchange", "fused is what expert_parts says");
    if (form.ok() && engine.transfer_core_share >= 1)
        form.problem("transfer_core_share", "leaves no core to compute");
    if (form.ok() && engine.order == KernelOrder::staged) {
        if (engine.overlap != Overlap::two_batch)
            form.problem("order", "staged is for two_batch: here each micro-batch has its cores");
        if (engine.experts_first)
            form.problem("experts_first", "is for order: earliest; stages have a fixed order");
        if (engine.expert_parts > 1)
            form.problem("expert_parts", "has no stages of its own: order: staged excludes it");
    }
    if (!form.ok() || engine.overlap != Overlap::partitioned) return;
    if (engine.expert_parts > 1)
        form.problem("expert_parts", "is for two_batch: here experts and transfers share a stream");
    if (engine.transfer_core_share > 0)
        form.problem("transfer_core_share",
                     "is for two_batch: expert_core_share has the transfers");
    if (engine.attention_core_share + engine.expert_core_share > 1.0 + 1e-9) {
        form.problem("attention_core_share",
                     fmt::format("with expert_core_share they are {} of the cores, more than all",
                                 engine.attention_core_share + engine.expert_core_share));
    }
}

EngineSpec read_engine(const Node& document, const std::string& name) {
    EngineSpec engine = read<EngineSpec>(document, "");
    engine.name = name;
    return engine;
}

nlohmann::ordered_json engine_schema() {
    return schema<EngineSpec>("podsim engine").json();
}

}  // namespace podsim

#include "app/metric_table.hpp"

#include <algorithm>

namespace podsim {

const std::vector<MetricInfo>& metric_table() {
    static const std::vector<MetricInfo> table = {
        {"batch_per_chip", "batch per chip", "sequences", "what runs",
         "sequences that one package decodes at once"},
        {"expert_imbalance", "busiest rank over mean", "ratio", "what runs",
         "assignments of the busiest rank over the mean of those with routed experts"},
        {"decode_tokens_per_second_per_chip", "decode per chip", "tok/s", "throughput",
         "tokens emitted by all sequences over the packages of all pools"},
        {"tokens_per_second_per_user", "decode per user", "tok/s", "throughput",
         "tokens one sequence gains: 1 / time_per_output_token"},
        {"prefill_tokens_per_second_per_chip", "prefill per chip", "tok/s", "throughput",
         "prompt tokens computed, those of the cache not counted"},
        {"prefill_tokens_per_second_per_chip_with_cached", "prefill per chip, with cached", "tok/s",
         "throughput", "prompt tokens served, those of the cache counted"},
        {"training_tokens_per_second_per_chip", "training per chip", "tok/s", "throughput",
         "tokens of the global batch over step time and packages"},

        {"time_per_output_token", "time per output token", "ms", "latency",
         "TPOT: time between the tokens one sequence emits, speculation counted"},
        {"time_to_first_token", "time to first token", "ms", "latency",
         "TTFT: from a request's arrival to its first token"},
        {"iteration_time", "iteration", "ms", "latency", "one decode step of the whole model"},
        {"layer_time", "layer", "us", "latency", "one layer of the repeated stack, on average"},
        {"step_time", "step", "s", "latency",
         "one training step of the whole batch, or a whole trace"},
        {"compute_time", "device computes", "ms", "latency",
         "of a replay: something computes on a rank's device, mean over ranks"},
        {"communication_time", "communication", "ms", "latency",
         "of a replay: a transfer of a rank is under way, mean over ranks"},
        {"exposed_communication_time", "communication, exposed", "ms", "latency",
         "that, and nothing computes on the rank's device meanwhile"},
        {"waiting_time", "waiting for other ranks", "ms", "latency",
         "of a replay: a rank has entered a transfer that has not begun and does nothing else"},
        {"forward_time", "forward passes", "s", "latency",
         "of training: forward passes of the stage that ends last"},
        {"backward_time", "backward passes", "s", "latency",
         "of training: backward passes of that stage, of split ones the gradients of inputs"},
        {"weight_gradient_time", "weight gradients apart", "s", "latency",
         "of training: second halves of split backward passes of that stage"},
        {"overlapped_time", "forward and backward as one", "s", "latency",
         "of training: pairs of passes side by side on that stage"},
        {"bubble_time", "pipeline bubble", "s", "latency",
         "of training: that stage waits, from the step's begin to its last pass"},
        {"optimizer_time", "optimizer", "s", "latency",
         "of training: what follows the last pass, reductions that nothing hides included"},
        {"layer_forward_time", "layer forward", "ms", "latency",
         "of training: one layer of the most common kind, one micro-batch"},
        {"layer_backward_time", "layer backward", "ms", "latency",
         "of training: the same layer backward, what is computed again included"},
        {"operator_time", "operator", "us", "latency", "one operator alone on its rank"},
        {"collective_time", "collective", "us", "latency",
         "from the last rank's entry to the last one's completion"},

        {"achieved_flops", "work per chip", "TFLOPS", "achieved",
         "work done over time and packages"},
        {"model_flops_per_second_per_chip", "model work per chip", "FLOP/s", "achieved",
         "work the model needs, recomputation not counted, over time and packages"},
        {"model_flops_utilization", "model FLOPs utilization (MFU)", "share", "achieved",
         "model work over the published peak"},
        {"hardware_flops_utilization", "hardware FLOPs utilization (HFU)", "share", "achieved",
         "work done, recomputation counted, over the published peak"},
        {"bubble_fraction", "pipeline bubble", "share", "achieved",
         "share of a step in which a pipeline stage waits"},

        {"achieved_bandwidth", "HBM traffic per chip", "GB/s", "achieved",
         "bytes across memory over time and packages"},
        {"expert_bandwidth", "HBM traffic of experts per chip", "GB/s", "achieved",
         "weights and rows of an expert layer's products, over its time without the closing sum"},
        {"logical_link_bandwidth", "logical link traffic per chip", "GB/s", "achieved",
         "all copies of tokens there and back, local ones too, over the same time"},
        {"link_bandwidth", "link traffic per chip", "GB/s", "achieved",
         "bytes sent over the links over time and packages"},
        {"algorithm_bandwidth", "algorithm bandwidth (algbw)", "GB/s", "achieved",
         "nccl-tests: size over time"},
        {"bus_bandwidth", "bus bandwidth (busbw)", "GB/s", "achieved",
         "nccl-tests: algorithm bandwidth times what a link must carry"},

        {"utilization_matrix", "matrix units", "share", "achieved",
         "matrix work at peak rate over time, of the busiest class of ranks"},
        {"utilization_vector", "vector units", "share", "achieved",
         "vector work at peak rate over time"},
        {"utilization_hbm", "HBM bandwidth", "share", "achieved",
         "bytes over time and data-sheet bandwidth"},
        {"utilization_scale_up", "scale-up links", "share", "achieved",
         "bytes over time and data-sheet rate of the fuller direction"},
        {"utilization_scale_out", "scale-out links", "share", "achieved",
         "bytes over time and data-sheet rate of the fuller direction"},
        {"utilization_host", "host", "share", "achieved", "host work over time"},

        {"memory_peak", "fullest rank", "GB", "memory", "everything a rank holds at once"},
        {"memory_states", "of it states", "GB", "memory",
         "of training: weights, gradients, master weights, moments of the fullest stage"},
        {"memory_activations", "of it activations", "GB", "memory",
         "of training: held between forward and backward pass, of the fullest stage"},

        {"power_per_chip", "power per chip, all-in", "W", "energy",
         "drawn on the mean by chip, host, network and fans of one package"},
        {"power_package", "of it the package", "W", "energy",
         "drawn on the mean by the chip itself"},
        {"power_nameplate_per_chip", "nameplate, all-in", "W", "energy",
         "what the system is built to feed and cool for one package"},
        {"energy_per_token", "energy per token", "J/tok", "energy",
         "power of all packages over the rate of tokens"},
        {"chips_per_rack", "chips a rack feeds", "chips", "energy",
         "at nameplate power, no more than it holds"},
        {"chips_allowed", "chips the site feeds", "chips", "energy",
         "at nameplate power times power usage effectiveness"},
        {"site_power_headroom", "site power left", "kW", "energy",
         "site_power less nameplate power times power usage effectiveness"},

        {"usd_per_hour_per_chip", "chip-hour", "USD/h", "cost",
         "what an hour of one package costs"},
        {"usd_per_million_input_tokens", "million input tokens", "USD/Mtok", "cost",
         "chip-hours over prompt tokens computed"},
        {"usd_per_million_cached_input_tokens", "million cached input tokens", "USD/Mtok", "cost",
         "chip-hours over prompt tokens taken from the cache"},
        {"usd_per_million_output_tokens", "million output tokens", "USD/Mtok", "cost",
         "chip-hours over tokens emitted"},
        {"usd_per_trillion_tokens", "trillion tokens trained", "MUSD/Ttok", "cost",
         "chip-hours over tokens trained, without failures"},
        {"chip_hours_per_trillion_tokens", "chip-hours a trillion tokens", "h/Ttok", "throughput",
         "of training, without failures"},
        {"run_cost", "run", "MUSD", "cost", "of a run of many steps, failures and spares included"},
        {"run_chip_hours", "chip-hours of the run", "Mh", "run", "spares included"},
        {"run_energy", "energy of the run", "GWh", "run", "at the power of the step"},
        {"run_time", "days of the run", "day", "run", "with checkpoints, failures, repairs"},
        {"run_tokens", "tokens of the run", "Ttok", "run", "asked for, or what the budget buys"},
        {"run_steps", "steps of the run", "steps", "run", "whole ones"},
        {"goodput_drawn", "goodput, drawn", "share", "run", "mean of twenty seeded runs"},
        {"goodput", "goodput", "share", "run", "work over time, closed form"},
        {"interruptions", "interruptions", "failures", "run", "expected number of failures"},
        {"checkpoint_interval", "checkpoint interval", "s", "run", "of work between two"},
        {"usd_per_eflop_hour_peak", "EFLOP-hour at peak", "USD/EFLOP-h", "cost",
         "chip-hour over published peak: 1e18 FLOP/s for an hour"},
        {"usd_per_eflop_hour_achieved", "EFLOP-hour achieved", "USD/EFLOP-h", "cost",
         "chip-hour over the work really done: 1e18 FLOP/s for an hour"},
    };
    return table;
}

MetricInfo metric_info(const std::string& name) {
    const MetricInfo* best = nullptr;
    for (const MetricInfo& info : metric_table()) {
        const bool fits = name == info.name || name.rfind(info.name + "_", 0) == 0;
        if (fits && (best == nullptr || info.name.size() > best->name.size())) best = &info;
    }
    if (best == nullptr) return {name, name, "", "other", ""};
    MetricInfo info = *best;
    if (name != info.name) {
        std::string suffix = name.substr(info.name.size() + 1);
        std::replace(suffix.begin(), suffix.end(), '_', ' ');
        info.label += ", " + suffix;
        info.name = name;
    }
    return info;
}

}  // namespace podsim

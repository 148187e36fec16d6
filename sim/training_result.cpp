#include "sim/training_result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/at.hpp"
#include "base/names.hpp"
#include "chips/chip.hpp"
#include "sim/cost_metrics.hpp"
#include "sim/energy_use.hpp"
#include "sim/task_facts.hpp"
#include "sim/training_uses.hpp"

namespace podsim {

namespace {

class Answer {
  public:
    explicit Answer(const TrainingAnswerInput& in)
        : in_(in), step_(in.step), engine_(in.job.engine), kinds_(stage_kinds(in.parts, in.plan)) {
        evidence_ = {engine_.kernel_gap.confidence, engine_.host_step.confidence,
                     engine_.rank_skew.confidence};
        critical_ = uses_of_stage(step_, step_.critical_stage);
    }

    AlternativeResult make(bool timeline) {
        result_.iteration_seconds = step_.total.value();
        add_breakdown();
        add_rows();
        add_resources_and_totals();
        add_bounds();
        add_memory();
        if (timeline) add_timeline();
        add_metrics();
        return std::move(result_);
    }

  private:
    double seconds() const { return step_.total.value(); }
    std::size_t critical_kind() const { return at(step_.kind_of_stage, step_.critical_stage); }
    bool is_critical(const StageKind& kind) const {
        const auto& steps = kind.steps;
        return kind.kind == critical_kind() &&
               std::find(steps.begin(), steps.end(), &step_) != steps.end();
    }

    AssemblyInput input_of(const TrainingPass& pass) const {
        return {pass.program,          pass.costs, pass.record, in_.hardware, in_.fabric,
                in_.alternative.ranks, evidence_};
    }

    // The parts of a stage's step that no pass is.
    double bubble() const {
        const StageTiming& timing = at(step_.timing.stages, step_.critical_stage);
        return (timing.last - timing.busy).value();
    }

    void add_breakdown() {
        std::map<std::string, double> parts;
        std::map<std::string, double> shares;
        double measured = 0, error = 0, known = 0;
        for (const PassUse& use : critical_) {
            const AssemblyInput input = input_of(*use.pass);
            const bool optimizer = use.part == StagePart::optimizer;
            for (const BreakdownPart& part : breakdown_of(input))
                parts[optimizer ? "optimizer step" : part.part] += use.times * part.seconds;
            const Provenance provenance = provenance_of(input);
            const double time = use.times * use.pass->time().value();
            for (const auto& [basis, share] : provenance.shares) {
                shares[basis] += share * time;
                known += share * time;
                if (basis == "measured") {
                    measured += share * time;
                    error += share * time * provenance.measured_error;
                }
            }
        }
        parts["pipeline bubble"] += bubble();
        parts["gradient reduction, exposed"] += step_.reductions[critical_kind()].value();
        parts["wait for other stages"] += step_.wait_for_others().value();
        parts["parameter gather, exposed"] += step_.gather.value();
        parts["host"] += step_.host.value();
        for (const auto& [part, time] : parts) {
            if (time > 0) result_.breakdown.push_back({part, time, time / seconds()});
        }
        std::stable_sort(result_.breakdown.begin(), result_.breakdown.end(),
                         [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
        // What is not inside a pass rests on what the passes rest on.
        for (const auto& [basis, time] : shares) provenance_.shares[basis] = time / known;
        if (measured > 0) provenance_.measured_error = error / measured;
    }

    static std::string class_name(const StageKind& kind, const RankClass& of) {
        const std::string name = kind.groups + kind.need->need.rank_class;
        const std::string ranks = "ranks";
        return name.substr(0, name.size() - ranks.size()) + of.name;
    }
    // Ranks of this plan's stage over those of the plan that a pass was built for: a case remembers
    // passes over plans.
    double scale_of(const Program& program) const {
        double built = 0;
        for (const RankClass& one : program.classes) built += one.count;
        return static_cast<double>(in_.plan.stage_ranks()) / built;
    }
    // Ranks of a class in all stages of a kind. Classes of a pass are those of one stage.
    double ranks_of(const StageKind& kind, const Program& program, const RankClass& of) const {
        return static_cast<double>(of.count) * scale_of(program) * kind.share * kind.stages();
    }

    void add_rows() {
        std::map<std::string, std::size_t> index;
        for (const StageKind& kind : kinds_) {
            for (const PassUse& use : kind.uses) {
                for (OperatorRow row : operator_rows(input_of(*use.pass))) {
                    const auto& classes = use.pass->program.classes;
                    const auto of =
                        std::find_if(classes.begin(), classes.end(),
                                     [&](const auto& c) { return c.name == row.rank_class; });
                    row.rank_class = class_name(kind, *of);
                    // The chain of the stage that ends last is the step's.
                    double times = 0;
                    if (is_critical(kind)) {
                        for (const PassUse& one : critical_) {
                            if (one.pass == use.pass) times = one.times;
                        }
                    }
                    merge(std::move(row), use.times, times, index);
                }
            }
        }
        const auto rest = [&](const char* name, double time) {
            if (!(time > 0)) return;
            OperatorRow row;
            row.name = name;
            row.kind = "wait";
            for (const StageKind& kind : kinds_) {
                if (is_critical(kind)) row.rank_class = class_name(kind, {"ranks", 1});
            }
            row.basis = "derived";
            row.count = 1;
            row.seconds_each = row.seconds_total = row.seconds_critical = time;
            row.critical.count = 1;
            row.critical.work = time;
            result_.operators.push_back(std::move(row));
        };
        rest("pipeline bubble", bubble());
        rest("gradient reduction, exposed", step_.reductions[critical_kind()].value());
        rest("wait for other stages", step_.wait_for_others().value());
        rest("parameter gather, exposed", step_.gather.value());
        rest("host step", step_.host.value());
    }

    // A row of one execution of a pass, `times` of which a stage runs, `critical` on the chain.
    void merge(OperatorRow row, double times, double critical,
               std::map<std::string, std::size_t>& index) {
        const std::string key = row.rank_class + "|" + row.stream + "|" + row.kind + "|" +
                                row.name + "|" + row.shape +
                                fmt::format("|{:.9e}", row.seconds_each);
        const auto [it, fresh] = index.try_emplace(key, result_.operators.size());
        const double executions = static_cast<double>(row.count) * times;
        CriticalTime part = row.critical;
        const double chain = row.seconds_critical * critical;
        if (fresh) {
            result_.operators.push_back(row);
            result_.operators.back().count = 0;
            result_.operators.back().seconds_total = 0;
            result_.operators.back().seconds_critical = 0;
            result_.operators.back().critical = {};
            exact_counts_.push_back(0);
        }
        OperatorRow& to = result_.operators[it->second];
        exact_counts_[it->second] += executions;
        to.count = static_cast<long>(std::llround(exact_counts_[it->second]));
        to.seconds_total += row.seconds_total * times;
        to.seconds_critical += chain;
        to.critical.count +=
            static_cast<long>(std::llround(static_cast<double>(part.count) * critical));
        to.critical.gap += part.gap * critical;
        to.critical.launch += part.launch * critical;
        to.critical.latency += part.latency * critical;
        to.critical.skew += part.skew * critical;
        to.critical.work += part.work * critical;
        to.critical.contention += part.contention * critical;
    }

    void add_resources_and_totals() {
        Totals& totals = result_.totals;
        double tasks = 0;
        for (const StageKind& kind : kinds_) {
            std::map<std::string, ResourceUse> sums;
            std::vector<std::string> order;
            for (const PassUse& use : kind.uses) {
                const AssemblyInput input = input_of(*use.pass);
                const Totals of = totals_of(input);
                const double times =
                    use.times * kind.stages() * kind.share * scale_of(use.pass->program);
                totals.flops += times * of.flops;
                totals.matrix_flops += times * of.matrix_flops;
                totals.hbm_bytes += times * of.hbm_bytes;
                totals.sent_bytes += times * of.sent_bytes;
                totals.received_bytes += times * of.received_bytes;
                tasks += times * static_cast<double>(of.tasks);
                for (const ResourceUse& one : resource_use(input)) {
                    const auto& classes = use.pass->program.classes;
                    const auto owner =
                        std::find_if(classes.begin(), classes.end(),
                                     [&](const auto& c) { return c.name == one.rank_class; });
                    // What takes all ranks as one is each class's, where experts part them.
                    const auto& parted = kind.steps.front()->passes.front().forward->program;
                    const bool all = classes.size() < parted.classes.size();
                    for (const RankClass& of_class : all ? parted.classes : std::vector{*owner}) {
                        const std::string name = class_name(kind, of_class);
                        const auto [it, fresh] = sums.try_emplace(name + "|" + one.resource, one);
                        if (fresh) {
                            it->second.rank_class = name;
                            it->second.amount = 0;
                            it->second.peak = 0;
                            it->second.windows.clear();
                            order.push_back(it->first);
                        }
                        it->second.amount += use.times * one.amount;
                        it->second.peak = std::max(it->second.peak, one.peak);
                    }
                }
            }
            for (const std::string& key : order) {
                ResourceUse& use = sums[key];
                use.mean = use.amount / (use.capacity * seconds());
                result_.resources.push_back(use);
            }
        }
        totals.tasks = static_cast<long>(std::llround(tasks));
        totals.sequences = static_cast<double>(in_.job.global_batch);
        totals.tokens_in = totals.sequences * static_cast<double>(in_.job.sequence);
        totals.tokens_out = totals.tokens_in;
    }

    // roofline: the busiest resource of any kind of stage at the data sheet's rate. critical path:
    // a micro-batch through all positions and back. perfect overlap: the busiest stream. serial:
    // all passes of all stages one after the other.
    void add_bounds() {
        Bounds& bounds = result_.bounds;
        for (const ResourceUse& use : result_.resources)
            bounds.roofline = std::max(bounds.roofline, use.amount / use.capacity);
        std::map<const TrainingPass*, Bounds> known;
        const auto of = [&](const TrainingPassPtr& pass) -> const Bounds& {
            const auto [it, fresh] = known.try_emplace(pass.get());
            if (fresh && !pass->program.tasks.empty()) it->second = bounds_of(input_of(*pass));
            return it->second;
        };
        for (const PositionPasses& passes : step_.passes) {
            const bool whole = passes.overlapped != nullptr;
            // A forward and a backward pass as one take no less than the backward pass alone.
            if (!whole) bounds.critical_path += of(passes.forward).critical_path;
            bounds.critical_path +=
                of(passes.backward ? passes.backward : passes.input_gradient).critical_path;
        }
        // Of the groups that the others wait for.
        for (std::size_t kind = 0; kind < step_.needs.size(); ++kind) {
            double busy = 0;
            const double stages = static_cast<double>(step_.needs[kind].stages.size());
            for (const PassUse& use : uses_of_kind(step_, kind)) {
                const Bounds& one = of(use.pass);
                busy += use.times * one.perfect_overlap;
                bounds.serial += stages * use.times * one.serial;
            }
            bounds.serial += stages * step_.reductions[kind].value();
            bounds.perfect_overlap = std::max(bounds.perfect_overlap, busy);
        }
        const double sends = 2.0 * static_cast<double>(step_.schedule.micro_batches) *
                             static_cast<double>(step_.positions.size());
        bounds.serial +=
            sends * step_.times.transfer.value() + step_.gather.value() + step_.host.value();
    }

    void add_memory() {
        for (const StageKind& kind : kinds_) {
            const MemoryNeed& need = kind.need->need;
            const Program& program = kind.steps.front()->passes.front().forward->program;
            for (const RankClass& of : program.classes) {
                MemoryUse use;
                use.rank_class = class_name(kind, of);
                use.ranks = static_cast<int>(std::llround(ranks_of(kind, program, of)));
                for (const auto& [part, size] : need.parts) {
                    if (size > Bytes(0.0)) use.parts.push_back({part, size.value()});
                }
                use.total = need.total().value();
                const StageNeed& stage = *kind.need;
                use.peak_seconds = (kind.steps.front()->gather + stage.peak_at).value();
                use.peak_during = text_of(stage.peak_pass);
                if (kind.need->stages.size() > 1)
                    use.peak_during += fmt::format(" on stage {}", stage.fullest_stage + 1);
                use.capacity = in_.hardware.hbm_capacity.value();
                result_.memory.push_back(std::move(use));
            }
        }
    }

    void add_timeline() {
        const auto name = [](PassKind kind) {
            switch (kind) {
                case PassKind::forward:
                    return "forward";
                case PassKind::backward:
                    return "backward";
                case PassKind::input_gradient:
                    return "input gradient";
                case PassKind::weight_gradient:
                    return "weight gradient";
                case PassKind::overlapped:
                    return "forward and backward";
            }
            return "?";
        };
        const ScheduleTiming timing = time_schedule(step_.schedule, step_.times, true);
        add_memory_over_time(timing);
        for (const auto& run : timing.passes) {
            result_.timeline.push_back(
                {fmt::format("{} {}, part {}", name(run.pass.kind), run.pass.cell.micro_batch,
                             run.pass.cell.position),
                 fmt::format("stage {}", run.stage + 1), "work", (run.begin + step_.gather).value(),
                 (run.end - run.begin).value(), run.pass.cell.position,
                 static_cast<int>(run.pass.cell.micro_batch)});
        }
    }

    void add_memory_over_time(const ScheduleTiming& timing) {
        for (int stage = 0; stage < step_.schedule.stages; ++stage) {
            const StageNeed& need = step_.needs[at(step_.kind_of_stage, stage)];
            MemoryTrack track;
            track.name = fmt::format("stage {}", stage + 1);
            for (const auto& [part, size] : need.need.parts) track.parts.push_back(part);
            for (const HeldMemory& held : memory_over_time(need, timing, stage)) {
                // Until the first pass parameters are gathered.
                const bool begin = held.at == Seconds(0.0) && track.points.empty();
                MemoryTrack::Point point{(begin ? held.at : held.at + step_.gather).value(), {}};
                for (const Bytes& part : held.parts) point.bytes.push_back(part.value());
                track.points.push_back(std::move(point));
            }
            result_.memory_over_time.push_back(std::move(track));
        }
    }

    // Of the stage that ends last, its passes by what they are; of split backward passes the first
    // half is one.
    std::map<std::string, double> times_of_passes() const {
        std::map<std::string, double> sums;
        for (const Pass& pass : at(step_.schedule.programs, step_.critical_stage)) {
            const PassTimes& t = times_of(step_.times, pass.cell.position);
            switch (pass.kind) {
                case PassKind::forward:
                    sums["forward_time"] += t.forward.value();
                    break;
                case PassKind::backward:
                    sums["backward_time"] += (t.input_gradient + t.weight_gradient).value();
                    break;
                case PassKind::input_gradient:
                    sums["backward_time"] += t.input_gradient.value();
                    break;
                case PassKind::weight_gradient:
                    sums["weight_gradient_time"] += t.weight_gradient.value();
                    break;
                case PassKind::overlapped:
                    sums["overlapped_time"] +=
                        0.5 *
                        (t.overlapped + times_of(step_.times, pass.backward.position).overlapped)
                            .value();
                    break;
            }
        }
        return sums;
    }

    double mean_use(const char* resource) const {
        double sum = 0, ranks = 0;
        for (const ResourceUse& use : result_.resources) {
            if (use.resource != resource) continue;
            for (const MemoryUse& of : result_.memory) {
                if (of.rank_class != use.rank_class) continue;
                sum += use.mean * of.ranks;
                ranks += of.ranks;
            }
        }
        return ranks > 0 ? sum / ranks : 0;
    }

    void add_metrics() {
        const auto add = [&](const char* name, double value, const char* unit) {
            result_.metrics.push_back({name, value, unit, {}, {}, provenance_});
        };
        const double chips = in_.alternative.packages, time = seconds();
        const Totals& totals = result_.totals;
        const double rate = totals.tokens_in / time / chips;
        add("step_time", time, "s");
        add("training_tokens_per_second_per_chip", rate, "tok/s");
        const double per_token =
            training_flops_per_token(in_.job.model, in_.job.sequence, in_.job.has_drafts(),
                                     in_.plan.routed.dropped)
                .value();
        const Precision& formats = in_.job.precision;
        FlopsPerSecond peak(0.0);
        for (const DType format : {formats.weights, formats.experts, formats.activations})
            peak = max(peak, published_peak_for(in_.alternative.chip, format));
        const double bf16 = published_peak_for(in_.alternative.chip, DType::bf16).value();
        add("model_flops_per_second_per_chip", rate * per_token / 1e12, "TFLOPS");
        add("model_flops_utilization", rate * per_token / peak.value(), "share");
        if (peak.value() > bf16)
            add("model_flops_utilization_bf16_peak", rate * per_token / bf16, "share");
        const double masked =
            masked_flops_per_token(in_.job.model, in_.job.sequence, in_.job.has_drafts()).value();
        add("model_flops_utilization_whole_attention", rate * (per_token + masked) / peak.value(),
            "share");
        add("hardware_flops_utilization", totals.matrix_flops / time / chips / peak.value(),
            "share");
        add("bubble_fraction", step_.timing.bubble_fraction, "share");
        if (in_.job.experts.popularity != Popularity::balanced)
            add("expert_imbalance", in_.plan.routed.imbalance, "ratio");
        if (in_.job.experts.capacity_factor > 0)
            add("dropped_share", in_.plan.routed.dropped, "share");
        add("exposed_communication_time", exposed_communication(step_).value() * 1e3, "ms");
        for (const auto& [name, of] : times_of_passes()) add(name.c_str(), of, "s");
        add_exchange(add);
        add("optimizer_time", step_.optimizer_time().value(), "s");
        add("bubble_time", bubble(), "s");
        if (in_.layer_forward) {
            add("layer_forward_time", in_.layer_forward->time().value() * 1e3, "ms");
            add("layer_backward_time", in_.layer_backward->time().value() * 1e3, "ms");
        }
        add("achieved_flops", totals.flops / time / chips / 1e12, "TFLOPS");
        add("achieved_bandwidth", totals.hbm_bytes / time / chips / 1e9, "GB/s");
        add("utilization_matrix", mean_use("matrix units"), "share");
        add("utilization_hbm", mean_use(main_memory(in_.alternative.chip).name), "share");
        add("utilization_scale_up",
            std::max(mean_use("scale-up send"), mean_use("scale-up receive")), "share");
        add("utilization_scale_out",
            std::max(mean_use("scale-out send"), mean_use("scale-out receive")), "share");
        double peak_memory = 0;
        for (const MemoryUse& use : result_.memory) peak_memory = std::max(peak_memory, use.total);
        add("memory_peak", peak_memory / 1e9, "GB");
        add_parts_of_memory(add);
        add_energy_and_cost();
    }

    // The mean over the stages, of which the first has the fewest pairs of passes: in all passes
    // and in those that are a forward and a backward pass as one.
    template <class Add>
    void add_exchange(const Add& add) const {
        double all = 0, hidden = 0, of_pairs = 0, hidden_in_pairs = 0;
        for (const PassUse& use : uses_of_all_stages(step_)) {
            all += use.times * use.pass->exchange.value();
            hidden += use.times * use.pass->exchange_hidden.value();
            const auto& passes = step_.passes;
            if (std::none_of(passes.begin(), passes.end(),
                             [&](const auto& one) { return one.overlapped == use.pass; }))
                continue;
            of_pairs += use.times * use.pass->exchange.value();
            hidden_in_pairs += use.times * use.pass->exchange_hidden.value();
        }
        if (!(all > 0)) return;
        add("expert_exchange_time", all, "s");
        add("expert_exchange_hidden", hidden / all, "share");
        if (of_pairs > 0)
            add("expert_exchange_hidden_in_pairs", hidden_in_pairs / of_pairs, "share");
    }

    // Of the fullest stages.
    template <class Add>
    void add_parts_of_memory(const Add& add) const {
        double states = 0, activations = 0;
        for (const MemoryUse& use : result_.memory) {
            double of_states = 0, of_activations = 0;
            for (const MemoryPart& part : use.parts) {
                if (part.part == "activations") of_activations = part.bytes;
                for (const char* name :
                     {"weights", "gradients", "master weights", "optimizer moments"}) {
                    if (part.part == name) of_states += part.bytes;
                }
            }
            states = std::max(states, of_states);
            activations = std::max(activations, of_activations);
        }
        add("memory_states", states / 1e9, "GB");
        add("memory_activations", activations / 1e9, "GB");
        double host = 0;
        for (const StageNeed& need : step_.needs) host = std::max(host, need.host.value());
        if (in_.plan.offload.any()) add("memory_host", host / 1e9, "GB");
    }

    void add_energy_and_cost() {
        std::vector<AssemblyInput> inputs;
        std::vector<double> times;
        for (const StageKind& kind : kinds_) {
            for (const PassUse& use : kind.uses) {
                inputs.push_back(input_of(*use.pass));
                times.push_back(use.times * kind.stages() * kind.share *
                                scale_of(use.pass->program));
            }
        }
        std::vector<EnergyRun> runs;
        for (std::size_t i = 0; i < inputs.size(); ++i) runs.push_back({&inputs[i], times[i]});
        const EnergyBand band = add_energy_of_runs(result_, runs, seconds(), in_.alternative, true);
        add_power_metrics(result_, band, in_.experiment, in_.alternative, result_.totals.tokens_in);
        const Precision& formats = in_.job.precision;
        add_cost_metrics(result_, in_.experiment.prices, in_.alternative,
                         {formats.weights, formats.experts, formats.attention});
        const double rate = result_.metric("training_tokens_per_second_per_chip")->value;
        constexpr double trillion = 1e12;
        // Chips that stand by are paid too.
        const double paid = static_cast<double>(in_.alternative.pool.chips) /
                            static_cast<double>(in_.alternative.packages);
        for (std::size_t i = 0; i < result_.cost.size(); ++i) {
            const CostBasis& basis = result_.cost[i];
            const double hours = paid * trillion / rate / 3600;
            Metric metric{"usd_per_trillion_tokens" + (i == 0 ? "" : "_" + basis.name),
                          hours * basis.usd_per_hour_per_chip / 1e6,
                          "MUSD/Ttok",
                          {},
                          {},
                          provenance_};
            if (basis.low) metric.low = hours * *basis.low / 1e6;
            if (basis.high) metric.high = hours * *basis.high / 1e6;
            result_.metrics.push_back(std::move(metric));
        }
        result_.metrics.push_back({"chip_hours_per_trillion_tokens",
                                   paid * trillion / rate / 3600,
                                   "h/Ttok",
                                   {},
                                   {},
                                   provenance_});
        for (const PassUse& use : critical_) {
            for (const std::string& warning : use.pass->costs.warnings) {
                auto& list = result_.warnings;
                if (std::find(list.begin(), list.end(), warning) == list.end())
                    list.push_back(warning);
            }
        }
    }

    const TrainingAnswerInput& in_;
    const TrainingStep& step_;
    const EngineSpec& engine_;
    EngineEvidence evidence_;
    std::vector<StageKind> kinds_;
    std::vector<PassUse> critical_;
    std::vector<double> exact_counts_;
    Provenance provenance_;
    AlternativeResult result_;
};

}  // namespace

AlternativeResult training_answer(const TrainingAnswerInput& input, bool timeline) {
    return Answer(input).make(timeline);
}

}  // namespace podsim

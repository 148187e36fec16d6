#include "sim/training_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/at.hpp"
#include "base/names.hpp"
#include "sim/band.hpp"
#include "sim/shared_cores.hpp"
#include "workloads/task_chain.hpp"
#include "workloads/training_transfers.hpp"

namespace podsim {

namespace {

// Products of 8 bits whose both operands have scales along the sum, and attention on its way back
// (TrainingHabits).
double slower(const Operator& op, const TrainingHabits& habits) {
    if (const auto* gemm = std::get_if<Gemm>(&op.body)) {
        const bool narrow = gemm->c == DType::fp32 && bytes_of(gemm->a) <= 1.0;
        return narrow ? habits.narrow_weight_gradients : 1;
    }
    if (const auto* work = std::get_if<VectorWork>(&op.body))
        return work->op == "quantise" && work->read > work->elements * 1.5 ? habits.narrow_casts
                                                                           : 1;
    const bool back = op.name.find("_input_gradient") != std::string::npos;
    return back && std::holds_alternative<Attention>(op.body) ? habits.attention_backward : 1;
}

// Scales of few elements hold up the products themselves, at whatever clock.
void slow_micro_scaled(const Program& program, const TrainingJob& job, ProgramCosts& costs) {
    const double factor = job.habits().micro_scaled_products;
    if (job.scaling != NarrowScaling::micro || factor == 1) return;
    for (std::size_t i = 0; i < program.operators.size(); ++i) {
        const auto* gemm = std::get_if<Gemm>(&program.operators[i].body);
        if (gemm == nullptr || bytes_of(gemm->a) != 1.0) continue;
        for (auto& of_stream : costs.operators) {
            OperatorCost& cost = of_stream[i];
            cost.time = cost.launch + factor * (cost.time - cost.launch);
            cost.sustained = cost.launch + factor * (cost.sustained - cost.launch);
        }
    }
}

void slow_gradients(const Program& program, const TrainingHabits& habits, ProgramCosts& costs) {
    for (std::size_t i = 0; i < program.operators.size(); ++i) {
        const double factor = slower(program.operators[i], habits);
        if (factor == 1) continue;
        for (auto& of_stream : costs.operators) {
            OperatorCost& cost = of_stream[i];
            const Seconds work = cost.time - cost.launch;
            cost.time = cost.launch + factor * work;
            cost.sustained = max(cost.sustained, cost.time);
            cost.basis = std::max(cost.basis, Confidence::derived);
        }
    }
}

// What a reduction depends on beside its plan's degrees.
std::string directions(const TrainingPlan& plan) {
    return two_directions(plan) ? fmt::format("|two, {}", plan.pipeline_parallel) : "";
}

std::array<Seconds, kChainStreams> busy_streams(const Program& program, const RunRecord& record) {
    std::vector<std::array<Picoseconds, kChainStreams>> sums(program.classes.size());
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const Task& task = program.tasks[i];
        const TaskRecord& of = record.tasks[i];
        auto& own = at(sums, task.rank_class);
        if (static_cast<std::size_t>(task.stream) >= kChainStreams) continue;
        own[static_cast<std::size_t>(task.stream)] +=
            task.kind == TaskKind::transfer ? of.latency + of.alone : of.gap + of.launch + of.alone;
    }
    std::array<Seconds, kChainStreams> most = {};
    for (const auto& own : sums) {
        for (std::size_t i = 0; i < kChainStreams; ++i) most[i] = max(most[i], to_seconds(own[i]));
    }
    return most;
}

Seconds transfers_on_chain(const Program& program, const RunRecord& record) {
    Picoseconds sum = 0;
    for (const int id : record.critical_path) {
        const TaskRecord& of = at(record.tasks, id);
        if (at(program.tasks, id).kind == TaskKind::transfer) sum += of.end - of.start;
    }
    return to_seconds(sum);
}

bool is_exchange(const Program& program, const Task& task) {
    if (task.kind != TaskKind::transfer) return false;
    const int transfer = at(program.instances, task.body).transfer;
    const TransferType type = at(program.transfers, transfer).type;
    return type == TransferType::dispatch || type == TransferType::combine;
}

using Spans = std::vector<std::pair<Picoseconds, Picoseconds>>;

// Spans of a class's tasks, none of which lies in another one's.
Spans united(Spans spans) {
    std::sort(spans.begin(), spans.end());
    Spans apart;
    for (const auto& [begin, end] : spans) {
        if (!apart.empty() && begin <= apart.back().second) {
            apart.back().second = std::max(apart.back().second, end);
        } else {
            apart.emplace_back(begin, end);
        }
    }
    return apart;
}

Picoseconds length_of(const Spans& apart) {
    Picoseconds sum = 0;
    for (const auto& [begin, end] : apart) sum += end - begin;
    return sum;
}

// What dispatch and combine take of the busiest class, and how much of that runs beside kernels of
// the same ranks. Waits for the slowest rank, at the begin of a transfer, are neither.
std::pair<Seconds, Seconds> exchange_of(const Program& program, const RunRecord& record) {
    Picoseconds most = 0, hidden = 0;
    for (std::size_t c = 0; c < program.classes.size(); ++c) {
        Spans moves, kernels;
        for (std::size_t i = 0; i < program.tasks.size(); ++i) {
            const Task& task = program.tasks[i];
            if (task.rank_class != static_cast<int>(c)) continue;
            const TaskRecord& of = record.tasks[i];
            if (is_exchange(program, task)) {
                moves.emplace_back(std::min(of.end, of.start + of.skew), of.end);
            } else if (task.kind != TaskKind::host && task.stream == compute_stream) {
                kernels.emplace_back(of.start, of.end);
            }
        }
        moves = united(std::move(moves));
        const Picoseconds all = length_of(moves);
        if (all <= most) continue;
        most = all;
        Spans both = moves;
        const Spans busy = united(std::move(kernels));
        both.insert(both.end(), busy.begin(), busy.end());
        hidden = all + length_of(busy) - length_of(united(std::move(both)));
    }
    return {to_seconds(most), to_seconds(hidden)};
}

const StageNeed& fullest_of(const std::vector<StageNeed>& needs) {
    return *std::max_element(needs.begin(), needs.end(), [](const auto& a, const auto& b) {
        return a.need.total() < b.need.total();
    });
}

}  // namespace

const StageNeed& TrainingStep::fullest() const {
    return fullest_of(needs);
}

Seconds TrainingStep::own_norm(int stage) const {
    const std::size_t kind = at(kind_of_stage, stage);
    return at(timing.stages, stage).last + reductions[kind] + norms[kind]->time();
}

Seconds TrainingStep::wait_for_others() const {
    const std::size_t kind = at(kind_of_stage, critical_stage);
    return norm_known - own_norm(critical_stage) + optimizer - optimizers[kind]->time();
}

Seconds TrainingStep::optimizer_time() const {
    const std::size_t kind = at(kind_of_stage, critical_stage);
    return norms[kind]->time() + wait_for_others() + optimizers[kind]->time();
}

std::vector<StageNeed> TrainingCase::memory(const TrainingPlan& plan) const {
    const auto positions = positions_of(job_, plan);
    const PipelineTimes times = unit_times(job_, plan, positions);
    const Schedule schedule = make_schedule(plan.request(job_), times);
    return training_need(job_, plan, positions, schedule, time_schedule(schedule, times));
}

bool TrainingCase::fits(const TrainingPlan& plan) const {
    if (!training_problems(job_, plan, machine_.ranks, NearestValues::left_out).empty())
        return false;
    TrainingPlan loaded = plan;
    loaded.routed = routed_load(job_, plan);
    loaded.order = kFlatOrder;
    return fullest_of(memory(loaded)).need.total() <= machine_.hardware.hbm_capacity;
}

TrainingPassPtr TrainingCase::run(Program program) {
    auto ran = std::make_shared<TrainingPass>();
    ran->program = std::move(program);
    if (ran->program.tasks.empty()) {
        // A position without layers may have nothing to do.
        ran->record.usage.resize(ran->program.classes.size());
        return ran;
    }
    require_valid(ran->program);
    ran->costs =
        cost_program(ran->program, cache_, machine_.fabric, machine_.collectives, machine_.ranks);
    slow_micro_scaled(ran->program, job_, ran->costs);
    slow_gradients(ran->program, job_.habits(), ran->costs);
    if (machine_.operator_time != 1)
        ran->costs = scaled(std::move(ran->costs), machine_.operator_time, machine_.hardware);
    const bool parted = ran->program.streams.front().core_share < 1;
    ran->record = run_on_shared_cores(ran->program, ran->costs, machine_.hardware, machine_.driver,
                                      parted ? 0 : job_.engine.transfer_core_share);
    events_ += static_cast<long>(ran->record.events);
    ran->streams = busy_streams(ran->program, ran->record);
    ran->transfers = transfers_on_chain(ran->program, ran->record);
    std::tie(ran->exchange, ran->exchange_hidden) = exchange_of(ran->program, ran->record);
    if (detail_ == PassDetail::times) {
        const Picoseconds end = ran->record.end;
        *ran = {{}, {}, {}, ran->streams, ran->transfers, ran->exchange, ran->exchange_hidden};
        ran->record.end = end;
    }
    return ran;
}

TrainingPassPtr TrainingCase::pass(const TrainingPlan& plan, const PassRequest& request) {
    TrainingPlan depends = plan;
    depends.pipeline_parallel = 1;
    // What is kept decides what is offloaded.
    if (request.kind == PassKind::forward && plan.offload.activations == 0)
        depends.recompute = RecomputePolicy::none;
    depends.offload.optimizer = 0;
    // Alone, a pass knows nothing of its replicas.
    if (!request.gathers && !request.reduces) {
        depends.data_parallel = 1;
        depends.zero_stage = 0;
    }
    const std::string key = plan_key(depends) + "|" + placement_key(plan) + "|" +
                            pass_key(job_, request) + (request.reduces ? directions(plan) : "");
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    return known_[key] = run(build_pass(job_, plan, request));
}

Seconds TrainingCase::after_passes(const TrainingPlan& plan,
                                   const std::vector<TrainingPosition>& held) {
    return after_pass("norm", build_reduction, plan, held)->time() +
           after_pass("optimizer", build_optimizer, plan, held)->time();
}

TrainingPassPtr TrainingCase::after_pass(const char* name, PassMaker make, const TrainingPlan& plan,
                                         const std::vector<TrainingPosition>& positions) {
    std::string key = name + ("|" + plan_key(plan)) + "|" + placement_key(plan) + directions(plan);
    for (const TrainingPosition& one : positions) key += "|" + work_of(job_, one);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    return known_[key] = run(make(job_, plan, positions));
}

// Between stages; nothing where there is one alone.
Seconds TrainingCase::stages_time(const TrainingPlan& plan, const Transfer& transfer) const {
    if (plan.pipeline_parallel == 1) return Seconds(0.0);
    const Coflow coflow =
        make_coflow(transfer, machine_.fabric, machine_.collectives, machine_.ranks);
    return coflow.latency + coflow.shares.front().wire;
}

Seconds TrainingCase::send_time(const TrainingPlan& plan) const {
    return stages_time(plan, stage_send(job_, plan));
}

// The norm is known when the last stage's sums are; then all of them step.
void TrainingCase::finish(const TrainingPlan& plan, TrainingStep& step) {
    for (int stage = 0; stage < step.schedule.stages; ++stage) {
        const Seconds own = step.own_norm(stage);
        if (own > step.norm_known) {
            step.norm_known = own;
            step.critical_stage = stage;
        }
        const std::size_t kind = at(step.kind_of_stage, stage);
        step.optimizer = max(step.optimizer, step.optimizers[kind]->time());
    }
    step.norm_known += stages_time(plan, norm_sum(plan));
    step.total = step.gather + step.norm_known + step.optimizer + step.host;
}

TrainingPassPtr TrainingCase::loaded(const TrainingPlan& plan, const TrainingPosition& part,
                                     PassKind kind, double busiest) {
    PassRequest request;
    request.kind = kind;
    request.position = request.backward = part;
    request.busiest = busiest;
    return pass(plan, request);
}

TrainingPassPtr TrainingCase::part(const TrainingPlan& plan, const TrainingPosition& part,
                                   PassKind kind, bool reduces) {
    PassRequest request;
    request.kind = kind;
    request.position = part;
    if (kind == PassKind::overlapped) request.backward = part;
    request.reduces = reduces;
    return pass(plan, request);
}

PositionPasses TrainingCase::passes_of(const TrainingPlan& plan,
                                       const std::vector<TrainingPosition>& all,
                                       std::size_t position) {
    const bool each = plan.zero_stage == 3, reduces = reduces_each(plan);
    PassRequest request;
    request.position = all[position];
    request.receives = position > 0 && plan.pipeline_parallel > 1;
    request.receives_gradient = position + 1 < all.size() && plan.pipeline_parallel > 1;
    const auto made = [&](PassKind kind, bool gathering, bool reducing) {
        request.kind = kind;
        request.gathers = gathering && plan.replicas() > 1;
        request.reduces = reducing && plan.replicas() > 1;
        return pass(plan, request);
    };
    PositionPasses passes;
    passes.forward = made(PassKind::forward, each, false);
    PassKind last = PassKind::backward;
    if (splits_backward(plan.schedule)) {
        passes.input_gradient = made(PassKind::input_gradient, each, false);
        passes.weight_gradient = made(PassKind::weight_gradient, false, reduces);
        last = PassKind::weight_gradient;
    } else {
        passes.backward = made(PassKind::backward, each, reduces);
    }
    if (overlaps_passes(plan.request(job_))) {
        request.backward = all[position];
        passes.overlapped = made(PassKind::overlapped, each, reduces);
    }
    const bool divided = plan.replicas() > 1;
    if (divided && job_.habits().overlap_gradients && !reduces)
        passes.reducing = made(last, each, true);
    if (divided && job_.habits().overlap_parameters && plan.zero_stage >= 1 && !each)
        passes.gathering = made(PassKind::forward, true, false);
    return passes;
}

TrainingStep TrainingCase::step(const TrainingPlan& plan) {
    TrainingStep step;
    step.positions = positions_of(job_, plan);
    step.times = unit_times(job_, plan, step.positions);
    for (std::size_t p = 0; p < step.positions.size(); ++p) {
        step.passes.push_back(passes_of(plan, step.positions, p));
        const PositionPasses& passes = step.passes.back();
        PassTimes& times = step.times.positions[p];
        times.forward = passes.forward->time();
        if (passes.backward) {
            times.input_gradient = passes.backward->time();
            times.weight_gradient = Seconds(0.0);
        } else {
            times.input_gradient = passes.input_gradient->time();
            times.weight_gradient = passes.weight_gradient->time();
        }
        if (passes.overlapped) times.overlapped = passes.overlapped->time();
    }
    step.times.transfer = send_time(plan);
    step.schedule = make_schedule(plan.request(job_), step.times);
    step.timing = time_schedule(step.schedule, step.times);
    step.needs = training_need(job_, plan, step.positions, step.schedule, step.timing);
    step.kind_of_stage.resize(static_cast<std::size_t>(step.schedule.stages));
    for (std::size_t kind = 0; kind < step.needs.size(); ++kind) {
        Seconds reduction(0.0);
        std::vector<TrainingPosition> held;
        for (const int p : step.needs[kind].positions.front()) {
            held.push_back(at(step.positions, p));
            const PositionPasses& passes = at(step.passes, p);
            if (!passes.reducing) continue;
            const Seconds without =
                passes.backward ? passes.backward->time() : passes.weight_gradient->time();
            reduction = max(reduction, passes.reducing->time() - without);
        }
        step.reductions.push_back(reduction);
        step.norms.push_back(after_pass("norm", build_reduction, plan, held));
        step.optimizers.push_back(after_pass("optimizer", build_optimizer, plan, held));
        for (const int stage : step.needs[kind].stages)
            step.kind_of_stage[static_cast<std::size_t>(stage)] = kind;
    }
    for (int stage = 0; stage < step.schedule.stages; ++stage) {
        const StageTiming& timing = at(step.timing.stages, stage);
        for (const int p : positions_of_stage(step.schedule, stage)) {
            const PositionPasses& passes = at(step.passes, p);
            if (!passes.gathering) continue;
            const Seconds more = passes.gathering->time() - passes.forward->time() - timing.first;
            step.gather = max(step.gather, more);
        }
    }
    step.host = job_.engine.host_step.value;
    finish(plan, step);
    return step;
}

std::string TrainingCase::help_for_memory(const TrainingPlan& plan) const {
    std::vector<std::pair<TrainingPlan, std::string>> tries;
    const auto with = [&](const std::string& what, const auto& change) {
        TrainingPlan other = plan;
        change(other);
        tries.emplace_back(other, what);
    };
    // From what costs least time to what costs most: from ZeRO 2 on each micro-batch reduces.
    const auto with_zero = [&](bool reduced_each) {
        for (int stage = plan.zero_stage + 1; stage <= (plan.pipeline_parallel > 1 ? 2 : 3);
             ++stage) {
            TrainingPlan other = plan;
            other.zero_stage = stage;
            if (reduced_each == (reduces_each(other) && plan.micro_batches(job_) > 1))
                tries.emplace_back(other, fmt::format("zero_stage: {}", stage));
        }
    };
    with_zero(false);
    if (plan.tensor_parallel > 1 && !plan.more.sequence_parallel)
        with("sequence_parallel: true", [](auto& p) { p.more.sequence_parallel = true; });
    // A policy says as much as modules do: one of the two.
    const std::string instead =
        plan.recompute.modules().empty() ? "" : " in place of recompute_modules";
    const auto with_recompute = [&](const std::string& what, const RecomputeChoice& choice) {
        if (makes_more_again(choice.parts(), plan.recompute.parts()))
            with(what + (choice.modules().empty() ? instead : ""),
                 [&](auto& p) { p.recompute = choice; });
    };
    for (const RecomputePolicy policy :
         {RecomputePolicy::selective, RecomputePolicy::up_projections,
          RecomputePolicy::norms_and_activations, RecomputePolicy::deepseek_v3})
        with_recompute("recompute: " + name_of(policy), policy);
    with_recompute("recompute_modules: [mlp]", RecomputeChoice({RecomputeModule::mlp}));
    // As many whole layers as it takes, beyond those of now; more never need more.
    TrainingPlan blocks = plan;
    blocks.recompute = RecomputePolicy::full;
    const long now = plan.recompute.layers();
    if ((now > 0 || makes_more_again(blocks.recompute.parts(), plan.recompute.parts())) &&
        fits(blocks)) {
        long fewest = now + 1, most = 1;
        for (const TrainingPosition& one : positions_of(job_, plan))
            most = std::max(most, one.end - one.begin);
        const long all = most;
        while (fewest < most) {
            const long middle = fewest + (most - fewest) / 2;
            blocks.recompute = RecomputeChoice::of_layers(middle);
            if (fits(blocks)) {
                most = middle;
            } else {
                fewest = middle + 1;
            }
        }
        const std::string layers = fmt::format("recompute_layers: {}", fewest);
        if (now > 0 || fewest < all)
            with(now > 0 ? layers : "recompute: full with " + layers + instead,
                 [&](auto& p) { p.recompute = RecomputeChoice::of_layers(fewest); });
    }
    with_recompute("recompute: full", RecomputePolicy::full);
    for (long part = plan.micro_batch / 2; part >= 1; part /= 2)
        with(fmt::format("micro_batch: {}", part), [&](auto& p) { p.micro_batch = part; });
    for (int factor = 2; factor <= plan.data_parallel; factor *= 2) {
        if (plan.data_parallel % factor != 0) break;
        with(fmt::format("pipeline_parallel: {}, data_parallel: {}",
                         plan.pipeline_parallel * factor, plan.data_parallel / factor),
             [&](auto& p) {
                 p.pipeline_parallel *= factor;
                 p.data_parallel /= factor;
             });
        with(fmt::format("tensor_parallel: {}, data_parallel: {}{}", plan.tensor_parallel * factor,
                         plan.data_parallel / factor,
                         plan.more.sequence_parallel ? "" : ", sequence_parallel: true"),
             [&](auto& p) {
                 p.tensor_parallel *= factor;
                 p.data_parallel /= factor;
                 p.more.sequence_parallel = true;
             });
    }
    with_zero(true);
    if (machine_.hardware.host_bandwidth > BytesPerSecond(0.0)) {
        with("offload: {optimizer: 100 %}", [](auto& p) { p.offload.optimizer = 1; });
        with("offload: {activations: 100 %}", [](auto& p) { p.offload.activations = 1; });
    }
    for (const auto& [other, what] : tries) {
        if (fits(other)) return what;
    }
    return "";
}

}  // namespace podsim

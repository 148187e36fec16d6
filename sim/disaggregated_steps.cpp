#include "sim/disaggregated_steps.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/at.hpp"
#include "base/statistics.hpp"
#include "chips/energy.hpp"
#include "sim/energy_use.hpp"
#include "workloads/pipeline.hpp"

namespace podsim {

namespace {

// One domain of one system that both pools find room in.
bool share_domain(const ResolvedAlternative& attention, const ResolvedAlternative& feed_forward) {
    if (feed_forward.pool.exchange_over)
        return *feed_forward.pool.exchange_over == PoolLink::scale_up;
    return attention.system.name == feed_forward.system.name &&
           attention.packages + feed_forward.packages <=
               static_cast<int>(attention.system.scale_up.domain.value);
}

Provenance shares_of(Confidence basis, double error) {
    Provenance one;
    one.shares[basis_word(basis)] = 1;
    if (basis == Confidence::measured) one.measured_error = error;
    return one;
}

}  // namespace

PoolCost operator+(const PoolCost& a, const PoolCost& b) {
    return {a.joules + b.joules, a.flops + b.flops, a.matrix_flops + b.matrix_flops,
            a.memory_bytes + b.memory_bytes};
}

PoolCost operator*(double factor, const PoolCost& cost) {
    return {factor * cost.joules, factor * cost.flops, factor * cost.matrix_flops,
            factor * cost.memory_bytes};
}

RestPower rest_power(const ResolvedAlternative& replica) {
    const double packages = replica.packages;
    return {energies_of(replica.chip).static_power.value.value() * packages,
            std::max(0.0, replica.host_power.value() * packages)};
}

DisaggregatedSteps::Side::Side(const ResolvedAlternative& pool, Fidelity fidelity,
                               const std::string& cache_folder)
    : replica(pool),
      hardware(hardware_of(pool)),
      fabric(rank_fabric(pool.system, pool.chip.ranks)),
      cache(hardware, pool.kernels, fidelity, true, RankState::busy),
      file(cache_folder, cache) {}

DisaggregatedSteps::DisaggregatedSteps(const ResolvedAlternative& attention,
                                       const ResolvedAlternative& feed_forward, Fidelity fidelity,
                                       const std::string& cache_folder)
    : attention_(attention, fidelity, cache_folder),
      feed_forward_(feed_forward, fidelity, cache_folder),
      over_scale_up_(share_domain(attention, feed_forward)) {}

DisaggregatedSteps::~DisaggregatedSteps() {
    attention_.file.keep(attention_.cache);
    feed_forward_.file.keep(feed_forward_.cache);
}

DisaggregatedSpec DisaggregatedSteps::spec_of(const StepSpec& step) const {
    DisaggregatedSpec spec{step, step};
    const PoolSpec& pool = feed_forward_.replica.pool;
    spec.feed_forward.mapping = pool.mapping;
    spec.feed_forward.experts = pool.experts;
    spec.feed_forward.precision = pool.precision;
    spec.feed_forward.engine = *feed_forward_.replica.engine;
    if (feed_forward_.hardware.sram_only)
        spec.feed_forward.engine.memory_reserve.value = Bytes(0.0);
    return spec;
}

// Both ends of a way stand in rows of ranks: what matters is the port, and that is the first of the
// domain's or the first beyond it.
Coflow DisaggregatedSteps::coflow(const Side& side, Bytes size, double messages) const {
    Transfer transfer;
    transfer.name = "between attention and feed-forward pools";
    transfer.type = TransferType::send_recv;
    transfer.group_ranks = 2;
    transfer.stride = over_scale_up_ ? 1 : static_cast<int>(side.fabric.domain_ranks);
    transfer.size = size;
    transfer.messages_per_rank = messages;
    transfer.shares = {{1, size, Bytes(0.0)}, {1, Bytes(0.0), size}};
    return make_coflow(transfer, side.fabric, side.replica.collectives, transfer.stride + 1);
}

// The bytes of a rank at either end, each at its own port.
DisaggregatedSteps::Way DisaggregatedSteps::way(Bytes of_attention, Bytes of_feed_forward,
                                                double rows, bool there, double times,
                                                Evidence* evidence) const {
    Way way;
    const Coflow ours = coflow(attention_, of_attention, rows);
    const double other_rows =
        of_attention > Bytes(0.0) ? rows * (of_feed_forward / of_attention) : 0;
    const Coflow theirs = coflow(feed_forward_, of_feed_forward, other_rows);
    const Seconds at_attention = ours.shares.at(there ? 0 : 1).wire,
                  at_experts = theirs.shares.at(there ? 1 : 0).wire;
    way.wire = max(at_attention, at_experts);
    way.latency = max(ours.latency, theirs.latency);
    if (evidence != nullptr) {
        const Coflow& slower = at_attention >= at_experts ? ours : theirs;
        evidence->parts.emplace_back(shares_of(basis_of(slower), slower.record->held_out_error),
                                     times * (way.wire + way.latency).value());
    }
    return way;
}

// What a pool reads of its memory to send it, and writes of what comes in; over links of the
// package's own domain it draws beside. What the network draws is the hosts'.
PoolCost DisaggregatedSteps::of_link(const Side& side, Bytes sent, Bytes received,
                                     double ranks) const {
    PoolCost cost;
    cost.memory_bytes = ranks * (sent + received).value();
    if (over_scale_up_)
        cost.joules = ranks * (sent * energies_of(side.replica.chip).scale_up.value).value();
    return cost;
}

DisaggregatedSteps::Part DisaggregatedSteps::run(const Program& program, Side& side, double times,
                                                 Evidence* evidence) {
    Part part;
    if (program.tasks.empty()) return part;
    const ResolvedAlternative& replica = side.replica;
    const ProgramCosts costs =
        cost_program(program, side.cache, side.fabric, replica.collectives, replica.ranks);
    const RunRecord record = run_program(program, costs, side.hardware, Driver::plain);
    const EngineSpec& engine = *replica.engine;
    const AssemblyInput input{
        program,
        costs,
        record,
        side.hardware,
        side.fabric,
        replica.ranks,
        {engine.kernel_gap.confidence, engine.host_step.confidence, engine.rank_skew.confidence}};
    const Totals totals = totals_of(input);
    part.time = to_seconds(record.end);
    part.cost = {0, totals.flops, totals.matrix_flops, totals.hbm_bytes};
    for (const EnergyPart& one : energy_parts(input, replica, true)) {
        if (!is_at_rest(one)) part.cost.joules += one.joules;
    }
    if (evidence != nullptr) {
        evidence->parts.emplace_back(provenance_of(input), times * part.time.value());
        for (const std::string& warning : assemble(input, false).warnings) {
            if (std::find(evidence->warnings.begin(), evidence->warnings.end(), warning) ==
                evidence->warnings.end())
                evidence->warnings.push_back(warning);
        }
    }
    return part;
}

DisaggregatedSteps::Layer DisaggregatedSteps::layer_of(const DisaggregatedLayer& layer,
                                                       double times, Evidence* evidence) {
    Layer made;
    const Part attention = run(layer.attention, attention_, times, evidence),
               sum = run(layer.sum, attention_, times, evidence),
               experts = run(layer.feed_forward, feed_forward_, times, evidence);
    const Way there = way(layer.sent, layer.received, layer.rows, true, times, evidence),
              back = way(layer.returned, layer.sent_back, layer.rows, false, times, evidence);
    made.times = {attention.time, there.wire, experts.time, back.wire, sum.time, 0};
    made.latency = max(there.latency, back.latency);
    const double ranks = attention_.replica.ranks;
    const Bytes all_sent = ranks * layer.sent, all_returned = ranks * layer.returned;
    made.attention = attention.cost;
    made.attention = made.attention + sum.cost;
    made.attention = made.attention + of_link(attention_, layer.sent, layer.returned, ranks);
    made.feed_forward = experts.cost;
    made.feed_forward = made.feed_forward + of_link(feed_forward_, all_returned, all_sent, 1);
    made.moved_bytes = (all_sent + all_returned).value();
    return made;
}

DisaggregatedSteps::Batch DisaggregatedSteps::batch_of(const DisaggregatedSpec& spec,
                                                       Evidence* evidence) {
    DisaggregatedStep step;
    const std::vector<DisaggregatedError> problems = disaggregated_problems(spec);
    if (!problems.empty()) throw InputError({at_pool(problems.front())});
    step = build_disaggregated(spec);
    std::vector<double> counts(step.alike.size(), 0.0);
    for (const int alike : step.layers) counts[static_cast<std::size_t>(alike)] += 1;
    std::vector<Layer> layers;
    for (std::size_t i = 0; i < step.alike.size(); ++i)
        layers.push_back(layer_of(step.alike[i], counts[i], evidence));
    Batch batch;
    const Part enter = run(step.enter, attention_, 1, evidence),
               leave = run(step.leave, attention_, 1, evidence);
    batch.times.enter = enter.time;
    batch.times.leave = leave.time;
    batch.attention = enter.cost;
    batch.attention = batch.attention + leave.cost;
    std::vector<double> imbalances;
    for (std::size_t l = 0; l < step.layers.size(); ++l) {
        const auto alike = static_cast<std::size_t>(step.layers[l]);
        const Layer& layer = layers[alike];
        batch.times.layers.push_back(layer.times);
        batch.times.layers.back().stage = step.stages[l];
        batch.attention = batch.attention + layer.attention;
        batch.feed_forward = batch.feed_forward + layer.feed_forward;
        batch.moved_bytes += layer.moved_bytes;
        batch.latency = max(batch.latency, layer.latency);
        imbalances.push_back(step.alike[alike].imbalance);
    }
    if (!imbalances.empty()) batch.imbalance = mean(imbalances);
    return batch;
}

DisaggregatedCost DisaggregatedSteps::cost(const StepSpec& step) {
    const int parts = static_cast<int>(
        std::min<long>(step.mapping.micro_batches, std::max(1L, step.sequences_per_group)));
    DisaggregatedCost cost;
    std::vector<PingPongBatch> times;
    Seconds latency(0.0);
    // Parts differ by one sequence at most: two kinds of them.
    std::vector<std::pair<long, Batch>> known;
    for (int part = 0; part < parts; ++part) {
        const long sequences = even_part(step.sequences_per_group, parts, part);
        auto found = std::find_if(known.begin(), known.end(),
                                  [&](const auto& one) { return one.first == sequences; });
        if (found == known.end()) {
            DisaggregatedSpec spec = spec_of(step);
            spec.attention.sequences_per_group = spec.feed_forward.sequences_per_group = sequences;
            known.emplace_back(sequences, batch_of(spec, nullptr));
            found = std::prev(known.end());
        }
        const Batch& batch = found->second;
        times.push_back(batch.times);
        cost.attention = cost.attention + batch.attention;
        cost.feed_forward = cost.feed_forward + batch.feed_forward;
        cost.moved_bytes += batch.moved_bytes;
        cost.imbalance = std::max(cost.imbalance, batch.imbalance);
        latency = max(latency, batch.latency);
    }
    cost.times = ping_pong(times, latency);
    cost.host = step.engine.host_step.value.value();
    cost.seconds = cost.times.end.value() + cost.host;
    cost.batches = parts;
    cost.latency = latency;
    cost.stages = feed_forward_.replica.pool.mapping.pipeline_parallel;
    cost.tokens = static_cast<double>(step.sequences_per_group * step.passes().front().query) *
                  step.mapping.data_parallel;
    cost.layers = static_cast<double>(times.front().layers.size());
    return cost;
}

Provenance DisaggregatedSteps::provenance(const StepSpec& step,
                                          std::vector<std::string>& warnings) {
    DisaggregatedSpec spec = spec_of(step);
    const int parts = static_cast<int>(
        std::min<long>(step.mapping.micro_batches, std::max(1L, step.sequences_per_group)));
    spec.attention.sequences_per_group = spec.feed_forward.sequences_per_group =
        even_part(step.sequences_per_group, parts, 0);
    Evidence evidence;
    (void)batch_of(spec, &evidence);
    const EngineSpec& engine = *attention_.replica.engine;
    evidence.parts.emplace_back(shares_of(engine.host_step.confidence, 0),
                                engine.host_step.value.value() / parts);
    for (const std::string& warning : evidence.warnings) {
        if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end())
            warnings.push_back(warning);
    }
    return merged(evidence.parts);
}

Diagnostic DisaggregatedSteps::at_pool(const DisaggregatedError& problem) const {
    const PoolSpec& pool = (problem.of_feed_forward ? feed_forward_ : attention_).replica.pool;
    return at_key(pool, problem.error.key, problem.error.reason);
}

void DisaggregatedSteps::require_laid_out(const StepSpec& smallest) const {
    std::vector<Diagnostic> problems;
    for (const DisaggregatedError& problem : disaggregated_problems(spec_of(smallest)))
        problems.push_back(at_pool(problem));
    if (!problems.empty()) throw InputError(std::move(problems));
}

void DisaggregatedSteps::check(const StepSpec& smallest, const StepSpec& largest) {
    require_laid_out(smallest);
    const DisaggregatedSpec spec = spec_of(smallest);
    std::vector<Diagnostic> problems;
    const DisaggregatedStep step = build_disaggregated(spec);
    const auto look = [&](const Program& program, Side& side) {
        if (program.tasks.empty()) return;
        const ResolvedAlternative& replica = side.replica;
        const CostProblems costs =
            cost_problems(program, side.cache, side.fabric, replica.collectives, replica.ranks);
        for (const auto& what : costs.operators)
            problems.push_back(
                at_key(replica.pool, replica.pool.tiling ? "tiling" : "precision", what));
        for (const auto& what : costs.transfers)
            problems.push_back(at_key(replica.pool, "collectives", what));
    };
    look(step.enter, attention_);
    look(step.leave, attention_);
    for (const DisaggregatedLayer& layer : step.alike) {
        look(layer.attention, attention_);
        look(layer.sum, attention_);
        look(layer.feed_forward, feed_forward_);
    }
    for (const Side* side : {&attention_, &feed_forward_}) {
        try {
            (void)coflow(*side, Bytes(1.0), 1);
        } catch (const std::invalid_argument& error) {
            problems.push_back(at_key(side->replica.pool, "collectives", error.what()));
        }
    }
    const MemoryNeed need = memory_of_feed_forward(largest);
    if (need.total() > feed_forward_.hardware.hbm_capacity) {
        std::string parts;
        for (const auto& [part, size] : need.parts) {
            if (size > Bytes(0.0))
                parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", part, to_string(size));
        }
        problems.push_back(at_key(
            feed_forward_.replica.pool, "chips",
            fmt::format("memory does not fit: a rank that holds feed-forward blocks needs {} of "
                        "{} ({})",
                        to_string(need.total()), to_string(feed_forward_.hardware.hbm_capacity),
                        parts),
            "more chips a replica, pipeline_parallel, tensor_parallel, smaller formats, or fewer "
            "max_num_seqs"));
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

MemoryNeed DisaggregatedSteps::memory_of_attention(const StepSpec& step) const {
    return attention_memory(spec_of(step));
}

MemoryNeed DisaggregatedSteps::memory_of_feed_forward(const StepSpec& step) const {
    DisaggregatedSpec spec = spec_of(step);
    const int parts = static_cast<int>(
        std::min<long>(step.mapping.micro_batches, std::max(1L, step.sequences_per_group)));
    spec.attention.sequences_per_group = even_part(step.sequences_per_group, parts, 0);
    return feed_forward_memory(spec);
}

double DisaggregatedSteps::feed_forward_capacity() const {
    return feed_forward_.hardware.hbm_capacity.value();
}

}  // namespace podsim

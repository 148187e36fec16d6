#include "sim/step_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "sim/energy_use.hpp"
#include "sim/expert_host.hpp"
#include "sim/task_facts.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

constexpr double kQueryBlock = 128;     // tokens that kernels of attention take at once
constexpr double kShortest = 64;        // tokens: the first column of both grids
constexpr double kPromptChecked = 256;  // tokens

// 1, 2, 3, 4, 6, 8, 12, ... up to `most`.
std::vector<double> half_octaves(double most) {
    std::vector<double> values = {1};
    for (double octave = 2; octave <= most; octave *= 2) {
        values.push_back(octave);
        if (1.5 * octave <= most) values.push_back(1.5 * octave);
    }
    return values;
}

std::vector<double> octaves(double least, double most) {
    std::vector<double> values;
    for (double value = least; value <= most; value *= 2) values.push_back(value);
    return values;
}

// Both sides of every step of the stair that products climb: 1, 2, ... 16, then ends of tiles of
// rows and the first row of the next; of a step in so many parts, each of which climbs it.
std::vector<double> stairs(double most, int parts) {
    std::vector<double> values;
    for (double value = 1; value < 16; value *= 2) values.push_back(value);
    double tile = 16;
    for (double value = tile; value <= most; value += tile) {
        values.push_back(value);
        values.push_back(value + 1);
        if (value >= 64) tile = 64;
        if (value >= 512) tile = 128;
        if (value >= 8192) tile = value / 8;
    }
    for (double& value : values) value *= parts;
    if (parts > 1) values.insert(values.begin(), 1);
    return values;
}

// Parts of a group's tokens, each of which goes through the products by itself: micro-batches, and
// what each of the ranks that share sequences has.
int parts_of(const MappingSpec& mapping) {
    return mapping.micro_batches * mapping.context_parallel();
}

// Sequences of a group beyond which each expert's rows need another tile, of 16, 32, 64 and so on:
// a decode step climbs there by a tenth and more at once. With T tokens in an expert group, k
// experts a token and E of them with their copies each has T k / E rows. `groups`: data-parallel
// ones whose tokens meet in one set of experts. Below one row each only some experts have work, and
// cores take these in waves: a stair as well, with its steps at quarters of all experts where their
// number and the cores' are what they are today (DeepSeek-R1 on eight ranks: 21.6 ms for 16
// sequences, 26.8 for 17).
std::vector<double> expert_steps(const StepSpec& one, double groups, const ExpertsSpec& experts) {
    if (!has_experts(one.model)) return {};
    const double tokens = static_cast<double>(one.passes().front().query) * groups;
    const double rows = tokens * static_cast<double>(one.model.experts_per_token) /
                        static_cast<double>(one.model.routed_experts + experts.redundant);
    std::vector<double> last;
    const auto keep = [&](double wanted) {
        const double sequences = std::floor(wanted + 1e-9);
        if (sequences >= 4) last.push_back(sequences);
    };
    for (const double active : {0.25, 0.5, 0.75}) keep(active / rows);
    for (double tile = 16; tile <= 1024 && tile / rows < (1 << 17); tile *= 2) keep(tile / rows);
    return last;
}

// The half octaves, and both sides of such steps where none of them is near.
std::vector<double> decode_rows(const std::vector<double>& steps, long parts) {
    std::vector<double> values = half_octaves(1 << 17);
    for (const double last : steps) {
        const double whole = last * static_cast<double>(parts);
        values.push_back(whole);
        values.push_back(whole + static_cast<double>(parts));
    }
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
}

// Of `sequences` equal prompts that make about so many tokens: the length whose product ends on the
// same step of the stair, else the nearest.
long even_prompt(double tokens, long sequences) {
    const auto count = static_cast<double>(sequences);
    const long shorter = std::max(1L, static_cast<long>(tokens / count));
    for (const double tile : {64.0, 128.0}) {
        for (const long prompt : {shorter, shorter + 1}) {
            if (std::ceil(static_cast<double>(prompt) * count / tile) == std::ceil(tokens / tile))
                return prompt;
        }
    }
    return std::max(1L, std::lround(tokens / count));
}

// The cell that a value lies in, and how far into it, 0 to 1; ends hold beyond them.
struct Position {
    std::size_t cell;
    double into;
};
Position position(const std::vector<double>& axis, double value) {
    if (value <= axis.front()) return {0, 0};
    if (value >= axis.back()) return {axis.size() - 2, 1};
    const auto above = std::upper_bound(axis.begin(), axis.end(), value);
    const auto cell = static_cast<std::size_t>(above - axis.begin()) - 1;
    return {cell, (value - axis[cell]) / (axis[cell + 1] - axis[cell])};
}

const MemoryNeed& fullest(const std::vector<MemoryNeed>& needs) {
    return *std::max_element(needs.begin(), needs.end(),
                             [](const auto& a, const auto& b) { return a.total() < b.total(); });
}

// Not experts, which have the tokens of all groups, nor what takes tokens there and back.
bool is_of_own_tokens(const AssemblyInput& input, const Task& task) {
    if (task.kind == TaskKind::host) return false;
    const std::string name = name_of(input, task);
    for (const char* shared : {"expert", "dispatch", "combine", "token all-gather", "host_link_"}) {
        if (name.rfind(shared, 0) == 0) return false;
    }
    return true;
}

// Of the step's longest chain.
double own_seconds_of(const AssemblyInput& input) {
    double sum = 0;
    for (const int id : input.record.critical_path) {
        const auto at = static_cast<std::size_t>(id);
        const TaskRecord& record = input.record.tasks[at];
        if (is_of_own_tokens(input, input.program.tasks[at]))
            sum += seconds_of(record.end - record.start);
    }
    return sum;
}

double part_of(const MemoryNeed& need, const std::string& name) {
    for (const auto& [part, size] : need.parts) {
        if (part == name) return size.value();
    }
    return 0;
}

}  // namespace

StepCost operator+(const StepCost& a, const StepCost& b) {
    return {a.seconds + b.seconds,
            a.joules + b.joules,
            a.flops + b.flops,
            a.matrix_flops + b.matrix_flops,
            a.memory_bytes + b.memory_bytes,
            a.feed_forward + b.feed_forward,
            a.own_seconds + b.own_seconds};
}

StepCost operator*(double factor, const StepCost& cost) {
    return {factor * cost.seconds,      factor * cost.joules,       factor * cost.flops,
            factor * cost.matrix_flops, factor * cost.memory_bytes, factor * cost.feed_forward,
            factor * cost.own_seconds};
}

double KvCapacity::total() const {
    double sum = 0;
    for (const MemoryPart& part : parts) sum += part.bytes;
    return sum;
}

StepTable::Grid::Grid(std::vector<double> rows, std::vector<double> columns)
    : rows_(std::move(rows)),
      columns_(std::move(columns)),
      cells_(rows_.size() * columns_.size()) {}

bool StepTable::Grid::filled(std::size_t row, std::size_t column) const {
    return cells_[row * columns_.size() + column].has_value();
}

template <class Work>
StepCost StepTable::Grid::at(double row, double column, const Work& work) {
    const Position r = position(rows_, row), c = position(columns_, column);
    const auto cell = [&](std::size_t i, std::size_t j) -> const StepCost& {
        auto& kept = cells_[i * columns_.size() + j];
        if (!kept) kept = work(rows_[i], columns_[j]);
        return *kept;
    };
    const auto along = [&](std::size_t i) {
        if (c.into == 0) return cell(i, c.cell);
        return (1 - c.into) * cell(i, c.cell) + c.into * cell(i, c.cell + 1);
    };
    if (r.into == 0) return along(r.cell);
    return (1 - r.into) * along(r.cell) + r.into * along(r.cell + 1);
}

StepTable::StepTable(const ModelSpec& model, const SpeculationSpec& speculation,
                     const ResolvedAlternative& replica, Fidelity fidelity,
                     const std::string& cache_folder, std::shared_ptr<DisaggregatedSteps> beside)
    : model_(model),
      speculation_(speculation),
      replica_(replica),
      hardware_(hardware_of(replica)),
      fabric_(rank_fabric(replica.system, replica.chip.ranks)),
      cache_(hardware_, replica.kernels, fidelity, true, RankState::busy),
      file_(cache_folder, cache_),
      decode_(half_octaves(1 << 17), octaves(kShortest, 1 << 21)),
      prefill_(half_octaves(1 << 20), octaves(kShortest, 1 << 21)),
      alone_(stairs(1 << 20, parts_of(replica.pool.mapping)), {0, 1}),
      beside_(std::move(beside)),
      groups_(replica.pool.mapping.data_parallel) {
    const StepSpec one = decode_spec(1, kShortest);
    const PoolSpec& holder = beside_ ? beside_->feed_forward().pool : replica.pool;
    const MappingSpec& mapping = holder.mapping;
    const double sets = std::max(
        1.0, static_cast<double>(mapping.stage_ranks()) / std::max(1, mapping.expert_parallel));
    decode_ = Grid(decode_rows(expert_steps(one, groups_ / sets, holder.experts),
                               replica.pool.mapping.micro_batches),
                   decode_.columns());
    if (beside_) return;
    // Layers of their own popularity, and stages, are all different.
    if (replica.pool.experts.counts.size() <= 1 && replica.pool.mapping.pipeline_parallel == 1)
        fold_ = fold_layers(model, replica.pool.mapping.micro_batches > 1);
}

StepTable::~StepTable() {
    file_.keep(cache_);
}

StepSpec StepTable::decode_spec(double sequences, double context) const {
    StepSpec spec;
    spec.model = model_;
    spec.precision = replica_.pool.precision;
    spec.mapping = replica_.pool.mapping;
    spec.experts = replica_.pool.experts;
    spec.speculation = speculation_;
    spec.engine = *replica_.engine;
    if (hardware_.sram_only) spec.engine.memory_reserve.value = Bytes(0.0);
    const long whole = std::max(1L, std::lround(sequences));
    // Too few sequences for two micro-batches run as one.
    spec.mapping.micro_batches =
        static_cast<int>(std::min<long>(spec.mapping.micro_batches, whole));
    spec.sequences_per_group = std::max<long>(whole, spec.mapping.pipeline_parallel);
    spec.context = std::lround(context) + 1 + speculation_.draft_tokens;
    return spec;
}

// Of one sequence behind a prefix, or of several without, so that each token sees so many. Where
// two micro-batches overlap the tokens of one prompt are cut as well.
StepSpec StepTable::prefill_spec(double tokens, double seen, double& scale) const {
    StepSpec spec = decode_spec(1, seen);
    spec.speculation.draft_tokens = 0;  // a model that drafts reads prompts, too
    spec.phase = Phase::prefill;
    // Prefixes are in the replica's blocks, or come from its tiers (workloads/serving).
    spec.engine.prefix_fetch.reset();
    const auto whole = std::max(1L, std::lround(tokens));
    const long parts = std::min<long>(replica_.pool.mapping.micro_batches, whole);
    const double alone = (static_cast<double>(whole) / static_cast<double>(parts) + 1) / 2;
    if (seen >= alone) {
        spec.prompt = parts == 1 ? whole : even_prompt(tokens, parts);
        spec.context = spec.prompt + std::lround(seen - alone);
        spec.sequences_per_group = parts;
    } else {
        // As many equal prompts, the same number in each part, as see no more than that, each with
        // a prefix for what is missing: to scale a step of more or fewer tokens would scale its
        // latencies too.
        const double longest = std::max(1.0, 2 * seen - 1);
        const double each = static_cast<double>(parts) * longest;
        spec.sequences_per_group =
            parts * std::max(1L, std::lround(std::ceil(tokens / each - 1e-9)));
        spec.prompt = even_prompt(tokens, spec.sequences_per_group);
        const double own = (static_cast<double>(spec.prompt) + 1) / 2;
        spec.context = spec.prompt + std::max(0L, std::lround(seen - own));
    }
    const long least = spec.mapping.pipeline_parallel;
    const double wanted = static_cast<double>(spec.prompt * spec.sequences_per_group);
    spec.sequences_per_group = std::max(spec.sequences_per_group, least);
    spec.mapping.micro_batches = static_cast<int>(
        std::min<long>(replica_.pool.mapping.micro_batches, spec.sequences_per_group));
    scale = spec.sequences_per_group == least && least > 1 ? 1 : tokens / wanted;
    return spec;
}

ServingStep StepTable::build(const StepSpec& spec) const {
    try {
        return build_step(spec);
    } catch (const StepError& error) {
        throw InputError({at_key(replica_.pool, error.key, error.reason)});
    }
}

StepRun StepTable::run(const StepSpec& spec) {
    StepRun ran;
    ran.step = build(spec);
    const Program& program = ran.step.program;
    ran.costs = cost_program(program, cache_, fabric_, replica_.collectives, replica_.ranks);
    ran.record = run_program(program, ran.costs, hardware_, Driver::plain);
    return ran;
}

// `ran` must outlive it.
AssemblyInput StepTable::input_of(const StepRun& ran) const {
    const EngineSpec& engine = *replica_.engine;
    return {
        ran.step.program,
        ran.costs,
        ran.record,
        hardware_,
        fabric_,
        replica_.ranks,
        {engine.kernel_gap.confidence, engine.host_step.confidence, engine.rank_skew.confidence}};
}

StepCost StepTable::work_out(const StepSpec& spec, double scale) {
    ++points_;
    if (beside_) {
        const DisaggregatedCost both = beside_->cost(spec);
        if (!at_rest_) at_rest_ = rest_power(replica_);
        const PoolCost& own = both.attention;
        return scale * StepCost{both.seconds,     own.joules,       own.flops,
                                own.matrix_flops, own.memory_bytes, both.feed_forward};
    }
    RestPower rest, more_rest;
    StepCost cost;
    if (fold_) {
        StepSpec folded = spec;
        folded.model = fold_->few;
        cost = run_cost(folded, rest);
        folded.model = fold_->more;
        const StepCost more = run_cost(folded, more_rest);
        cost = cost + fold_->times * (more + -1.0 * cost);
        rest.package += fold_->times * (more_rest.package - rest.package);
        rest.beside += fold_->times * (more_rest.beside - rest.beside);
    } else {
        cost = run_cost(spec, rest);
    }
    if (!at_rest_) at_rest_ = RestPower{rest.package / cost.seconds, rest.beside / cost.seconds};
    return scale * cost;
}

// `rest`: joules that are drawn whether it works or not.
StepCost StepTable::run_cost(const StepSpec& spec, RestPower& rest) {
    const StepRun step = run(spec);
    const AssemblyInput input = input_of(step);
    const Totals totals = totals_of(input);
    StepCost cost{to_seconds(step.record.end).value(), 0, totals.flops, totals.matrix_flops,
                  totals.hbm_bytes};
    for (const EnergyPart& part : energy_parts(input, replica_, true)) {
        double& sum = !is_at_rest(part) ? cost.joules
                      : part.in_package ? rest.package
                                        : rest.beside;
        sum += part.joules;
    }
    if (groups_ > 1) cost.own_seconds = own_seconds_of(input);
    return cost;
}

StepCost StepTable::decode(double sequences, double context) {
    return decode_.at(sequences, context, [&](double row, double column) {
        return work_out(decode_spec(row, column), 1);
    });
}

// What each token sees of so many in one prompt, or in as many as the step is cut into.
double StepTable::seen_alone(double tokens) const {
    const double parts = std::min<double>(replica_.pool.mapping.micro_batches, tokens);
    return (tokens / parts + 1) / 2;
}

StepCost StepTable::alone(double tokens) {
    return alone_.at(tokens, 0, [&](double row, double) {
        double scale = 1;
        const StepSpec spec = prefill_spec(row, seen_alone(row), scale);
        return work_out(spec, scale);
    });
}

StepCost StepTable::coarse(double tokens, double seen) {
    return prefill_.at(tokens, seen, [&](double row, double column) {
        double scale = 1;
        const StepSpec spec = prefill_spec(row, column, scale);
        return work_out(spec, scale);
    });
}

StepCost StepTable::prefill(double tokens, double seen) {
    // Attention works in blocks of query tokens, of each part.
    const double block = kQueryBlock * replica_.pool.mapping.micro_batches;
    const double rows = tokens <= block / 2 ? tokens : std::ceil(tokens / block) * block;
    const double own = std::max(kShortest, seen_alone(tokens));
    if (seen == own) return alone(tokens);
    return alone(tokens) + coarse(rows, seen) + -1.0 * coarse(rows, own);
}

// Seconds beyond the mean group's, of `tokens`, until the fullest is through.
double StepTable::waiting_for(double fullest, double tokens, double seen) {
    if (!(fullest > tokens)) return 0;
    return std::max(0.0, coarse(fullest, seen).own_seconds - coarse(tokens, seen).own_seconds);
}

StepCost StepTable::cost(const StepLoad& load) {
    const double sequences = load.decodes / groups_, tokens = load.prefill_tokens / groups_;
    if (load.prefill_tokens == 0) return decode(sequences, load.decode_context);
    StepCost cost = prefill(tokens, load.prefill_context);
    cost.seconds += waiting_for(load.fullest_prefill, tokens, load.prefill_context);
    if (load.decodes == 0) return cost;
    const double queries = sequences * (1 + speculation_.draft_tokens);
    return cost + decode(sequences, load.decode_context) + -1.0 * decode(sequences, kShortest) +
           alone(tokens + queries) + -1.0 * alone(tokens);
}

Seconds StepTable::time(const StepLoad& load) {
    return Seconds(cost(load).seconds);
}

StepSpec StepTable::spec_of(const StepLoad& load, double& scale) const {
    scale = 1;
    return load.prefill_tokens > 0
               ? prefill_spec(load.prefill_tokens / groups_, load.prefill_context, scale)
               : decode_spec(load.decodes / groups_, load.decode_context);
}

StepCost StepTable::exact(const StepLoad& load) {
    double scale = 1;
    const StepSpec spec = spec_of(load, scale);
    return work_out(spec, scale);
}

Provenance StepTable::provenance(const StepLoad& load, std::vector<std::string>& warnings) {
    double scale = 1;
    if (beside_) return beside_->provenance(spec_of(load, scale), warnings);
    const StepRun step = run(spec_of(load, scale));
    const AssemblyInput input = input_of(step);
    for (const std::string& warning : assemble(input, false).warnings) {
        if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end())
            warnings.push_back(warning);
    }
    return provenance_of(input);
}

InterpolationError StepTable::error(int samples, std::uint64_t seed) {
    // Cells whose four corners the run has asked for.
    struct TableCell {
        bool decodes;
        double row, rows, column, columns;
    };
    std::vector<TableCell> cells;
    const auto collect = [&](const Grid& grid, bool decodes) {
        for (std::size_t i = 0; i + 1 < grid.rows().size(); ++i) {
            for (std::size_t j = 0; j + 1 < grid.columns().size(); ++j) {
                if (!grid.filled(i, j) || !grid.filled(i + 1, j) || !grid.filled(i, j + 1) ||
                    !grid.filled(i + 1, j + 1))
                    continue;
                cells.push_back({decodes, grid.rows()[i], grid.rows()[i + 1] - grid.rows()[i],
                                 grid.columns()[j], grid.columns()[j + 1] - grid.columns()[j]});
            }
        }
    };
    collect(decode_, true);
    collect(prefill_, false);
    InterpolationError error;
    for (int i = 0; i < samples && !cells.empty(); ++i) {
        const TableCell& cell = cells[random_bits(seed, i, 0) % cells.size()];
        // Whole sequences and tokens, so that nothing but the grid differs.
        const double row = std::round(cell.row + uniform(seed, i, 1) * cell.rows),
                     column = std::round(cell.column + uniform(seed, i, 2) * cell.columns);
        const StepLoad load = cell.decodes ? StepLoad{row * groups_, column, 0, 0}
                                           : StepLoad{0, 0, row * groups_, column};
        const double off = std::abs(cost(load).seconds / exact(load).seconds - 1);
        error.mean += off;
        error.worst = std::max(error.worst, off);
        ++error.samples;
    }
    if (error.samples > 0) error.mean /= static_cast<double>(error.samples);
    return error;
}

double StepTable::expert_imbalance(double sequences, double context) const {
    if (beside_) return beside_->cost(decode_spec(sequences, context)).imbalance;
    return build(decode_spec(sequences, context)).expert_imbalance.value_or(1.0);
}

std::optional<ServingStep::Offloaded> StepTable::offloaded(double sequences, double context) const {
    if (beside_ || !replica_.pool.experts.offload.is_used()) return {};
    return build(decode_spec(sequences, context)).offloaded;
}

StepSpec StepTable::smallest() const {
    return decode_spec(1, kShortest);
}

DisaggregatedCost StepTable::disaggregated(const StepLoad& load) {
    double scale = 1;
    return beside_->cost(spec_of(load, scale));
}

KvCapacity StepTable::memory_beside(const SchedulerKnobs& knobs) const {
    KvCapacity result;
    result.capacity = beside_->feed_forward_capacity();
    const StepSpec largest = decode_spec(static_cast<double>(knobs.max_num_seqs), kShortest);
    for (const auto& [part, size] : beside_->memory_of_feed_forward(largest).parts)
        if (size > Bytes(0.0)) result.parts.push_back({part, size.value()});
    return result;
}

RestPower StepTable::at_rest() {
    if (!at_rest_) (void)exact({groups_, kShortest, 0, 0});
    return *at_rest_;
}

// Of the fullest rank, with `utilization` of its memory to take:
//   cache = utilization x capacity - weights - activations of the largest batch - reserve
//   blocks = (cache - sequences x fixed part) / (block_size x bytes a token)
KvCapacity StepTable::capacity(const SchedulerKnobs& knobs, double utilization,
                               long max_model_len) const {
    KvCapacity result;
    const auto memory = [&](const StepSpec& spec) {
        return beside_ ? beside_->memory_of_attention(spec)
                       : fullest(step_memory(spec, expert_layout(spec)));
    };
    const long longest = std::max(max_model_len, 2L);
    StepSpec one = decode_spec(1, static_cast<double>(longest));
    one.context = longest;
    one.sequences_per_group = std::max(one.mapping.pipeline_parallel, 1);
    const auto sequences = static_cast<double>(one.sequences_per_group);
    const MemoryNeed whole = memory(one);
    const long middle = longest / 2;
    one.context = middle;
    const double half = part_of(memory(one), "KV cache") / sequences,
                 full = part_of(whole, "KV cache") / sequences;
    result.bytes_per_token = (full - half) / static_cast<double>(longest - middle);
    result.fixed_per_sequence =
        std::max(0.0, full - result.bytes_per_token * static_cast<double>(longest));
    double scale = 1;
    StepSpec work = prefill_spec(static_cast<double>(knobs.max_num_batched_tokens),
                                 static_cast<double>(knobs.max_num_batched_tokens), scale);
    const StepSpec batch = decode_spec(static_cast<double>(knobs.max_num_seqs), kShortest);
    const MemoryNeed reading = memory(work), writing = memory(batch);
    const double fetched =
        std::max(part_of(reading, "expert buffers"), part_of(writing, "expert buffers"));
    if (fetched > 0) result.parts.push_back({"expert buffers", fetched});
    const double activations =
                     std::max(part_of(reading, "activations"), part_of(writing, "activations")),
                 buffers = std::max(part_of(reading, "exchange buffers"),
                                    part_of(writing, "exchange buffers"));
    result.capacity = hardware_.hbm_capacity.value();
    double taken = fetched;
    if (replica_.pool.mapping.context_parallel() > 1) {
        StepSpec long_prompt = prefill_spec(1, static_cast<double>(longest), scale);
        const double passed = part_of(memory(long_prompt), "context buffers");
        if (passed > 0) result.parts.push_back({"context buffers", passed});
        taken += passed;
    }
    for (const auto& [part, size] : whole.parts) {
        const double bytes = part == "activations"        ? activations
                             : part == "exchange buffers" ? buffers
                             : part == "KV cache"         ? 0
                             : part == "expert buffers"   ? 0
                                                          : size.value();
        if (!(bytes > 0)) continue;
        result.parts.push_back({part, bytes});
        taken += bytes;
    }
    const double fixed = result.fixed_per_sequence * static_cast<double>(knobs.max_num_seqs);
    const double left = utilization * result.capacity - taken - fixed;
    const double block = result.bytes_per_token * static_cast<double>(knobs.block_size);
    if (!(left > 0)) return result;
    // A model whose state does not grow is limited by max_num_seqs alone.
    const double most =
        static_cast<double>(knobs.max_num_seqs) *
        std::ceil(static_cast<double>(longest) / static_cast<double>(knobs.block_size));
    const double blocks = block > 0 ? std::floor(left / block) : most;
    result.parts.push_back({"KV cache", fixed + blocks * block});
    result.blocks = static_cast<long>(blocks * groups_);
    return result;
}

// One sequence a micro-batch, so that what is said of them is what was asked for.
void StepTable::require_laid_out() const {
    StepSpec smallest = decode_spec(1, kShortest);
    if (beside_) return beside_->require_laid_out(smallest);
    double scale = 1;
    StepSpec reading = prefill_spec(kPromptChecked, kShortest, scale);
    std::vector<Diagnostic> problems;
    for (StepSpec* spec : {&smallest, &reading}) {
        spec->mapping.micro_batches = replica_.pool.mapping.micro_batches;
        spec->sequences_per_group =
            std::max<long>(spec->sequences_per_group, spec->mapping.micro_batches);
        for (const StepError& problem : step_problems(*spec)) {
            Diagnostic one = at_key(replica_.pool, problem.key, problem.reason);
            if (std::none_of(problems.begin(), problems.end(),
                             [&](const Diagnostic& known) { return known.path == one.path; }))
                problems.push_back(std::move(one));
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

void StepTable::check(long most) {
    std::vector<Diagnostic> problems;
    const StepSpec smallest = decode_spec(1, kShortest);
    if (beside_) return beside_->check(smallest, decode_spec(static_cast<double>(most), kShortest));
    require_laid_out();
    require_host_memory(replica_, smallest);
    double scale = 1;
    for (const StepSpec& spec : {smallest, prefill_spec(kPromptChecked, kShortest, scale)}) {
        const ServingStep step = build(spec);
        const CostProblems costs =
            cost_problems(step.program, cache_, fabric_, replica_.collectives, replica_.ranks);
        for (const auto& what : costs.operators)
            problems.push_back(
                at_key(replica_.pool, replica_.pool.tiling ? "tiling" : "precision", what));
        for (const auto& what : costs.transfers)
            problems.push_back(at_key(replica_.pool, "collectives", what));
        if (!problems.empty()) throw InputError(std::move(problems));
    }
}

}  // namespace podsim

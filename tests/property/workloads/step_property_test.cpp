// What holds for every model, mapping and engine that a decode step can be built for.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}
int any_int(int least, int most) {
    return *rc::gen::inRange(least, most + 1);
}

ModelSpec any_model(int tensor_parallel) {
    ModelSpec model = r1();
    const long layers = any(1, 6);
    model.layers = dense_then_experts(layers, any(0, layers));
    model.hidden = any(1, 40) * 32;
    model.vocabulary = any(1, 50) * tensor_parallel;
    latent(model).heads = any(1, 8) * tensor_parallel;
    latent(model).query_rank = any(0, 60);
    latent(model).kv_rank = any(1, 60);
    model.dense_intermediate = any(1, 50) * tensor_parallel;
    model.expert_intermediate = any(1, 50);
    model.expert_groups = model.groups_per_token = 1;
    model.routed_experts = any(1, 64);
    model.experts_per_token = any(1, model.routed_experts);
    model.shared_intermediate = any(0, 2) * model.expert_intermediate;
    model.draft_layers = 1;
    model.scale_block = *rc::gen::element(0L, 32L, 128L);
    return model;
}

DType any_format() {
    return *rc::gen::element(DType::bf16, DType::fp8, DType::int8, DType::fp4);
}

// Any step that adds up: groups of ranks, ranks for the shared expert or not, copies so that the
// experts divide.
StepSpec any_step() {
    StepSpec spec;
    const int tensor = *rc::gen::element(1, 2, 4);
    spec.model = any_model(tensor);
    spec.precision.weights = spec.precision.experts = any_format();
    spec.precision.activations = any_format();
    spec.precision.dispatch = any_format();
    spec.precision.combine = any_format();
    const int shared = spec.model.shared_intermediate > 0 ? any_int(0, 3) * tensor : 0;
    const int routed = any_int(1, 8) * tensor;
    const int expert_parallel = routed + shared, groups = any_int(1, 3);
    spec.mapping = {expert_parallel * groups / tensor, tensor, expert_parallel, 1, any_int(1, 2)};
    const long missing = (routed - spec.model.routed_experts % routed) % routed;
    spec.experts.redundant = static_cast<int>(missing) + routed * any_int(0, 1);
    spec.experts.shared_ranks = shared;
    spec.speculation = {any_int(0, 3), 0.5};
    spec.engine = bare_engine();
    spec.engine.overlap = *rc::gen::element(Overlap::two_batch, Overlap::partitioned);
    spec.engine.attention_core_share = spec.engine.expert_core_share = 0.5;
    spec.engine.experts_first = *rc::gen::arbitrary<bool>();
    if (spec.engine.overlap == Overlap::two_batch) spec.engine.expert_parts = any_int(1, 4);
    if (spec.engine.overlap == Overlap::two_batch && spec.engine.expert_parts == 1)
        spec.engine.order = *rc::gen::element(KernelOrder::earliest, KernelOrder::staged);
    if (*rc::gen::arbitrary<bool>()) spec.engine.fused.push_back(Fusion::vector_chains);
    if (*rc::gen::arbitrary<bool>()) spec.engine.fused.push_back(Fusion::mla_prolog);
    spec.sequences_per_group = any(4, 30);
    spec.context = any(4, 3000);
    if (spec.mapping.micro_batches == 1) {
        spec.mapping.pipeline_parallel =
            std::min(any_int(1, 4), static_cast<int>(layer_count(spec.model)));
    }
    return spec;
}

double ceil_of(double a, double b) {
    return std::ceil(a / b - 1e-12);
}

// Matrix work of the whole step from the sizes of the model alone. Each rank of a group computes
// the down-projections of all the group's tokens; experts work on whole tokens.
double closed_form(const StepSpec& spec) {
    const ModelSpec& m = spec.model;
    const double tensor = spec.mapping.tensor_parallel, groups = spec.mapping.data_parallel;
    const double ranks = tensor * groups, expert_parallel = spec.mapping.expert_parallel;
    const double shared_ranks = spec.experts.shared_ranks,
                 routed_ranks = expert_parallel - shared_ranks;
    const LatentAttention& a = latent(m);
    const double d = static_cast<double>(m.hidden), r = static_cast<double>(a.kv_rank),
                 p = static_cast<double>(a.rope_head_dim), q = static_cast<double>(a.query_rank),
                 n = static_cast<double>(a.nope_head_dim),
                 v = static_cast<double>(a.value_head_dim), heads = static_cast<double>(a.heads),
                 s = static_cast<double>(spec.context);
    const double down = d * (q + r + p) * tensor;
    const double up = (a.query_rank > 0 ? q : d) * heads * (n + p);
    const double absorbed = heads * r * (n + v), output = heads * v * d;
    const double core = heads * s * (2 * r + p);
    const double expert = 3 * d * static_cast<double>(m.expert_intermediate),
                 shared_expert = 3 * d * static_cast<double>(m.shared_intermediate);
    const double top_k = static_cast<double>(m.experts_per_token);
    const double head = d * static_cast<double>(m.vocabulary);

    // Multiply-adds of all ranks in one layer, for `tokens` of each group.
    const auto attention = [&](double tokens) {
        return groups * tokens * (down + up + absorbed + output + core);
    };
    const auto moe = [&](double tokens) {
        const double own = ceil_of(tokens, tensor);
        const double arriving = own * expert_parallel * top_k / routed_ranks;
        const double done = ceil_of(arriving, 1);  // a rank's rows, however its experts share them
        const double shared_tokens =
            shared_ranks > 0 ? shared_ranks * ceil_of(own * expert_parallel, shared_ranks)
                             : expert_parallel * own;
        const double expert_groups = ranks / expert_parallel;
        return ranks * own * d * static_cast<double>(m.routed_experts) +
               expert_groups * (expert * routed_ranks * done + shared_expert * shared_tokens);
    };
    const double all = static_cast<double>(spec.sequences_per_group);
    const double query = 1 + spec.speculation.draft_tokens;
    double sum = 0;
    // Micro-batches or pipeline batches, as even as whole sequences allow.
    const int parts = spec.mapping.micro_batches * spec.mapping.pipeline_parallel;
    for (int part = 0; part < parts; ++part) {
        const double sequences = std::floor((all + parts - 1 - part) / parts);
        const double tokens = sequences * query;
        const double layers = static_cast<double>(layer_count(m));
        const double moe_layers = static_cast<double>(expert_layers(m));
        const double dense_layers = layers - moe_layers;
        sum += layers * attention(tokens) + moe_layers * moe(tokens) +
               dense_layers * groups * tokens * 3 * d * static_cast<double>(m.dense_intermediate) +
               groups * tokens * head;
        for (int pass = 0; pass < spec.speculation.draft_tokens; ++pass) {
            const double drafted = pass == 0 ? tokens : sequences;
            sum += groups * tensor * drafted * 2 * d * d + attention(drafted) + moe(drafted) +
                   groups * sequences * head;
        }
    }
    return 2 * sum;
}

double matrix_work(const Program& program) {
    double sum = 0;
    const auto of = [&](int op) {
        return matrix_work_of(program.operators[static_cast<std::size_t>(op)].body).value();
    };
    for (const Task& task : program.tasks) {
        const double count = program.classes[static_cast<std::size_t>(task.rank_class)].count;
        if (task.kind == TaskKind::compute) sum += count * of(task.body);
        if (task.kind != TaskKind::pipeline) continue;
        for (const int op : program.pipelines[static_cast<std::size_t>(task.body)].operators)
            sum += count * of(op);
    }
    return sum;
}

TEST(DecodeProperty, EveryStepThatAddsUpIsAValidProgramOfTheModelsWork) {
    EXPECT_TRUE(rc::check([] {
        const StepSpec spec = any_step();
        const ServingStep step = build_step(spec);
        require_valid(step.program);
        int ranks = 0;
        for (const RankClass& each : step.program.classes) ranks += each.count;
        RC_ASSERT(ranks == spec.mapping.ranks());
        const double expected = closed_form(spec);
        RC_ASSERT(std::abs(matrix_work(step.program) - expected) <= 1e-12 * expected);
    }));
}

// How tokens meet their experts changes nothing about the work.
TEST(DecodeProperty, GatheredTokensAreTheSameWork) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        spec.mapping.data_parallel *= spec.mapping.tensor_parallel;
        spec.mapping.tensor_parallel = 1;
        spec.mapping.expert_parallel -= spec.experts.shared_ranks;
        spec.mapping.data_parallel = spec.mapping.expert_parallel * any_int(1, 3);
        spec.experts.shared_ranks = 0;
        const double sent = matrix_work(build_step(spec).program);
        spec.experts.exchange = ExpertExchange::gather;
        const ServingStep step = build_step(spec);
        require_valid(step.program);
        RC_ASSERT(std::abs(matrix_work(step.program) - sent) <= 1e-12 * sent);
    }));
}

// Two stages work on the same two halves of a step as two micro-batches do: the same work, and
// every layer meets every batch once on the ranks of its stage.
TEST(DecodeProperty, StagesShareTheWorkOut) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        RC_PRE(layer_count(spec.model) >= 2);
        spec.mapping.micro_batches = 2;
        spec.mapping.pipeline_parallel = 1;
        const double in_turn = matrix_work(build_step(spec).program);
        spec.mapping.micro_batches = 1;
        spec.mapping.pipeline_parallel = 2;
        const double staged = matrix_work(build_step(spec).program);
        RC_ASSERT(std::abs(staged - in_turn) <= 1e-12 * in_turn);

        spec.mapping.pipeline_parallel =
            std::min(any_int(2, 4), static_cast<int>(layer_count(spec.model)));
        const ServingStep step = build_step(spec);
        const auto of_stage =
            step.program.classes.size() / static_cast<std::size_t>(spec.mapping.pipeline_parallel);
        std::map<std::pair<int, int>, std::set<std::size_t>> stages;  // by layer and batch
        std::map<std::pair<int, int>, int> cores;                     // attention's, of one class
        for (const Task& task : step.program.tasks) {
            if (task.layer < 0) continue;
            const auto rank_class = static_cast<std::size_t>(task.rank_class);
            const std::pair where(task.layer, task.micro_batch);
            stages[where].insert(rank_class / of_stage);
            if (rank_class % of_stage != 0 || task.kind != TaskKind::compute) continue;
            const auto& op = step.program.operators[static_cast<std::size_t>(task.body)];
            if (std::holds_alternative<Attention>(op.body)) ++cores[where];
        }
        const auto batches = static_cast<std::size_t>(spec.mapping.pipeline_parallel);
        RC_ASSERT(stages.size() == batches * spec.model.layers.size());
        for (const auto& [where, seen] : stages) RC_ASSERT(seen.size() == 1u);
        for (const auto& [where, times] : cores) RC_ASSERT(times == 1);
    }));
}

// Experts of unequal popularity, drawn or counted.
void make_uneven(StepSpec& spec) {
    ExpertsSpec& experts = spec.experts;
    experts.placement = *rc::gen::element(ExpertPlacement::contiguous, ExpertPlacement::eplb);
    experts.popularity =
        *rc::gen::element(Popularity::uniform, Popularity::zipf, Popularity::histogram);
    experts.zipf_exponent = 0.1 * static_cast<double>(any(0, 20));
    // Where a token takes at most a quarter of the experts, counts of 1 to 3 give none more than
    // one assignment a token.
    const long layers = any(1, 3);
    for (long layer = 0; layer < layers; ++layer) {
        ExpertCounts counted{2 * layer, {}};
        for (long i = 0; i < spec.model.routed_experts; ++i)
            counted.counts.push_back(spec.model.experts_per_token > spec.model.routed_experts / 4
                                         ? 1.0
                                         : static_cast<double>(any(1, 3)));
        experts.counts.push_back(std::move(counted));
    }
}

// The ranks wait for the busiest; together they do what balanced ones do, but for whole tokens.
TEST(DecodeProperty, UnevenStepsAreValidAndKeepTheWork) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        const double balanced = matrix_work(build_step(spec).program);
        make_uneven(spec);
        const ServingStep step = build_step(spec);
        require_valid(step.program);
        RC_ASSERT(step.memory.size() == step.program.classes.size());
        int ranks = 0;
        for (const RankClass& each : step.program.classes) ranks += each.count;
        RC_ASSERT(ranks == spec.mapping.ranks());
        const ModelSpec& m = spec.model;
        const double slots = static_cast<double>(m.routed_experts + spec.experts.redundant) *
                             spec.mapping.stage_ranks() / spec.mapping.expert_parallel;
        const double passes = static_cast<double>(expert_layers(m)) +
                              static_cast<double>(spec.speculation.draft_tokens);
        const double rounding = slots * passes * spec.mapping.micro_batches *
                                spec.mapping.pipeline_parallel * 6 *
                                static_cast<double>(m.hidden * m.expert_intermediate);
        RC_ASSERT(std::abs(matrix_work(step.program) - balanced) <= rounding + 1e-9 * balanced);
        const bool moe = expert_layers(m) > 0 || spec.speculation.draft_tokens > 0;
        RC_ASSERT(step.expert_imbalance.has_value() == moe);
        if (moe) RC_ASSERT(*step.expert_imbalance >= 1 - 1e-9);
    }));
}

TEST(DecodeProperty, FusionKeepsTheWork) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        const double with = total_work(build_step(spec).program).value();
        spec.engine.fused = {};
        const double without = total_work(build_step(spec).program).value();
        RC_ASSERT(std::abs(with - without) <= 1e-12 * without);
    }));
}

// What leaves a rank arrives somewhere; every assignment has its place in some expert's batch.
TEST(DecodeProperty, TokensAreConserved) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        if (*rc::gen::arbitrary<bool>()) make_uneven(spec);
        const ExpertLayout layout = expert_layout(spec);
        const auto tokens = static_cast<double>(any(1, 500));
        const ExpertLoad load = expert_load(spec, layout, tokens, layout.balance_of(any(0, 6)));
        for (const Transfer* transfer : {&load.dispatch, &load.combine}) {
            double sent = 0, received = 0, members = 0;
            for (const TransferShare& share : transfer->shares) {
                sent += share.ranks * share.send.value();
                received += share.ranks * share.receive.value();
                members += share.ranks;
            }
            RC_ASSERT(members == layout.group_ranks);
            RC_ASSERT(std::abs(sent - received) <= 1e-9 * sent);
        }
        // Of the group: assignments, and on each rank the whole rows that they are rounded up to.
        const double assigned =
            tokens * static_cast<double>(spec.model.experts_per_token) * layout.group_ranks;
        const int busiest = layout.uneven() ? 1 : layout.routed_ranks;
        const double rows =
            static_cast<double>(load.here.rows()) * busiest +
            static_cast<double>(load.elsewhere.rows()) * (layout.routed_ranks - busiest);
        RC_ASSERT(rows >= assigned * (1 - 1e-9));
        RC_ASSERT(rows < assigned * (1 + 1e-9) + layout.routed_ranks);
        RC_ASSERT(load.here.active_experts <= layout.slots_per_rank);
        RC_ASSERT(load.elsewhere.active_experts <= layout.slots_per_rank);
        RC_ASSERT(load.imbalance >= 1 - 1e-9);
    }));
}

// Twice the groups, each with the same work and its own experts: the same program for twice as
// many ranks.
TEST(DecodeProperty, MoreGroupsDoTheSame) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        const ServingStep one = build_step(spec);
        spec.mapping.data_parallel *= 2;
        const ServingStep two = build_step(spec);
        RC_ASSERT(one.program.tasks.size() == two.program.tasks.size());
        RC_ASSERT(one.program.operators.size() == two.program.operators.size());
        for (std::size_t i = 0; i < one.program.operators.size(); ++i)
            RC_ASSERT(one.program.operators[i].body == two.program.operators[i].body);
        for (std::size_t i = 0; i < one.program.transfers.size(); ++i) {
            Transfer farther = one.program.transfers[i];
            // The next stage begins after twice as many ranks.
            if (farther.type == TransferType::send_recv) farther.stride *= 2;
            RC_ASSERT(farther == two.program.transfers[i]);
        }
        for (std::size_t c = 0; c < one.program.classes.size(); ++c) {
            RC_ASSERT(2 * one.program.classes[c].count == two.program.classes[c].count);
            RC_ASSERT(one.memory[c].total() == two.memory[c].total());
        }
    }));
}

// A longer context or one more sequence never needs less memory.
TEST(DecodeProperty, MemoryGrowsWithWhatIsHeld) {
    EXPECT_TRUE(rc::check([] {
        StepSpec spec = any_step();
        const auto fullest = [&] {
            Bytes most(0.0);
            for (const MemoryNeed& need : build_step(spec).memory) most = max(most, need.total());
            return most;
        };
        const Bytes before = fullest();
        spec.context += any(0, 100);
        const Bytes longer = fullest();
        RC_ASSERT(longer >= before);
        spec.sequences_per_group += any(0, 10);
        RC_ASSERT(fullest() >= longer);
    }));
}

}  // namespace
}  // namespace podsim

// Passes by hand. With T tokens of a micro-batch, hidden h, FFN 4 h, a layer's products are 24 T
// h^2 FLOP forward (3 h^2 + h^2 + 8 h^2 multiply-adds a token) and twice that backward.
#include "workloads/training_pass.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/training.hpp"
#include "tests/unit/workloads/training_jobs.hpp"
#include "workloads/training_muon.hpp"

namespace podsim {
namespace {

double products(const Program& program) {
    double sum = 0;
    for (const Task& task : program.tasks) {
        for (const int op : operators_of(program, static_cast<int>(&task - program.tasks.data()))) {
            const auto& body = program.operators[static_cast<std::size_t>(op)].body;
            if (std::holds_alternative<Gemm>(body)) sum += work_of(body).value();
        }
    }
    return sum;
}

// Bytes of all transfers of a type, of one rank's calls.
double moved(const Program& program, TransferType type) {
    double sum = 0;
    for (const TransferInstance& one : program.instances) {
        const Transfer& transfer = program.transfers[static_cast<std::size_t>(one.transfer)];
        if (transfer.type == type) sum += transfer.size.value();
    }
    return sum;
}

Program layers(const TrainingJob& job, const TrainingPlan& plan, PassKind kind, long count = 2) {
    PassRequest request;
    request.kind = kind;
    request.position.begin = 2;
    request.position.end = 2 + count;
    if (kind == PassKind::overlapped) request.backward = request.position;
    Program program = build_pass(job, plan, request);
    require_valid(program);
    return program;
}

constexpr double T = 2 * 512, h = 1024;

// mlp: 16 T h^2 of a layer's 24 again; layernorm no product; core_attn attention alone.
TEST(TrainingPass, ModulesRunAgainInTheBackwardPass) {
    using Module = RecomputeModule;
    const TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.micro_batch = 2;
    const auto more = [&](const RecomputeModules& modules, PassKind kind) {
        const Program usual = layers(job, plan, kind);
        TrainingPlan again = plan;
        again.recompute = RecomputeChoice(modules);
        const Program with = layers(job, again, kind);
        return std::pair(products(with) - products(usual), with.tasks.size() - usual.tasks.size());
    };
    EXPECT_NEAR(more({Module::mlp}, PassKind::backward).first, 2 * 16 * T * h * h, 1);
    EXPECT_NEAR(more({Module::mlp}, PassKind::input_gradient).first, 2 * 16 * T * h * h, 1);
    EXPECT_EQ(more({Module::mlp}, PassKind::weight_gradient).second, 0u);
    EXPECT_EQ(more({Module::mlp}, PassKind::forward).second, 0u);
    EXPECT_EQ(more({Module::layernorm}, PassKind::backward), std::pair(0.0, std::size_t{4}));
    EXPECT_EQ(more({Module::core_attn}, PassKind::backward), std::pair(0.0, std::size_t{2}));
    // GeLU is in the block that runs again anyway.
    EXPECT_EQ(more({Module::mlp, Module::moe_act}, PassKind::backward),
              more({Module::mlp}, PassKind::backward));
}

// moe: all of a layer with experts but attention's 8 T h^2, its exchange too; shared_experts a
// block of 4 T h x width.
TEST(TrainingPass, ExpertsRunAgainWithTheirExchange) {
    using Module = RecomputeModule;
    TrainingJob job = small_moe();
    job.model.shared_intermediate = 512;
    TrainingPlan plan;
    plan.micro_batch = 2;
    plan.data_parallel = plan.expert_parallel = 4;
    const Program forward = layers(job, plan, PassKind::forward);
    const Program usual = layers(job, plan, PassKind::backward);
    plan.recompute = RecomputeChoice({Module::moe});
    const Program all = layers(job, plan, PassKind::backward);
    EXPECT_NEAR(products(all) - products(usual), products(forward) - 2 * 8 * T * h * h, 1);
    EXPECT_NEAR(moved(all, TransferType::dispatch),
                moved(usual, TransferType::dispatch) + moved(forward, TransferType::dispatch), 1);
    EXPECT_NEAR(moved(all, TransferType::combine),
                moved(usual, TransferType::combine) + moved(forward, TransferType::combine), 1);
    plan.recompute = RecomputeChoice({Module::shared_experts});
    const Program shared = layers(job, plan, PassKind::backward);
    EXPECT_NEAR(products(shared) - products(usual), 2 * 4 * T * h * 512, 1);
    EXPECT_EQ(moved(shared, TransferType::dispatch), moved(usual, TransferType::dispatch));
    plan.recompute = RecomputeChoice({Module::moe_act});
    const Program activations = layers(job, plan, PassKind::backward);
    EXPECT_EQ(products(activations), products(usual));
    EXPECT_EQ(activations.tasks.size(), usual.tasks.size() + 2);
}

TEST(TrainingPass, WorkOfEachHalf) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.micro_batch = 2;
    const double forward = 2 * 24 * T * h * h;
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::forward)), forward);
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::backward)), 2 * forward);
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::input_gradient)), forward);
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::weight_gradient)), forward);
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::overlapped)), 3 * forward);
    plan.recompute = RecomputePolicy::full;
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::backward)), 3 * forward);
}

TEST(TrainingPass, TensorParallelDividesProductsAndMovesRows) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.micro_batch = 2;
    plan.tensor_parallel = 4;
    const double rows = T * h * 2;
    const Program plain = layers(job, plan, PassKind::forward, 1);
    EXPECT_DOUBLE_EQ(products(plain), 24 * T * h * h / 4);
    EXPECT_DOUBLE_EQ(moved(plain, TransferType::all_reduce), 2 * rows);
    plan.more.sequence_parallel = true;
    const Program divided = layers(job, plan, PassKind::forward, 1);
    EXPECT_DOUBLE_EQ(moved(divided, TransferType::all_reduce), 0);
    EXPECT_DOUBLE_EQ(moved(divided, TransferType::all_gather), 2 * rows);
    EXPECT_DOUBLE_EQ(moved(divided, TransferType::reduce_scatter), 2 * rows);
    // Backward two collectives change places, and operands of two products are gathered again.
    const Program back = layers(job, plan, PassKind::backward, 1);
    EXPECT_DOUBLE_EQ(moved(back, TransferType::all_gather), 4 * rows);
    EXPECT_DOUBLE_EQ(moved(back, TransferType::reduce_scatter), 2 * rows);
}

// Of each pass the way there and back; 2 of 8 experts a token, BF16: 2 x 1,024 x 2 bytes a token.
TEST(TrainingPass, ExpertsExchangeTokensBothWays) {
    const TrainingJob job = small_moe();
    TrainingPlan plan;
    plan.micro_batch = 2;
    plan.data_parallel = plan.expert_parallel = 4;
    for (const PassKind kind : {PassKind::forward, PassKind::backward, PassKind::input_gradient}) {
        const Program program = layers(job, plan, kind, 1);
        EXPECT_DOUBLE_EQ(moved(program, TransferType::dispatch), T * 2 * h * 2);
        EXPECT_DOUBLE_EQ(moved(program, TransferType::combine), T * 2 * h * 2);
    }
    EXPECT_DOUBLE_EQ(moved(layers(job, plan, PassKind::weight_gradient, 1), TransferType::combine),
                     0);
    // 4 ranks x T tokens x 2 over 8 experts: T rows on each of the 2 experts of a rank, 4 h m FLOP
    // each; attention 8 h^2; the router h x 8 a token.
    const double expected = 2 * T * 4 * h * 2048 + 8 * T * h * h + 2 * T * h * 8;
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::forward, 1)), expected);
}

TEST(TrainingPass, UnevenExpertsHaveABusiestRank) {
    TrainingJob job = small_moe();
    job.experts.popularity = Popularity::zipf;
    job.experts.zipf_exponent = 1;
    TrainingPlan plan;
    plan.data_parallel = plan.expert_parallel = 4;
    const Program program = layers(job, plan, PassKind::forward, 1);
    ASSERT_EQ(program.classes.size(), 2U);
    EXPECT_EQ(program.classes[0].count + program.classes[1].count, 4);
}

// Scores through memory: 4 heads of 16 a rank, 512 x 512 scores each of 2 sequences.
TEST(TrainingPass, AttentionWithoutAFusedKernel) {
    TrainingJob job = small_gpt();
    job.engine.training->flash_attention = false;
    job.dropout = true;
    TrainingPlan plan;
    plan.micro_batch = 2;
    plan.tensor_parallel = 4;
    const Program program = layers(job, plan, PassKind::forward, 1);
    const double square = 2 * 2.0 * 512 * 512 * 64 * 2 * 4;
    EXPECT_DOUBLE_EQ(products(program), 24 * T * h * h / 4 + square);
    bool softmax = false;
    for (const Operator& op : program.operators) {
        const auto* work = std::get_if<VectorWork>(&op.body);
        if (work == nullptr || work->op != "softmax") continue;
        softmax = true;
        EXPECT_DOUBLE_EQ(work->elements, 2.0 * 4 * 512 * 512);
        EXPECT_DOUBLE_EQ(work->read, 2 * work->elements);
    }
    EXPECT_TRUE(softmax);
}

// ZeRO 1 scatters gradients of FP32 and gathers weights of BF16, 12 h^2 and two norms a layer.
TEST(TrainingPass, ReplicasMoveWhatLayersHold) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.data_parallel = 4;
    PassRequest request;
    request.position.begin = 2;
    request.position.end = 3;
    const double held = 12 * h * h + 2 * h;
    request.kind = PassKind::forward;
    request.gathers = true;
    EXPECT_DOUBLE_EQ(moved(build_pass(job, plan, request), TransferType::all_gather), 2 * held);
    request.kind = PassKind::backward;
    request.gathers = false;
    request.reduces = true;
    EXPECT_DOUBLE_EQ(moved(build_pass(job, plan, request), TransferType::reduce_scatter), 4 * held);
    plan.zero_stage = 0;
    EXPECT_DOUBLE_EQ(moved(build_pass(job, plan, request), TransferType::all_reduce), 4 * held);
}

// Of two passes that run as one, weight gradients lie beside the chain, but where their sums are
// waited for: each layer's reduction follows the last of its own. 12 h^2 + 2 h parameters a layer,
// 4 bytes.
TEST(TrainingPass, GradientsThatAreReducedAreNotPutOff) {
    TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.data_parallel = 4;
    plan.zero_stage = 2;
    for (const bool hidden : {true, false}) {
        job.engine.training->overlap_gradients = hidden;
        PassRequest request;
        request.kind = PassKind::overlapped;
        request.position = request.backward = {2, 4};
        request.reduces = true;
        const Program program = build_pass(job, plan, request);
        require_valid(program);
        EXPECT_DOUBLE_EQ(moved(program, TransferType::reduce_scatter),
                         2 * 4 * (12 * h * h + 2 * h));
        int reductions = 0, waited = 0;
        std::ptrdiff_t of_a_layer = 0;
        for (const Task& task : program.tasks) {
            for (const int before : task.after) {
                const Task& of = program.tasks[static_cast<std::size_t>(before)];
                if (of.kind == TaskKind::transfer && task.kind != TaskKind::transfer) ++waited;
            }
            if (task.kind != TaskKind::transfer) continue;
            ++reductions;
            // All that it waits for: the weight gradients of its layer, and of those before it.
            std::set<int> reached(task.after.begin(), task.after.end());
            std::vector<int> row(task.after.begin(), task.after.end());
            std::ptrdiff_t weights = 0;
            for (std::size_t i = 0; i < row.size(); ++i) {
                const Task& of = program.tasks[static_cast<std::size_t>(row[i])];
                if (of.kind == TaskKind::compute &&
                    program.operators[static_cast<std::size_t>(of.body)].name.find(
                        "weight_gradient") != std::string::npos)
                    ++weights;
                for (const int before : of.after)
                    if (reached.insert(before).second) row.push_back(before);
            }
            EXPECT_GT(weights, 0);
            EXPECT_EQ(weights % reductions, 0);
            if (reductions == 1) of_a_layer = weights;
            EXPECT_EQ(weights, reductions * of_a_layer);
        }
        EXPECT_EQ(reductions, 2);
        const auto put_off = [](const Program& pass) {
            return std::count_if(pass.tasks.begin(), pass.tasks.end(),
                                 [](const Task& task) { return task.priority < 0; });
        };
        EXPECT_EQ(put_off(program), 0);
        request.reduces = false;
        EXPECT_GT(put_off(build_pass(job, plan, request)), 0);
        // Where the engine hides none, the next layer begins after it.
        EXPECT_EQ(waited, hidden ? 0 : 1);
    }
}

// Ranks that share a sequence have a c-th of the pairs of a causal mask, s (s + 1) / 2 each.
TEST(TrainingPass, ContextParallelDividesThePairs) {
    const TrainingJob job = small_gpt();
    const auto pairs = [&](int ranks) {
        TrainingPlan plan;
        plan.more.context_parallel = ranks;
        for (const Operator& op : layers(job, plan, PassKind::forward, 1).operators) {
            if (const auto* attention = std::get_if<Attention>(&op.body))
                return visible_pairs(*attention);
        }
        return 0.0;
    };
    EXPECT_DOUBLE_EQ(pairs(1), 512.0 * 513 / 2);
    EXPECT_NEAR(pairs(4), 512.0 * 513 / 2 / 4, 512.0);
}

// Room for half of an even share: half of the rows, half of the bytes.
TEST(TrainingPass, CapacityBoundsRowsAndBytes) {
    TrainingJob job = small_moe();
    TrainingPlan plan;
    plan.micro_batch = 2;
    plan.data_parallel = plan.expert_parallel = 4;
    job.experts.capacity_factor = 0.5;
    EXPECT_DOUBLE_EQ(moved(layers(job, plan, PassKind::forward, 1), TransferType::dispatch),
                     T * 2 * h * 2 / 2);
    EXPECT_DOUBLE_EQ(products(layers(job, plan, PassKind::forward, 1)),
                     2 * T * 4 * h * 2048 / 2 + 8 * T * h * h + 2 * T * h * 8);
    EXPECT_DOUBLE_EQ(routed_load(job, plan).dropped, 0.5);
    job.experts.popularity = Popularity::zipf;
    job.experts.zipf_exponent = 1;
    job.experts.capacity_factor = 1;
    const RoutedLoad bounded = routed_load(job, plan);
    EXPECT_GT(bounded.dropped, 0.1);
    job.experts.capacity_factor = 0;
    EXPECT_GT(routed_load(job, plan).imbalance, bounded.imbalance);
}

// 8 experts and 4 copies on 4 ranks: 3 in place of 2, and the 8 of 12 that have a twin sum their
// gradients with it.
TEST(TrainingPass, RedundantExpertsAreHeldAndSummed) {
    TrainingJob job = small_moe();
    TrainingPlan plan;
    plan.micro_batch = 2;
    plan.data_parallel = plan.expert_parallel = 4;
    const double expert = 2 * h * 2048;  // parameters, without a gate
    EXPECT_DOUBLE_EQ(held_by(job, plan, {2, 3}).experts, 2 * expert);
    job.experts.redundant = 4;
    EXPECT_DOUBLE_EQ(held_by(job, plan, {2, 3}).experts, 3 * expert);
    PassRequest request;
    request.kind = PassKind::backward;
    request.position = {2, 3};
    request.reduces = true;
    const Program program = build_pass(job, plan, request);
    require_valid(program);
    const auto copies =
        std::find_if(program.transfers.begin(), program.transfers.end(),
                     [](const Transfer& one) { return one.name == "gradients of copies"; });
    ASSERT_NE(copies, program.transfers.end());
    EXPECT_DOUBLE_EQ(copies->size.value(), 2 * expert * 4);
    EXPECT_EQ(copies->group_ranks, 2);
}

// 8 groups of experts on 64 ranks in domains of 8: a token of 4 groups goes to 4 domains; on 128
// ranks a group lies in two; on 32 two groups share one, and nothing is limited.
TEST(TrainingPass, NodeLimitedRoutingLimitsDomains) {
    TrainingJob job = small_moe();
    job.model.routed_experts = 256;
    job.model.experts_per_token = 8;
    job.model.expert_groups = 8;
    job.model.groups_per_token = 4;
    job.domain_ranks = 8;
    TrainingPlan plan;
    plan.data_parallel = plan.expert_parallel = 64;
    EXPECT_EQ(routed_domains(job, plan), 0);
    job.experts.node_limited = true;
    EXPECT_EQ(routed_domains(job, plan), 4);
    plan.data_parallel = plan.expert_parallel = 128;
    EXPECT_EQ(routed_domains(job, plan), 8);
    plan.data_parallel = plan.expert_parallel = 32;
    EXPECT_EQ(routed_domains(job, plan), 0);
    job.model.expert_groups = job.model.groups_per_token = 1;
    const auto problems = training_problems(job, plan, 32);
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems.front().key, "experts.node_limited");
}

// DualPipe holds each layer on two stages. Of a dense layer's gradients over 4 replicas a rank has
// a quarter, FP32, and sums it with the rank of the other direction: two layers of 12 h^2 + 2 h
// parameters on each way, 4 bytes. Without a second direction nothing is summed, without ZeRO all.
TEST(TrainingOptimizer, TwoDirectionsSumTheirGradients) {
    TrainingJob job = small_gpt();
    job.engine.training->overlap_gradients = false;
    TrainingPlan plan;
    plan.data_parallel = 4;
    plan.pipeline_parallel = 4;
    plan.schedule = ScheduleKind::dual_pipe;
    const auto all = positions_of(job, plan);
    const std::vector<TrainingPosition> held = {all[1], all[2]};
    const auto summed = [&] {
        double sum = 0;
        for (const Transfer& one : build_reduction(job, plan, held).transfers) {
            if (one.name != "gradients of the other direction") continue;
            EXPECT_EQ(one.group_ranks, 2);
            EXPECT_EQ(one.stride, 2 * 4);  // two stages of four ranks on
            sum += one.size.value();
        }
        return sum;
    };
    const double parameters =
        held_by(job, plan, all[1]).total() + held_by(job, plan, all[2]).total();
    EXPECT_NEAR(parameters, 4 * 12 * h * h, 0.01 * parameters);
    EXPECT_DOUBLE_EQ(summed(), parameters * 4 / 4);
    // With ZeRO 2 replicas have met in every pass; what is left is this sum of parts.
    plan.zero_stage = 2;
    EXPECT_DOUBLE_EQ(summed(), parameters * 4 / 4);
    EXPECT_DOUBLE_EQ(moved(build_reduction(job, plan, held), TransferType::reduce_scatter), 0);
    plan.zero_stage = 0;
    EXPECT_DOUBLE_EQ(summed(), parameters * 4);
    plan.schedule = ScheduleKind::one_forward_one_backward;
    EXPECT_DOUBLE_EQ(summed(), 0);
}

// Of P parameters over 4 replicas a rank steps P / 4 and sets all P sums to zero, 4 bytes each,
// with ZeRO 2 those that it keeps. Weights that products read in FP8 are converted from BF16, one
// byte in each of two orders.
TEST(TrainingOptimizer, SumsAreSetToZeroAndWeightsConverted) {
    TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.data_parallel = 4;
    plan.zero_stage = 1;
    const auto held = positions_of(job, plan);
    const HeldParameters parameters = held_by(job, plan, held.front());
    const auto work = [&](const std::string& name) {
        for (const Operator& one : build_optimizer(job, plan, held).operators)
            if (one.name == name) return std::get<VectorWork>(one.body);
        return VectorWork{};
    };
    EXPECT_DOUBLE_EQ(work("gradients_to_zero").write, 4 * parameters.total());
    EXPECT_DOUBLE_EQ(work("adam_step").elements, parameters.total() / 4);
    EXPECT_DOUBLE_EQ(work("weight_conversion").read, 0);
    plan.zero_stage = 2;
    EXPECT_DOUBLE_EQ(work("gradients_to_zero").write, parameters.total());
    job.precision.weights = DType::fp8;
    EXPECT_DOUBLE_EQ(work("weight_conversion").read, 2 * parameters.matrices);
    EXPECT_DOUBLE_EQ(work("weight_conversion").write, 2 * parameters.matrices);
}

// A 768 x 2,048 matrix costs 4 m + 2 m^2 / n = 3,648 FLOP a parameter and iteration, either way
// round, and five iterations.
TEST(TrainingMuon, NewtonSchulzByTheSmallerSide) {
    for (const MuonMatrices& matrix : {MuonMatrices{768, 2048, 3}, MuonMatrices{2048, 768, 3}}) {
        double flops = 0;
        for (const Operator& one : newton_schulz({matrix})) flops += work_of(one.body).value();
        EXPECT_DOUBLE_EQ(flops, 5 * 3648.0 * 3 * 768 * 2048);
    }
    // Of 0.4 and 0.3 matrices the mean rank has less than one: the dearer stands for both.
    double flops = 0;
    for (const Operator& one : newton_schulz({{512, 512, 0.4}, {1024, 1024, 0.3}}))
        flops += work_of(one.body).value();
    EXPECT_DOUBLE_EQ(flops, 5 * 6 * 1024.0 * 1024 * 1024);
}

// Ten matrices over four ranks, 2.5 each: cuts go through matrices, so that the mean rank touches
// 3.5 and lacks the elements of one. A single matrix is touched by all, whole.
TEST(TrainingMuon, RanksTouchOneMatrixMoreThanTheirShare) {
    const std::vector<MuonMatrices> ten = {{512, 1024, 10}};
    EXPECT_DOUBLE_EQ(touched(ten, 4).front().count, 3.5);
    EXPECT_DOUBLE_EQ(lacked(ten, 4), 512.0 * 1024);
    EXPECT_DOUBLE_EQ(touched(ten, 1).front().count, 10);
    EXPECT_DOUBLE_EQ(lacked(ten, 1), 0);
    const std::vector<MuonMatrices> one = {{512, 1024, 1}};
    EXPECT_DOUBLE_EQ(touched(one, 4).front().count, 1);
    EXPECT_DOUBLE_EQ(lacked(one, 4), 0.75 * 512 * 1024);
}

// The matrices of a dense GPT: 12 h^2 a layer, tables with Adam. An MoE layer has 8 experts of two
// matrices of h x 2,048, two of them on each of four ranks, and a router of 8 x h.
TEST(TrainingMuon, MatricesAreTheModels) {
    TrainingPlan plan;
    const TrainingJob dense = small_gpt();
    EXPECT_DOUBLE_EQ(elements_of(muon_work(dense, plan, {{2, 4}}).dense), 2 * 12 * h * h);
    plan.data_parallel = plan.expert_parallel = 4;
    const MuonWork experts = muon_work(small_moe(), plan, {{2, 3}});
    EXPECT_DOUBLE_EQ(elements_of(experts.dense), 4 * h * h + 8 * h);
    ASSERT_EQ(experts.experts.size(), 2U);
    EXPECT_DOUBLE_EQ(elements_of(experts.experts), 2 * 2 * h * 2048);
    EXPECT_DOUBLE_EQ(experts.experts.front().count, 2);
}

// Four replicas lack a matrix each, BF16; tensor-parallel ranks bring all they touch together.
// Without replicas or parts nothing is gathered.
TEST(TrainingMuon, MatricesAreGatheredWhole) {
    TrainingJob job = small_gpt();
    job.optimizer.optimizer = Optimizer::muon;
    TrainingPlan plan;
    const auto gathered = [&] {
        std::vector<double> bytes;
        for (const Transfer& one : build_optimizer(job, plan, {{2, 4}}).transfers)
            if (one.name == "matrices of Muon") bytes.push_back(one.size.value());
        return bytes;
    };
    EXPECT_TRUE(gathered().empty());
    plan.data_parallel = 4;
    const auto work = muon_work(job, plan, {{2, 4}}).dense;
    ASSERT_EQ(gathered().size(), 1U);
    EXPECT_DOUBLE_EQ(gathered()[0], 2 * std::min(4 * lacked(work, 4), elements_of(work)));
    plan.tensor_parallel = 2;
    plan.more.sequence_parallel = true;
    ASSERT_EQ(gathered().size(), 2U);
    EXPECT_DOUBLE_EQ(gathered()[0], std::min(4 * lacked(work, 4), elements_of(work)));
    EXPECT_DOUBLE_EQ(gathered()[1], 2 * elements_of(touched(work, 4)));
    job.optimizer.optimizer = Optimizer::adam;
    EXPECT_TRUE(gathered().empty());
}

}  // namespace
}  // namespace podsim

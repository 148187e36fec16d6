// Experiments from file to Result: what is refused before anything runs, and how answers move when
// what they rest on moves.
#include "sim/experiment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

Setting set(const std::string& text) {
    return parse_setting(text);
}

TEST(Check, ASoundExperimentHasNoProblem) {
    EXPECT_EQ(problems_of(test_experiment()), "");
}

TEST(Check, AMappingThatDoesNotWorkOutIsToldAtItsKey) {
    for (const auto& [path, value, said] :
         {std::tuple("alternatives.A.experts", "{redundant: 3}",
                     "alternatives.A.experts.redundant: is 3: 256 routed + 3 redundant experts do "
                     "not divide over 32 ranks (expert_parallel 32 less 0 shared-expert ranks); 32 "
                     "redundant would"),
          {"alternatives.A.mapping", "{expert_parallel: 12}",
           "alternatives.A.mapping.expert_parallel: 12 does not divide the 32 ranks"},
          {"alternatives.A.mapping", "{micro_batches: 3}",
           "alternatives.A.mapping.micro_batches: is 3: engines cut a step into 1 or 2 parts"},
          {"alternatives.A.mapping", "{pipeline_parallel: 2, micro_batches: 2}",
           "alternatives.A.mapping.micro_batches: is 2: pipeline_parallel 2 already cuts"},
          {"alternatives.A.mapping", "{pipeline_parallel: 2}", "test-collectives has no send_recv"},
          {"workload.context", "1 tokens", ""},
          {"workload.speculation", "{draft_tokens: 2048, acceptance: 0.5}", "more than 16"}}) {
        const std::string problems = problems_of(with(test_experiment(), path, value));
        if (std::string(said).empty()) {
            EXPECT_EQ(problems, "");
        } else {
            EXPECT_THAT(problems, HasSubstr(said));
        }
    }
    Node drafts =
        with(test_experiment(), "workload.speculation", "{draft_tokens: 1, acceptance: 0.7}");
    EXPECT_THAT(problems_of(with(drafts, "workload.context", "1 tokens")),
                HasSubstr("test.yaml:99:1: workload.context: of 1 tokens is shorter than the 2 "
                          "query tokens of a step"));
}

// Heads that do not divide, a micro-batch too many and a draft without a module: all in one go.
TEST(Check, AllThatIsWrongWithAStepIsSaid) {
    Node wrong = with(test_experiment(), "alternatives.A.mapping",
                      "{data_parallel: 32, head_parallel: 5, micro_batches: 3}");
    wrong = with(with(wrong, "workload.context", "1 tokens"), "workload.speculation",
                 "{draft_tokens: 1, acceptance: 0.7}");
    EXPECT_THAT(problems_of(with(wrong, "alternatives.A.experts", "{redundant: 5}")),
                AllOf(HasSubstr("mapping.head_parallel"), HasSubstr("mapping.micro_batches"),
                      HasSubstr("workload.context"), HasSubstr("experts.redundant")));
}

// By how much, of what, and what would help.
TEST(Check, MemoryThatDoesNotFit) {
    const std::string said =
        problems_of(with(test_experiment(), "workload.batch_per_chip", "4096"));
    EXPECT_THAT(said,
                AllOf(HasSubstr("test.yaml:99:1: workload.batch_per_chip: memory does not fit: a "
                                "rank of A (ranks) needs "),
                      HasSubstr(" of 64 GB, "), HasSubstr(" too much (KV cache 294.7 GB"),
                      HasSubstr("(batch_per_chip at most "), HasSubstr(", kv_cache in 8 bits")));
    // What it advises works, and one more sequence a rank does not.
    const std::string key = "batch_per_chip at most ";
    const long most = std::stol(said.substr(said.find(key) + key.size()));
    const auto batch = [&](long value) {
        return problems_of(
            with(test_experiment(), "workload.batch_per_chip", std::to_string(value)));
    };
    EXPECT_EQ(batch(most), "");
    EXPECT_THAT(batch(most + 2), HasSubstr("memory does not fit"));
    EXPECT_THAT(problems_of(with(test_experiment(), "alternatives.A.batch_per_rank", "4096")),
                AllOf(HasSubstr("alternatives.A.batch_per_rank: memory"),
                      HasSubstr("batch_per_rank at most " + std::to_string(most / 2))));
}

// Weights fit; one prompt's activations do not, at once. What is advised works, a token more does
// not.
TEST(Check, ActivationsThatDoNotFitAskForChunks) {
    const auto prefill = [](const std::string& rest) {
        return problems_of(with(
            with(test_experiment(), "alternatives.A.mapping", "{tensor_parallel: 1}"), "workload",
            "{kind: prefill, model: deepseek-r1, prompt: 131072 tokens, " + rest + "}"));
    };
    const auto advised = [](const std::string& said) {
        const std::string key = "chunk at most ";
        const auto at = said.find(key);
        return at == std::string::npos ? 0L : std::stol(said.substr(at + key.size()));
    };
    const std::string one = prefill("batch_per_rank: 1");
    EXPECT_THAT(one, AllOf(HasSubstr("memory does not fit"), HasSubstr("activations"),
                           Not(HasSubstr("spread the weights")), HasSubstr("chunk at most ")));
    const long chunk = advised(one);
    ASSERT_GT(chunk, 0);
    const auto chunked = [&](long tokens) {
        return prefill("batch_per_rank: 1, chunk: " + std::to_string(tokens) + " tokens");
    };
    EXPECT_EQ(chunked(chunk), "");
    EXPECT_THAT(chunked(chunk + 1), HasSubstr("memory does not fit"));
}

TEST(Check, WeightsThatDoNotFitHaveNoBatch) {
    Catalog catalog = test_catalog();
    const std::string said = problems_of(with(test_experiment(), "alternatives.A.chips", "4"));
    EXPECT_THAT(said, AllOf(HasSubstr("alternatives.A.chips: memory does not fit"),
                            HasSubstr("routed experts"),
                            HasSubstr("no batch fits: spread the weights over more ranks")));
    // A latency target cannot help either.
    const Node target = with(without(test_experiment(), "workload", "batch_per_chip"),
                             "workload.latency_target", "50 ms");
    EXPECT_THAT(problems_of(with(target, "alternatives.A.chips", "4")),
                HasSubstr("alternatives.A.chips: memory does not fit"));
}

TEST(Check, FormatsAndCollectivesThatDoNotExist) {
    // The chip has no rate for FP32, nor for a wider format.
    EXPECT_THAT(problems_of(with(test_experiment(), "alternatives.A.precision.attention", "fp32")),
                AllOf(HasSubstr("alternatives.A.precision: absorbed_query_product: "),
                      HasSubstr("no rate for fp32")));
    Catalog catalog = test_catalog();
    Node collectives = parse_yaml(test_collectives(), "test-collectives.yaml");
    auto& transfers = collectives.find("transfers")->entries;
    transfers.erase(transfers.begin());
    catalog.embed("collectives", "test-collectives", collectives);
    try {
        (void)check_experiment(test_experiment(), catalog);
        FAIL() << "checked";
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr("alternatives.A.collectives: dispatch: collective library "
                              "test-collectives has no dispatch"));
    }
}

TEST(Check, ProblemsOfAllAlternativesAreListed) {
    Node experiment = test_experiment();
    auto& alternatives = experiment.find("alternatives")->items;
    alternatives.push_back(alternatives.front());
    experiment = with(experiment, "alternatives.1.name", "B");
    experiment = with(experiment, "alternatives.A.experts", "{redundant: 3}");
    experiment = with(experiment, "alternatives.B.mapping", "{micro_batches: 3}");
    EXPECT_THAT(problems_of(experiment), AllOf(HasSubstr("alternatives.A.experts.redundant"),
                                               HasSubstr("alternatives.B.mapping.micro_batches")));
}

TEST(Check, ASettingThatNothingUsesIsAnError) {
    EXPECT_THAT(problems_of(test_experiment(), {set("chip:h800.hbm.bandwidth=1 TB/s")}),
                HasSubstr("is not used: this run rests on no chip of that name"));
    EXPECT_EQ(problems_of(test_experiment(), {set("chip:test-chip.hbm.bandwidth=1 TB/s")}), "");
}

TEST(Run, TheBatchOfALatencyTargetIsTheLargestThatKeepsIt) {
    const Node target = with(without(test_experiment(), "workload", "batch_per_chip"),
                             "workload.latency_target", "45 ms");
    const AlternativeResult result = run_test(target);
    const double batch = value_of(result, "batch_per_chip");
    EXPECT_LE(value_of(result, "time_per_output_token"), 45);
    const auto time = [](double sequences) {
        return value_of(run_test(with(test_experiment(), "workload.batch_per_chip",
                                      std::to_string(static_cast<long>(sequences)))),
                        "time_per_output_token");
    };
    EXPECT_EQ(time(batch), value_of(result, "time_per_output_token"));
    EXPECT_GT(time(batch + 2), 45);  // one more a rank
}

TEST(Run, AnEasyTargetIsLimitedByMemory) {
    const AlternativeResult result =
        run_test(with(without(test_experiment(), "workload", "batch_per_chip"),
                      "workload.latency_target", "10 s"));
    EXPECT_THAT(result.warnings,
                Contains(HasSubstr("memory, not the latency target, limits the batch to ")));
    EXPECT_LE(value_of(result, "memory_peak"), 64);
}

TEST(Run, ATargetThatNoBatchKeeps) {
    const Node target = with(without(test_experiment(), "workload", "batch_per_chip"),
                             "workload.latency_target", "2 ms");
    EXPECT_EQ(problems_of(target), "");  // only a run can tell
    try {
        run_test(target);
        FAIL() << "ran";
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(),
                    AllOf(HasSubstr("test.yaml:99:1: workload.latency_target: latency_target 2 ms: "
                                    "A needs "),
                          HasSubstr(" for a token with only 1 sequence a rank"),
                          HasSubstr("raise the target")));
    }
}

// What-if: each changes one thing of the chip or system, and time moves the right way.
TEST(Run, SettingsChangeTheAnswer) {
    const auto time = [](const std::string& setting) {
        return value_of(run_test(test_experiment(), {set(setting)}), "iteration_time");
    };
    const double base = value_of(run_test(test_experiment()), "iteration_time");
    EXPECT_LT(time("chip:test-chip.hbm.bandwidth=6.4 TB/s"), base);
    EXPECT_GT(time("chip:test-chip.hbm.bandwidth=1.6 TB/s"), base);
    EXPECT_GT(time("system:test-system.scale_up.latency=100 us"), base);
    EXPECT_GT(time("engine:test-engine.host_step=5 ms"), base);
    EXPECT_GT(time("alternatives.A.batch_per_chip=32"), base);
    EXPECT_EQ(time("chip:test-chip.power=900 W"), base);
    // The same on a shipped chip.
    const Node shipped =
        with(without(with(test_experiment(), "alternatives.A.system", "cloudmatrix384"),
                     "alternatives.A", "engine"),
             "prices", "default");
    EXPECT_LT(value_of(run_test(shipped, {set("chip:ascend-910c.hbm.bandwidth=4.8 TB/s")}),
                       "iteration_time"),
              value_of(run_test(shipped), "iteration_time"));
}

// Twice the groups, each with experts of its own: the same step, twice the tokens.
TEST(Run, MoreGroupsTakeTheSameTime) {
    const auto run = [](int chips) {
        return run_test(with(with(test_experiment(), "alternatives.A.chips", std::to_string(chips)),
                             "alternatives.A.mapping", "{expert_parallel: 32}"));
    };
    const AlternativeResult one = run(16), two = run(32);
    EXPECT_EQ(one.iteration_seconds, two.iteration_seconds);
    EXPECT_EQ(value_of(one, "decode_tokens_per_second_per_chip"),
              value_of(two, "decode_tokens_per_second_per_chip"));
    EXPECT_EQ(2 * one.totals.tokens_out, two.totals.tokens_out);
}

TEST(Run, MetricsFollowFromTheStep) {
    const AlternativeResult result = run_test(
        with(test_experiment(), "workload.speculation", "{draft_tokens: 1, acceptance: 0.7}"));
    const double step = value_of(result, "iteration_time") * 1e-3;
    // 16 sequences a chip gain 1.7 tokens a step.
    EXPECT_NEAR(value_of(result, "decode_tokens_per_second_per_chip"), 16 * 1.7 / step, 1e-6);
    EXPECT_NEAR(value_of(result, "time_per_output_token"), step / 1.7 * 1e3, 1e-9);
    EXPECT_NEAR(value_of(result, "tokens_per_second_per_user"), 1.7 / step, 1e-6);
    EXPECT_EQ(result.totals.sequences, 256);
    EXPECT_EQ(result.totals.tokens_in, 512);
    EXPECT_DOUBLE_EQ(result.totals.tokens_out, 256 * 1.7);
    EXPECT_NEAR(value_of(result, "achieved_flops") * 1e12 * step * 16, result.totals.flops,
                1e-9 * result.totals.flops);
    EXPECT_GT(value_of(result, "layer_time"), 0.9 * step * 1e6 / 64);
    EXPECT_LT(value_of(result, "layer_time"), step * 1e6 / 58);
    EXPECT_NEAR(value_of(result, "utilization_host"), 1e-3 / step, 1e-9);
    for (const char* share : {"utilization_matrix", "utilization_vector", "utilization_hbm",
                              "utilization_scale_up", "utilization_scale_out"}) {
        EXPECT_GE(value_of(result, share), 0) << share;
        EXPECT_LE(value_of(result, share), 1) << share;
    }
    // Rental of 2 USD/h: per token 2 / 3600 / rate.
    EXPECT_NEAR(value_of(result, "usd_per_million_output_tokens"),
                2e6 / 3600 / value_of(result, "decode_tokens_per_second_per_chip"), 1e-9);
    EXPECT_NEAR(value_of(result, "usd_per_eflop_hour_peak"), 2 / 1600e12 * 1e18, 1e-6);
    for (const AuditFinding& finding : result.audit)
        EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
}

TEST(Run, DriverAndCacheDoNotChangeTheAnswer) {
    RunOptions systemc = quick(), uncached = quick();
    systemc.driver = Driver::systemc;
    uncached.cache = false;
    const AlternativeResult plain = run_test(test_experiment());
    for (const RunOptions& options : {systemc, uncached}) {
        const AlternativeResult other = run_test(test_experiment(), {}, options);
        EXPECT_EQ(plain.iteration_seconds, other.iteration_seconds);
        EXPECT_EQ(plain.bounds.serial, other.bounds.serial);
        for (const Metric& metric : plain.metrics)
            EXPECT_EQ(metric.value, value_of(other, metric.name)) << metric.name;
    }
}

TEST(Run, TheNeighbourIsTheOtherFidelity) {
    RunOptions options = quick();
    options.neighbour = true;
    const AlternativeResult tile = run_test(test_experiment(), {}, options);
    options.fidelity = Fidelity::analytic;
    const AlternativeResult analytic = run_test(test_experiment(), {}, options);
    EXPECT_EQ(tile.neighbour, "analytic");
    EXPECT_EQ(analytic.neighbour, "tile");
    EXPECT_NEAR(tile.neighbour_gap, analytic.iteration_seconds / tile.iteration_seconds - 1, 1e-12);
    EXPECT_LT(tile.neighbour_gap, 0);
}

// 61 layers of dispatch and combine, 8 sequences a rank: a line for the ranks, one
// for the tokens, and no time of a transfer that is measured.
TEST(Run, SaysOnceThatTransfersLieOutsideTheFit) {
    const auto run_with = [](const std::string& ranges) {
        Catalog catalog = test_catalog();
        Node library = parse_yaml(test_collectives(), "test-collectives.yaml");
        for (const char* type : {"dispatch", "combine"})
            set_path(library, std::string("transfers.") + type + ".ranges", ranges, {});
        catalog.embed("collectives", "test-collectives", std::move(library));
        return run_experiment(test_experiment(), catalog, quick()).alternatives.front();
    };
    const auto measured = [](const AlternativeResult& result) {
        return result.metric("iteration_time")->rests_on.shares.at("measured");
    };
    const AlternativeResult within = run_with("[{ranks: [8, 32], tokens: [8, 8]}]");
    EXPECT_THAT(within.warnings, Not(Contains(HasSubstr("was fitted at"))));
    const AlternativeResult outside = run_with("[{ranks: [8, 16], tokens: [128, 256]}]");
    EXPECT_THAT(outside.warnings,
                IsSupersetOf({"collective library test-collectives was fitted at 8 to 16 ranks "
                              "(dispatch, combine), here 32: derived",
                              "collective library test-collectives was fitted at 128 to 256 tokens "
                              "a rank (dispatch, combine), here 8: derived"}));
    EXPECT_EQ(outside.warnings.size(), within.warnings.size() + 2);
    EXPECT_EQ(outside.iteration_seconds, within.iteration_seconds);
    EXPECT_LT(measured(outside), measured(within) - 0.05);
    for (const OperatorRow& row : outside.operators) {
        if (row.kind == "dispatch") {
            EXPECT_EQ(row.basis, "derived");
        }
    }
}

TEST(Run, WarnsOfAContextTheModelWasNotMadeFor) {
    const Node longer = with(with(test_experiment(), "workload.context", "200000 tokens"),
                             "workload.batch_per_chip", "2");
    EXPECT_THAT(run_test(longer).warnings,
                Contains("a context of 200000 tokens is longer than the 163840 that deepseek-r1 "
                         "was made for"));
    EXPECT_THAT(run_test(test_experiment()).warnings, Not(Contains(HasSubstr("was made for"))));
}

TEST(Run, SaysWhereEachValueComesFrom) {
    Catalog catalog = test_catalog({set("chip:test-chip.hbm.bandwidth=4 TB/s")});
    const Result result = run_experiment(test_experiment(), catalog, quick());
    EXPECT_EQ(result.configuration["documents"]["chip/test-chip"]["hbm"]["bandwidth"], "4 TB/s");
    EXPECT_EQ(result.configuration["origins"]["chip/test-chip.hbm.bandwidth"], "--set");
    EXPECT_EQ(result.configuration["origins"]["experiment.workload.context"], "test.yaml:5");
    EXPECT_EQ(result.kind, "decode");
    EXPECT_EQ(result.switches.driver, "plain");
    EXPECT_GT(result.switches.events, 0);
}

Node single(const std::string& kind, const std::string& body) {
    return parse_yaml("experiment: x\nworkload:\n  kind: " + kind + "\n  " + kind + ": " + body +
                          "\nalternatives:\n  - {name: A, system: test-system, chips: 4}\n"
                          "prices: test-prices\n",
                      "single.yaml");
}

// 8 ranks of a die each: 2 m n k FLOP a rank.
TEST(Run, OneOperator) {
    const AlternativeResult result =
        run_test(single("operator", "{type: gemm, m: 4096, n: 4096, k: 4096}"));
    const double time = value_of(result, "operator_time") * 1e-6;
    EXPECT_NEAR(value_of(result, "achieved_flops"), 2 * 2 * std::pow(4096, 3) / time / 1e12, 1e-6);
    EXPECT_GT(time, 2 * std::pow(4096, 3) / 393.216e12);
    EXPECT_EQ(result.ranks, 8);
    // BF16 is what it computes in.
    EXPECT_NEAR(value_of(result, "usd_per_eflop_hour_peak"), 2 / 800e12 * 1e18, 1e-6);
    const AlternativeResult narrow = run_test(
        single("operator", "{type: gemm, m: 4096, n: 4096, k: 4096, dtypes: {a: int8, b: int8}}"));
    EXPECT_NEAR(value_of(narrow, "usd_per_eflop_hour_peak"), 2 / 1600e12 * 1e18, 1e-6);
    EXPECT_LT(value_of(narrow, "operator_time"), value_of(result, "operator_time"));
}

// 64 experts on 8 ranks, 512 tokens of 8: each of a rank's 8 has 64 rows of three matrices of 2048
// x 1024. What follows waits for what it reads.
TEST(Run, OneExpertLayer) {
    const AlternativeResult result =
        run_test(single("operator",
                        "{type: moe, tokens: 512, hidden: 2048, inter: 1024, experts: 64, top_k: "
                        "8, ranks: 8, dtypes: {weights: int8}}"));
    EXPECT_DOUBLE_EQ(result.totals.matrix_flops, 8 * 8 * 64 * 3 * 2.0 * 2048 * 1024);
    ASSERT_EQ(result.operators.size(), 3);
    double sum = 0;
    for (const auto& row : result.operators) sum += row.seconds_each;
    EXPECT_NEAR(value_of(result, "operator_time"), sum * 1e6, 1e-5);
    // INT8 is what it computes in.
    EXPECT_NEAR(value_of(result, "usd_per_eflop_hour_peak"), 2 / 1600e12 * 1e18, 1e-6);
}

// A cap of half the peak: what a step's kernels would do beyond it takes longer, and all the longer
// the lower the cap; a product of 0.4 ms after rest is over before the controller responds, and
// where it does at once takes as long as its work at half of the peak.
TEST(Run, StepsRunAtTheSustainedClock) {
    const auto capped = [](const char* matrix, const char* response) {
        return std::vector<Setting>{
            set(std::string("chip:test-chip.sustained.matrix=") + matrix),
            set(std::string("chip:test-chip.sustained.response=") + response)};
    };
    Node prefill = with(test_experiment(), "workload",
                        "{kind: prefill, model: deepseek-r1, prompt: 2048 tokens, "
                        "tokens_per_rank: 4096 tokens}");
    const auto step = [&](const std::vector<Setting>& settings) {
        return value_of(run_test(prefill, settings), "iteration_time");
    };
    EXPECT_DOUBLE_EQ(step(capped("1", "100 ms")), step({}));
    EXPECT_GT(step(capped("0.5", "100 ms")), step({}) * 1.01);
    EXPECT_GT(step(capped("0.4", "100 ms")), step(capped("0.5", "100 ms")));
    const Node product = single("operator", "{type: gemm, m: 4096, n: 4096, k: 4096}");
    const auto alone = [&](const std::vector<Setting>& settings) {
        return value_of(run_test(product, settings), "operator_time");
    };
    EXPECT_NEAR(alone(capped("0.5", "1 s")), alone({}), alone({}) * 1e-3);
    const double work = 2 * std::pow(4096, 3) / 393.216e12;
    EXPECT_NEAR(alone(capped("0.5", "1 ns")), work / 0.5 * 1e6, 0.01);
}

// The busiest rank of eight and seven others: the sums of the laws count each once. What is chosen
// evenly by chance is busier than what is even, and less busy than what a law prefers.
TEST(Run, ExchangesOfEveryPopularityKeepTheLaws) {
    const Node even = single("collective",
                             "{type: dispatch, ranks: 8, tokens_per_rank: 128, hidden: 1024, "
                             "top_k: 4, experts: 32}");
    double before = 0;
    for (const char* experts : {"{popularity: balanced}", "{popularity: uniform}",
                                "{popularity: zipf, zipf_exponent: 0.6}"}) {
        const AlternativeResult result = run_test(with(even, "alternatives.A.experts", experts));
        EXPECT_THAT(broken_laws(result), ::testing::IsEmpty()) << experts;
        const double time = value_of(result, "collective_time");
        EXPECT_GT(time, before) << experts;
        before = time;
    }
}

TEST(Run, OperatorsThatCannotRun) {
    EXPECT_THAT(
        problems_of(single("operator", "{type: gemm, m: 8, n: 8, k: 8, dtypes: {a: fp32}}")),
        AllOf(HasSubstr("workload.operator: gemm: the chip's matrix units have no rate for fp32"),
              HasSubstr("(other dtypes of the operator, larger buffers, or at tile another "
                        "library than test-kernels of chip test-chip)")));
    // A library that the user named is pointed at.
    EXPECT_THAT(
        problems_of(with(single("operator", "{type: gemm, m: 8, n: 8, k: 8, dtypes: {a: fp32}}"),
                         "alternatives.A.kernels", "test-kernels")),
        AllOf(HasSubstr("alternatives.A.kernels: gemm: "), HasSubstr("this alternative")));
    EXPECT_THAT(problems_of(single("collective", "{type: all_reduce, ranks: 9, bytes: 1 MB}")),
                AllOf(HasSubstr("alternatives.A.chips: all_reduce: "),
                      HasSubstr("a group that spans 9 ranks, the pool has 8")));
    EXPECT_THAT(problems_of(single("collective", "{type: send_recv, ranks: 2, bytes: 1 MB}")),
                HasSubstr("collective library test-collectives has no send_recv"));
}

// Ring over 8 ranks of one domain: 2 x 7/8 x 1 MB at 200 GB/s x 0.8, after 30 us and 1 us.
TEST(Run, OneCollective) {
    const AlternativeResult result =
        run_test(single("collective", "{type: all_reduce, ranks: 8, bytes: 1 MB}"));
    const double time = 31 + 2 * 0.875 * 1e6 / 160e9 * 1e6;
    EXPECT_NEAR(value_of(result, "collective_time"), time, 1e-3);
    EXPECT_NEAR(value_of(result, "algorithm_bandwidth"), 1e6 / (time * 1e-6) / 1e9, 1e-3);
    EXPECT_NEAR(value_of(result, "bus_bandwidth"), 1.75e6 / (time * 1e-6) / 1e9, 1e-3);
}

// One sequence over two ranks: each takes a whole token to the experts. Two sequences divide.
TEST(Warnings, TokensThatTensorParallelRoundsUp) {
    const auto warnings = [](const char* batch) {
        Catalog catalog = test_catalog();
        Node experiment = with(test_experiment(), "alternatives.A.mapping", "{tensor_parallel: 2}");
        experiment = with(experiment, "alternatives.A.batch_per_group", batch);
        return run_experiment(experiment, catalog, {}).alternatives.front().warnings;
    };
    const auto rounds = testing::HasSubstr(
        "1 tokens of a tensor-parallel group of 2 go to the "
        "experts as 2");
    EXPECT_THAT(warnings("1"), testing::Contains(rounds));
    EXPECT_THAT(warnings("2"), testing::Not(testing::Contains(testing::HasSubstr("go to the"))));
}

}  // namespace
}  // namespace podsim

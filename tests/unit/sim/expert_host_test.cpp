// Experts that lie with the host, from the experiment to the result: what a rank has of its host,
// what is refused, what the audit sees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/audit.hpp"
#include "sim/expert_host.hpp"
#include "sim/result_read.hpp"
#include "sim/step_case.hpp"
#include "tests/unit/sim/hosted_cases.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// DeepSeek-R1 on the 16 ranks of one host: 16 experts each in 58 layers.
Node one_box(const std::string& offload = "{to: host, resident: 50 %}") {
    Node experiment = with(test_experiment(), "alternatives.A.chips", "8");
    experiment = with(experiment, "alternatives.A.mapping", "{expert_parallel: 16}");
    return with(experiment, "alternatives.A.experts", "{offload: " + offload + "}");
}

Result run_box(const Node& experiment, Catalog catalog = hosted()) {
    return run_experiment(experiment, catalog, quick());
}

std::string problems_of_box(const Node& experiment, Catalog catalog = hosted()) {
    try {
        check_experiment(experiment, catalog);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

RankHardware rank_of(const Node& experiment, Catalog catalog) {
    return hardware_of(resolve(experiment, catalog).alternatives.front());
}

TEST(ExpertHost, ARankHasItsPartOfLinkMemoryAndDrives) {
    // A link of 64 GB/s for two ranks; 800 GB/s of memory for sixteen are more.
    EXPECT_DOUBLE_EQ(rank_of(one_box(), hosted()).host_bandwidth.value(), 32e9);
    EXPECT_DOUBLE_EQ(rank_of(one_box(), hosted(kHost, "400 GB/s")).host_bandwidth.value(), 50e9);
    EXPECT_DOUBLE_EQ(rank_of(one_box("{to: ssd, resident: 50 %}"), hosted()).host_bandwidth.value(),
                     2.5e9);
    Catalog catalog = hosted();
    const ResolvedExperiment resolved = resolve(one_box(), catalog);
    const ExpertOffload& offload = resolved.alternatives.front().pool.experts.offload;
    EXPECT_DOUBLE_EQ(offload.host_memory.value(), 25e9);  // half of it is attained
    EXPECT_DOUBLE_EQ(offload.host_peak.value(), 12.5e12);
}

TEST(ExpertHost, TheHostHoldsAllExpertsAndTheChipsTheirPart) {
    const Result result = run_box(one_box());
    const AlternativeResult& one = result.alternatives.front();
    EXPECT_THAT(broken_laws(one), IsEmpty());
    ASSERT_EQ(one.host_memory.size(), 1u);
    // 58 x 256 experts of 44,085,248 B on one host.
    EXPECT_DOUBLE_EQ(one.host_memory.front().total, 58.0 * 256 * 44085248);
    EXPECT_DOUBLE_EQ(one.host_memory.front().capacity, 2e12);
    EXPECT_EQ(one.host_memory.front().ranks, 1);
    double routed = 0;
    for (const MemoryPart& part : one.memory.front().parts)
        if (part.part == "routed experts") routed = part.bytes;
    EXPECT_DOUBLE_EQ(routed, 58.0 * 8 * 44085248);
    EXPECT_DOUBLE_EQ(value_of(one, "experts_resident"), 0.5);
    EXPECT_DOUBLE_EQ(value_of(one, "experts_found"), 0.5);  // balanced: all are asked alike
    const double fetched = value_of(one, "expert_bytes_fetched_per_rank") * 1e9;
    EXPECT_NEAR(fetched, 58.0 * 8 * 44085248, 1);
    // The link alone, in packets of 256 B and a header of 24.
    EXPECT_GT(one.iteration_seconds, fetched * 280 / 256 / 32e9);
    const AlternativeResult read = read_result(to_json(result)).alternatives.front();
    EXPECT_EQ(read.host_memory.size(), 1u);
}

TEST(ExpertHost, WithoutAShareAsManyStayAsFindRoom) {
    const AlternativeResult one = run_box(one_box("{to: host}")).alternatives.front();
    EXPECT_THAT(broken_laws(one), IsEmpty());
    const double staying = value_of(one, "experts_resident") * 16;
    EXPECT_DOUBLE_EQ(staying, std::floor(staying));
    EXPECT_GT(staying, 0);
    // 128 GB for two ranks: less than all 16, and one more would be too many.
    EXPECT_LT(staying, 16);
    EXPECT_LE(one.memory.front().total, one.memory.front().capacity);
    EXPECT_GT(one.memory.front().total + 57.0 * 44085248, one.memory.front().capacity);
}

TEST(ExpertHost, NothingMissesWhereAllStay) {
    const Node small =
        with(one_box("{to: host, resident: 100 %}"), "workload.model", "qwen3-30b-a3b");
    const Node whole = with(small, "alternatives.A.experts", "{}");
    const auto formats = [](Node experiment) {
        return with(std::move(experiment), "alternatives.A.mapping",
                    "{tensor_parallel: 1, expert_parallel: 16}");
    };
    EXPECT_DOUBLE_EQ(run_box(formats(small)).alternatives.front().iteration_seconds,
                     run_box(formats(whole)).alternatives.front().iteration_seconds);
}

TEST(ExpertHost, MoreThatStaysIsFaster) {
    double before = 1e9;
    for (const char* share : {"10 %", "30 %", "60 %"}) {
        const double now = run_box(one_box(std::string("{to: host, resident: ") + share + "}"))
                               .alternatives.front()
                               .iteration_seconds;
        EXPECT_LT(now, before);
        before = now;
    }
    const auto with_more = [](const char* more) {
        return run_box(one_box(std::string("{to: host, resident: 30 %") + more + "}"))
            .alternatives.front()
            .iteration_seconds;
    };
    EXPECT_LT(with_more(", prefetch: true"), with_more(""));
    EXPECT_LT(with_more(", hit_rate: 90 %"), with_more(""));
}

TEST(ExpertHost, ItsProcessorsWorkInsteadAndTheAuditKnows) {
    const AlternativeResult one =
        run_box(one_box("{to: host, resident: 50 %, compute: host}")).alternatives.front();
    EXPECT_THAT(broken_laws(one), IsEmpty());
    EXPECT_DOUBLE_EQ(value_of(one, "expert_bytes_fetched_per_rank"), 0);
    EXPECT_GT(value_of(one, "utilization_host"), 0.3);
    // Eight experts of 44 MB at 25 GB/s in 58 layers.
    EXPECT_GT(one.iteration_seconds, 58.0 * 8 * 44085248 / 25e9);
}

TEST(ExpertHost, TheAuditSeesAHostThatHoldsLess) {
    const Result result = run_box(one_box());
    const auto broken = [&](auto tamper) {
        AlternativeResult one = result.alternatives.front();
        tamper(one.host_memory.front());
        std::vector<std::string> laws;
        for (const AuditFinding& finding : audit(one, "decode", result.configuration))
            if (!finding.passed) laws.push_back(finding.law);
        return laws;
    };
    EXPECT_THAT(broken([](MemoryUse&) {}), IsEmpty());
    EXPECT_THAT(broken([](MemoryUse& use) { use.total /= 2; }), Contains("hosts hold the experts"));
    EXPECT_THAT(broken([](MemoryUse& use) { use.capacity *= 2; }),
                Contains("hosts hold the experts"));
}

TEST(ExpertHost, RefusesAHostWithoutRoomAndSaysWhatFits) {
    const std::string small =
        "host: {chips: 8, memory: 500 GB, bandwidth: 800 GB/s, storage: 20 TB, "
        "storage_bandwidth: 40 GB/s}\n";
    // 655 GB of experts: 8 x 500 / 654.6 = 6.11 bits.
    EXPECT_THAT(problems_of_box(one_box(), hosted(small)),
                HasSubstr("experts of at most 6.11 bits"));
    EXPECT_EQ(problems_of_box(one_box("{to: ssd, resident: 50 %}"), hosted(small)), "");
    EXPECT_THAT(problems_of_box(one_box("{to: host, compute: host}"), hosted(small)),
                HasSubstr("host.peak"));
    EXPECT_THAT(problems_of_box(one_box(), test_catalog()), HasSubstr("says nothing of its host"));
    EXPECT_THAT(problems_of_box(one_box("{to: ssd, compute: host}")), HasSubstr("not its drives"));
    EXPECT_THAT(problems_of_box(with(one_box(), "workload.model", "llama-3.1-70b")),
                HasSubstr("no experts"));
}

TEST(ExpertHost, ServingSaysHowManyStay) {
    Node serving = with(serving_experiment(), "alternatives.A.chips", "8");
    serving = with(serving, "alternatives.A.mapping", "{expert_parallel: 16}");
    serving = with(serving, "workload.slo", "{ttft: 60 s, tpot: 2 s}");
    const auto offloaded = [&](const std::string& offload) {
        return with(serving, "alternatives.A.experts", "{offload: " + offload + "}");
    };
    EXPECT_THAT(problems_of_box(offloaded("{to: host}")), HasSubstr("the cache takes what"));
    const AlternativeResult one =
        run_box(offloaded("{to: host, resident: 50 %}")).alternatives.front();
    EXPECT_THAT(broken_laws(one), IsEmpty());
    EXPECT_DOUBLE_EQ(value_of(one, "experts_resident"), 0.5);
    EXPECT_EQ(one.host_memory.size(), 1u);
    EXPECT_GT(value_of(one, "time_per_output_token"), 58.0 * 8 * 44085248 / 32e9 * 1e3 * 0.5);
}

}  // namespace
}  // namespace podsim

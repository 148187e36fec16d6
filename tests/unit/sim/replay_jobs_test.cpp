// Several jobs of a replay on one fabric.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/experiment.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/workloads/trace_cases.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

// A ring of eight chips of one rank, 200 GB/s each way.
const std::vector<const char*> kRingOfEight = {
    "system:custom-torus.chips=8", "system:custom-torus.scale_up.domain=8",
    "system:custom-torus.scale_up.topology.dimensions=[8]"};

class ReplayJobs : public testing::Test {
  protected:
    ReplayJobs() {
        std::filesystem::create_directories(folder.path() + "/a");
        std::filesystem::create_directories(folder.path() + "/b");
    }
    void write(const std::string& job, const std::vector<std::string>& ranks) const {
        for (std::size_t i = 0; i < ranks.size(); ++i)
            folder.write(job + "/t." + std::to_string(i) + ".et", kChakraHeader + ranks[i]);
    }
    AlternativeResult run(const std::string& workload, const std::string& system = "custom-torus",
                          int chips = 8) const {
        std::vector<Setting> settings;
        if (system == "custom-torus")
            for (const char* one : kRingOfEight) settings.push_back(parse_setting(one));
        Catalog catalog(configs_root, settings);
        RunOptions options;
        options.driver = Driver::plain;
        options.neighbour = false;
        const std::string text = "experiment: a\nworkload: {kind: replay, " + workload +
                                 "}\nalternatives: [{name: a, system: " + system +
                                 ", collectives: nominal, chips: " + std::to_string(chips) + "}]\n";
        const Result result =
            run_experiment(parse_yaml(text, folder.path() + "/e.yaml"), catalog, options);
        for (const AuditFinding& finding : result.alternatives[0].audit)
            EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
        return result.alternatives[0];
    }
    TraceFolder folder;
};

constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;

// Four members on every second chip of a ring: each directed link carries 2 x 3/4 of half of S, as
// long as the port takes for all of it, so that the two jobs, which use the same links, take twice
// the bytes' time, and each by itself what four members take.
TEST_F(ReplayJobs, RingsOverTheSameLinksTakeTwiceAsLong) {
    const std::vector<std::string> ranks(4, chakra_collective(1, 0, kBytes));
    write("a", ranks);
    write("b", ranks);
    const AlternativeResult both = run(
        "jobs: [{name: A, trace: a, stride: 2}, {name: B, trace: b, first_rank: 1, stride: 2}]");
    ASSERT_EQ(both.jobs.size(), 2U);
    const double wire = 2 * 0.75 * static_cast<double>(kBytes) / 400e9;
    for (const ReplayedJob& job : both.jobs) {
        EXPECT_EQ(job.ranks, 4);
        EXPECT_GT(job.alone_seconds, wire);
        EXPECT_LT(job.alone_seconds, 1.3 * wire) << "of the nominal library";
        EXPECT_NEAR(job.iteration_seconds / job.alone_seconds, 2, 0.01);
        EXPECT_DOUBLE_EQ(job.iteration_seconds, both.iteration_seconds);
    }
    // Side by side they have no link in common: 0 to 3 and 4 to 7.
    const AlternativeResult apart = run("jobs: [{name: A, trace: a}, {name: B, trace: b}]");
    EXPECT_EQ(apart.jobs[1].first_rank, 4);
    for (const ReplayedJob& job : apart.jobs)
        EXPECT_DOUBLE_EQ(job.iteration_seconds, job.alone_seconds);
}

// B begins when half of A's time alone is over: then each has half of the links until A ends, after
// 0.5 + 1 of it, and B moves the rest of its bytes alone: 1 + 0.5.
TEST_F(ReplayJobs, AJobThatComesLaterSlowsWhatIsLeft) {
    const std::vector<std::string> ranks(4, chakra_collective(1, 0, kBytes));
    write("a", ranks);
    write("b", ranks);
    const std::string jobs =
        "jobs: [{name: A, trace: a, stride: 2}, {name: B, trace: b, first_rank: 1, stride: 2, "
        "start: ";
    const double alone = run(jobs + "0 s}]").jobs[0].alone_seconds;
    const AlternativeResult late = run(jobs + std::to_string(alone / 2) + " s}]");
    for (const ReplayedJob& job : late.jobs) {
        EXPECT_NEAR(job.alone_seconds / alone, 1, 1e-3);
        EXPECT_NEAR(job.iteration_seconds / alone, 1.5, 0.01);
    }
    EXPECT_NEAR(late.iteration_seconds / alone, 2, 0.01);
    EXPECT_DOUBLE_EQ(late.jobs[1].start_seconds, std::stod(std::to_string(alone / 2)));
}

// Ranks of one job that are of four classes move together as one that is of one class does.
TEST_F(ReplayJobs, SharesDoNotHangOnFolding) {
    write("a", std::vector<std::string>(4, chakra_collective(1, 0, kBytes)));
    std::vector<std::string> unlike;
    for (std::uint64_t i = 0; i < 4; ++i)
        unlike.push_back(chakra_compute(1, 1 + i) + chakra_collective(2, 0, kBytes));
    write("b", unlike);
    const AlternativeResult both = run(
        "jobs: [{name: A, trace: a, stride: 2}, {name: B, trace: b, first_rank: 1, stride: 2}]");
    for (const ReplayedJob& job : both.jobs)
        EXPECT_NEAR(job.iteration_seconds / job.alone_seconds, 2, 0.01) << job.name;
}

// Two ranks opposite each other on the ring exchange S: half of it goes either way, S/2 over a link
// of 200 GB/s, as long as the port of 400 GB/s takes. Four such pairs have each link carry 4 x S/2.
TEST_F(ReplayJobs, NothingMovesButWhatTheTraceMoves) {
    const double wire = static_cast<double>(kBytes) / 400e9;
    std::vector<std::string> ranks(8, chakra_compute(1, 1));
    ranks[0] = ranks[4] = chakra_collective(1, 0, kBytes, "0");
    write("a", ranks);
    folder.write("a/comm_group.json", R"({"0": [0, 4]})");
    const double one = run("trace: a").iteration_seconds;
    EXPECT_GT(one, wire);
    EXPECT_LT(one, 1.3 * wire) << "of the nominal library";
    for (std::size_t i = 0; i < 8; ++i)
        ranks[i] = chakra_collective(1, 0, kBytes, std::to_string(i % 4));
    write("b", ranks);
    folder.write("b/comm_group.json", R"({"0": [0, 4], "1": [1, 5], "2": [2, 6], "3": [3, 7]})");
    EXPECT_NEAR(run("trace: b").iteration_seconds / one, 4, 0.02) << "but for latency";
}

// One job by itself is what its trace is without jobs.
TEST_F(ReplayJobs, OneJobIsItsTrace) {
    for (const std::uint64_t type : {0, 2}) {
        write("a", std::vector<std::string>(64, chakra_collective(1, type, 1 << 26)));
        for (const char* system : {"custom-fat-tree", "custom-nvswitch", "custom-mesh"}) {
            const double plain = run("trace: a", system, 64).iteration_seconds;
            const AlternativeResult job = run("jobs: [{name: A, trace: a}]", system, 64);
            EXPECT_NEAR(job.iteration_seconds / plain, 1, 0.01) << system << " " << type;
            EXPECT_NEAR(job.jobs[0].alone_seconds, job.iteration_seconds, 1e-12);
        }
    }
}

// Pairs over the spines of a rail of 2 : 1 share its uplinks with the other job's.
TEST_F(ReplayJobs, MessagesBetweenLeavesShareUplinks) {
    // Members of two leaves: 256 chips stand under the first leaf of each rail.
    const std::vector<std::string> ranks = {chakra_message(1, true, 1, kBytes),
                                            chakra_message(1, false, 0, kBytes)};
    write("a", ranks);
    write("b", ranks);
    const AlternativeResult both =
        run("jobs: [{name: A, trace: a, stride: 256}, {name: B, trace: b, first_rank: 8, stride: "
            "256}]",
            "custom-fat-tree", 512);
    for (const ReplayedJob& job : both.jobs) {
        EXPECT_GE(job.iteration_seconds, job.alone_seconds * (1 - 1e-9));
        EXPECT_LE(job.iteration_seconds, 2.001 * job.alone_seconds);
    }
}

TEST_F(ReplayJobs, WhatIsWrongIsSaid) {
    write("a", std::vector<std::string>(4, chakra_collective(1, 0, 64)));
    const auto refused = [&](const std::string& workload) {
        return refusal_of([&] { (void)run(workload); });
    };
    EXPECT_THAT(refused("jobs: [{name: A, trace: a}, {name: B, trace: a, first_rank: 3}]"),
                HasSubstr("e.yaml:2:32: workload.jobs: A and B both have rank 3 of the pool"));
    EXPECT_THAT(refused("jobs: [{name: A, trace: a, first_rank: 5}]"),
                HasSubstr("the last of A's 4 ranks is rank 8 of the pool, a has 8"));
    EXPECT_THAT(refused("jobs: [{name: A, trace: a}, {name: A, trace: a}]"),
                HasSubstr("two are called A"));
    EXPECT_THAT(refused("jobs: [{name: A, trace: b7}]"),
                HasSubstr("there is no file or folder b7"));
    EXPECT_THAT(refused("trace: a, jobs: [{name: A, trace: a}]"), HasSubstr("is beside jobs"));
    EXPECT_THAT(refused("compute: recorded"), HasSubstr("either trace, or jobs"));
    EXPECT_THAT(refused("jobs: []"), HasSubstr("is empty"));
}

}  // namespace
}  // namespace podsim

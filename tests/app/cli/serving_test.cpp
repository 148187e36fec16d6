// Served traffic from the command line: the table, the files, a signal in the middle.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

std::string experiment(const char* requests) {
    return std::string(R"(experiment: conversations
workload:
  kind: serving
  model: llama-3.1-8b
  traffic:
    arrivals: {law: poisson, rate: 5 req/s}
    input: {mean: 800 tokens}
    output: {mean: 200 tokens}
    requests: )") +
           requests + R"(
  slo: {ttft: 1 s, tpot: 50 ms}
  rate_scales: [0.5, 2]
alternatives:
  - {name: H100, system: hgx-h100, chips: 2, replicas: 2, engine: vllm}
)";
}

TEST(ServingVerb, SaysWhatTrafficComesTo) {
    const Folder folder;
    folder.write("e.yaml", experiment("200"));
    const Outcome run = folder.podsim({"run", "e.yaml", "--out", "r", "--timeline"});
    ASSERT_EQ(run.code, 0) << run.err;
    for (const char* part :
         {"requests finished", "goodput", "time to first token, p99", "million output tokens",
          "over load: tok/s a chip / a user", "rate x 0.5", "queue", "decode", "audit: passed"})
        EXPECT_TRUE(contains(run.out, part)) << part << "\n" << run.out;
    for (const std::string& line : lines_of(run.out)) EXPECT_LE(line.size(), 80U) << line;
    const auto json = nlohmann::json::parse(folder.read("r/result.json"));
    const auto& served = json["alternatives"][0]["served"];
    EXPECT_EQ(served["finished"], 200);
    EXPECT_EQ(served["partial"], false);
    EXPECT_EQ(served["curve"].size(), 2U);
    // Engines and caches over the span are counters of the timeline.
    EXPECT_TRUE(contains(folder.read("r/timeline.json"), "KV cache"));
    const Outcome diff = folder.podsim({"diff", "r", "r"});
    EXPECT_EQ(diff.code, 2);
    EXPECT_TRUE(contains(diff.err, "served traffic has no one step")) << diff.err;
    // The result runs again from itself, to the byte.
    const Outcome again = folder.podsim({"run", "r/result.json", "--out", "again"});
    ASSERT_EQ(again.code, 0) << again.err;
    const auto other = nlohmann::json::parse(folder.read("again/result.json"));
    EXPECT_EQ(other["alternatives"][0]["served"], served);
}

TEST(ServingVerb, ASignalLeavesWhatHadEnded) {
    const Folder folder;
    folder.write("e.yaml", experiment("100000000"));
    const Outcome run = folder.podsim_terminated({"run", "e.yaml", "--out", "r"}, 3000);
    EXPECT_EQ(run.code, 130) << run.err;
    EXPECT_TRUE(contains(run.out, "partial: ended by a signal")) << run.out << run.err;
    const auto json = nlohmann::json::parse(folder.read("r/result.json"));
    const auto& served = json["alternatives"][0]["served"];
    EXPECT_EQ(served["partial"], true);
    EXPECT_GT(served["finished"], 0);
    EXPECT_EQ(served["arrived"].get<long>(), served["finished"].get<long>() +
                                                 served["in_flight"].get<long>() +
                                                 served["rejected"].get<long>());
}

TEST(ServingVerb, ResultsOfEarlierVersionsAreReadAndSaidToBe) {
    const Folder folder;
    folder.write("e.yaml", experiment("20"));
    ASSERT_EQ(folder.podsim({"run", "e.yaml", "--out", "r"}).code, 0);
    auto json = nlohmann::ordered_json::parse(folder.read("r/result.json"));
    auto& served = json["alternatives"][0]["served"];
    served.erase("late_first");
    served["pools"][0].erase("tier_tokens");
    folder.write("r/old.json", json.dump());
    const Outcome check = folder.podsim({"check", "r/old.json"});
    EXPECT_EQ(check.code, 0) << check.err;
    EXPECT_TRUE(contains(check.out + check.err,
                         "written by an earlier version, which said nothing of late_first, "
                         "tier_tokens"))
        << check.out << check.err;
    const Outcome sound = folder.podsim({"check", "r/result.json"});
    EXPECT_FALSE(contains(sound.out + sound.err, "earlier version"));
    served.erase("finished");
    folder.write("r/less.json", json.dump());
    EXPECT_EQ(folder.podsim({"check", "r/less.json"}).code, 2);
}

TEST(ServingVerb, ShippedExperimentsAreSound) {
    const Folder folder;
    for (const char* name : {"serving-llama-70b", "serving-pools", "serving-shared-cache"}) {
        const Outcome check = folder.podsim(
            {"check", std::string(PODSIM_SOURCE_DIR) + "/configs/experiments/" + name + ".yaml"});
        EXPECT_EQ(check.code, 0) << check.err;
    }
}

}  // namespace
}  // namespace podsim

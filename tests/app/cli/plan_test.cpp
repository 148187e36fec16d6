// `podsim plan` from the command line.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/text_table.hpp"
#include "tests/app/cli/program.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

const char* const kPlan = R"(
experiment: GPT on Selene
workload: {kind: training, model: megatron-18b, global_batch: 256, sequence: 2048 tokens, schedule: 1f1b}
alternatives:
  - {name: Selene, system: selene, chips: 64, engine: megatron}
prices: default
plan: {tensor_parallel: [2, 4, 8], pipeline_parallel: [1, 2, 4], micro_batch: [1, 2], recompute: [selective, full]}
)";

TEST(Plan, PrintsAndWritesWhatRunGives) {
    const Folder folder;
    folder.write("plan.yaml", kPlan);
    const Outcome plan =
        folder.podsim({"plan", "plan.yaml", "--fidelity", "analytic", "--out", "found"});
    ASSERT_EQ(plan.code, 0) << plan.err;
    EXPECT_TRUE(contains(plan.out, "best throughput"));
    EXPECT_TRUE(contains(plan.out, "written: found/best-selene.yaml"));
    for (const std::string& line : lines_of(plan.out)) EXPECT_LE(display_width(line), 80U) << line;
    const auto json = nlohmann::json::parse(folder.read("found/plan.json"));
    const auto& of = json["alternatives"][0];
    const std::size_t best = of["best"]["throughput"]["mappings"][0];
    const double step = of["timed_mappings"][best]["step_time"];
    const Outcome run = folder.podsim({"run", "found/best-selene.yaml", "--fidelity", "analytic",
                                       "--driver", "plain", "--out", "again", "--json"});
    ASSERT_EQ(run.code, 0) << run.err;
    const auto metrics = nlohmann::json::parse(run.out)["alternatives"][0]["metrics"];
    EXPECT_DOUBLE_EQ(metrics["step_time"]["value"], step);
}

TEST(Plan, WhatGoesToTheHostFitsALine) {
    const Folder folder;
    folder.write("plan.yaml",
                 replaced(kPlan, "recompute: [selective, full]", "offload: [optimizer]"));
    const Outcome plan = folder.podsim({"plan", "plan.yaml", "--fidelity", "analytic"});
    ASSERT_EQ(plan.code, 0) << plan.err;
    EXPECT_TRUE(contains(plan.out, "offload: optimizer in the host's memory")) << plan.out;
    for (const std::string& line : lines_of(plan.out)) EXPECT_LE(display_width(line), 80U) << line;
}

// Thousands of mappings of a chip whose products are worked out part by part.
TEST(Plan, SaysWhatItHasWhenInterrupted) {
    const Folder folder;
    folder.write("plan.yaml", R"(
experiment: Interrupted
workload: {kind: training, model: deepseek-v4-pro, global_batch: 64 Mtok, sequence: 4096 tokens}
alternatives:
  - {name: Custom, system: custom-supernode, chips: 1024, engine: megatron}
prices: default
plan: {micro_batch: [1, 2, 4], schedule: [1f1b, dualpipe, zb-h1], batch: at-most}
)");
    const Outcome plan =
        folder.podsim_terminated({"plan", "plan.yaml", "--json", "--out", "found"}, 1000);
    ASSERT_EQ(plan.code, 130) << plan.err;
    EXPECT_TRUE(nlohmann::json::parse(folder.read("found/plan.json"))["partial"]);
    EXPECT_TRUE(nlohmann::json::parse(plan.out)["partial"]);
}

TEST(Plan, SaysWhatIsWrongWithAFile) {
    const Folder folder;
    folder.write("plan.yaml",
                 std::string(kPlan).replace(std::string(kPlan).find("[2, 4, 8]"), 9, "[2, 7]"));
    const Outcome plan = folder.podsim({"plan", "plan.yaml", "--out", "found"});
    EXPECT_EQ(plan.code, 2);
    EXPECT_TRUE(contains(plan.err, "plan.yaml:7:25: plan.tensor_parallel: 7 does not divide"))
        << plan.err;
    EXPECT_FALSE(folder.has("found/plan.json"));
}

const char* const kFleet = R"(
experiment: A fleet
workload:
  kind: serving
  model: llama-3.1-8b
  traffic:
    arrivals: {law: poisson, rate: 60 req/s}
    input: {law: lognormal, mean: 800 tokens, cv: 1, maximum: 8000 tokens}
    output: {law: lognormal, mean: 200 tokens, cv: 1, maximum: 1000 tokens}
    requests: 2000
  slo: {ttft: 1 s, tpot: 30 ms}
alternatives:
  - {name: H100, system: hgx-h100, chips: 1, precision: {weights: fp8, activations: fp8}, engine: vllm}
prices: default
plan: {chips_per_replica: [1, 2], max_num_seqs: [64, 256], growth: {per_month: 4 %}, spare_replicas: 1, api: [gpt-5.4]}
)";

TEST(Plan, OfServingPrintsAndWritesWhatRunGives) {
    const Folder folder;
    folder.write("plan.yaml", kFleet);
    const Outcome plan = folder.podsim({"plan", "plan.yaml", "--out", "found"});
    ASSERT_EQ(plan.code, 0) << plan.err;
    EXPECT_TRUE(contains(plan.out, "smallest fleets"));
    EXPECT_TRUE(contains(plan.out, "gpt-5.4: OpenAI, 2026"));
    EXPECT_TRUE(contains(plan.out, "written: found/best-h100.yaml"));
    for (const std::string& line : lines_of(plan.out)) EXPECT_LE(display_width(line), 80U) << line;
    const auto json = nlohmann::json::parse(folder.read("found/plan.json"));
    const auto& fleet = json["alternatives"][0]["fleet"];
    EXPECT_GE(fleet["holds"], 1.0);
    const Outcome run = folder.podsim({"run", "found/best-h100.yaml", "--out", "again", "--json"});
    ASSERT_EQ(run.code, 0) << run.err;
    const auto metrics = nlohmann::json::parse(run.out)["alternatives"][0]["metrics"];
    for (const auto& [name, metric] : fleet["metrics"].items())
        EXPECT_EQ(metrics[name]["value"], metric["value"]) << name;
}

TEST(Plan, PlacesServicesOnWhatIsOwned) {
    const Folder folder;
    folder.write("one.yaml", kFleet);
    folder.write("two.yaml",
                 std::string(kFleet).replace(std::string(kFleet).find("A fleet"), 7, "Another"));
    folder.write("rooms.yaml", "inventory: Rooms\nowned:\n  - {system: hgx-h100, chips: 5}\n");
    const Outcome plan = folder.podsim(
        {"plan", "one.yaml", "two.yaml", "--inventory", "rooms.yaml", "--out", "found"});
    ASSERT_EQ(plan.code, 0) << plan.err;
    EXPECT_TRUE(contains(plan.out, "A fleet: llama-3.1-8b"));
    EXPECT_TRUE(contains(plan.out, "written: found/placed-another.yaml"));
    for (const std::string& line : lines_of(plan.out)) EXPECT_LE(display_width(line), 80U) << line;
    const auto json = nlohmann::json::parse(folder.read("found/plan.json"));
    const auto& system = json["systems"][0];
    int chips = 0;
    for (const auto& service : json["services"]) chips += service["chips"].get<int>();
    EXPECT_EQ(system["used"].get<int>() + system["to_buy"].get<int>(), chips);
    EXPECT_LE(system["used"], 5);
    EXPECT_EQ(system["left"], 5 - system["used"].get<int>());
    const Outcome again =
        folder.podsim({"plan", "one.yaml", "two.yaml", "--inventory", "rooms.yaml", "--json"});
    EXPECT_EQ(nlohmann::json::parse(again.out), json);
    EXPECT_EQ(folder.podsim({"check", "rooms.yaml"}).code, 0);
    EXPECT_EQ(folder.podsim({"run", "found/placed-another.yaml", "--out", "ran"}).code, 0);

    // One chip is too few for one with a spare: said, written, and no success.
    folder.write("closet.yaml",
                 "inventory: Closet\nbuy: false\nowned:\n  - {system: hgx-h100, chips: 1}\n");
    const Outcome unmet =
        folder.podsim({"plan", "one.yaml", "--inventory", "closet.yaml", "--out", "unmet"});
    EXPECT_EQ(unmet.code, 1) << unmet.err;
    EXPECT_TRUE(contains(unmet.out, "unmet: ")) << unmet.out;

    const Outcome several = folder.podsim({"plan", "one.yaml", "two.yaml"});
    EXPECT_EQ(several.code, 2);
    EXPECT_TRUE(contains(several.err, "2 experiments, one is planned at a time")) << several.err;
    folder.write("plan.yaml", kPlan);
    const Outcome training = folder.podsim({"plan", "plan.yaml", "--inventory", "rooms.yaml"});
    EXPECT_EQ(training.code, 2);
    EXPECT_TRUE(contains(training.err, "is not serving: an inventory is for services"))
        << training.err;
    const Outcome unknown = folder.podsim({"plan", "one.yaml", "--inventory", "two-room"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_TRUE(contains(unknown.err, "two-rooms")) << unknown.err;
}

}  // namespace
}  // namespace podsim

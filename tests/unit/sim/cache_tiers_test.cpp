// Cache tiers on their machine: what all replicas share and each reaches over its own ports, what a
// host has room for, and who pays for a host that is used in part.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/audit.hpp"
#include "sim/cache_tiers.hpp"
#include "sim/host_charge.hpp"
#include "sim/result_read.hpp"
#include "sim/serving_fleet.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/hosted_cases.hpp"

namespace podsim {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Sessions of five turns on two replicas of 16 chips, two hosts each, which take turns.
Node two_hosts(const std::string& tiers) {
    Node experiment = with(serving_experiment(), "alternatives.A.chips", "32");
    experiment = with(std::move(experiment), "alternatives.A.replicas", "2");
    experiment = with(std::move(experiment), "alternatives.A.mapping",
                      "{data_parallel: 32, expert_parallel: 32}");
    experiment = with(std::move(experiment), "workload.traffic",
                      "{arrivals: {law: poisson, rate: 2 req/s}, sessions: {turns: 5, think_time: "
                      "{mean: 20 s}}, input: {mean: 2000 tokens}, output: {mean: 50 tokens}, "
                      "requests: 200}");
    experiment = with(std::move(experiment), "workload.routing", "round_robin");
    return with(std::move(experiment), "workload.scheduler",
                "{max_num_seqs: 8, max_num_batched_tokens: 4096, cache_tiers: [" + tiers + "]}");
}

std::string problems_with(const std::string& tiers, Catalog catalog = hosted()) {
    try {
        check_experiment(two_hosts(tiers), catalog);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

AlternativeResult run_with(const Node& experiment, Catalog catalog = hosted()) {
    return run_experiment(experiment, catalog, quick()).alternatives.front();
}

constexpr const char* kShared =
    "{name: pool, shared: true, capacity: 10 TB, bandwidth: 1 TB/s, latency: 20 us}";

// 61 layers x 576 elements x 2 bytes = 70,272 bytes a token, whole on each rank, over 200 GB/s of
// its port in the domain: 351 ns.
TEST(SharedTiers, AGroupReadsWhatItHoldsOverItsPorts) {
    Catalog catalog = hosted();
    const ResolvedExperiment resolved = resolve(two_hosts(kShared), catalog);
    RunOptions options;
    ServingFleet fleet(resolved, resolved.alternatives[0], options);
    ASSERT_TRUE(fleet.engine(0).shared.has_value());
    const SharedPath& path = *fleet.engine(0).shared;
    EXPECT_NEAR(path.read_each.value(), 70272 / 200e9, 1e-12);
    EXPECT_NEAR(path.write_each.value(), 70272 / 200e9, 1e-12);
    EXPECT_NEAR(path.read_bytes.value(), 70272, 1e-6);
    EXPECT_EQ(shared_over(resolved, resolved.alternatives[0]), PoolLink::scale_up);
    // 25 GB/s of a rank's port to the network.
    const ResolvedExperiment out =
        resolve(two_hosts("{name: pool, shared: true, over: scale_out, capacity: 1 TB, bandwidth: "
                          "1 TB/s}"),
                catalog);
    ServingFleet over(out, out.alternatives[0], options);
    EXPECT_NEAR(over.engine(0).shared->read_each.value(), 70272 / 25e9, 1e-12);
}

// Two replicas that take turns find in their own memory what they happened to read before; with one
// store for both nearly every turn but the first of a session finds the ones before it.
TEST(SharedTiers, TurnsFindWhatTheOtherReplicaRead) {
    const AlternativeResult own = run_with(two_hosts("")), shared = run_with(two_hosts(kShared));
    EXPECT_THAT(broken_laws(shared), IsEmpty());
    EXPECT_GT(value_of(shared, "prefix_hit_rate"), 1.1 * value_of(own, "prefix_hit_rate"));
    const ServedTraffic& served = *shared.served;
    ASSERT_EQ(served.shared_tiers.size(), 1);
    const ServedTier& tier = served.shared_tiers[0];
    EXPECT_EQ(tier.name, "pool");
    EXPECT_EQ(served.pools[0].shared_tokens, tier.read_tokens);
    EXPECT_NEAR(tier.read_bytes, 70272 * tier.read_tokens, 1);
    EXPECT_NEAR(tier.busy_seconds, (tier.read_bytes + tier.written_bytes) / 1e12, 1e-9);
    // Who gets a turn matters less where all is shared.
    const auto aware = [](const Node& experiment) {
        return value_of(run_with(with(experiment, "workload.routing", "prefix_aware")),
                        "prefix_hit_rate");
    };
    EXPECT_GT(aware(two_hosts("")) - value_of(own, "prefix_hit_rate"),
              5 * std::abs(aware(two_hosts(kShared)) - value_of(shared, "prefix_hit_rate")));
}

// 10 TB of DDR5 at 12 USD/GB: 120,000 x 0.308669 / (8766 x 0.9 h) x 1.2 = 5.63393 USD/h, once.
TEST(SharedTiers, ArePaidForOnce) {
    Catalog catalog = hosted();
    catalog.embed("prices", "test-prices",
                  parse_yaml(std::string(kTestPrices) + "media: {ddr5: {purchase: 12 USD/GB}}\n",
                             "test-prices.yaml"));
    const Node paid =
        two_hosts("{name: pool, shared: true, medium: ddr5, capacity: 10 TB, bandwidth: 1 TB/s}");
    const AlternativeResult result = run_with(paid, catalog);
    EXPECT_THAT(broken_laws(result), IsEmpty());
    EXPECT_NEAR(value_of(result, "usd_per_hour_per_chip"), 2 + 5.63393 / 32, 1e-4);
    EXPECT_NEAR(shared_usd_per_hour(resolve(paid, catalog), resolve(paid, catalog).alternatives[0]),
                5.63393, 1e-4);
}

TEST(SharedTiers, TheAuditSeesThemBent) {
    Catalog catalog = hosted();
    const Result sound = run_experiment(two_hosts(kShared), catalog, quick());
    const auto breaks = [&](auto bend) {
        AlternativeResult bent = sound.alternatives.front();
        bend(bent.served->shared_tiers[0], bent.served->pools[0]);
        bent.audit = audit(bent, sound.kind, sound.configuration);
        return broken_laws(bent);
    };
    const auto law = Contains(HasSubstr("what replicas share"));
    EXPECT_THAT(breaks([](ServedTier&, ServedPool&) {}), IsEmpty());
    EXPECT_THAT(breaks([](ServedTier& tier, ServedPool&) { tier.written_tokens = 0; }), law);
    EXPECT_THAT(breaks([](ServedTier& tier, ServedPool&) { tier.bandwidth *= 8; }), law);
    EXPECT_THAT(breaks([](ServedTier& tier, ServedPool&) { tier.read_bytes *= 1e4; }), law);
    EXPECT_THAT(breaks([](ServedTier& tier, ServedPool&) { tier.written_tokens *= 1e3; }), law);
    EXPECT_THAT(breaks([](ServedTier& tier, ServedPool&) { tier.peak_blocks = tier.blocks + 1; }),
                law);
    EXPECT_THAT(breaks([](ServedTier&, ServedPool& pool) { pool.shared_tokens *= 2; }), law);
}

TEST(SharedTiers, RefusesWhatDoesNotFitTogether) {
    EXPECT_THAT(
        problems_with(std::string(kShared) + ", {name: host, capacity: 1 TB, bandwidth: 100 GB/s}"),
        HasSubstr("host, of each replica, stands below pool"));
    EXPECT_THAT(problems_with("{name: host, over: scale_up, capacity: 1 TB, bandwidth: 1 GB/s}"),
                HasSubstr("is of tiers that replicas share"));
    EXPECT_THAT(problems_with("{name: p, shared: true, place: host, capacity: 1 TB, bandwidth: 1 "
                              "GB/s}"),
                HasSubstr("reached over the fabric"));
    EXPECT_THAT(problems_with("{name: host, capacity: 1000000000000000 TB, bandwidth: 1 GB/s}"),
                HasSubstr("more than any site has"));
}

// Two hosts of 2 TB, 800 GB/s and 20 TB, 40 GB/s each for 16 chips with links of 64 GB/s.
TEST(OwnTiers, HostsHaveSoMuchRoomAndRate) {
    EXPECT_EQ(problems_with("{name: host, capacity: 4 TB, bandwidth: 1024 GB/s}"), "");
    EXPECT_THAT(problems_with("{name: host, capacity: 4.5 TB, bandwidth: 1024 GB/s}"),
                HasSubstr("4 TB a replica at most, or place: pool"));
    EXPECT_THAT(problems_with("{name: host, capacity: 4 TB, bandwidth: 1100 GB/s}"),
                HasSubstr("bandwidth: 1.024 TB/s"));
    EXPECT_EQ(problems_with("{name: ssd, capacity: 40 TB, bandwidth: 80 GB/s}"), "");
    EXPECT_THAT(problems_with("{name: ssd, capacity: 40 TB, bandwidth: 81 GB/s}"),
                HasSubstr("bandwidth: 80 GB/s"));
    EXPECT_EQ(problems_with("{name: far, place: pool, capacity: 100 TB, bandwidth: 100 GB/s}"), "");
    EXPECT_THAT(problems_with("{name: far, place: pool, capacity: 1 TB, bandwidth: 900 GB/s}"),
                HasSubstr("bandwidth: 800 GB/s"));
}

// What all replicas on one host hold is added up: twelve chips are three replicas of four, two of
// them on the first host, and 2 x 1.2 TB are more than its 2 TB.
TEST(OwnTiers, AllReplicasOnAHostShareItsMemory) {
    const auto three = [](const std::string& capacity) {
        Node experiment =
            with(two_hosts("{name: host, capacity: " + capacity + ", bandwidth: 10 GB/s}"),
                 "workload.model", "llama-3.1-8b");
        experiment = with(std::move(experiment), "alternatives.A.chips", "12");
        experiment = with(std::move(experiment), "alternatives.A.replicas", "3");
        return with(std::move(experiment), "alternatives.A.mapping", "{tensor_parallel: 8}");
    };
    const auto said = [](const Node& experiment) {
        Catalog catalog = hosted();
        return refusal_of([&] { check_experiment(experiment, catalog); });
    };
    EXPECT_THAT(said(three("1.2 TB")),
                AllOf(HasSubstr("host: 1.2 TB for each of 3 replicas, 2 of them on a host of "
                                "test-system: 2.4 TB of cache tiers, and its host memory is 2 TB"),
                      HasSubstr("1 TB a replica at most, or place: pool")));
    const AlternativeResult result = run_with(three("1 TB"));
    EXPECT_THAT(broken_laws(result), IsEmpty());
    ASSERT_EQ(result.host_memory.size(), 1U);
    EXPECT_EQ(result.host_memory[0].ranks, 2);
    EXPECT_DOUBLE_EQ(result.host_memory[0].total, 2e12);
    EXPECT_DOUBLE_EQ(result.host_memory[0].capacity, 2e12);
}

// 58 x 256 experts of 44,085,248 B lie on the two hosts of a replica, 327.3 GB on each beside half
// of its tier: 2 TB - 327.3 GB leave 3.345 TB for a replica's.
TEST(OwnTiers, ExpertsThatLieWithTheHostTakeTheirPart) {
    const auto beside = [](const std::string& capacity, const std::string& to) {
        Node experiment =
            with(two_hosts("{name: host, capacity: " + capacity + ", bandwidth: 100 GB/s}"),
                 "alternatives.A.experts", "{offload: {to: " + to + ", resident: 50 %}}");
        return without(std::move(experiment), "workload", "slo");
    };
    const auto said = [](const Node& experiment) {
        Catalog catalog = hosted();
        return refusal_of([&] { check_experiment(experiment, catalog); });
    };
    EXPECT_THAT(said(beside("4 TB", "host")),
                AllOf(HasSubstr("scheduler.cache_tiers: host: 4 TB for each of 2 replicas, 0.5 of "
                                "them on a host of test-system: 327.3 GB of routed experts, 2 TB "
                                "of cache tiers, and its host memory is 2 TB"),
                      HasSubstr("3.345 TB a replica at most")));
    Catalog roomy = hosted();
    EXPECT_NO_THROW(check_experiment(beside("4 TB", "ssd"), roomy));
    const AlternativeResult result = run_with(beside("3.3 TB", "host"));
    EXPECT_THAT(broken_laws(result), IsEmpty());
    ASSERT_EQ(result.host_memory.size(), 1U);
    EXPECT_DOUBLE_EQ(result.host_memory[0].total, 1.65e12 + 29.0 * 256 * 44085248);
    // A host that holds more than it has is seen from the result.
    AlternativeResult bent = result;
    bent.host_memory[0].total += 1e12;
    bent.host_memory[0].parts[0].bytes += 1e12;
    Catalog catalog = hosted();
    const Result whole = run_experiment(beside("3.3 TB", "host"), catalog, quick());
    bent.audit = audit(bent, whole.kind, whole.configuration);
    EXPECT_THAT(broken_laws(bent), Contains(HasSubstr("memory fits")));
}

// Twelve of the sixteen chips of two hosts: the others are kept from everybody, which is said.
TEST(OwnTiers, SayWhoHasHostsToHimself) {
    Node experiment = with(two_hosts("{name: host, capacity: 1 TB, bandwidth: 10 GB/s}"),
                           "workload.model", "llama-3.1-8b");
    experiment = with(std::move(experiment), "alternatives.A.chips", "12");
    experiment = with(std::move(experiment), "alternatives.A.mapping", "{tensor_parallel: 4}");
    EXPECT_THAT(run_with(experiment).warnings, Contains(HasSubstr("12 chips have the memory")));
    const Node whole = with(experiment, "alternatives.A.charge", "whole_hosts");
    EXPECT_THAT(run_with(whole).warnings, ::testing::Not(Contains(HasSubstr("have the memory"))));
}

TEST(OwnTiers, AreTakenOnTrustWhereNoRecordKnows) {
    Catalog unknown = test_catalog();
    const AlternativeResult result =
        run_with(two_hosts("{name: host, capacity: 500 TB, bandwidth: 9 TB/s}"), unknown);
    EXPECT_THAT(result.warnings, Contains(HasSubstr("cache tier host is taken on trust")));
}

// Two of a host's eight chips: at 2 USD/h each works for 2 x (1 + 6 / 2) = 8 USD/h.
TEST(HostCharge, WholeHostsCountTheirIdleChips) {
    Node experiment = with(serving_experiment(), "alternatives.A.chips", "4");
    experiment = with(std::move(experiment), "workload.model", "llama-3.1-8b");
    experiment = with(std::move(experiment), "alternatives.A.mapping", "{tensor_parallel: 4}");
    experiment = with(std::move(experiment), "alternatives.A.replicas", "2");
    const AlternativeResult alone = run_with(experiment);
    const AlternativeResult whole =
        run_with(with(experiment, "alternatives.A.charge", "whole_hosts"));
    EXPECT_THAT(broken_laws(whole), IsEmpty());
    EXPECT_NEAR(value_of(alone, "usd_per_hour_per_chip"), 2, 1e-9);
    EXPECT_NEAR(value_of(whole, "usd_per_hour_per_chip"), 4, 1e-9);
    EXPECT_EQ(whole.served->pools[0].idle_chips, 4);
    EXPECT_NEAR(value_of(whole, "usd_per_million_tokens_of_idle_chips"),
                value_of(alone, "usd_per_million_total_tokens"), 1e-6);
    EXPECT_NEAR(value_of(whole, "usd_per_million_input_tokens"),
                value_of(alone, "usd_per_million_input_tokens"), 1e-9);
    EXPECT_EQ(alone.metric("usd_per_million_tokens_of_idle_chips"), nullptr);
    EXPECT_NEAR(idle_usd(whole.cost.front()), 2, 1e-9);
}

TEST(HostCharge, OfAStepToo) {
    Node experiment = with(test_experiment(), "alternatives.A.chips", "12");
    experiment = with(std::move(experiment), "workload.model", "llama-3.1-8b");
    experiment = with(std::move(experiment), "alternatives.A.mapping", "{tensor_parallel: 8}");
    const AlternativeResult alone = run_with(experiment);
    const AlternativeResult whole =
        run_with(with(experiment, "alternatives.A.charge", "whole_hosts"));
    EXPECT_THAT(broken_laws(whole), IsEmpty());
    EXPECT_NEAR(value_of(whole, "usd_per_million_output_tokens"),
                value_of(alone, "usd_per_million_output_tokens") * 16 / 12, 1e-9);
}

TEST(HostCharge, NeedsToKnowTheHost) {
    EXPECT_THAT(problems_of(with(test_experiment(), "alternatives.A.charge", "whole_hosts")),
                HasSubstr("says nothing of its host"));
}

// What versions before it wrote is read, and what it lacks is said.
TEST(ServedTraffic, OfAnEarlierVersionIsReadWithoutWhatCameLater) {
    Catalog catalog = hosted();
    nlohmann::ordered_json json = to_json(run_experiment(two_hosts(""), catalog, quick()));
    auto& served = json["alternatives"][0]["served"];
    for (const char* later : {"late_first", "late_tokens", "shared_tiers"}) served.erase(later);
    for (const char* later : {"tier_tokens", "shared_tokens", "idle_chips"})
        served["pools"][0].erase(later);
    const AlternativeResult read = read_result(json).alternatives.front();
    EXPECT_EQ(read.served->late_first, 0);
    EXPECT_THAT(read.warnings, Contains(HasSubstr("written by an earlier version, which said "
                                                  "nothing of late_first, late_tokens, "
                                                  "tier_tokens, shared_tokens, idle_chips, "
                                                  "shared_tiers")));
    served.erase("finished");
    EXPECT_THROW((void)read_result(json), std::runtime_error);
}

}  // namespace
}  // namespace podsim

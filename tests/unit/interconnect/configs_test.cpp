// Every system and collective library in configs/ keeps the contract of its kind. A new file is
// tested by being there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/catalog.hpp"
#include "interconnect/coflow.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::Contains;

SystemSpec system_named(const std::string& name) {
    return read_system(Catalog(configs_root).load("system", name, {}, ""), name);
}
CollectiveLibrarySpec library_named(const std::string& name) {
    return read_collective_library(Catalog(configs_root).load("collectives", name, {}, ""), name);
}

Transfer exchange(TransferType type, int group) {
    Transfer t;
    t.name = to_string(type);
    t.type = type;
    t.group_ranks = group;
    t.size = expert_payload(128, 8, token_bytes(7168, 2.0, 0));
    t.messages_per_rank = 128 * 8;
    return t;
}

TEST(Configs, ThereAreSystemsAndLibraries) {
    EXPECT_THAT(names_in_configs("system"), Contains("cloudmatrix384"));
    EXPECT_THAT(names_in_configs("system"), Contains("h800-ib"));
    EXPECT_THAT(names_in_configs("system"), Contains("custom-supernode"));
    EXPECT_THAT(names_in_configs("collectives"), Contains("nominal"));
}

class EverySystem : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Configs, EverySystem, testing::ValuesIn(names_in_configs("system")),
                         test_name);

TEST_P(EverySystem, NamesThingsThatExist) {
    const SystemSpec system = system_named(GetParam());
    EXPECT_THAT(names_in_configs("chip"), Contains(system.chip));
    EXPECT_THAT(names_in_configs("collectives"), Contains(system.collectives));
}

TEST_P(EverySystem, SaysItsSources) {
    const SystemSpec system = system_named(GetParam());
    for (const auto* level : {&system.scale_up, &system.scale_out}) {
        EXPECT_FALSE(level->technology.empty());
        EXPECT_FALSE(level->bandwidth.source.empty());
        EXPECT_FALSE(level->latency.source.empty());
        EXPECT_FALSE(level->domain.source.empty());
    }
    // What no record says is left to the bill, and is not a number of nobody's.
    EXPECT_EQ(system.power_per_chip.source.empty(), system.power_per_chip.value == Watts(0.0));
}

// Orders of magnitude, bits for bytes: what scales up is faster and nearer than what scales out.
TEST_P(EverySystem, ScaleUpIsFasterAndNearer) {
    const SystemSpec system = system_named(GetParam());
    EXPECT_GE(system.scale_up.bandwidth.value, system.scale_out.bandwidth.value);
    EXPECT_LE(system.scale_up.latency.value, system.scale_out.latency.value);
    EXPECT_LE(system.scale_up.domain.value, system.scale_out.domain.value);
    EXPECT_LE(system.scale_up.domain.value, system.chips);
    EXPECT_GE(system.scale_up.bandwidth.value.value(), 10e9);
    EXPECT_LE(system.scale_up.bandwidth.value.value(), 10e12);
    EXPECT_GE(system.scale_out.bandwidth.value.value(), 5e9);
    EXPECT_LE(system.scale_out.latency.value.value(), 50e-6);
    EXPECT_EQ(system.scale_up.planes_down, 0) << "a system is described whole";
    EXPECT_EQ(system.scale_out.planes_down, 0) << "a system is described whole";
}

// Its default library moves every type of transfer, within a domain and beyond, no faster than the
// links.
TEST_P(EverySystem, ItsLibraryMovesEveryType) {
    const SystemSpec system = system_named(GetParam());
    const CollectiveLibrarySpec library = library_named(system.collectives);
    for (const int ranks_per_chip : {1, 2}) {
        const RankFabric fabric = rank_fabric(system, ranks_per_chip);
        for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr))) {
            for (const long group : {2L, fabric.domain_ranks, 4 * fabric.domain_ranks}) {
                const Transfer t = exchange(type, static_cast<int>(group));
                const Coflow c = make_coflow(t, fabric, library, group);
                const Seconds end = completion_times(c, {Seconds(0)}).front();
                EXPECT_GT(end, wire_bound(t, fabric, group)) << name;
                EXPECT_GT(c.latency.value(), 1e-6) << name;
                // Pods of nine thousand: a peer of a ring costs less than a microsecond.
                EXPECT_LT(c.latency.value(), std::max(10e-3, 1e-6 * static_cast<double>(group)))
                    << name;
            }
        }
    }
}

class EveryCollectiveLibrary : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryCollectiveLibrary,
                         testing::ValuesIn(names_in_configs("collectives")), test_name);

// Whoever names a library may ask it for any collective.
TEST_P(EveryCollectiveLibrary, KnowsEveryType) {
    const CollectiveLibrarySpec library = library_named(GetParam());
    for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr)))
        EXPECT_NO_THROW(transfer_habits(library, type)) << name;
}

TEST_P(EveryCollectiveLibrary, RecordsItsFits) {
    const CollectiveLibrarySpec library = library_named(GetParam());
    for (const auto& [type, habits] : library.transfers) {
        const FitRecord& record = habits.record;
        EXPECT_FALSE(record.source.empty()) << to_string(type);
        EXPECT_EQ(record.date.size(), 10u) << to_string(type);
        EXPECT_GE(record.held_out_error, 0) << to_string(type);
        EXPECT_LT(record.held_out_error, 1) << to_string(type);
        if (record.basis == Confidence::measured) {
            EXPECT_GT(record.rows, 0) << to_string(type);
        }
    }
}

}  // namespace
}  // namespace podsim

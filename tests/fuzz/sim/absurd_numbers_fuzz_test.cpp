// Numbers that no fabric has, one at a time and in pairs, in systems, libraries and experiments of
// collectives and replays: a run ends with its answer or with an error that says where, soon, and
// in little memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "base/random.hpp"
#include "sim/experiment.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/workloads/trace_cases.hpp"

namespace podsim {
namespace {

const std::vector<std::string> kNumbers = {"0", "-1", "1e-9", "3", "1e7", "1e15", "1e308"};

struct Key {
    std::string prefix, path, unit;  // prefix: "system:custom-torus." or nothing
    bool list = false;
};

// Every number of a document, with its unit; lists of them as one.
void collect(const Node& node, const std::string& prefix, const std::string& path,
             std::vector<Key>& keys) {
    const auto unit_of = [](const std::string& text) -> std::optional<std::string> {
        if (text.empty() || (std::isdigit(static_cast<unsigned char>(text[0])) == 0)) return {};
        const auto space = text.find(' ');
        return space == std::string::npos ? "" : text.substr(space);
    };
    if (node.kind == Node::Kind::scalar) {
        if (const auto unit = unit_of(node.text)) keys.push_back({prefix, path, *unit, false});
    } else if (node.kind == Node::Kind::list) {
        if (!node.items.empty() && node.items[0].kind == Node::Kind::scalar) {
            if (const auto unit = unit_of(node.items[0].text))
                keys.push_back({prefix, path, *unit, true});
        }
        for (std::size_t i = 0; i < node.items.size(); ++i)
            if (node.items[i].kind == Node::Kind::map)
                collect(node.items[i], prefix, path + "." + item_label(node, i), keys);
    } else if (const Node* value = node.find("value")) {
        collect(*value, prefix, path, keys);
    } else {
        for (const auto& entry : node.entries) {
            const bool words = entry.key == "source" || entry.key == "date";
            if (!words)
                collect(entry.value, prefix, path.empty() ? entry.key : path + "." + entry.key,
                        keys);
        }
    }
}

Setting setting_of(const Key& key, const std::string& number) {
    const std::string value =
        key.list ? "[" + number + key.unit + ", " + number + key.unit + "]" : number + key.unit;
    return parse_setting(key.prefix + key.path + "=" + value);
}

long peak_megabytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

class AbsurdNumbers : public testing::Test {
  protected:
    // Fails the test where a run does anything but answer or refuse with a place.
    void run(const std::string& experiment, const std::vector<Setting>& settings) {
        std::string said;
        for (const Setting& one : settings) said += one.text + "; ";
        SCOPED_TRACE(said);
        const auto begin = std::chrono::steady_clock::now();
        const long before = peak_megabytes();
        try {
            Catalog catalog(PODSIM_SOURCE_DIR "/configs", settings);
            RunOptions options;
            options.driver = Driver::plain;
            options.neighbour = false;
            const Result result =
                run_experiment(parse_yaml(experiment, "absurd.yaml"), catalog, options);
            EXPECT_GT(result.alternatives.at(0).iteration_seconds, 0);
            EXPECT_TRUE(result.audit_passed());
            ++answers_;
        } catch (const InputError& error) {
            ASSERT_FALSE(error.diagnostics().empty());
            for (const Diagnostic& one : error.diagnostics()) {
                EXPECT_FALSE(one.place.file.empty()) << one.what;
                EXPECT_FALSE(one.what.empty());
            }
            ++refusals_;
        } catch (const std::exception& error) {
            ADD_FAILURE() << "an error of podsim's own: " << error.what();
        }
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        EXPECT_LT(seconds, 20);
        EXPECT_LT(peak_megabytes() - before, 1500);
    }

    // Each number in each key, and pairs drawn at random.
    void try_all(const std::string& experiment, const std::vector<Key>& keys, std::uint64_t pairs) {
        ASSERT_FALSE(keys.empty());
        for (const Key& key : keys)
            for (const std::string& number : kNumbers) run(experiment, {setting_of(key, number)});
        for (std::uint64_t n = 0; n < pairs; ++n) {
            const auto draw = [&](std::uint64_t which, std::size_t of) {
                return static_cast<std::size_t>(uniform(n, which) * static_cast<double>(of));
            };
            const Key &a = keys[draw(0, keys.size())], &b = keys[draw(1, keys.size())];
            if (a.prefix + a.path == b.prefix + b.path) continue;
            run(experiment, {setting_of(a, kNumbers[draw(2, kNumbers.size())]),
                             setting_of(b, kNumbers[draw(3, kNumbers.size())])});
        }
        EXPECT_GT(answers_, 0);
        EXPECT_GT(refusals_, 0);
    }

    static std::vector<Key> keys_of(const std::string& kind, const std::string& name) {
        Catalog catalog(PODSIM_SOURCE_DIR "/configs");
        std::vector<Key> keys;
        collect(catalog.load(kind, name, {}, kind), kind + ":" + name + ".", "", keys);
        return keys;
    }

    int answers_ = 0, refusals_ = 0;
};

std::string collective_on(const std::string& system, const std::string& type) {
    return "experiment: absurd\nworkload: {kind: collective, collective: {type: " + type +
           ", ranks: 64, bytes: 1 MiB}}\nalternatives: [{name: A, system: " + system +
           ", chips: 64}]\n";
}

class AbsurdFabrics : public AbsurdNumbers, public testing::WithParamInterface<const char*> {};

TEST_P(AbsurdFabrics, AnswerOrRefuse) {
    const std::string system = GetParam();
    std::vector<Key> keys = keys_of("system", system);
    for (const char* more : {"oversubscription", "flows_per_pair", "virtual_channels", "rails",
                             "node_chips", "second_tier", "sync_legs"}) {
        Key key{"system:" + system + ".", std::string("scale_up.topology.") + more, "", false};
        keys.push_back(key);
    }
    try_all(collective_on(system, "all_reduce"), keys, 60);
}

INSTANTIATE_TEST_SUITE_P(Systems, AbsurdFabrics,
                         testing::Values("custom-torus", "custom-fat-tree", "custom-mesh",
                                         "custom-dragonfly", "custom-nvswitch"),
                         [](const auto& param) {
                             std::string name = param.param;
                             name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                             return name;
                         });

TEST_F(AbsurdNumbers, OfCollectives) {
    for (const std::string& experiment :
         {collective_on("custom-torus", "all_gather"),
          std::string(
              "experiment: absurd\nworkload: {kind: collective, collective: {type: dispatch, "
              "ranks: 64, tokens_per_rank: 128, hidden: 7168, top_k: 8, experts: 256, "
              "element_bytes: 1, scale_block: 128}}\nalternatives: [{name: A, system: "
              "cloudmatrix384, chips: 32}]\n")}) {
        std::vector<Key> keys;
        collect(parse_yaml(experiment, "absurd.yaml"), "", "", keys);
        for (Key& key : keys)
            if (key.path.rfind("alternatives.A.", 0) != 0 && key.path.rfind("workload", 0) != 0)
                key.path.clear();
        keys.erase(std::remove_if(keys.begin(), keys.end(),
                                  [](const Key& key) { return key.path.empty(); }),
                   keys.end());
        try_all(experiment, keys, 200);
    }
}

TEST_F(AbsurdNumbers, OfCollectiveLibraries) {
    try_all(collective_on("custom-torus", "all_to_all"), keys_of("collectives", "nominal"), 0);
}

// Each number by itself is possible, all together are not: the alternative is named.
TEST_F(AbsurdNumbers, TimesBeyondASimulationAreTheUsers) {
    const auto refused = [](const std::vector<std::string>& settings) {
        std::vector<Setting> parsed;
        for (const std::string& one : settings) parsed.push_back(parse_setting(one));
        Catalog catalog(PODSIM_SOURCE_DIR "/configs", parsed);
        return refusal_of([&] {
            (void)run_experiment(
                parse_yaml(collective_on("custom-fat-tree", "all_reduce"), "absurd.yaml"), catalog,
                {});
        });
    };
    EXPECT_THAT(
        refused({"workload.collective.bytes=1e15 B",
                 "system:custom-fat-tree.scale_out.bandwidth=1 MB/s",
                 "system:custom-fat-tree.scale_out.topology.oversubscription=1000"}),
        testing::AllOf(testing::HasSubstr("absurd.yaml:3"), testing::HasSubstr("alternatives.A: "),
                       testing::HasSubstr("s is no time of a simulation")));
    EXPECT_THAT(refused({"system:custom-fat-tree.scale_out.topology.oversubscription=1e9"}),
                testing::HasSubstr("scale_out.topology.oversubscription: a ratio of 1 to "
                                   "1,000, no fabric is built beyond was expected"));
}

TEST_F(AbsurdNumbers, OfReplays) {
    const TraceFolder folder;
    folder.write("t.0.et", kChakraHeader + chakra_compute(1, 10) + chakra_collective(2, 0, 65536));
    const std::string experiment =
        "experiment: absurd\nworkload: {kind: replay, trace: " + folder.path() +
        ", ranks: 16, compute_scale: 1, host_scale: 1}\nalternatives: [{name: A, system: "
        "custom-torus, chips: 16}]\n";
    std::vector<Key> keys;
    collect(parse_yaml(experiment, "absurd.yaml"), "", "", keys);
    try_all(experiment, keys, 100);
}

}  // namespace
}  // namespace podsim

// `list`, `show`, `check`, `schema`, and the program's own words.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/kinds.hpp"
#include "sim/result.hpp"
#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

void expect_fits(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.out, "");
    EXPECT_EQ(outcome.err, "");
    for (const std::string& line : lines_of(outcome.out)) {
        const bool path = line.find(".yaml>") != std::string::npos;  // as long as it is
        EXPECT_TRUE(path || line.size() <= 80u) << line;
    }
}

TEST(Help, OfTheProgramAndOfEachVerb) {
    const Folder folder;
    const Outcome all = folder.podsim({"--help"});
    expect_fits(all);
    for (const char* verb : {"run", "validate", "list", "show", "check", "schema"}) {
        EXPECT_TRUE(contains(all.out, std::string("  ") + verb + " ")) << verb;
        const Outcome one = folder.podsim({verb, "--help"});
        expect_fits(one);
        EXPECT_TRUE(contains(one.out, std::string("podsim ") + verb)) << one.out;
    }
}

TEST(Version, NamesTheModelCode) {
    const Outcome outcome = Folder().podsim({"--version"});
    expect_fits(outcome);
    EXPECT_TRUE(contains(outcome.out, std::string("model code ") + kModelCodeVersion));
}

TEST(List, EveryKind) {
    const Folder folder;
    const Outcome all = folder.podsim({"list"});
    expect_fits(all);
    for (const Kind& kind : kinds()) {
        EXPECT_TRUE(contains(all.out, kind.plural)) << kind.plural;
        const Outcome plural = folder.podsim({"list", kind.plural});
        expect_fits(plural);
        EXPECT_EQ(plural.out, folder.podsim({"list", kind.singular}).out);
        const Json json = Json::parse(folder.podsim({"list", kind.plural, "--json"}).out);
        ASSERT_FALSE(json.empty()) << kind.plural;
        for (const Json& thing : json) {
            EXPECT_NE(thing["name"], "");
            EXPECT_NE(thing["title"], "") << thing;
        }
    }
    EXPECT_TRUE(contains(folder.podsim({"list", "chips"}).out, "Huawei Ascend 910C"));
}

TEST(List, ConfigurationsOfOnesOwn) {
    const Folder folder;
    folder.write("mine/chips/one.yaml", "# A chip of mine. More words.\nbase: two\n");
    folder.write("mine/chips/two.yaml", "title: Another\n");
    folder.write("mine/chips/three.yaml", "title: [\n");
    const std::string expected =
        "one    A chip of mine\n"
        "three  cannot be read: podsim check mine/chips/three.yaml says why\n"
        "two    Another\n";
    EXPECT_EQ(folder.podsim({"list", "chips", "--configs", "mine"}).out, expected);
    EXPECT_EQ(folder.podsim({"list", "chips"}, {{"PODSIM_CONFIGS", "mine"}}).out, expected);
    // The option is nearer than the environment.
    EXPECT_EQ(folder.podsim({"list", "chips", "--configs", "mine"}, {{"PODSIM_CONFIGS", "x"}}).out,
              expected);
}

TEST(Show, EveryThing) {
    const Folder folder;
    for (const Kind& kind : kinds()) {
        const Json all = Json::parse(folder.podsim({"list", kind.plural, "--json"}).out);
        for (const Json& thing : all) {
            const std::string name = thing["name"];
            expect_fits(folder.podsim({"show", kind.singular, name}));
            const Json json = Json::parse(folder.podsim({"show", kind.plural, name, "--json"}).out);
            EXPECT_EQ(json["name"], name);
            EXPECT_EQ(json["kind"], kind.singular);
        }
    }
}

TEST(Show, NumbersWithBandConfidenceAndSource) {
    const Folder folder;
    folder.write("mine/chips/a.yaml",
                 "title: A\npower: {value: 600 W, low: 500 W, high: 700 W, source: a talk, "
                 "confidence: estimate, note: not yet confirmed}\n");
    folder.write("mine/chips/b.yaml", "base: a\ntitle: B\n");
    const Outcome outcome = folder.podsim({"show", "chip", "a", "b", "--configs", "mine"});
    EXPECT_EQ(outcome.out,
              "a  <mine/chips/a.yaml>\n"
              "title                       A\n"
              "power                       600 W (500 W to 700 W) [estimate] a talk; not yet\n"
              "                            confirmed\n"
              "\n"
              "b  <mine/chips/b.yaml>\n"
              "title                       B\n"
              "power                       600 W (500 W to 700 W) [estimate] a talk; not yet\n"
              "                            confirmed <a.yaml:2>\n"
              "variant_of                  a\n");
}

TEST(Show, WhatAModelAmountsTo) {
    // DeepSeek-V3, arXiv 2412.19437: 671 B parameters, 37 B active; cache of 576 elements a layer:
    // 576 x 2 B x 61 = 70,272 B a token in BF16.
    const Folder folder;
    const Json json =
        Json::parse(folder.podsim({"show", "model", "deepseek-v3", "--json"}).out)["computed"];
    EXPECT_NEAR(json["parameters"].get<double>(), 671e9, 0.5e9);
    EXPECT_NEAR(json["active_parameters"].get<double>(), 37e9, 1e9);
    EXPECT_EQ(json["kv_cache_bytes_per_token_bf16"], 70272.0);
    const std::string text = folder.podsim({"show", "model", "deepseek-v3"}).out;
    EXPECT_TRUE(contains(text, "  total                                         671.0\n")) << text;
    EXPECT_TRUE(contains(text, "  a further token, BF16, B                      70272\n")) << text;
}

// The parts of what an H100 costs to make sum up, low to high; so do those of its text.
TEST(Show, WhatAChipDrawsAndCosts) {
    const Folder folder;
    const Json json =
        Json::parse(folder.podsim({"show", "chip", "h100-sxm", "--json"}).out)["computed"];
    EXPECT_EQ(json["power"]["sustained_share_measured"], 0.73);
    EXPECT_NEAR(json["power"]["sustained_share_by_process"].get<double>(), 0.73, 0.002);
    for (const char* end : {"low", "value", "high"}) {
        const Json& cost = json["silicon"][end];
        const auto usd = [&](const char* line) { return cost[line].get<double>(); };
        EXPECT_NEAR(usd("dies, USD") + usd("memory, USD") + usd("package, USD") +
                        usd("lost in assembly, USD") + usd("test and module, USD"),
                    usd("manufacturing, USD"), 1e-6);
        EXPECT_NEAR(usd("manufacturing, USD") + usd("design, USD") + usd("margin, USD"),
                    usd("price, USD"), 1e-6);
    }
    const std::string text = folder.podsim({"show", "chip", "h100-sxm"}).out;
    EXPECT_TRUE(contains(text, "  manufacturing, USD")) << text;
    EXPECT_TRUE(contains(text, "measured, and used for the chip as it is: 0.730")) << text;
    const std::string process = folder.podsim({"show", "process", "tsmc-4n"}).out;
    EXPECT_TRUE(contains(process, "16988 USD")) << process;
}

TEST(Show, WhatASettingMakesOfIt) {
    const std::string setting = "chip:h800.hbm.bandwidth=4 TB/s";
    const std::string text = Folder().podsim({"show", "chip", "h800", "--set", setting}).out;
    EXPECT_TRUE(contains(text, "4 TB/s <--set>")) << text;
}

TEST(Check, EveryShippedFile) {
    const Folder folder;
    std::size_t files = 0;
    for (const char* below : {"configs", "bench/validation"}) {
        const std::filesystem::path root = std::filesystem::path(PODSIM_SOURCE_DIR) / below;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
            if (entry.path().extension() != ".yaml") continue;
            const std::string file = entry.path().string();
            const Outcome outcome = folder.podsim({"check", file});
            EXPECT_EQ(outcome.code, 0) << outcome.err;
            EXPECT_EQ(outcome.out, file + ": ok\n");
            ++files;
        }
    }
    EXPECT_GE(files, 20u);
}

TEST(Check, KindsByTheirKeys) {
    const Folder folder;
    const std::string configs = std::string(PODSIM_SOURCE_DIR) + "/configs/";
    for (const char* file :
         {"chips/h800", "systems/h800-ib", "kernels/nominal", "collectives/nominal",
          "engines/nominal", "prices/default", "processes/tsmc-n7", "models/deepseek-r1",
          "api_prices/public", "inventories/two-rooms", "experiments/deepseek-r1-decode"}) {
        std::filesystem::copy_file(configs + file + ".yaml", folder / "copy.yaml",
                                   std::filesystem::copy_options::overwrite_existing);
        EXPECT_EQ(folder.podsim({"check", "copy.yaml"}).code, 0) << file;
    }
    folder.write("variant.yaml", "base: ascend-910c\ntitle: Variant\n");
    EXPECT_EQ(folder.podsim({"check", "variant.yaml"}).code, 0);
    folder.write("of-variant.yaml", "base: ./variant.yaml\n");
    EXPECT_EQ(folder.podsim({"check", "of-variant.yaml"}).code, 0);
    folder.write("e.yaml", kGemm);
    ASSERT_EQ(folder.podsim({"run", "e.yaml", "--out", "o"}).code, 0);
    EXPECT_EQ(folder.podsim({"check", "o/result.json"}).code, 0);
}

TEST(Check, GoesOnAfterABadFile) {
    const Folder folder;
    folder.write("a.yaml", "colour: red\n");
    folder.write("b.yaml", kGemm);
    folder.write("c.yaml", "title: Chip\nhbm: 3\n");
    const Outcome outcome = folder.podsim({"check", "a.yaml", "b.yaml", "c.yaml"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "b.yaml: ok\n");
    EXPECT_TRUE(contains(outcome.err, "a.yaml: its keys do not tell")) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "c.yaml:2:6: hbm: ")) << outcome.err;
}

TEST(Schema, TheCommittedOnesAreCurrent) {
    const Folder folder;
    const Outcome outcome = folder.podsim({"schema", "--out", "s"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    ASSERT_EQ(folder.files().size(), 14u);
    const std::filesystem::path committed =
        std::filesystem::path(PODSIM_SOURCE_DIR) / "docs" / "schemas";
    std::size_t there = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(committed)) {
        ++there;
    }
    EXPECT_EQ(there, folder.files().size());
    for (const std::string& name : folder.files()) {
        const Json fresh = Json::parse(folder.read(name));
        EXPECT_TRUE(fresh.contains("$schema")) << name;
        const std::string file = std::filesystem::path(name).filename().string();
        const Folder copy;
        std::filesystem::copy_file(committed / file, copy / "x");
        EXPECT_TRUE(copy.read("x") == folder.read(name)) << "run podsim schema: " << file;
    }
}

}  // namespace
}  // namespace podsim

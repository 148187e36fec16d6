#include "base/catalog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A configs/ folder of its own for each test.
class CatalogTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        root_ = fs::path(::testing::TempDir()) / ("podsim-catalog-" + std::string(info->name()));
        fs::remove_all(root_);
        write("chips/h100.yaml", "name: H100\nhbm: {capacity: 80 GB, bandwidth: 3.35 TB/s}\n");
        write("chips/what-if.yaml", "base: h100\nname: what-if\nhbm: {bandwidth: 6 TB/s}\n");
        write("systems/node8.yaml", "chips: 8\n");
    }
    void TearDown() override { fs::remove_all(root_); }

    std::string write(const std::string& name, const std::string& text) const {
        const fs::path file = root_ / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return file.string();
    }
    Catalog catalog(const std::vector<std::string>& settings = {}) const {
        std::vector<Setting> parsed;
        for (const std::string& text : settings) parsed.push_back(parse_setting(text));
        return Catalog(root_.string(), parsed);
    }
    std::string json_of(const std::string& kind, const std::string& name,
                        const std::vector<std::string>& settings = {}) const {
        return text_of(catalog(settings).load(kind, name, {}, ""));
    }
    // Without the origin of a variant, which has a test of its own.
    static std::string text_of(const Node& document) {
        nlohmann::ordered_json json = to_json(document);
        json.erase("variant_of");
        return json.dump();
    }
    std::string path(const std::string& name) const { return (root_ / name).string(); }

    fs::path root_;
};

std::string error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

TEST_F(CatalogTest, LoadsByNameAndByPath) {
    EXPECT_EQ(json_of("chip", "h100"),
              R"({"name":"H100","hbm":{"capacity":"80 GB","bandwidth":"3.35 TB/s"}})");
    EXPECT_EQ(json_of("system", path("systems/node8.yaml")), R"({"chips":8})");
    write("models/tiny.json", "{\"layers\": 2}");
    EXPECT_EQ(json_of("model", "tiny"), R"({"layers":2})");
    const std::string config = write("hf/config.json", "{\"layers\": 3}");
    EXPECT_EQ(json_of("model", config), R"({"layers":3})");
    Catalog c = catalog();
    EXPECT_EQ(c.file_of("chip", "h100"), path("chips/h100.yaml"));
    EXPECT_THAT(c.names("chip"), ElementsAre("h100", "what-if"));
    EXPECT_THAT(c.names("prices"), ElementsAre());
}

TEST_F(CatalogTest, APathIsBesideTheFileThatNamesIt) {
    write("mine/chip.yaml", "name: mine\n");
    const Place asked{path("mine/experiment.yaml"), 3, 7};
    EXPECT_EQ(to_json(catalog().load("chip", "./chip.yaml", asked, "")).dump(),
              R"({"name":"mine"})");
    EXPECT_EQ(error_of([&] { catalog().load("chip", "no.yaml", asked, "chip"); }),
              asked.file + ":3:7: chip: no such file: no.yaml (looked for " + path("mine/no.yaml") +
                  " and no.yaml)");
    EXPECT_EQ(error_of([&] { catalog().load("chip", "./no.yaml", {}, "chip"); }),
              "chip: no such file: ./no.yaml");
    // one name, two files: which one a result rests on would be unclear
    write("other/chip.yaml", "name: other\n");
    Catalog c = catalog();
    c.load("chip", "./chip.yaml", asked, "");
    c.load("chip", "./chip.yaml", asked, "");
    EXPECT_THAT(error_of([&] {
                    c.load("chip", "./chip.yaml", {path("other/e.yaml"), 1, 1}, "chip");
                }),
                HasSubstr("./chip.yaml stands for two files"));
}

TEST_F(CatalogTest, OverlaysStateTheDifferences) {
    EXPECT_EQ(json_of("chip", "what-if"),
              R"({"name":"what-if","hbm":{"capacity":"80 GB","bandwidth":"6 TB/s"}})");
    const std::string file = write("mine/chip.yaml", "base: ../chips/what-if.yaml\nname: third\n");
    EXPECT_EQ(json_of("chip", file),
              R"({"name":"third","hbm":{"capacity":"80 GB","bandwidth":"6 TB/s"}})");
    const Node chip = catalog().load("chip", "what-if", {}, "");
    EXPECT_EQ(chip.find("hbm")->find("capacity")->place.file, path("chips/h100.yaml"));
    EXPECT_EQ(chip.find("hbm")->find("bandwidth")->place.line, 3);
}

TEST_F(CatalogTest, BasesThatCannotBe) {
    write("chips/a.yaml", "base: b\n");
    write("chips/b.yaml", "base: ./c.yaml\n");
    write("chips/c.yaml", "base: a\n");
    EXPECT_EQ(error_of([&] { json_of("chip", "a"); }),
              path("chips/c.yaml") + ":1:7: base: a circle of base: a -> b -> ./c.yaml -> a");
    write("chips/self.yaml", "base: self\n");
    EXPECT_THAT(error_of([&] { json_of("chip", "self"); }), HasSubstr("self -> self"));
    write("chips/n0.yaml", "a: 1\n");
    for (int i = 1; i < 20; ++i) {
        write("chips/n" + std::to_string(i) + ".yaml", "base: n" + std::to_string(i - 1) + "\n");
    }
    EXPECT_NO_THROW(json_of("chip", "n15"));
    EXPECT_THAT(error_of([&] { json_of("chip", "n19"); }), HasSubstr("too long a chain of base:"));
    write("chips/bad.yaml", "base: h10\n");
    EXPECT_EQ(error_of([&] { json_of("chip", "bad"); }),
              path("chips/bad.yaml") +
                  ":1:7: base: unknown chip h10 (did you mean h100? known: a, b, bad, c, h100, n0, "
                  "n1, n10, n11, n12, n13, n14, n15, n16, n17, n18, n19, n2, n3, n4 and 7 more)");
    write("chips/kind.yaml", "base: node8\n");
    EXPECT_THAT(error_of([&] { json_of("chip", "kind"); }),
                HasSubstr("node8.yaml is of kind system, one of kind chip was expected"));
    write("chips/kind2.yaml", "base: ../systems/node8.yaml\n");
    EXPECT_THAT(error_of([&] { json_of("chip", "kind2"); }), HasSubstr("is of kind system"));
    write("chips/list.yaml", "base: [h100]\n");
    EXPECT_THAT(error_of([&] { json_of("chip", "list"); }),
                HasSubstr("list.yaml:1:7: base: the name of another chip was expected"));
    write("chips/scalar.yaml", "h100\n");
    EXPECT_THAT(error_of([&] { json_of("chip", "scalar"); }), HasSubstr("a map of keys"));
}

TEST_F(CatalogTest, UnknownNamesAndFolders) {
    EXPECT_EQ(error_of([&] {
                  catalog().load("chip", "h10", {"e.yaml", 4, 9}, "alternatives.A.chip");
              }),
              "e.yaml:4:9: alternatives.A.chip: unknown chip h10 (did you mean h100? known: h100, "
              "what-if)");
    EXPECT_THAT(error_of([&] { catalog().load("chip", "", {}, ""); }), HasSubstr("unknown chip"));
    EXPECT_EQ(error_of([] { Catalog("/no/such/folder"); }),
              "/no/such/folder: is not a folder; the configurations are looked for here");
    EXPECT_THAT(error_of([] { folder_of_kind("chips"); }),
                HasSubstr("unknown kind chips (did you mean chip?"));
    EXPECT_EQ(folder_of_kind("engine"), "engines");
    EXPECT_EQ(folder_of_kind("kernels"), "kernels");
    for (const std::string& kind : document_kinds()) EXPECT_FALSE(folder_of_kind(kind).empty());
}

TEST(ParseSetting, SplitsKindNamePathAndValue) {
    Setting s = parse_setting("chip:ascend-910c.hbm.bandwidth= 4.8 TB/s");
    EXPECT_EQ(s.kind, "chip");
    EXPECT_EQ(s.name, "ascend-910c");
    EXPECT_EQ(s.path, "hbm.bandwidth");
    EXPECT_EQ(s.value, "4.8 TB/s");
    s = parse_setting("alternatives.A: B.chips=a=b");
    EXPECT_EQ(s.kind, "");
    EXPECT_EQ(s.path, "alternatives.A: B.chips");
    EXPECT_EQ(s.value, "a=b");
    s = parse_setting("chip:./my.d/x.yaml.hbm=");
    EXPECT_EQ(s.name, "./my.d/x");
    EXPECT_EQ(s.path, "yaml.hbm");
    EXPECT_EQ(s.value, "");
    EXPECT_THAT(error_of([] { parse_setting("chips"); }), HasSubstr("--set: chips: has no ="));
    EXPECT_THAT(error_of([] { parse_setting("=5"); }), HasSubstr("--set: =5: names no key"));
    EXPECT_THAT(error_of([] { parse_setting("chip:h100=5"); }), HasSubstr("names no key"));
    EXPECT_THAT(error_of([] { parse_setting("chip:.a=5"); }), HasSubstr("names no chip"));
    EXPECT_THAT(error_of([] { parse_setting("chop:a.b=5"); }),
                HasSubstr("--set: chop:a.b=5: unknown kind chop (did you mean chip?"));
}

TEST_F(CatalogTest, SettingsLieOnTop) {
    EXPECT_EQ(json_of("chip", "what-if", {"chip:what-if.hbm.bandwidth=8 TB/s", "chip:h100.name=x"}),
              R"({"name":"what-if","hbm":{"capacity":"80 GB","bandwidth":"8 TB/s"}})");
    Catalog c = catalog({"chip:h100.hbm.bandwidth=8 TB/s", "alternatives.A.chips=64"});
    const Node chip = c.load("chip", "h100", {}, "");
    EXPECT_EQ(chip.find("hbm")->find("bandwidth")->place.file, "--set");
    Node experiment = parse_yaml("alternatives: [{name: A, chips: 8}]\n", "e.yaml");
    c.apply_experiment_settings(experiment);
    EXPECT_EQ(experiment.find("alternatives")->items[0].find("chips")->text, "64");
    EXPECT_NO_THROW(c.require_all_settings_used());
    EXPECT_EQ(error_of([&] { json_of("chip", "h100", {"chip:h100.name.x=1"}); }),
              "--set: chip:h100.name.x: \"x\" is a step into a single value (the value here is "
              "H100)");
}

TEST_F(CatalogTest, NamesWithDotsAreTold) {
    write("models/llama-3.yaml", "layers: 1\n");
    write("models/llama-3.1-70b.yaml", "layers: 80\n");
    Catalog c = catalog({"model:llama-3.1-70b.layers=81"});
    EXPECT_EQ(to_json(c.load("model", "llama-3", {}, "")).dump(), R"({"layers":1})");
    EXPECT_EQ(to_json(c.load("model", "llama-3.1-70b", {}, "")).dump(), R"({"layers":81})");
    const std::string file = write("mine/chip.yaml", "a: 1\n");
    EXPECT_EQ(json_of("chip", file, {"chip:" + file + ".a=2"}), R"({"a":2})");
}

// Evidence and prices belong to the machine a variant started from.
TEST_F(CatalogTest, VariantsNameTheirOrigin) {
    const auto origin = [](const Node& document) {
        const Node* node = document.find("variant_of");
        return node == nullptr ? std::string("none") : node->text;
    };
    Catalog plain = catalog();
    EXPECT_EQ(origin(plain.load("chip", "h100", {}, "")), "none");
    EXPECT_EQ(origin(plain.load("chip", "what-if", {}, "")), "h100");
    Catalog set = catalog({"chip:h100.hbm.bandwidth=5 TB/s"});
    EXPECT_EQ(origin(set.load("chip", "h100", {}, "")), "h100");
    EXPECT_EQ(origin(set.load("system", "node8", {}, "")), "none");
}

// Systems are built for what the chip's file says; a setting over a setting keeps the first value.
TEST_F(CatalogTest, KeepsThePowerThatSystemsAreBuiltFor) {
    write("chips/hot.yaml", "name: hot\npower: {value: 700 W, source: sheet}\n");
    const auto built = [](Catalog catalog) {
        const Node document = catalog.load("chip", "hot", {}, "");
        const Node* power = document.find("power_as_built");
        return power == nullptr ? std::string("none") : to_json(*power).dump();
    };
    EXPECT_EQ(built(catalog()), "none");
    EXPECT_EQ(built(catalog({"chip:hot.name=cold"})), "none");
    EXPECT_EQ(built(catalog({"chip:hot.power=500 W"})), R"({"value":"700 W","source":"sheet"})");
    EXPECT_EQ(built(catalog({"chip:hot.power.value=500 W"})),
              R"({"value":"700 W","source":"sheet"})");
    Catalog again = catalog({"chip:hot.power=400 W"});
    again.embed("chip", "hot", parse_yaml("power: 500 W\npower_as_built: 700 W\n", "r.json"));
    EXPECT_EQ(built(again), R"("700 W")");
}

TEST_F(CatalogTest, UnusedSettingsAreErrors) {
    Catalog c = catalog({"chip:h200.hbm.capacity=1 GB", "alternatives.A.chips=64", "model:x.y=1"});
    c.load("chip", "h100", {}, "");
    EXPECT_EQ(error_of([&] { c.require_all_settings_used(); }),
              "--set: chip:h200.hbm.capacity=1 GB: is not used: this run rests on no chip of that "
              "name (it rests on h100)\n"
              "--set: alternatives.A.chips=64: is not used: no experiment was read\n"
              "--set: model:x.y=1: is not used: this run rests on no model of that name");
}

TEST_F(CatalogTest, EmbeddedDocumentsComeFirst) {
    Catalog c = catalog({"chip:h100.name=set"});
    c.embed("chip", "h100", parse_yaml("name: embedded\n", "result.json"));
    c.embed("chip", "only-here", parse_yaml("name: x\n", "result.json"));
    EXPECT_EQ(text_of(c.load("chip", "h100", {}, "")), R"({"name":"set"})");
    EXPECT_EQ(text_of(c.load("chip", "only-here", {}, "")), R"({"name":"x"})");
    EXPECT_THAT(c.names("chip"), ElementsAre("h100", "only-here", "what-if"));
    ASSERT_EQ(c.used_documents().size(), 2u);
    EXPECT_EQ(c.used_documents().begin()->first, "chip/h100");
    EXPECT_EQ(text_of(c.used_documents().at("chip/h100")), R"({"name":"set"})");
    EXPECT_THROW(c.embed("chop", "x", {}), InputError);
}

}  // namespace
}  // namespace podsim

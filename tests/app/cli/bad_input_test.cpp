// Whatever is wrong in what a user writes: exit status 2, the place, what would be right, and
// nothing written.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <ostream>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Files = std::map<std::string, std::string>;

// kDecode with one passage written otherwise; the passage must be there.
std::string decode_with(const std::string& passage, const std::string& instead) {
    std::string text = kDecode;
    const std::size_t at = text.find(passage);
    EXPECT_NE(at, std::string::npos) << passage;
    return text.replace(at, passage.size(), instead);
}

struct BadInput {
    std::string name;
    Files files;
    std::vector<std::string> arguments;
    std::string place;  // how a line of stderr begins
    std::string hint;   // stands in the same line
};

// How a failing test names its parameter.
[[maybe_unused]] void PrintTo(const BadInput& bad, std::ostream* out) {
    *out << bad.name;
}

class Refused : public testing::TestWithParam<BadInput> {};

TEST_P(Refused, SaysWhereAndWhatWouldBeRight) {
    const BadInput& bad = GetParam();
    const Folder folder;
    for (const auto& [name, content] : bad.files) folder.write(name, content);
    const auto before = folder.files();
    const Outcome outcome = folder.podsim(bad.arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(folder.files(), before) << "something was written";
    EXPECT_EQ(outcome.out, "");
    const auto lines = lines_of(outcome.err);
    ASSERT_GE(lines.size(), 2u) << outcome.err;
    const bool told = std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
        return line.rfind(bad.place + ": ", 0) == 0 && contains(line, bad.hint);
    });
    EXPECT_TRUE(told) << "expected " << bad.place << ": ... " << bad.hint << " in\n" << outcome.err;
    EXPECT_TRUE(contains(lines.back(), "podsim: " + std::to_string(lines.size() - 1) + " problem"))
        << lines.back();
}

std::string name_of(const testing::TestParamInfo<BadInput>& info) {
    return info.param.name;
}

// Images in the prompt of a model, written `images`.
std::string prefill_with(const std::string& model, const std::string& images) {
    return "experiment: images\nworkload:\n  kind: prefill\n  model: " + model +
           "\n  prompt: 1000 tokens\n  images: " + images +
           "\n  batch_per_rank: 1\nalternatives:\n  - name: one\n    system: hgx-h200\n"
           "    chips: 8\n    engine: nominal\n";
}

const std::vector<std::string> kRun = {"run", "e.yaml", "--out", "results"};

// An experiment that is wrong in one passage.
BadInput experiment(const std::string& name, const std::string& passage, const std::string& instead,
                    const std::string& place, const std::string& hint) {
    return {name, {{"e.yaml", decode_with(passage, instead)}}, kRun, place, hint};
}

INSTANTIATE_TEST_SUITE_P(
    Experiments, Refused,
    testing::Values(
        experiment("Kind", "kind: decode", "kind: decod", "e.yaml:3:9: workload.kind",
                   "did you mean decode?"),
        BadInput{"ImagesWithoutTower",
                 {{"e.yaml", prefill_with("llama-3.1-70b", "{count: 1, width: 896, height: 896}")}},
                 kRun,
                 "e.yaml:6:11: workload.images",
                 "llama-3.1-70b has no vision tower"},
        BadInput{"ImagesOfNoSize",
                 {{"e.yaml", prefill_with("gemma-4-31b", "{count: 1, width: 0, height: 896}")}},
                 kRun,
                 "e.yaml:6:29: workload.images.width",
                 "1 to 100,000"},
        experiment("ImagesInDecode", "  batch_per_chip: 32",
                   "  images: {count: 1, width: 896, height: 896}\n  batch_per_chip: 32",
                   "e.yaml:6:3: workload.images", "unknown key"),
        experiment("Model", "deepseek-r1", "deepseek-r2", "e.yaml:4:10: workload.model",
                   "did you mean deepseek-r1?"),
        experiment("System", "cloudmatrix384", "cloudmatrix348",
                   "e.yaml:9:13: alternatives.CloudMatrix384.system",
                   "did you mean cloudmatrix384?"),
        experiment("Engine", "cloudmatrix-infer", "cloudmatrix-inver",
                   "e.yaml:14:13: alternatives.CloudMatrix384.engine",
                   "did you mean cloudmatrix-infer?"),
        experiment("Chip", "chips: 160", "chips: 160\n    chip: ascend-901c",
                   "e.yaml:11:11: alternatives.CloudMatrix384.chip", "did you mean ascend-910c?"),
        experiment("Kernels", "chips: 160", "chips: 160\n    kernels: cann-91c",
                   "e.yaml:11:14: alternatives.CloudMatrix384.kernels", "did you mean cann-910c?"),
        experiment("Key", "engine: nominal", "engin: nominal",
                   "e.yaml:20:5: alternatives.Custom.engin", "did you mean engine?"),
        experiment("MissingUnit", "4096 tokens", "4096", "e.yaml:5:12: workload.context",
                   "such as 4096 tokens"),
        experiment("WrongUnit", "4096 tokens", "4096 GB", "e.yaml:5:12: workload.context",
                   "such as 4096 tokens"),
        experiment("Negative", "chips: 160", "chips: -160",
                   "e.yaml:10:12: alternatives.CloudMatrix384.chips", "at least 1"),
        experiment("BatchZero", "batch_per_chip: 32", "batch_per_chip: 0",
                   "e.yaml:6:19: workload.batch_per_chip", "at least 1"),
        experiment("NaN", "4096 tokens", ".nan tokens", "e.yaml:5:12: workload.context",
                   "not a finite number"),
        experiment("Infinity", "4096 tokens", ".inf tokens", "e.yaml:5:12: workload.context",
                   "not a finite number"),
        experiment("DuplicateKey", "  batch_per_chip: 32", "  model: deepseek-v3",
                   "e.yaml:6:3: workload", "written twice, first in line 4"),
        experiment("Tab", "  context", "\tcontext", "e.yaml:5:1", "indented by spaces"),
        experiment("Experts", "redundant: 32", "redundant: 31",
                   "e.yaml:13:26: alternatives.CloudMatrix384.experts.redundant",
                   "32 redundant would"),
        experiment("SystemTooSmall", "chips: 160", "chips: 100",
                   "e.yaml:12:14: alternatives.CloudMatrix384.mapping", "chips: 160 would do"),
        experiment("MoreChipsThanThereAre", "chips: 160", "chips: 1600",
                   "e.yaml:10:12: alternatives.CloudMatrix384.chips", "at most 384"),
        experiment("MemoryOverflow", "batch_per_chip: 32", "batch_per_chip: 32000",
                   "e.yaml:6:19: workload.batch_per_chip", "batch_per_chip at most"),
        experiment("NoAlternatives",
                   std::string(kDecode).substr(std::string(kDecode).find("alternatives:")),
                   "alternatives: []\n", "e.yaml:7:15: alternatives", "at least one"),
        experiment("ControlCharacter", "4096", std::string("4\x01") + "96", "e.yaml:5:13",
                   "text was expected"),
        experiment("ModelFileMissing", "deepseek-r1", "./nowhere.json",
                   "e.yaml:4:10: workload.model", "no such file")),
    name_of);

// A chip of one's own that is wrong, checked by itself and met by a run.
std::vector<BadInput> chip(const std::string& name, const std::string& content,
                           const std::string& place, const std::string& hint) {
    const Files files = {{"chip.yaml", content},
                         {"e.yaml", decode_with("chips: 64", "chips: 64\n    chip: ./chip.yaml")}};
    return {{name + "Checked", files, {"check", "chip.yaml"}, place, hint},
            {name + "Run", files, kRun, place, hint}};
}

std::vector<BadInput> chips() {
    std::vector<BadInput> all;
    const auto add = [&](const std::vector<BadInput>& both) {
        all.insert(all.end(), both.begin(), both.end());
    };
    const std::string base = "base: custom-npu\n";
    add(chip("GigabytesForARate", base + "hbm: {bandwidth: 3352 GB}\n",
             "chip.yaml:2:18: hbm.bandwidth", "such as 3.2 TB/s"));
    add(chip("RateForGigabytes", base + "hbm: {capacity: 80 GB/s}\n",
             "chip.yaml:2:17: hbm.capacity", "such as 64 GB"));
    add(chip("BareNumber", base + "hbm: {bandwidth: 3.3}\n", "chip.yaml:2:18: hbm.bandwidth",
             "such as 3.2 TB/s"));
    add(chip("Negative", base + "hbm: {bandwidth: -1 TB/s}\n", "chip.yaml:2:18: hbm.bandwidth",
             "above 0"));
    add(chip("NaN", base + "hbm: {bandwidth: nan TB/s}\n", "chip.yaml:2:18: hbm.bandwidth",
             "such as 3.2 TB/s"));
    add(chip("Infinity", base + "hbm: {bandwidth: .inf TB/s}\n", "chip.yaml:2:18: hbm.bandwidth",
             "such as 3.2 TB/s"));
    add(chip("Key", base + "hbm: {bandwith: 3 TB/s}\n", "chip.yaml:2:7: hbm.bandwith",
             "did you mean bandwidth?"));
    add(chip("Twice", base + "hbm: {bandwidth: 3 TB/s, bandwidth: 3 TB/s}\n", "chip.yaml:2:26: hbm",
             "first in line 2"));
    add(chip("Tab", base + "hbm:\n\tbandwidth: 3 TB/s\n", "chip.yaml:3:1", "by spaces"));
    add(chip("Base", "base: custom-npo\n", "chip.yaml:1:7: base", "did you mean custom-npu?"));
    add(chip("BaseCircle", "base: ./chip.yaml\n", "chip.yaml:1:7: base", "a circle of base:"));
    add(chip("Process", base + "silicon: {process: tsmc-n33}\n", "chip.yaml:2:20: silicon.process",
             "did you mean tsmc-n3?"));
    add(chip("CapAbovePower", base + "energy: {cap: 2 kW}\n", "chip.yaml:2:9: energy",
             "above the design power"));
    add(chip("EnergyOfNoFormat", base + "energy: {matrix: {fp4: 1 pJ/FLOP}}\n",
             "chip.yaml:2:9: energy", "no peak_matrix"));
    add(chip("EndlessMargin", base + "silicon: {gross_margin: 100 %}\n",
             "chip.yaml:2:25: silicon.gross_margin", "0 to 0.99"));
    add(chip("Peak", base + "peak_matrix: {bf16: 3000 TFLOPS}\n", "chip.yaml:2:14: peak_matrix",
             "may differ by 2 %"));
    return all;
}

INSTANTIATE_TEST_SUITE_P(Chips, Refused, testing::ValuesIn(chips()), name_of);

BadInput config(const std::string& name, const std::string& content, const std::string& place,
                const std::string& hint) {
    return {name,
            {{"e.yaml", decode_with("deepseek-r1", "./config.json")}, {"config.json", content}},
            kRun,
            place,
            hint};
}

INSTANTIATE_TEST_SUITE_P(
    Configs, Refused,
    testing::Values(config("NotJson", "{\"model_type\": ", "config.json:1:16", "not JSON"),
                    config("Empty", "", "config.json", "empty"),
                    config("Family", R"({"model_type": "deepseek_w3"})",
                           "config.json:1:16: model_type", "did you mean deepseek_v3?")),
    name_of);

BadInput line(const std::string& name, const std::vector<std::string>& arguments,
              const std::string& place, const std::string& hint) {
    return {name, {{"e.yaml", kGemm}}, arguments, place, hint};
}

BadInput setting(const std::string& name, const std::string& text, const std::string& place,
                 const std::string& hint) {
    return line("Set" + name, {"run", "e.yaml", "--out", "results", "--set", text}, place, hint);
}

INSTANTIATE_TEST_SUITE_P(
    CommandLines, Refused,
    testing::Values(
        line("NoVerb", {}, "podsim", "podsim --help"),
        line("Verb", {"rnu", "e.yaml"}, "podsim", "did you mean run?"),
        line("OptionBeforeVerb", {"--json", "run"}, "podsim", "options follow the verb"),
        line("RunOption", {"run", "e.yaml", "--fideltiy", "tile"}, "podsim run",
             "did you mean --fidelity?"),
        line("ListOption", {"list", "--jsno"}, "podsim list", "did you mean --json?"),
        line("ShowOption", {"show", "chip", "h800", "--jsno"}, "podsim show",
             "did you mean --json?"),
        line("CheckOption", {"check", "e.yaml", "--confgis", "x"}, "podsim check",
             "did you mean --configs?"),
        line("ValidateOption", {"validate", "--sumary"}, "podsim validate",
             "did you mean --summary?"),
        line("SchemaOption", {"schema", "--ouy=x"}, "podsim schema", "did you mean --out?"),
        line("NoFile", {"run"}, "podsim run", "podsim run --help"),
        line("Fidelity", {"run", "e.yaml", "--fidelity", "tiel"}, "podsim run: --fidelity",
             "did you mean tile?"),
        line("Driver", {"run", "e.yaml", "--driver", "plan"}, "podsim run: --driver",
             "did you mean plain?"),
        line("Seed", {"run", "e.yaml", "--seed", "1.5"}, "podsim run: --seed",
             "a whole number from 0"),
        line("SeedMissing", {"run", "e.yaml", "--seed"}, "podsim run", "podsim run --help"),
        line("Configs", {"run", "e.yaml", "--configs", "nowhere"}, "nowhere", "is not a folder"),
        line("RunMissing", {"run", "e.yml"}, "e.yml", "did you mean e.yaml?"),
        line("RunFolder", {"run", "."}, ".", "it holds e.yaml"),
        line("RunName", {"run", "deepseek-r1-decoed"}, "podsim run",
             "did you mean deepseek-r1-decode?"),
        line("CheckMissing", {"check", "f.yaml"}, "f.yaml", "did you mean e.yaml?"),
        line("CheckFolder", {"check", "."}, ".", "it holds e.yaml"),
        line("ValidateMissing", {"validate", "./e.yml"}, "./e.yml", "did you mean ./e.yaml?"),
        line("ValidateSuite", {"validate", "cloudmatrix"}, "podsim validate",
             "did you mean cloudmatrix384?"),
        line("ValidateNoSuites", {"validate", "--suites", "nowhere"}, "nowhere", "--suites"),
        line("ValidateWhatIsNone", {"validate", "e.yaml"}, "e.yaml:1:1: cases", "is missing"),
        line("ListKind", {"list", "chpis"}, "podsim list", "did you mean chips?"),
        line("ShowKind", {"show", "chpi", "h800"}, "podsim show", "did you mean chip?"),
        line("ShowName", {"show", "chip", "h80"}, "podsim show", "did you mean h800?"),
        line("ShowMetric", {"show", "metric", "layer_tiem"}, "podsim show",
             "did you mean layer_time?"),
        line("ShowSuite", {"show", "suite", "cloudmatrix"}, "podsim show",
             "did you mean cloudmatrix384?"),
        line("OutIsAFile", {"run", "e.yaml", "--out", "e.yaml"}, "e.yaml", "--out"),
        line("SchemaIntoAFile", {"schema", "--out", "e.yaml"}, "e.yaml", "--out"),
        line("OneFolderForTwo", {"run", "e.yaml", "./e.yaml"}, "./e.yaml", "one by one"),
        setting("NoValue", "chips", "--set: chips", "alternatives.H800.chips=64"),
        setting("Kind", "chp:h800.hbm.bandwidth=3 TB/s", "--set: chp:h800.hbm.bandwidth=3 TB/s",
                "did you mean chip?"),
        setting("Alternative", "alternatives.H80.chips=1", "--set: alternatives.H80.chips",
                "known: H800, 910C"),
        setting("Path", "chip:h800.hbm.bandwith=3 TB/s", "--set: hbm.bandwith",
                "did you mean bandwidth?"),
        setting("ExperimentPath", "nowhere.at.all=3", "--set: nowhere", "known: experiment"),
        setting("Unused", "chip:custom-npu.power=1 kW", "--set: chip:custom-npu.power=1 kW",
                "it rests on"),
        setting("Unit", "chip:h800.hbm.bandwidth=3 TB", "--set: hbm.bandwidth",
                "such as 3.2 TB/s")),
    name_of);

BadInput result(const std::string& name, const std::string& content, const std::string& place,
                const std::string& hint) {
    return {name, {{"r.json", content}}, {"run", "r.json", "--out", "results"}, place, hint};
}

INSTANTIATE_TEST_SUITE_P(
    Results, Refused,
    testing::Values(result("NotJson", "{", "r.json:1:2", "not JSON"),
                    result("NoInputs", R"({"configuration": {}})", "r.json:1:19", "is missing"),
                    result("DocumentOfNoKind",
                           R"({"configuration": {"experiment": {"a": 1}, "documents": {"x": 1}}})",
                           "r.json:1:58: configuration.documents", "kind/name"),
                    result("DocumentKind",
                           R"({"configuration": {"experiment": {}, "documents": {"chp/x": {}}}})",
                           "r.json:1:52: configuration.documents", "did you mean chip?")),
    name_of);

TEST(Refused, AllProblemsOfAllFilesAtOnce) {
    const Folder folder;
    folder.write("a.yaml", decode_with("deepseek-r1", "deepseek-r2"));
    folder.write("b.yaml", decode_with("4096 tokens", "4096"));
    const Outcome outcome = folder.podsim({"run", "a.yaml", "b.yaml"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_TRUE(contains(outcome.err, "a.yaml:4:10: ")) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "b.yaml:5:12: ")) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "podsim: 2 problems\n")) << outcome.err;
    EXPECT_FALSE(folder.has("results"));
}

TEST(Refused, AGoodFileIsNotWrittenBesideABadOne) {
    const Folder folder;
    folder.write("good.yaml", kGemm);
    folder.write("bad.yaml", decode_with("batch_per_chip: 32", "batch_per_chip: 32000"));
    EXPECT_EQ(folder.podsim({"run", "good.yaml", "bad.yaml"}).code, 2);
    EXPECT_FALSE(folder.has("results"));
}

TEST(Refused, UnreadableFile) {
    if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
    const Folder folder;
    folder.write("e.yaml", kGemm);
    std::filesystem::permissions(folder / "e.yaml", std::filesystem::perms::none);
    for (const std::string verb : {"run", "check", "validate"}) {
        const Outcome outcome = folder.podsim({verb, "./e.yaml"});
        EXPECT_EQ(outcome.code, 2) << verb;
        EXPECT_TRUE(contains(outcome.err, "e.yaml: ")) << outcome.err;
    }
}

TEST(Refused, FolderThatCannotBeWrittenTo) {
    if (geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
    const Folder folder;
    folder.write("e.yaml", kGemm);
    folder.write("closed/x", "");
    std::filesystem::permissions(
        folder / "closed", std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    const Outcome outcome = folder.podsim({"run", "e.yaml", "--out", "closed/results"});
    std::filesystem::permissions(folder / "closed", std::filesystem::perms::owner_all);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_TRUE(contains(outcome.err, "closed: this folder cannot be written to")) << outcome.err;
}

}  // namespace
}  // namespace podsim

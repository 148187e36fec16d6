// `podsim run`: what it writes, that equal runs are equal, and that a result runs again.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "sim/result.hpp"
#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

// A result without what may differ between equal runs.
std::string without_switches(const std::string& text) {
    Json json = Json::parse(text);
    json.erase("switches");
    return json.dump();
}

class Run : public testing::Test {
  protected:
    Run() { folder_.write("e.yaml", kDecode); }

    // The result.json of a run of `file` with these options.
    std::string result_of(const std::vector<std::string>& options,
                          const std::string& file = "e.yaml") {
        std::vector<std::string> arguments = {"run", file, "--quiet", "--out", "o"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        const Outcome outcome = folder_.podsim(arguments);
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        EXPECT_EQ(outcome.out + outcome.err, "");
        return folder_.read("o/result.json");
    }

    Folder folder_;
};

// Of training: what ranks hold at their fullest as a table, and over the step in the timeline,
// whose counters are at their highest what the table says.
TEST_F(Run, MemoryOfTrainingOverTime) {
    folder_.write("t.yaml", R"(experiment: GPT on Selene
workload: {kind: training, model: megatron-3.6b, global_batch: 64, sequence: 2048 tokens}
alternatives:
  - {name: A, system: selene, chips: 32, engine: megatron, mapping: {tensor_parallel: 2, pipeline_parallel: 2}}
)");
    const Json json = Json::parse(result_of({"--timeline"}, "t.yaml"));
    EXPECT_EQ(folder_.files(),
              (std::vector<std::string>{"e.yaml", "o/memory.csv", "o/operators.csv",
                                        "o/result.json", "o/timeline.json", "t.yaml"}));
    double most = 0;
    for (const Json& use : json["alternatives"][0]["memory"]) {
        most = std::max(most, use["total"].get<double>());
        EXPECT_FALSE(use["peak"]["during"].get<std::string>().empty());
    }
    double drawn = 0;
    const Json timeline = Json::parse(folder_.read("o/timeline.json"));
    for (const Json& event : timeline["traceEvents"]) {
        if (event["ph"] != "C" || !event["name"].get<std::string>().ends_with("memory, GB"))
            continue;
        double held = 0;
        for (const Json& part : event["args"]) held += part.get<double>();
        drawn = std::max(drawn, held);
    }
    EXPECT_NEAR(drawn, most / 1e9, 1e-5);
    const std::string csv = folder_.read("o/memory.csv");
    EXPECT_EQ(csv.substr(0, csv.find('\n')),
              "alternative,rank_class,ranks,part,bytes,total,capacity,peak_seconds,peak_during");
    EXPECT_NE(csv.find("A,stage 1 ranks,16,weights,"), std::string::npos) << csv;
}

TEST_F(Run, WritesResultAndOperators) {
    const Json json = Json::parse(result_of({}));
    EXPECT_EQ(folder_.files(),
              (std::vector<std::string>{"e.yaml", "o/operators.csv", "o/result.json"}));
    EXPECT_EQ(json["schema_version"], kResultSchemaVersion);
    EXPECT_EQ(json["experiment"], "Decode on two clusters");
    EXPECT_EQ(json["seed"], 1);
    ASSERT_EQ(json["alternatives"].size(), 2u);
    const Json& first = json["alternatives"][0];
    EXPECT_EQ(first["packages"], 160);
    EXPECT_EQ(first["ranks"], 320);
    EXPECT_EQ(first["fidelity"], "tile");
    // tok/s/chip = sequences of a chip x tokens of a step / iteration; no speculation: 1 token.
    const double iteration = first["iteration_seconds"];
    const double rate = first["metrics"]["decode_tokens_per_second_per_chip"]["value"];
    EXPECT_NEAR(rate, 32.0 / iteration, 1e-6 * rate);
    double shares = 0;
    for (const Json& part : first["breakdown"]) shares += part["share"].get<double>();
    EXPECT_NEAR(shares, 1.0, 1e-6);
    EXPECT_EQ(json["configuration"]["experiment"]["alternatives"][1]["name"], "Custom");
    EXPECT_TRUE(json["configuration"]["documents"].contains("chip/ascend-910c"));
    EXPECT_GT(json["switches"]["host_seconds"].get<double>(), 0.0);

    const auto rows = lines_of(folder_.read("o/operators.csv"));
    std::size_t operators = 0;
    for (const Json& one : json["alternatives"]) operators += one["operators"].size();
    EXPECT_EQ(rows.size(), operators + 1);
    EXPECT_EQ(rows[0].rfind("alternative,name,kind,", 0), 0u);
}

TEST_F(Run, TwiceTheSameBytes) {
    const std::string first = result_of({"--seed", "7"});
    const std::string csv = folder_.read("o/operators.csv");
    const std::string second = result_of({"--seed", "7"});
    // Host seconds and memory stand under "switches" alone.
    EXPECT_EQ(without_switches(first), without_switches(second));
    EXPECT_EQ(csv, folder_.read("o/operators.csv"));
    const auto until = [](const std::string& text) {
        return text.substr(0, text.find("\"switches\""));
    };
    EXPECT_EQ(until(first), until(second));
    EXPECT_EQ(Json::parse(first)["seed"], 7);
}

TEST_F(Run, CacheAndDriverChangeNothing) {
    const std::string plain = without_switches(result_of({}));
    EXPECT_EQ(plain, without_switches(result_of({"--no-cache"})));
    const std::string other = result_of({"--driver", "plain"});
    EXPECT_EQ(plain, without_switches(other));
    EXPECT_EQ(Json::parse(other)["switches"]["driver"], "plain");
}

// One chip with one library: one file.
std::string one_alternative() {
    const std::string two = kDecode;
    return two.substr(0, two.find("  - name: Custom"));
}

// What an earlier run left on disk changes no byte, and nor does what somebody made of it.
TEST_F(Run, CostsOnDiskChangeNothing) {
    folder_.write("e.yaml", one_alternative());
    const std::string cache = folder_ / "cache";
    const auto run = [&](const std::map<std::string, std::string>& environment,
                         const std::vector<std::string>& options = {}) {
        std::vector<std::string> arguments = {"run", "e.yaml", "--quiet", "--out", "o"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        const Outcome outcome = folder_.podsim(arguments, environment);
        EXPECT_EQ(outcome.code, 0);
        EXPECT_EQ(outcome.out + outcome.err, "");
        return folder_.read("o/result.json");
    };
    const auto stored_hits = [](const std::string& text) {
        return Json::parse(text)["switches"]["cache_stored_hits"].get<long>();
    };
    const auto kept = [&] {
        std::vector<std::string> files;
        for (const std::string& file : folder_.files())
            if (file.rfind("cache/", 0) == 0) files.push_back(file);
        return files;
    };
    const std::string off = run({{"XDG_CACHE_HOME", cache}}, {"--no-cache"});
    EXPECT_TRUE(kept().empty());
    const std::string cold = run({{"XDG_CACHE_HOME", cache}});
    EXPECT_EQ(stored_hits(cold), 0);
    ASSERT_EQ(kept().size(), 1u);
    EXPECT_EQ(kept()[0].rfind("cache/podsim/costs-", 0), 0u) << kept()[0];
    const std::string warm = run({{"XDG_CACHE_HOME", cache}});
    EXPECT_GT(stored_hits(warm), 8);  // the products of a layer and more
    EXPECT_LT(stored_hits(warm), Json::parse(warm)["switches"]["cache_misses"].get<long>());
    for (const std::string& file : kept()) {
        std::string bytes = folder_.read(file);
        for (std::size_t i = 100; i < bytes.size(); i += 100) bytes[i] = 'x';
        folder_.write(file, bytes);
    }
    const std::string broken = run({{"XDG_CACHE_HOME", cache}});
    EXPECT_EQ(stored_hits(broken), 0);
    const std::string nowhere = run({{"XDG_CACHE_HOME", "/dev/null/cache"}});
    for (const std::string& text : {cold, warm, broken, nowhere})
        EXPECT_EQ(without_switches(off), without_switches(text));
}

// The XDG Base Directory Specification: a path that is not absolute counts as none.
TEST_F(Run, WhereCostsAreKept) {
    folder_.write("e.yaml", one_alternative());
    const auto run = [&](const std::string& xdg, const std::string& home) {
        EXPECT_EQ(folder_
                      .podsim({"run", "e.yaml", "--quiet", "--out", "o"},
                              {{"XDG_CACHE_HOME", xdg}, {"HOME", home}})
                      .code,
                  0);
    };
    run("", "");
    run("relative", "");
    EXPECT_EQ(folder_.files(),
              (std::vector<std::string>{"e.yaml", "o/operators.csv", "o/result.json"}));
    run("relative", folder_ / "home");
    EXPECT_EQ(folder_.files().size(), 4u);
    EXPECT_EQ(folder_.files()[0], "e.yaml");
    EXPECT_EQ(folder_.files()[1].rfind("home/.cache/podsim/costs-", 0), 0u);
}

TEST_F(Run, AgainFromItsResult) {
    const std::string settings = "chip:custom-npu.hbm.bandwidth=12 TB/s";
    const std::string first =
        result_of({"--fidelity", "analytic", "--seed", "9", "--set", settings});
    EXPECT_EQ(Json::parse(first)["alternatives"][0]["fidelity"], "analytic");
    folder_.write("r/result.json", first);
    // Fidelity, seed, --set and every input come from the result: the configurations are not read.
    folder_.write("empty/chips/x.yaml", "title: nothing\n");
    const std::string again = result_of({"--configs", "empty"}, "r/result.json");
    EXPECT_EQ(without_switches(first), without_switches(again));
    // What is set anew goes on top.
    const Json changed = Json::parse(result_of(
        {"--set", "chip:custom-npu.hbm.bandwidth=16 TB/s", "--fidelity", "tile"}, "r/result.json"));
    EXPECT_EQ(changed["alternatives"][0]["fidelity"], "tile");
    EXPECT_EQ(changed["configuration"]["documents"]["chip/custom-npu"]["hbm"]["bandwidth"],
              "16 TB/s");
}

// The counts that were used go with the result.
TEST_F(Run, AgainWithoutTheHistogram) {
    std::string csv = "expert,count\n";
    for (int i = 0; i < 256; ++i) csv += fmt::format("{},{}\n", i, 1 + i % 3);
    folder_.write("counts.csv", csv);
    const std::string first = result_of(
        {"--set", "alternatives.Custom.experts={popularity: histogram, histogram: counts.csv}"});
    const Json metrics = Json::parse(first)["alternatives"].back()["metrics"];
    EXPECT_GT(metrics["expert_imbalance"]["value"], 1);
    folder_.write("r/result.json", first);
    folder_.write("counts.csv", "nothing of use\n");
    EXPECT_EQ(without_switches(first), without_switches(result_of({}, "r/result.json")));
}

TEST_F(Run, AResultRunAgainGoesBesideItsOwnFolder) {
    folder_.write("r/result.json", result_of({}));
    ASSERT_EQ(folder_.podsim({"run", "r/result.json", "--quiet"}).code, 0);
    EXPECT_TRUE(folder_.has("results/r-again/result.json"));
}

TEST_F(Run, SettingsReachExperimentAndDocuments) {
    const Json before = Json::parse(result_of({}));
    const Json after = Json::parse(result_of({"--set", "alternatives.Custom.batch_per_chip=64",
                                              "--set", "chip:ascend-910c.hbm.bandwidth=1.6 TB/s"}));
    const auto rate = [](const Json& json, int i) {
        return json["alternatives"][static_cast<std::size_t>(i)]["metrics"]
                   ["decode_tokens_per_second_per_chip"]["value"]
                       .get<double>();
    };
    EXPECT_LT(rate(after, 0), rate(before, 0));  // half the bandwidth
    EXPECT_GT(rate(after, 1), rate(before, 1));  // a larger batch
    EXPECT_EQ(after["configuration"]["origins"]["chip/ascend-910c.hbm.bandwidth"], "--set");
}

TEST_F(Run, SeveralFilesEachToItsFolder) {
    folder_.write("f.yaml", kGemm);
    ASSERT_EQ(folder_.podsim({"run", "e.yaml", "f.yaml"}).code, 0);
    ASSERT_EQ(folder_.podsim({"run", "e.yaml", "f.yaml", "--out", "x"}).code, 0);
    EXPECT_EQ(folder_.files(),
              (std::vector<std::string>{
                  "e.yaml", "f.yaml", "results/e/operators.csv", "results/e/result.json",
                  "results/f/operators.csv", "results/f/result.json", "x/e/operators.csv",
                  "x/e/result.json", "x/f/operators.csv", "x/f/result.json"}));
}

TEST_F(Run, JsonIsTheResultAlone) {
    const Outcome one = folder_.podsim({"run", "e.yaml", "--json", "--out", "o"});
    EXPECT_EQ(one.out, folder_.read("o/result.json"));
    EXPECT_EQ(one.err, "");  // no terminal: no progress
    folder_.write("f.yaml", kGemm);
    const Outcome two = folder_.podsim({"run", "e.yaml", "f.yaml", "--json"});
    EXPECT_EQ(Json::parse(two.out).size(), 2u);
}

TEST_F(Run, TableFitsATerminalAndNamesTheFiles) {
    std::string many =
        "experiment: Many\nworkload:\n  kind: operator\n  operator: {type: gemm, "
        "m: 64, n: 4096, k: 7168}\nalternatives:\n";
    for (const char* name : {"One", "Two", "Three", "A name that does not fit into its column",
                             "Fünf-mit-Umlauten-und-ohne-Leerzeichen"}) {
        many += std::string("  - {name: ") + name + ", system: h800-ib, chips: 1}\n";
    }
    folder_.write("many.yaml", many);
    for (const char* file : {"e.yaml", "many.yaml"}) {
        const Outcome outcome = folder_.podsim({"run", file, "--out", "o", "--timeline"});
        ASSERT_EQ(outcome.code, 0) << outcome.err;
        for (const std::string& line : lines_of(outcome.out)) {
            const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
                return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
            });
            EXPECT_LE(columns, 80) << line;
        }
        for (const char* written : {"o/result.json", "o/operators.csv", "o/timeline.json"}) {
            EXPECT_TRUE(contains(outcome.out, std::string("written: ") + written + "\n"));
        }
        EXPECT_TRUE(contains(outcome.out, "audit: passed")) << outcome.out;
    }
}

TEST_F(Run, TimelineIsAChromeTrace) {
    result_of({"--timeline"});
    const Json trace = Json::parse(folder_.read("o/timeline.json"));
    std::size_t processes = 0, counters = 0;
    double last = 0;
    for (const Json& event : trace["traceEvents"]) {
        const std::string phase = event["ph"];
        processes += event["name"] == "process_name" ? 1 : 0;
        counters += phase == "C" ? 1 : 0;
        if (phase != "X") continue;
        EXPECT_GE(event["ts"].get<double>(), 0.0);
        EXPECT_GE(event["dur"].get<double>(), 0.0);
        if (event["pid"] == 1) {
            last = std::max(last, event["ts"].get<double>() + event["dur"].get<double>());
        }
    }
    EXPECT_EQ(processes, 2u);
    EXPECT_GT(counters, 0u);
    // Of one class of ranks, which is done when the step is or just before; in microseconds.
    const Json result = Json::parse(folder_.read("o/result.json"));
    const double iteration = result["alternatives"][0]["iteration_seconds"];
    EXPECT_LE(last, iteration * 1e6 + 1e-3);
    EXPECT_GE(last, iteration * 0.99e6);
}

TEST_F(Run, AnInterruptedRunLeavesNothingHalfWritten) {
    for (const int milliseconds : {0, 2, 5, 10, 20, 40, 60, 80, 120, 160, 240, 320, 480}) {
        const Folder own;
        own.write("e.yaml", kDecode);
        const Outcome outcome =
            own.podsim_terminated({"run", "e.yaml", "--timeline", "--out", "o"}, milliseconds);
        const auto files = own.files();
        if (files.size() == 1) continue;  // nothing but the experiment
        ASSERT_EQ(files, (std::vector<std::string>{"e.yaml", "o/operators.csv", "o/result.json",
                                                   "o/timeline.json"}));
        EXPECT_TRUE(Json::accept(own.read("o/result.json")));
        EXPECT_TRUE(Json::accept(own.read("o/timeline.json")));
        EXPECT_TRUE(outcome.code == 0 || outcome.code == 130) << outcome.code;
    }
}

TEST_F(Run, AnInterruptedRunSaysSoByItsStatus) {
    // Killed before its handler stands it ends by the signal, later than its end not at all.
    int code = 0;
    for (int milliseconds = 1; milliseconds < 300 && code != 130; ++milliseconds) {
        code = folder_.podsim_terminated({"run", "e.yaml", "--out", "o"}, milliseconds).code;
        ASSERT_TRUE(code == 128 + SIGTERM || code == 130 || code == 0) << code;
    }
    EXPECT_EQ(code, 130);
}

TEST_F(Run, AFolderThatCannotBeIsTold) {
    EXPECT_EQ(folder_.podsim({"run", "e.yaml", "--out", "/dev/null/x"}).code, 2);
}

}  // namespace
}  // namespace podsim

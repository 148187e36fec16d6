// `podsim diff` on results of small experiments.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

class Diff : public testing::Test {
  protected:
    Diff() {
        folder_.write("decode.yaml", kDecode);
        run({"--out", "a"});
        run({"--set", "chip:ascend-910c.hbm.bandwidth=4.8 TB/s", "--out", "b"});
    }

    void run(const std::vector<std::string>& arguments) {
        std::vector<std::string> all = {"run", "decode.yaml", "--quiet"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        const Outcome outcome = folder_.podsim(all);
        EXPECT_EQ(outcome.code, 0) << outcome.err;
    }
    Outcome diff(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "diff");
        return folder_.podsim(arguments);
    }
    void expect_problem(const std::vector<std::string>& arguments, const std::string& what) const {
        const Outcome outcome = diff(arguments);
        EXPECT_EQ(outcome.code, 2);
        EXPECT_EQ(outcome.out, "");
        EXPECT_TRUE(contains(outcome.err, what)) << outcome.err;
    }

    Folder folder_;
};

TEST_F(Diff, PartsOfEveryPairSumToItsDifference) {
    const Outcome outcome = diff({"a", "b/result.json", "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json json = Json::parse(outcome.out);
    ASSERT_EQ(json["pairs"].size(), 2u);
    for (const Json& pair : json["pairs"]) {
        EXPECT_EQ(pair["a"]["alternative"], pair["b"]["alternative"]);
        long a = 0, b = 0, difference = 0;
        for (const Json& part : pair["parts"]) {
            if (!part["a"].is_null()) a += part["a"]["picoseconds"].get<long>();
            if (!part["b"].is_null()) b += part["b"]["picoseconds"].get<long>();
            difference += part["difference_picoseconds"].get<long>();
        }
        EXPECT_EQ(a, pair["a"]["step_picoseconds"]);
        EXPECT_EQ(b, pair["b"]["step_picoseconds"]);
        EXPECT_EQ(difference, pair["difference_picoseconds"]);
    }
    // Faster memory shortens decode's attention on the one, and leaves the other alone.
    const Json& faster = json["pairs"][0];
    EXPECT_LT(faster["difference_picoseconds"], 0);
    bool shorter = false;
    for (const Json& part : faster["parts"]) {
        shorter =
            shorter || (part["name"] == "latent_attention" && part["difference_picoseconds"] < 0);
    }
    EXPECT_TRUE(shorter) << outcome.out;
    EXPECT_EQ(faster["inputs"][0]["path"], "chip/ascend-910c.hbm.bandwidth");
    EXPECT_EQ(faster["inputs"][0]["b"], "4.8 TB/s");
    EXPECT_EQ(json["pairs"][1]["difference_picoseconds"], 0);
    EXPECT_TRUE(json["pairs"][1]["inputs"].empty());
}

// Ours writes 2e+15, Python 2000000000000000.0; a whole number with a point is whole.
TEST_F(Diff, NumbersAreWhatTheirValueIsHoweverALibraryWritesThem) {
    Json json = Json::parse(folder_.read("a/result.json"));
    json["alternatives"][0]["totals"]["flops"] = 2e15;
    const std::string ours = json.dump();
    std::string theirs = ours;
    const auto rewrite = [&](const std::string& before, const std::string& after) {
        const std::size_t at = theirs.find(before);
        ASSERT_NE(at, std::string::npos) << before;
        theirs.replace(at, before.size(), after);
    };
    rewrite("\"flops\":2e+15", "\"flops\":2000000000000000.0");
    rewrite("\"packages\":160,", "\"packages\":160.0,");
    folder_.write("ours.json", ours);
    folder_.write("theirs.json", theirs);
    const Outcome outcome = diff({"ours.json", "theirs.json", "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json pair = Json::parse(outcome.out)["pairs"][0];
    EXPECT_EQ(pair["difference_picoseconds"], 0);
    EXPECT_TRUE(pair["inputs"].empty());
}

TEST_F(Diff, TheTableFitsATerminal) {
    const Outcome outcome = diff({"a", "--top", "3"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<std::string> lines = lines_of(outcome.out);
    for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << line;
    EXPECT_EQ(lines[0], "A  CloudMatrix384 of a/result.json");
    EXPECT_EQ(lines[1], "B  Custom of a/result.json");
    EXPECT_TRUE(contains(outcome.out, " others ")) << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "the whole step ")) << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "  chip: ascend-910c -> custom-npu\n")) << outcome.out;
    // 100 % of one is assumed.
    EXPECT_TRUE(contains(outcome.out, "Compare with care")) << outcome.out;
    EXPECT_EQ(diff({"a", "--top", "3"}).out, outcome.out);
}

TEST_F(Diff, AlternativesAreNamedInAnyWay) {
    const std::string wanted = diff({"a", "--json"}).out;
    EXPECT_EQ(
        diff({"a", "--alternative", "CloudMatrix384", "--alternative", "Custom", "--json"}).out,
        wanted);
    EXPECT_EQ(diff({"a:CloudMatrix384", "a/result.json:Custom", "--json"}).out, wanted);
    const Json one = Json::parse(diff({"a", "b", "--alternative", "Custom", "--json"}).out);
    ASSERT_EQ(one["pairs"].size(), 1u);
    EXPECT_EQ(one["pairs"][0]["b"]["alternative"], "Custom");
    const Json crossed = Json::parse(diff({"a:Custom", "b:CloudMatrix384", "--json"}).out);
    EXPECT_EQ(crossed["pairs"][0]["a"]["alternative"], "Custom");
    EXPECT_EQ(crossed["pairs"][0]["b"]["alternative"], "CloudMatrix384");
}

TEST_F(Diff, ProblemsAreTold) {
    expect_problem({"decode.yaml", "a"}, "decode.yaml: is not a result of podsim run (");
    expect_problem({"a", "nowhere/result.json"}, "nowhere/result.json: no such file");
    folder_.write("empty/x", "");
    expect_problem({"a", "empty"}, "empty: there is no result.json in this folder (");
    expect_problem({"a", "b:Custm"}, "unknown alternative Custm (did you mean Custom?");
    expect_problem({"a", "b", "b"}, "3 results, two are compared");
    expect_problem({"a:Custom"}, "two are compared");
    expect_problem({"a", "b", "--top", "0"}, "--top: 0 is not a whole number of rows above 0");

    folder_.write("product.yaml", kGemm);
    ASSERT_EQ(folder_.podsim({"run", "product.yaml", "--out", "p", "--quiet"}).code, 0);
    expect_problem({"a", "p"},
                   "p/result.json: kind: operator workload, that of a/result.json is "
                   "decode");

    Json json = Json::parse(folder_.read("a/result.json"));
    json["schema_version"] = 1;
    folder_.write("old.json", json.dump());
    expect_problem({"a", "old.json"}, "old.json: schema_version: 1, expected ");
    json = Json::parse(folder_.read("a/result.json"));
    json["alternatives"][0].erase("totals");
    folder_.write("part.json", json.dump());
    expect_problem({"a", "part.json"}, "part.json: alternatives.0.totals: is missing");
    json = Json::parse(folder_.read("a/result.json"));
    json["alternatives"][0]["iteration_seconds"] = 1;
    folder_.write("changed.json", json.dump());
    expect_problem({"a", "changed.json"}, "its step is 1000000000000 ps");
}

TEST_F(Diff, ABrokenLawIsStatusThree) {
    Json json = Json::parse(folder_.read("b/result.json"));
    json["alternatives"][1]["audit"][0]["passed"] = false;
    folder_.write("broken.json", json.dump());
    const Outcome outcome = diff({"a", "broken.json", "--alternative", "Custom"});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_TRUE(contains(outcome.err, "audit: broken.json: Custom breaks the law")) << outcome.err;
    EXPECT_EQ(diff({"a", "broken.json", "--alternative", "CloudMatrix384"}).code, 0);
}

}  // namespace
}  // namespace podsim

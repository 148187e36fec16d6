// Counted experts: the forms of a file, what is wrong with one, and what a run makes of it.
#include "sim/routing_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RoutingFile : public testing::Test {
  protected:
    RoutingFile() : folder_(testing::TempDir() + "podsim_routing" + std::to_string(getpid())) {
        std::filesystem::create_directories(folder_);
    }
    ~RoutingFile() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(folder_ + "/" + name) << text;
        return folder_ + "/" + name;
    }
    std::vector<ExpertCounts> counts(const std::string& name, const std::string& text,
                                     const std::string& part = "") {
        return expert_counts(read_routing(write(name, text), part));
    }
    std::string error(const std::string& name, const std::string& text,
                      const std::string& part = "") {
        return refusal_of([&] { counts(name, text, part); });
    }
    std::string folder_;
};

TEST_F(RoutingFile, AListIsForAllLayers) {
    const auto one = counts("a.json", "[3, 0, 1.5]");
    ASSERT_EQ(one.size(), 1u);
    EXPECT_THAT(one[0].counts, ElementsAre(3, 0, 1.5));
    EXPECT_THAT(
        counts("b.json", R"({"batch": {"tokens": 4, "counts": [3, 1]}})", "batch")[0].counts,
        ElementsAre(3, 1));
}

TEST_F(RoutingFile, StepByStep) {
    const auto steps = [&](const std::string& name, const std::string& text,
                           const std::string& part) {
        return expert_count_steps(read_routing_steps(write(name, text), part));
    };
    const auto maps = steps(
        "a.json", R"({"run": {"0": {"3": [1, 2]}, "50": {"3": [3, 0], "4": [1, 1]}}})", "run");
    ASSERT_EQ(maps.size(), 2u);
    EXPECT_THAT(maps[0][0].counts, ElementsAre(1, 2));
    ASSERT_EQ(maps[1].size(), 2u);
    EXPECT_EQ(maps[1][1].layer, 4);
    EXPECT_THAT(maps[1][0].counts, ElementsAre(3, 0));
    EXPECT_THAT(steps("b.json", "[[1, 2], [3, 4], [5, 6]]", "")[2][0].counts, ElementsAre(5, 6));
    const std::string csv = "step,layer,expert,count\n0,3,0,5\n0,3,1,2\n7,3,1,4\n";
    // And one of them by its place.
    EXPECT_THAT(
        expert_counts(read_routing(write("b.json", R"({"run": [[1, 2], [3, 4]]})"), "run.1"))
            .front()
            .counts,
        ElementsAre(3, 4));
    const auto rows = steps("c.csv", csv, "step");
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_THAT(rows[1][0].counts, ElementsAre(0, 4));
    // Without its name all steps are one.
    EXPECT_THAT(counts("c.csv", csv)[0].counts, ElementsAre(5, 6));
    EXPECT_THAT(refusal_of([&] { steps("d.json", R"({"a": {"b": 1}})", "a"); }),
                HasSubstr("a.b: holds no counts of experts"));
    EXPECT_THAT(refusal_of([&] { steps("a.json", R"({"run": {"0": [1]}})", "rum"); }),
                HasSubstr("run"));
}

TEST_F(RoutingFile, LayersInTheirOrder) {
    const auto layers =
        counts("a.json", R"({"domains": {"c4": {"15": [3, 4], "0": [1, 2]}}})", "domains.c4");
    ASSERT_EQ(layers.size(), 2u);
    EXPECT_EQ(layers[0].layer, 0);
    EXPECT_THAT(layers[0].counts, ElementsAre(1, 2));
    EXPECT_EQ(layers[1].layer, 15);
    EXPECT_THAT(layers[1].counts, ElementsAre(3, 4));
}

// Expert a here and expert b in a later layer: a's own count is the sum over b.
TEST_F(RoutingFile, JointCountsAreSummed) {
    EXPECT_THAT(counts("a.json", R"({"0-7": [[1, 2], [3, 4]]})", "0-7")[0].counts,
                ElementsAre(3, 7));
}

TEST_F(RoutingFile, Csv) {
    EXPECT_THAT(counts("a.csv", "expert,count\n0,5\n2,7\n")[0].counts, ElementsAre(5, 0, 7));
    const auto layers = counts("b.csv", "layer,expert,count\n4,1,2\n3,0,1\n");
    ASSERT_EQ(layers.size(), 2u);
    EXPECT_EQ(layers[0].layer, 3);
    EXPECT_THAT(layers[0].counts, ElementsAre(1, 0));
    EXPECT_THAT(layers[1].counts, ElementsAre(0, 2));
}

TEST_F(RoutingFile, SaysWhatIsWrong) {
    EXPECT_THAT(error("a.json", R"({"domains": {"c4": {"0": [1]}, "book": {"0": [1]}}})"),
                AllOf(HasSubstr("holds no counts"),
                      HasSubstr("histogram_part: one of domains.c4, domains.book")));
    EXPECT_THAT(error("a.json", R"({"c4": [1]})", "c5"), HasSubstr("did you mean c4?"));
    EXPECT_THAT(error("a.json", "[1, -2]"), HasSubstr("a.json:1:5: "));
    EXPECT_THAT(error("a.json", R"({"a": 1})"), HasSubstr("a list of counts by expert"));
    EXPECT_THAT(error("a.csv", "expert,tokens\n0,5\n"), HasSubstr("unknown column count"));
    EXPECT_THAT(error("a.csv", "expert,count\n0,5\n0,6\n"), HasSubstr("a.csv:3: expert: 0 stands"));
    EXPECT_THAT(error("a.csv", "expert,count\n-1,5\n"), HasSubstr("a.csv:2: expert: a whole"));
    EXPECT_THAT(error("a.csv", "expert,count\n0,many\n"), HasSubstr("a.csv:2: count: "));
    EXPECT_THAT(error("a.csv", "expert,count\n0,5\n", "c4"), HasSubstr("has no parts"));
    EXPECT_THAT(error("a.csv", "expert,count\n"), HasSubstr("counts no expert"));
}

Node counted_experiment(const std::string& file) {
    return with(test_experiment(), "alternatives.A.experts",
                "{popularity: histogram, histogram: " + file + "}");
}

// All counts alike are uniform popularity, to the last bit.
TEST_F(RoutingFile, EqualCountsAreUniform) {
    std::string equal = "[1";
    for (int i = 1; i < 256; ++i) equal += ", 1";
    const AlternativeResult counted = run_test(counted_experiment(write("u.json", equal + "]")));
    const AlternativeResult uniform =
        run_test(with(test_experiment(), "alternatives.A.experts", "{popularity: uniform}"));
    EXPECT_EQ(counted.iteration_seconds, uniform.iteration_seconds);
    const AlternativeResult zipf = run_test(
        with(test_experiment(), "alternatives.A.experts", "{popularity: zipf, zipf_exponent: 0}"));
    EXPECT_EQ(zipf.iteration_seconds, uniform.iteration_seconds);
    EXPECT_GT(uniform.metric("expert_imbalance")->value, 1);
    // The result carries what it used: it runs again where the file is not.
    const AlternativeResult balanced = run_test(test_experiment());
    EXPECT_GT(uniform.iteration_seconds, balanced.iteration_seconds);
    EXPECT_EQ(balanced.metric("expert_imbalance"), nullptr);
}

TEST_F(RoutingFile, CountsOfAnotherModelAreRefused) {
    EXPECT_THAT(problems_of(counted_experiment(write("few.json", "[1, 2]"))),
                AllOf(HasSubstr("alternatives.A.experts.histogram: "),
                      HasSubstr("layer 0 counts 2 experts, deepseek-r1 has 256")));
    std::string hot = "[1000";
    for (int i = 1; i < 256; ++i) hot += ", 1";
    EXPECT_THAT(problems_of(counted_experiment(write("hot.json", hot + "]"))),
                HasSubstr("gives one expert 79.7 % of the assignments"));
    EXPECT_THAT(problems_of(counted_experiment(folder_ + "/none.json")),
                AllOf(HasSubstr("alternatives.A.experts.histogram: "), HasSubstr("no such file")));
}

// Published counts beside the repository (allenai/OLMoE, DeepSeek's ESFT, both Apache-2.0 or MIT):
// every form reads, and max over mean is what their own summary says.
TEST(PublishedRouting, Reads) {
    const char* set = std::getenv("PODSIM_DATA");
    const std::filesystem::path data =
        std::filesystem::path(set != nullptr ? set : PODSIM_SOURCE_DIR "/../shared/data") /
        "routing";
    if (!std::filesystem::exists(data)) GTEST_SKIP() << "no third-party data beside the repository";
    const auto read = [&](const char* file, const char* part) {
        return expert_counts(read_routing((data / file).string(), part));
    };
    const auto max_over_mean = [](const std::vector<double>& counts) {
        double sum = 0, most = 0;
        for (const double count : counts) {
            sum += count;
            most = std::max(most, count);
        }
        return most / sum * static_cast<double>(counts.size());
    };
    const auto olmoe = read("olmoe_1b7b_expert_counts.json", "domains.wikipedia");
    ASSERT_EQ(olmoe.size(), 3u);
    EXPECT_EQ(olmoe[1].layer, 7);
    EXPECT_NEAR(max_over_mean(olmoe[0].counts), 6.179, 0.001);
    EXPECT_NEAR(max_over_mean(olmoe[1].counts), 6.780, 0.001);
    EXPECT_NEAR(max_over_mean(olmoe[2].counts), 4.651, 0.001);
    const auto mixtral = read("mixtral_8x7b_expert_counts.json", "domains.book");
    EXPECT_NEAR(max_over_mean(mixtral[2].counts), 1.295, 0.001);
    const auto top1 = read("mixtral_8x7b_expert_counts_top1.json", "domains.c4");
    EXPECT_NEAR(max_over_mean(top1[0].counts), 1.338, 0.001);
    EXPECT_EQ(read("deepseek_v2_lite_esft_scores.json", "tasks.law.token_scores").size(), 26u);
    const auto qwen = read("step_batch_counts.json", "qwen_b1024");
    EXPECT_NEAR(max_over_mean(qwen[0].counts), 12.7, 0.1);
    EXPECT_EQ(read("olmoe_1b7b_crosslayer.json.gz", "domains.c4.0-7")[0].counts.size(), 64u);
    EXPECT_EQ(read("mixtral_8x7b_crosslayer.json.gz", "domains.c4.0-7")[0].counts.size(), 8u);
}

}  // namespace
}  // namespace podsim

// `podsim calibrate` as a process: a table of the user's own in, a library that can be used out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

// Times of a machine with 10 us of launch and 500 TFLOPS: 2 m n k / 500e6 us.
std::string own_table() {
    std::string text = "kind,m,n,k,a,b,c,latency_us\n";
    for (const double m : {256, 512, 1024, 2048, 4096, 8192}) {
        for (const double n : {1024, 2048, 4096, 8192}) {
            text += fmt::format("gemm,{},{},4096,bf16,bf16,bf16,{:.6g}\n", m, n,
                                10 + 2 * m * n * 4096 / 500e6);
        }
    }
    return text;
}

TEST(Calibrate, AnOwnTableGivesALibraryThatRuns) {
    const Folder folder;
    folder.write("own.csv", own_table());
    const std::vector<std::string> command = {
        "calibrate", "nominal",  "--table", "podsim:own.csv", "--chip", "h800",
        "--out",     "own.yaml", "--date",  "2026-01-02",     "--json"};
    const Outcome outcome = folder.podsim(command);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json fit = Json::parse(outcome.out)["fits"][0];
    EXPECT_EQ(fit["part"], "gemm.bf16");
    EXPECT_EQ(fit["fitted"]["rows"], 24);
    EXPECT_LT(fit["held_out"]["mape"].get<double>(), 0.15);
    EXPECT_NEAR(fit["values"]["launch"].get<double>(), 10e-6, 4e-6);
    const std::string written = folder.read("own.yaml");
    EXPECT_TRUE(contains(written, "date: 2026-01-02")) << written;
    EXPECT_EQ(folder.podsim({"check", "own.yaml"}).code, 0);
    // The same inputs give the same bytes.
    EXPECT_EQ(folder.podsim(command).code, 0);
    EXPECT_EQ(folder.read("own.yaml"), written);
}

TEST(Calibrate, ProblemsAreTold) {
    const Folder folder;
    folder.write("own.csv", own_table());
    const auto error = [&](const std::vector<std::string>& arguments) {
        std::vector<std::string> all = {"calibrate"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        const Outcome outcome = folder.podsim(all);
        EXPECT_EQ(outcome.code, 2) << outcome.out;
        return outcome.err;
    };
    EXPECT_TRUE(contains(error({"nominal"}), "names no tables"));
    EXPECT_TRUE(contains(error({"nominl"}), "did you mean nominal?"));
    EXPECT_TRUE(contains(error({"nominal", "--table", "own.csv"}), "ADAPTER:FILE"));
    EXPECT_TRUE(contains(error({"nominal", "--table", "podsm:own.csv"}), "did you mean podsim?"));
    EXPECT_TRUE(contains(error({"nominal", "--table", "podsim:no.csv"}), "no table"));
    EXPECT_TRUE(
        contains(error({"nominal", "--table", "podsim:own.csv", "--filter", "m"}), "COLUMN=TEXT"));
    EXPECT_TRUE(
        contains(error({"nominal", "--table", "podsim:own.csv", "--part", "vector"}), "gemm.bf16"));
    EXPECT_TRUE(contains(error({"trtllm-h100", "--data", "nowhere"}), "--data DIR"));
    EXPECT_TRUE(folder.files() == std::vector<std::string>{"own.csv"});
}

}  // namespace
}  // namespace podsim

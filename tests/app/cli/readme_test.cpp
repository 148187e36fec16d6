// The README shows what the demo prints and how far validation is off. Numbers in a README rot;
// these are held against the program.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

std::string readme() {
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/README.md");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

TEST(Readme, ShowsWhatTheDemoPrints) {
    const Folder folder;
    const Outcome outcome = folder.podsim(
        {"run", std::string(PODSIM_SOURCE_DIR) + "/configs/experiments/deepseek-r1-decode.yaml"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    // All but the last lines, which name files.
    const std::string shown = outcome.out.substr(0, outcome.out.find("\nwritten:"));
    EXPECT_TRUE(contains(readme(), "```\n" + shown + "\n```")) << "put this into README.md:\n"
                                                               << shown;
}

TEST(Readme, QuotesTheMeanErrorOfEachSuite) {
    const Folder folder;
    const Outcome outcome =
        folder.podsim({"validate", "--summary", "cloudmatrix384", "deepseek-h800", "sglang-h100",
                       "cann-r1", "trt-r1", "ep", "vllm-llama"});
    ASSERT_LE(outcome.code, 1) << outcome.err;  // 1: a gate is missed, and the README says so
    // "cloudmatrix384  10 cases  MAPE  7.23 %  ..." against "| `cloudmatrix384` | ... | 7.2 % |".
    for (const std::string& line : lines_of(outcome.out)) {
        if (line.empty()) continue;
        const std::string suite = line.substr(0, line.find(' '));
        const double error = std::stod(line.substr(line.find("MAPE") + 4));
        std::ostringstream quoted;
        quoted.setf(std::ios::fixed);
        quoted.precision(1);
        quoted << "| " << error << " % |";
        bool found = false;
        for (const std::string& row : lines_of(readme())) {
            found = found || (contains(row, "| `" + suite + "` |") && contains(row, quoted.str()));
        }
        EXPECT_TRUE(found) << suite << ": README.md does not say " << quoted.str();
    }
}

}  // namespace
}  // namespace podsim

// What becomes of a result that breaks a law: it is written, and nobody can overlook it.
#include "app/run_output.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

FinishedRun run_in(const std::string& folder, bool passed) {
    AlternativeResult alternative;
    alternative.name = "Fast";
    alternative.packages = alternative.ranks = 1;
    alternative.iteration_seconds = 1;
    alternative.audit = {{"memory fits", true, ""},
                         {"no resource above 100 %", passed, "HBM at 130 % in window 7"}};
    FinishedRun run{folder, {}};
    run.result.experiment = "Too good";
    run.result.kind = "decode";
    run.result.alternatives = {alternative};
    return run;
}

TEST(Deliver, ABrokenLawIsWrittenToldAndStatusThree) {
    const Folder folder;
    std::ostringstream out, err;
    const ExitCode code =
        deliver({run_in(folder / "good", true), run_in(folder / "bad", false)}, {}, {out, err});
    EXPECT_EQ(static_cast<int>(code), 3);
    EXPECT_EQ(err.str(),
              "audit: Fast breaks the law \"no resource above 100 %\": HBM at 130 % in window 7\n");
    EXPECT_TRUE(contains(out.str(), "audit: passed")) << out.str();
    EXPECT_TRUE(contains(out.str(), "audit: FAILED, 1 law is broken")) << out.str();
    EXPECT_EQ(folder.files(), (std::vector<std::string>{"bad/operators.csv", "bad/result.json",
                                                        "good/operators.csv", "good/result.json"}));
    EXPECT_TRUE(contains(folder.read("bad/result.json"), "\"passed\": false"));
}

TEST(Deliver, QuietTellsItToo) {
    const Folder folder;
    std::ostringstream out, err;
    RunCommand quiet;
    quiet.quiet = true;
    EXPECT_EQ(deliver({run_in(folder / "bad", false)}, quiet, {out, err}), ExitCode::audit);
    EXPECT_EQ(out.str(), "");
    EXPECT_TRUE(contains(err.str(), "no resource above 100 %"));
    err.str("");
    EXPECT_EQ(deliver({run_in(folder / "good", true)}, quiet, {out, err}), ExitCode::ok);
    EXPECT_EQ(out.str() + err.str(), "");
}

}  // namespace
}  // namespace podsim

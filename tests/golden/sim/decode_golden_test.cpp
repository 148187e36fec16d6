// Whole answers against stored ones, so that no change of a model goes by unnoticed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/form.hpp"
#include "sim/experiment.hpp"

namespace podsim {

struct GoldenCase {
    std::string name;
    Node experiment;
    std::map<std::string, double> metrics;
};
struct GoldenFile {
    double tolerance = 0;
    std::vector<GoldenCase> cases;
};

template <class Form>
void describe(Form& form, GoldenCase& one) {
    form.required("name", one.name, "of the case");
    form.required("experiment", one.experiment, "what runs, one alternative");
    form.required("metrics", one.metrics, "what came out, by name");
}

template <class Form>
void describe(Form& form, GoldenFile& file) {
    form.required("tolerance", file.tolerance, "relative", share_above_zero());
    form.required("cases", file.cases, "experiments and their answers");
}

namespace {

const char* const kWatched[] = {"iteration_time",        "layer_time",
                                "time_per_output_token", "decode_tokens_per_second_per_chip",
                                "achieved_flops",        "achieved_bandwidth",
                                "utilization_scale_up",  "utilization_scale_out",
                                "memory_peak",           "usd_per_hour_per_chip"};

AlternativeResult run(const GoldenCase& golden) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    RunOptions options;
    options.driver = Driver::plain;
    options.neighbour = false;
    return run_experiment(golden.experiment, catalog, options).alternatives.front();
}

TEST(DecodeGolden, MainMetricsAreTheStoredOnes) {
    const std::string path = PODSIM_SOURCE_DIR "/tests/golden/sim/decode.yaml";
    const GoldenFile file = read<GoldenFile>(read_yaml(path), "");
    ASSERT_EQ(file.cases.size(), 3u);
    for (const GoldenCase& golden : file.cases) {
        const AlternativeResult result = run(golden);
        std::string fresh = "    metrics:\n", off;
        for (const char* name : kWatched) {
            const Metric* metric = result.metric(name);
            ASSERT_NE(metric, nullptr) << golden.name << ": " << name;
            fresh += fmt::format("      {}: {:.5g}\n", name, metric->value);
            const auto stored = golden.metrics.find(name);
            if (stored != golden.metrics.end() && std::abs(metric->value - stored->second) <=
                                                      file.tolerance * std::abs(stored->second))
                continue;
            off += fmt::format(
                "{} is {:.5g}, stored {}\n", name, metric->value,
                stored != golden.metrics.end() ? fmt::format("{}", stored->second) : "nothing");
        }
        EXPECT_EQ(golden.metrics.size(), std::size(kWatched)) << golden.name;
        EXPECT_EQ(off, "") << golden.name << " is now\n" << fresh;
    }
}

}  // namespace
}  // namespace podsim

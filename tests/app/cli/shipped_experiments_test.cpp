// Experiments that ship and whose figures docs/fabric.md quotes: they run, no law is broken, and
// the page says what they say.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

const std::string kExperiments = std::string(PODSIM_SOURCE_DIR) + "/configs/experiments/";

std::string fabric_page() {
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/docs/fabric.md");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

nlohmann::json run(const Folder& folder, const std::string& name,
                   const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"run", kExperiments + name + ".yaml", "--out", "r"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = folder.podsim(words);
    EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.err;
    return nlohmann::json::parse(folder.read("r/result.json"));
}

double metric(const nlohmann::json& alternative, const char* name) {
    return alternative.at("metrics").at(name).at("value").get<double>();
}

// The first basis of an alternative bears the plain name.
double owned_cost(const nlohmann::json& alternative) {
    const char* owned = "usd_per_million_output_tokens_owned";
    const bool second = alternative.at("metrics").contains(owned);
    return metric(alternative, second ? owned : "usd_per_million_output_tokens");
}

bool page_has_row(const std::string& row) {
    return contains(fabric_page(), row);
}

TEST(ShippedExperiments, AllRun) {
    const Folder folder;
    for (const auto& entry : std::filesystem::directory_iterator(kExperiments)) {
        const std::string name = entry.path().stem();
        if (entry.path().extension() != ".yaml") continue;
        // A search of thousands of mappings is asked whether it could start.
        if (name.rfind("plan-", 0) == 0) {
            const Outcome outcome = folder.podsim({"check", entry.path().string()});
            EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.err;
        } else {
            run(folder, name);
        }
    }
}

TEST(ShippedExperiments, ThePageSaysWhatAFasterSupernodeBrings) {
    const Folder folder;
    const auto decode = run(folder, "scale-up-bandwidth-decode").at("alternatives");
    const auto prefill = run(folder, "scale-up-bandwidth-prefill").at("alternatives");
    ASSERT_EQ(decode.size(), prefill.size());
    for (std::size_t i = 0; i < decode.size(); ++i) {
        const std::string row = fmt::format(
            "| {} | {:.0f} | {:.1f} | {:.0f} | {:.0f} |", decode[i].at("name").get<std::string>(),
            metric(decode[i], "decode_tokens_per_second_per_chip"),
            metric(decode[i], "time_per_output_token"),
            metric(prefill[i], "prefill_tokens_per_second_per_chip"),
            metric(prefill[i], "time_to_first_token"));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysWhatAFasterSupernodeBringsToTraining) {
    const Folder folder;
    for (const auto& one : run(folder, "scale-up-bandwidth-training").at("alternatives")) {
        const double step = metric(one, "step_time");
        const std::string row = fmt::format(
            "| {} | {:.0f} | {:.1f} | {:.0f} | {:.1f} | {:.2f} |",
            one.at("name").get<std::string>(), metric(one, "training_tokens_per_second_per_chip"),
            step, metric(one, "exposed_communication_time") / 10 / step,
            100 * metric(one, "model_flops_utilization"),
            metric(one, "usd_per_trillion_tokens_owned"));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysWhatTheFabricsDo) {
    const Folder folder;
    const auto decode = run(folder, "fabrics-decode").at("alternatives");
    const auto prefill = run(folder, "fabrics-prefill").at("alternatives");
    ASSERT_EQ(decode.size(), prefill.size());
    for (std::size_t i = 0; i < decode.size(); ++i) {
        const std::string row = fmt::format(
            "| {} | {:.0f} | {:.1f} | {:.0f} |", decode[i].at("name").get<std::string>(),
            metric(decode[i], "decode_tokens_per_second_per_chip"),
            metric(decode[i], "iteration_time"),
            metric(prefill[i], "prefill_tokens_per_second_per_chip"));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
    for (const auto& one : run(folder, "fabrics-as-sold").at("alternatives")) {
        const std::string row =
            fmt::format("| {} | {:.0f} | {:.0f} | {:.3g} |", one.at("name").get<std::string>(),
                        metric(one, "batch_per_chip"),
                        metric(one, "decode_tokens_per_second_per_chip"), owned_cost(one));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysWhatCreditsAndOrdersCost) {
    const Folder folder;
    const auto all = run(folder, "packets-credits-and-order", {"--fidelity", "cycle"});
    // Credits of 1,024 to 64 kB, then the same order at Zipf 0, 0.3 and 0.6 (of one placement).
    const double before[] = {1.007, 1.01, 1.30, 2.45, 4.83, 2.6, 1.9, 1.4, 1.0};
    std::size_t i = 0;
    for (const auto& one : all.at("alternatives")) {
        const std::string row = fmt::format(
            "| {} | {:.1f} | {:.2f} | {:.2f} | {:.0f} |", one.at("name").get<std::string>(),
            metric(one, "packet_time"), metric(one, "packet_over_coflow"),
            metric(one, "packet_latency_p99"), metric(one, "packet_deepest_queue"));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
        ASSERT_LT(i, std::size(before));
        EXPECT_NEAR(metric(one, "packet_over_coflow") / before[i++], 1, 0.10) << row;
    }
    EXPECT_EQ(i, std::size(before));
}

std::string page(const char* name) {
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/docs/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void expect_fleets(const Folder& folder, const std::string& plan, const char* on) {
    const Outcome outcome = folder.podsim({"plan", kExperiments + plan, "--out", "found"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto json = nlohmann::json::parse(folder.read("found/plan.json"));
    for (const auto& of : json.at("alternatives")) {
        const auto& fleet = of.at("fleet");
        const std::string row = fmt::format(
            "| {} | {} | {:.1f} | {:.1f} | {:.3f} | {}{:.2f}x |", of.at("name").get<std::string>(),
            fleet.at("chips").get<int>(), fleet.at("power").get<double>() / 1e3,
            fleet.at("usd_per_month").get<double>() / 1e3,
            metric(fleet, "usd_per_million_total_tokens"),
            fleet.at("holds_to_more").get<bool>() ? "> " : "", fleet.at("holds").get<double>());
        EXPECT_TRUE(contains(page(on), row)) << "put this into docs/" << on << ":\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysHowFastLongPromptsAreRead) {
    const std::string told = page("serving.md");
    for (const auto& one : run(Folder(), "long-prompts").at("alternatives")) {
        const auto name = one.at("name").get<std::string>();
        const std::string row =
            fmt::format("| {} | {:.2f} | {:.0f} | {:.1f} | {:.1f} |",
                        name.substr(name.find(' ') + 1), metric(one, "time_to_first_token") / 1e3,
                        metric(one, "prefill_tokens_per_second_per_chip"),
                        100 * metric(one, "utilization_matrix"), metric(one, "memory_peak"));
        EXPECT_TRUE(contains(told, row)) << "put this into docs/serving.md:\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysWhatASharedCacheBrings) {
    const std::string told = page("serving.md");
    for (const char* routing : {"round_robin", "prefix_aware"}) {
        const auto result = run(Folder(), "serving-shared-cache",
                                {"--set", std::string("workload.routing=") + routing});
        for (const auto& one : result.at("alternatives")) {
            const bool shares = one.at("metrics").contains("prefix_hit_rate_of_shared_tiers");
            const std::string row = fmt::format(
                "| {}, {} | {:.1f} | {:.1f} | {:.2f} | {:.2f} | {:.1f} | {:.3f} |",
                one.at("name").get<std::string>(), routing, 100 * metric(one, "prefix_hit_rate"),
                shares ? 100 * metric(one, "prefix_hit_rate_of_shared_tiers") : 0.0,
                metric(one, "time_to_first_token") / 1e3,
                metric(one, "time_to_first_token_p99") / 1e3, 100 * metric(one, "goodput_share"),
                metric(one, "usd_per_million_total_tokens"));
            EXPECT_TRUE(contains(told, row)) << "put this into docs/serving.md:\n" << row;
        }
    }
}

TEST(ShippedExperiments, ThePageSaysHowLargeTheFleetIs) {
    expect_fleets(Folder(), "plan-serving.yaml", "planning.md");
}

// What a row of docs/stories.md says of an alternative, by the kind of its experiment.
std::string story_row(const std::string& kind, const nlohmann::json& of) {
    const auto name = of.at("name").get<std::string>();
    if (kind == "decode") {
        return fmt::format(
            "| {} | {:.0f} | {:.1f} | {:.1f} | {:.3f} |", name,
            metric(of, "decode_tokens_per_second_per_chip"), metric(of, "time_per_output_token"),
            100 * metric(of, "utilization_matrix"), metric(of, "usd_per_million_output_tokens"));
    }
    if (kind == "prefill") {
        return fmt::format("| {} | {:.0f} | {:.2f} | {:.1f} | {:.3f} |", name,
                           metric(of, "prefill_tokens_per_second_per_chip"),
                           metric(of, "time_to_first_token") / 1e3,
                           100 * metric(of, "utilization_matrix"),
                           metric(of, "usd_per_million_input_tokens"));
    }
    return fmt::format(
        "| {} | {} | {:.0f} | {:.0f} | {:.1f} | {:.2f} | {:.1f} |", name,
        of.at("packages").get<int>(), metric(of, "output_tokens_per_second_per_chip"),
        metric(of, "time_to_first_token_p50"), metric(of, "time_per_output_token_p50"),
        metric(of, "usd_per_day"), metric(of, "days_until_training_share"));
}

TEST(ShippedExperiments, ThePageTellsTheStories) {
    const Folder folder;
    const std::string told = page("stories.md");
    int stories = 0;
    for (const auto& entry : std::filesystem::directory_iterator(kExperiments)) {
        const std::string name = entry.path().stem();
        if (name.rfind("story-", 0) != 0) continue;
        ++stories;
        const auto result = run(folder, name);
        for (const auto& of : result.at("alternatives")) {
            const std::string row = story_row(result.at("kind").get<std::string>(), of);
            EXPECT_TRUE(contains(told, row)) << name << ", put this into docs/stories.md:\n" << row;
        }
    }
    EXPECT_GE(stories, 8);
    for (const char* plan : {"plan-story-documents.yaml", "plan-story-ten-billion.yaml"})
        expect_fleets(folder, plan, "stories.md");
}

}  // namespace
}  // namespace podsim

#include "sim/traffic_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/document.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

TrafficSpec read_traffic(const std::string& text) {
    return read<TrafficSpec>(parse_yaml(text, "t.yaml"), "traffic");
}
std::string refusal(const std::string& text) {
    return refusal_of([&] { (void)read_traffic(text); });
}

TEST(TrafficSpecText, OneStreamOfATrace) {
    const TrafficSpec spec = read_traffic(
        "trace: azure.csv\nfrom: 60 s\nuntil: 2 min\nrate_scale: 2\nbad_rows: skip\n"
        "timestamps: as-is\nclass: {priority: 3, time_to_first_token: 500 ms}\n");
    ASSERT_EQ(spec.streams.size(), 1U);
    const StreamSpec& one = spec.streams[0];
    EXPECT_EQ(one.trace, "azure.csv");
    EXPECT_EQ(one.trace_place.line, 1);
    EXPECT_EQ(one.from, Seconds(60));
    EXPECT_EQ(*one.until, Seconds(120));
    EXPECT_EQ(one.rate_scale, 2);
    EXPECT_EQ(one.bad_rows, BadRows::skip);
    EXPECT_EQ(one.timestamps, Timestamps::as_is);
    EXPECT_EQ(one.service_class.priority, 3);
    EXPECT_EQ(*one.service_class.time_to_first_token, Seconds(0.5));
    EXPECT_FALSE(one.arrivals);
}

TEST(TrafficSpecText, OneStreamOfLaws) {
    const TrafficSpec spec = read_traffic(
        "seed: 7\n"
        "arrivals: {law: gamma, rate: 600 req/min, cv: 3, diurnal: {amplitude: 50 %}}\n"
        "input: {law: lognormal, mean: 1000 tokens, cv: 1.5, maximum: 8192 tokens}\n"
        "output: {mean: 200 tokens}\n"
        "sessions: {turns: 4, think_time: {mean: 30 s}, tools: {calls: 2, wait: {mean: 5 s}, "
        "result: {mean: 500 tokens}}}\n"
        "prefix: {tokens: 2048 tokens, prompts: 8}\n"
        "duration: 1 h\n");
    EXPECT_EQ(spec.seed, 7U);
    const StreamSpec& one = spec.streams[0];
    EXPECT_DOUBLE_EQ(one.arrivals->rate.value(), 10);
    EXPECT_EQ(one.arrivals->cv, 3);
    EXPECT_EQ(one.arrivals->diurnal->amplitude, 0.5);
    EXPECT_EQ(one.input->maximum, Tokens(8192));
    EXPECT_EQ(one.output->law, LengthLaw::constant);
    EXPECT_EQ(one.sessions->tools->result.mean, Tokens(500));
    EXPECT_EQ(one.prefix->prompts, 8);
    EXPECT_EQ(*one.duration, Seconds(3600));
}

TEST(TrafficSpecText, StreamsAreClasses) {
    const TrafficSpec spec = read_traffic(
        "streams:\n"
        "- {name: chat, trace: a.csv, class: {priority: 1}}\n"
        "- {name: batch, arrivals: {law: closed, concurrency: 8}, lengths: b.csv, requests: "
        "100}\n");
    ASSERT_EQ(spec.streams.size(), 2U);
    EXPECT_EQ(spec.streams[0].service_class.name, "chat");
    EXPECT_EQ(spec.streams[1].service_class.name, "batch");
    EXPECT_EQ(spec.streams[1].arrivals->concurrency, 8);
}

// Each with its place, and what to do.
TEST(TrafficSpecText, WhatIsWrong) {
    const std::string lengths = "input: {mean: 10 tokens}\noutput: {mean: 10 tokens}\n";
    EXPECT_THAT(refusal("seed: 1\n"), HasSubstr("traffic.arrivals: either a trace or arrivals"));
    EXPECT_THAT(
        refusal("trace: a\narrivals: {law: poisson, rate: 1 req/s}\nrequests: 1\n" + lengths),
        HasSubstr("t.yaml:1:8: traffic.trace: either a trace or arrivals"));
    EXPECT_THAT(refusal("arrivals: {law: poisson, rate: 1 req/s}\n" + lengths),
                HasSubstr("laws do not end: give requests or duration"));
    EXPECT_THAT(refusal("arrivals: {law: poisson, rate: 0 req/s}\nrequests: 1\n" + lengths),
                HasSubstr("traffic.arrivals.rate: a value above 0 was expected"));
    EXPECT_THAT(refusal("arrivals: {law: poisson, rate: 1}\nrequests: 1\n" + lengths),
                HasSubstr("traffic.arrivals.rate"));
    EXPECT_THAT(refusal("arrivals: {law: poisson, rate: 1 req/s}\nrequests: 1\n"),
                HasSubstr("traffic.input: is missing (input and output, or a file of lengths)"));
    EXPECT_THAT(
        refusal("arrivals: {law: closed, concurrency: 4}\nrate_scale: 2\nrequests: 1\n" + lengths),
        HasSubstr("a closed loop has no rate"));
    EXPECT_THAT(refusal("arrivals: {law: closed, rate: 4 req/s}\nrequests: 1\n" + lengths),
                HasSubstr("traffic.arrivals.concurrency: is missing"));
    EXPECT_THAT(refusal("trace: a\nuntil: 5 s\nfrom: 6 s\n"),
                HasSubstr("until: is not after from"));
    EXPECT_THAT(refusal("trace: a\ninput: {mean: 5 tokens}\n"), HasSubstr("unknown key input"));
    EXPECT_THAT(refusal("streams: []\n"), HasSubstr("traffic.streams: is empty"));
    EXPECT_THAT(refusal("streams: [{trace: a}]\ntrace: b\n"), HasSubstr("unknown key trace"));
    EXPECT_THAT(refusal("trace: a\nprefix: {tokens: 5 tokens, share: 50 %}\n"),
                HasSubstr("either tokens or a share"));
    EXPECT_THAT(refusal("trace: a\nbad_rows: maybe\n"), HasSubstr("one of refuse, skip"));
}

// Gaps of no time would never end.
TEST(TrafficSpecText, RatesBeyondAnyCountAreRefused) {
    const auto refused = [](const std::string& rate) {
        TrafficSpec spec = read_traffic("arrivals: {law: poisson, rate: " + rate +
                                        "}\ninput: {mean: 10 tokens}\noutput: {mean: 10 tokens}\n"
                                        "duration: 1 h\n");
        return refusal_of([&] { find_traffic_files(spec, {}); });
    };
    EXPECT_THAT(refused("1e300 req/s"), HasSubstr("arrivals.rate: 1e+300 requests a second"));
    EXPECT_THAT(refused("1e8 req/s"), HasSubstr("3.6e+11 in all"));
    EXPECT_EQ(refused("1000 req/s"), "accepted");
}

TEST(TrafficSpecText, FilesAreNamedWhereTheyAreMissing) {
    TrafficSpec spec = read_traffic(
        "streams:\n- {trace: no/such.csv}\n"
        "- {arrivals: {law: closed, concurrency: 8}, lengths: no/lengths.csv, requests: 1}\n");
    const std::string says = refusal_of([&] { find_traffic_files(spec, {"data"}); });
    EXPECT_THAT(says, HasSubstr("t.yaml:2:11: trace: there is no file no/such.csv"));
    EXPECT_THAT(says, HasSubstr("t.yaml:3:"));
    EXPECT_THAT(says, HasSubstr("or from data"));
}

TEST(TrafficSpecText, HasASchema) {
    const auto json = schema<TrafficSpec>("traffic").json();
    EXPECT_TRUE(json["properties"].contains("trace"));
    EXPECT_TRUE(json["properties"]["streams"]["items"]["properties"].contains("arrivals"));
}

}  // namespace
}  // namespace podsim

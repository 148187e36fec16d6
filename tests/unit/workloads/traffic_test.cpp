#include "workloads/traffic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/readers.hpp"
#include "tests/unit/workloads/request_cases.hpp"
#include "workloads/request_streams.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

LengthSpec tokens(double mean, LengthLaw law = LengthLaw::constant, double cv = 1) {
    LengthSpec spec;
    spec.law = law;
    spec.mean = Tokens(mean);
    spec.cv = cv;
    return spec;
}

StreamSpec arriving(ArrivalLaw law, double rate, double cv = 1) {
    StreamSpec spec;
    spec.arrivals = ArrivalSpec{};
    spec.arrivals->law = law;
    spec.arrivals->rate = Hertz(rate);
    spec.arrivals->cv = cv;
    spec.input = tokens(100);
    spec.output = tokens(10);
    return spec;
}

struct Moments {
    double mean = 0, cv = 0;
};

Moments moments(const std::vector<double>& values) {
    double sum = 0, squares = 0;
    for (const double one : values) sum += one;
    const double mean = sum / static_cast<double>(values.size());
    for (const double one : values) squares += (one - mean) * (one - mean);
    return {mean, std::sqrt(squares / static_cast<double>(values.size())) / mean};
}

Moments gaps_of(const StreamSpec& spec) {
    std::vector<double> gaps;
    double last = 0;
    for (const Request& one : all_of(make_stream(spec, 1))) {
        gaps.push_back(one.arrival.value() - last);
        last = one.arrival.value();
    }
    return moments(gaps);
}

// Of M/M/1: gaps of mean 1 / 20 and of their mean as standard deviation; of others by their cv.
// 200,000 gaps: the mean is within 4 cv / sqrt(n), 1 % for a cv of 1.
TEST(Traffic, GapsHaveTheirMeanAndVariation) {
    struct Case {
        ArrivalLaw law;
        double cv, expected;
    };
    for (const Case& one : {Case{ArrivalLaw::poisson, 3, 1}, Case{ArrivalLaw::gamma, 0.5, 0.5},
                            Case{ArrivalLaw::gamma, 2, 2}, Case{ArrivalLaw::weibull, 0.5, 0.5},
                            Case{ArrivalLaw::weibull, 2, 2}, Case{ArrivalLaw::constant, 3, 0}}) {
        StreamSpec spec = arriving(one.law, 20, one.cv);
        spec.requests = 200000;
        const Moments gaps = gaps_of(spec);
        EXPECT_NEAR(gaps.mean, 0.05, 0.05 * 0.01 * std::max(one.expected, 0.5));
        EXPECT_NEAR(gaps.cv, one.expected, 0.02 * std::max(one.expected, 0.1));
    }
}

// A Weibull law of shape 1 is the exponential one, of shape 2 (Rayleigh's) has
// cv^2 = 4 / pi - 1.
TEST(Traffic, ShapesOfWeibull) {
    StreamSpec spec = arriving(ArrivalLaw::weibull, 1, std::sqrt(4 / M_PI - 1));
    spec.requests = 100000;
    long below = 0;
    double last = 0;
    for (const Request& one : all_of(make_stream(spec, 1))) {
        // Of Rayleigh's law of mean 1, P(gap < 1) = 1 - exp(-pi / 4) = 0.5441.
        if (one.arrival.value() - last < 1) ++below;
        last = one.arrival.value();
    }
    EXPECT_NEAR(static_cast<double>(below) / 100000, 0.5441, 0.006);
}

TEST(Traffic, LengthsHaveTheirMeanAndVariation) {
    const auto inputs = [](const LengthSpec& length) {
        StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
        spec.input = length;
        spec.requests = 100000;
        std::vector<double> values;
        for (const Request& one : all_of(make_stream(spec, 3)))
            values.push_back(static_cast<double>(one.input_tokens));
        return values;
    };
    const Moments lognormal = moments(inputs(tokens(1000, LengthLaw::lognormal, 1.5)));
    EXPECT_NEAR(lognormal.mean, 1000, 20);
    EXPECT_NEAR(lognormal.cv, 1.5, 0.1);
    const Moments exponential = moments(inputs(tokens(500, LengthLaw::exponential)));
    EXPECT_NEAR(exponential.mean, 500, 7);
    EXPECT_NEAR(exponential.cv, 1, 0.02);
    LengthSpec dice;
    dice.law = LengthLaw::uniform;
    dice.minimum = Tokens(1);
    dice.maximum = Tokens(6);
    const Moments uniform = moments(inputs(dice));
    EXPECT_NEAR(uniform.mean, 3.5, 0.03);
    EXPECT_NEAR(uniform.cv, std::sqrt(35.0 / 12) / 3.5, 0.01);
    LengthSpec bound = tokens(1000, LengthLaw::lognormal, 3);
    bound.minimum = Tokens(50);
    bound.maximum = Tokens(2000);
    const auto held = inputs(bound);
    EXPECT_EQ(*std::min_element(held.begin(), held.end()), 50);
    EXPECT_EQ(*std::max_element(held.begin(), held.end()), 2000);
}

// Pairs stay together, and come as often as they are in the file.
TEST(Traffic, EmpiricalLengths) {
    const RequestFolder folder;
    StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
    spec.input.reset();
    spec.output.reset();
    spec.lengths =
        folder.write("lengths.csv", "num_prefill_tokens,num_decode_tokens\n100,1\n200,2\n200,2\n");
    spec.requests = 30000;
    long hundreds = 0;
    for (const Request& one : all_of(make_stream(spec, 1))) {
        EXPECT_EQ(one.input_tokens, 100 * one.output_tokens);
        hundreds += one.input_tokens == 100 ? 1 : 0;
    }
    EXPECT_NEAR(static_cast<double>(hundreds), 10000, 400);
}

// Rate 10 (1 + 0.8 cos) over a day of 1000 s with its peak at 250 s: of ten days' 100,000 requests
// the half days around the peak have 1/2 + 0.8 / pi = 75.46 %.
TEST(Traffic, ADaysCosine) {
    StreamSpec spec = arriving(ArrivalLaw::poisson, 10);
    spec.arrivals->diurnal = DiurnalSpec{};
    spec.arrivals->diurnal->period = Seconds(1000);
    spec.arrivals->diurnal->peak = Seconds(250);
    spec.arrivals->diurnal->amplitude = 0.8;
    spec.duration = Seconds(10000);
    long all = 0, high = 0;
    for (const Request& one : all_of(make_stream(spec, 1))) {
        ++all;
        if (std::fmod(one.arrival.value(), 1000) < 500) ++high;
    }
    EXPECT_NEAR(static_cast<double>(all), 100000, 1300);
    EXPECT_NEAR(static_cast<double>(high) / static_cast<double>(all), 0.5 + 0.8 / M_PI, 0.006);
}

// Rates of 0, 1 and 3 in three parts: none, a quarter, three quarters; gaps of constant length make
// it exact.
TEST(Traffic, ADaysProfile) {
    StreamSpec spec = arriving(ArrivalLaw::constant, 4);
    spec.arrivals->diurnal = DiurnalSpec{};
    spec.arrivals->diurnal->period = Seconds(30);
    spec.arrivals->diurnal->profile = {0, 1, 3};
    spec.duration = Seconds(60);
    std::vector<int> parts(6, 0);
    for (const Request& one : all_of(make_stream(spec, 1)))
        ++parts[static_cast<std::size_t>(std::ceil(one.arrival.value() / 10)) - 1];
    EXPECT_THAT(parts, ElementsAre(0, 30, 90, 0, 30, testing::AnyOf(89, 90)));
}

// Three users of whom each thinks for 2 s: what ends at 10 is followed at 12, by a request of the
// same user, until all seven have come.
// Who comes late is not one who sends again: both users come, though the first is done before.
TEST(Traffic, EveryUserOfARampComes) {
    StreamSpec spec = arriving(ArrivalLaw::closed, 0);
    spec.arrivals->concurrency = 2;
    spec.arrivals->ramp = Seconds(10.0);
    spec.requests = 10;
    RequestStream stream = make_stream(spec, 1);
    Request first, again, second;
    ASSERT_TRUE(stream.next(first));
    ASSERT_TRUE(stream.follow(first, Seconds(1.0), again));
    ASSERT_TRUE(stream.next(second));
    EXPECT_EQ(second.arrival.value(), 5.0);
    EXPECT_FALSE(stream.next(second));
}

TEST(Traffic, AClosedLoop) {
    StreamSpec spec = arriving(ArrivalLaw::closed, 0);
    spec.arrivals->concurrency = 3;
    spec.arrivals->ramp = Seconds(3);
    spec.arrivals->think_time.law = WaitLaw::constant;
    spec.arrivals->think_time.mean = Seconds(2);
    spec.requests = 7;
    const RequestStream stream = make_stream(spec, 1);
    std::vector<Request> running = all_of(stream);
    ASSERT_EQ(running.size(), 3U);
    EXPECT_EQ(running[1].arrival, Seconds(1));
    EXPECT_EQ(running[2].arrival, Seconds(2));
    Request request = running[0];
    ASSERT_TRUE(request.continues);
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(stream.follow(request, Seconds(10 + i), request));
        EXPECT_EQ(request.arrival, Seconds(12 + i));
        EXPECT_EQ(request.think_time, Seconds(2));
    }
    EXPECT_FALSE(stream.follow(request, Seconds(20), request));
}

// 100 tokens in and 10 out a turn: prompts of 100, 210, 320; with blocks of 16 the second finds the
// 6 whole blocks of the first prompt, and that of its answer is the 7th.
TEST(Traffic, SessionsCarryWhatCameBefore) {
    StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
    spec.sessions = SessionSpec{};
    spec.sessions->turns = 3;
    spec.sessions->geometric = false;
    spec.sessions->think_time.law = WaitLaw::constant;
    spec.sessions->think_time.mean = Seconds(30);
    spec.requests = 100;
    const RequestStream stream = make_stream(spec, 1);
    Request first, second, third;
    ASSERT_TRUE(stream.next(first));
    ASSERT_TRUE(first.continues);
    ASSERT_TRUE(stream.follow(first, Seconds(5), second));
    EXPECT_EQ(second.arrival, Seconds(35));
    EXPECT_EQ(second.input_tokens, 210);
    EXPECT_EQ(second.session, first.session);
    EXPECT_EQ(second.turn, 1);
    ASSERT_TRUE(stream.follow(second, Seconds(50), third));
    EXPECT_EQ(third.input_tokens, 320);
    EXPECT_FALSE(third.continues);
    Request none;
    EXPECT_FALSE(stream.follow(third, Seconds(60), none));
    EXPECT_EQ(stream.block_tokens, 16);
    ASSERT_EQ(first.prefix_blocks.size(), 6U);
    EXPECT_EQ(first.reply_blocks.size(), 0U);  // 110 tokens are 6 whole blocks
    EXPECT_EQ(second.prefix_blocks.size(), 13U);
    EXPECT_EQ(second.reply_blocks.size(), 0U);  // 220 are 13
    EXPECT_EQ(third.reply_blocks.size(), 0U);   // 330 are 20
    EXPECT_TRUE(std::equal(first.prefix_blocks.begin(), first.prefix_blocks.end(),
                           second.prefix_blocks.begin()));
    Request other;
    ASSERT_TRUE(stream.next(other));
    EXPECT_NE(other.prefix_blocks[0], first.prefix_blocks[0]);
}

TEST(Traffic, WhatAnAnswerFillsIsNamedForTheNextTurn) {
    StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
    spec.output = tokens(40);  // 140 tokens are 8 whole blocks
    spec.sessions = SessionSpec{};
    spec.sessions->turns = 2;
    spec.sessions->geometric = false;
    spec.requests = 100;
    const RequestStream stream = make_stream(spec, 1);
    Request first, second;
    ASSERT_TRUE(stream.next(first));
    ASSERT_TRUE(stream.follow(first, Seconds(1), second));
    ASSERT_EQ(first.reply_blocks.size(), 2U);
    EXPECT_EQ(second.prefix_blocks[6], first.reply_blocks[0]);
    EXPECT_EQ(second.prefix_blocks[7], first.reply_blocks[1]);
}

// Turns and calls are drawn: means of 4 turns and of 2 calls of tools, 12 requests a session.
TEST(Traffic, AgentsCallTools) {
    StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
    spec.sessions = SessionSpec{};
    spec.sessions->turns = 4;
    spec.sessions->think_time = {WaitLaw::constant, Seconds(60), 1};
    spec.sessions->tools = ToolSpec{};
    spec.sessions->tools->calls = 2;
    spec.sessions->tools->wait = {WaitLaw::constant, Seconds(5), 1};
    spec.sessions->tools->result = tokens(700);
    spec.duration = Seconds(1e9);
    const RequestStream stream = make_stream(spec, 1);
    Request request, next;
    long sessions = 0, requests = 0, calls = 0;
    for (; sessions < 5000; ++sessions) {
        ASSERT_TRUE(stream.next(request));
        ++requests;
        while (request.continues) {
            ASSERT_TRUE(stream.follow(request, Seconds(0), next));
            const bool of_tool = next.think_time == Seconds(5);
            EXPECT_EQ(next.input_tokens - request.input_tokens - request.output_tokens,
                      of_tool ? 700 : 100);
            calls += of_tool ? 1 : 0;
            ++requests;
            request = next;
        }
    }
    EXPECT_NEAR(static_cast<double>(requests) / 5000, 12, 0.6);
    EXPECT_NEAR(static_cast<double>(calls) / static_cast<double>(requests), 8.0 / 12, 0.02);
}

TEST(Traffic, ASessionEndsBeforeItsContext) {
    StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
    spec.sessions = SessionSpec{};
    spec.sessions->turns = 1000;
    spec.sessions->geometric = false;
    spec.sessions->context = Tokens(250);
    spec.requests = 100;
    const RequestStream stream = make_stream(spec, 1);
    Request request;
    ASSERT_TRUE(stream.next(request));
    ASSERT_TRUE(stream.follow(request, Seconds(1), request));   // 210 and 10
    EXPECT_FALSE(stream.follow(request, Seconds(2), request));  // 320 and 10
}

// Half of 128 tokens in blocks of 16: 4 of 8 blocks are those of one of two beginnings.
TEST(Traffic, SharedBeginnings) {
    StreamSpec spec = arriving(ArrivalLaw::poisson, 1);
    spec.input = tokens(128);
    spec.prefix = PrefixSpec{};
    spec.prefix->share = 0.5;
    spec.prefix->prompts = 2;
    spec.requests = 1000;
    std::map<std::uint64_t, int> count;
    for (const Request& one : all_of(make_stream(spec, 1))) {
        ASSERT_EQ(one.prefix_blocks.size(), 8U);
        for (const std::uint64_t name : one.prefix_blocks) ++count[name];
    }
    EXPECT_EQ(count.size(), 8U + 4000U);
    long shared = 0;
    for (const auto& [name, times] : count) shared += times > 1 ? times : 0;
    EXPECT_EQ(shared, 4000);
}

TEST(Traffic, ATraceWithoutNamesCanShareABeginning) {
    const RequestFolder folder;
    StreamSpec spec;
    spec.trace = folder.write("a.csv", kAzureText);
    spec.prefix = PrefixSpec{};
    spec.prefix->tokens = Tokens(64);
    const RequestStream stream = make_stream(spec, 1);
    const auto requests = all_of(stream);
    EXPECT_EQ(stream.block_tokens, 16);
    EXPECT_EQ(requests[0].prefix_blocks[3], requests[1].prefix_blocks[3]);
    EXPECT_NE(requests[0].prefix_blocks[4], requests[1].prefix_blocks[4]);
    spec.trace = folder.write("m.jsonl", kMooncakeText);
    EXPECT_THAT(refusal_of([&] { (void)make_stream(spec, 1); }),
                HasSubstr("the trace names its blocks itself"));
}

// Slices count from where they begin; then gaps are halved, then the first are taken.
TEST(Traffic, SlicesAndRatesOfATrace) {
    const RequestFolder folder;
    StreamSpec spec;
    spec.trace = folder.write("v.csv",
                              "arrived_at,num_prefill_tokens,num_decode_tokens\n"
                              "1,1,1\n2,2,1\n4,3,1\n7,4,1\n9,5,1\n");
    spec.from = Seconds(2);
    spec.until = Seconds(9);
    spec.rate_scale = 2;
    std::vector<double> times;
    for (const Request& one : all_of(make_stream(spec, 1))) times.push_back(one.arrival.value());
    EXPECT_THAT(times, ElementsAre(0, 1, 2.5));
    spec.requests = 2;
    EXPECT_EQ(all_of(make_stream(spec, 1)).size(), 2U);
    spec.requests = 0;
    spec.duration = Seconds(1);
    EXPECT_EQ(all_of(make_stream(spec, 1)).size(), 1U);
}

// By hand: two streams of two classes, each with its sessions; what follows is of its own stream.
TEST(Traffic, MergedStreamsKeepTheirClasses) {
    const RequestFolder folder;
    TrafficSpec traffic;
    traffic.streams.resize(2);
    traffic.streams[0].trace = folder.write(
        "v.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n0,7,1\n1,7,1\n2,7,1\n");
    traffic.streams[0].service_class.name = "batch";
    traffic.streams[1] = arriving(ArrivalLaw::constant, 1.0 / 1.5);
    traffic.streams[1].sessions = SessionSpec{};
    traffic.streams[1].sessions->turns = 2;
    traffic.streams[1].sessions->geometric = false;
    traffic.streams[1].requests = 4;
    traffic.streams[1].service_class.name = "chat";
    const RequestStream stream = make_stream(traffic, 1);
    ASSERT_EQ(stream.classes.size(), 2U);
    EXPECT_EQ(stream.classes[1].name, "chat");
    std::vector<int> classes;
    Request request, chat;
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(stream.next(request));
        classes.push_back(request.service_class);
        if (request.service_class == 1) chat = request;
    }
    EXPECT_THAT(classes, ElementsAre(0, 0, 1, 0));
    ASSERT_TRUE(stream.follow(chat, Seconds(5), request));
    EXPECT_EQ(request.service_class, 1);
    EXPECT_EQ(request.session, chat.session);
    EXPECT_EQ(request.input_tokens, 210);
    EXPECT_EQ(request.prefix_blocks[0], chat.prefix_blocks[0]);
}

TEST(Traffic, OneStoreHasBlocksOfOneSize) {
    const RequestFolder folder;
    TrafficSpec traffic;
    traffic.streams.resize(2);
    traffic.streams[0].trace = folder.write("m", kMooncakeText);
    traffic.streams[1].trace = folder.write("b", kBailianText);
    EXPECT_THAT(refusal_of([&] { (void)make_stream(traffic, 1); }),
                HasSubstr("blocks of 512 and of 16 tokens in one store"));
}

const char* const kClients =
    "client,window_start_s,rate_req_per_s,interarrival_cv,pattern,arg1,arg2\n"
    "3,0,50,1,Gamma,1.0,0.02\n"
    "3,600,0,1,Gamma,1.0,0.02\n"
    "3,1200,100,0.5,Gamma,4.0,0.0025\n"
    "9,600,10,1,Weibull,1.0,0.1\n";
const char* const kLengths =
    R"({"3": {"0": {"input_tokens": {"10": 0.25, "20": 0.75}, "output_tokens": {"5": 1.0},
        "reason_ratio": {"0.5": 1.0}},
        "1200": {"input_tokens": {"7": 1.0}, "output_tokens": {"6": 1.0}}}})";

// Three windows: 30,000 requests of one client, 6,000 of the other, who takes the first's lengths,
// 60,000.
TEST(Traffic, ClientsByWindows) {
    const RequestFolder folder;
    StreamSpec spec;
    spec.trace = folder.write("x_clients.csv", kClients);
    (void)folder.write("x_lengths.json", kLengths);
    const RequestStream stream = make_stream(spec, 1);
    std::vector<double> counts(3, 0);
    long tens = 0, twenties = 0;
    Seconds last(0.0);
    for (const Request& one : all_of(stream)) {
        EXPECT_GE(one.arrival, last);
        last = one.arrival;
        ++counts.at(static_cast<std::size_t>(one.arrival.value() / 600));
        tens += one.input_tokens == 10 ? 1 : 0;
        twenties += one.input_tokens == 20 ? 1 : 0;
        EXPECT_EQ(one.output_tokens, one.input_tokens == 7 ? 6 : 5);
    }
    EXPECT_NEAR(counts[0], 30000, 700);
    EXPECT_NEAR(counts[1], 6000, 320);
    EXPECT_NEAR(counts[2], 60000, 500);
    EXPECT_NEAR(static_cast<double>(tens) / static_cast<double>(tens + twenties), 0.25, 0.01);
    EXPECT_THAT(stream.notes, ElementsAre("1 of 2 clients have lengths, the others take theirs"));
}

TEST(Traffic, ClientsThatAreWrong) {
    const RequestFolder folder;
    const auto refusal = [&](const std::string& clients, const std::string& lengths) {
        StreamSpec spec;
        spec.trace = folder.write("c", clients);
        spec.lengths = lengths.empty() ? "" : folder.write("l", lengths);
        return refusal_of([&] { (void)make_stream(spec, 1); });
    };
    EXPECT_THAT(refusal(kClients, ""), HasSubstr("lengths: is missing"));
    EXPECT_THAT(refusal(replaced(kClients, "Weibull", "Pareto"), kLengths),
                HasSubstr("c:5: pattern: Pareto is no law"));
    EXPECT_THAT(refusal(replaced(kClients, "3,600,0", "3,600,-1"), kLengths),
                HasSubstr("c:3: rate_req_per_s: \"-1\" is no number"));
    EXPECT_THAT(refusal(kClients, replaced(kLengths, "0.75", "7.5")),
                HasSubstr("7.5 is no probability"));
    EXPECT_THAT(refusal(kClients, replaced(kLengths, "\"output_tokens\": {\"5\": 1.0},", "")),
                HasSubstr("has no lengths of input or output"));
    EXPECT_THAT(refusal(kClients, "{\"3\": "), HasSubstr("is no JSON here"));
    EXPECT_THAT(refusal(kClients, "{\"77\": {}}"), HasSubstr("of none of the clients"));
}

}  // namespace
}  // namespace podsim

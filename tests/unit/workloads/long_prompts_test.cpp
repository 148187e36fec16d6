// Requests longer than engines take: answered with an error, refused with their lines, or left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/readers.hpp"
#include "tests/unit/workloads/request_cases.hpp"
#include "workloads/traffic.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Prompts of 1, 90, 3, 95 and 5 tokens, answers of 10.
StreamSpec five(const RequestFolder& folder, LongPrompts choice) {
    StreamSpec spec;
    spec.trace = folder.write("v.csv",
                              "arrived_at,num_prefill_tokens,num_decode_tokens\n"
                              "0,1,10\n1,90,10\n2,3,10\n3,95,10\n4,5,10\n");
    spec.long_prompts = choice;
    spec.longest = 99;
    return spec;
}

std::vector<long> prompts_of(const RequestStream& stream) {
    std::vector<long> prompts;
    for (const Request& one : all_of(stream)) prompts.push_back(one.input_tokens);
    return prompts;
}

TEST(LongPrompts, AreLeftToEnginesUnlessSomebodyChooses) {
    const RequestFolder folder;
    const RequestStream stream = make_stream(five(folder, LongPrompts::reject), 1);
    EXPECT_THAT(prompts_of(stream), ElementsAre(1, 90, 3, 95, 5));
    EXPECT_EQ(stream.counts->too_long, 0);
}

TEST(LongPrompts, ThoseSkippedAreCountedAndTheFirstIsNamed) {
    const RequestFolder folder;
    const StreamSpec spec = five(folder, LongPrompts::skip);
    const RequestStream stream = make_stream(spec, 1);
    EXPECT_THAT(prompts_of(stream), ElementsAre(1, 3, 5));
    EXPECT_EQ(stream.counts->too_long, 2);
    EXPECT_EQ(stream.counts->first_too_long,
              spec.trace + ":3: prompt of 90 and answer of 10 tokens, 100 together");
    // Of what engines take any length nothing is too long.
    StreamSpec any = spec;
    any.longest = 0;
    EXPECT_EQ(prompts_of(make_stream(any, 1)).size(), 5U);
    // Merged with others it is the same.
    TrafficSpec both;
    both.streams = {spec, five(folder, LongPrompts::reject)};
    const RequestStream merged = make_stream(both, 1);
    EXPECT_EQ(all_of(merged).size(), 8U);
    EXPECT_EQ(merged.counts->too_long, 2);
    EXPECT_THAT(merged.counts->first_too_long, HasSubstr(":3: prompt of 90"));
}

TEST(LongPrompts, ThoseRefusedAreNamedInOneGo) {
    const RequestFolder folder;
    const StreamSpec spec = five(folder, LongPrompts::refuse);
    const std::string said = refusal_of([&] { all_of(make_stream(spec, 1)); });
    EXPECT_THAT(said, HasSubstr(spec.trace + ":3: prompt of 90 and answer of 10 tokens, 100 "
                                             "together; max_model_len is 99"));
    EXPECT_THAT(said, HasSubstr(spec.trace + ":5: prompt of 95"));
    EXPECT_THAT(said, HasSubstr("2 of the requests are longer than max_model_len, 99 tokens"));
    EXPECT_THAT(said, HasSubstr("max_model_len: 105"));
    // One that a slice leaves out is nobody's.
    StreamSpec part = spec;
    part.until = Seconds(1);
    EXPECT_THAT(prompts_of(make_stream(part, 1)), ElementsAre(1));
}

StreamSpec drawn(ArrivalLaw law, long output) {
    StreamSpec spec;
    spec.arrivals = ArrivalSpec{};
    spec.arrivals->law = law;
    spec.arrivals->rate = Hertz(1);
    spec.input = LengthSpec{};
    spec.input->mean = Tokens(100);
    spec.output = LengthSpec{};
    spec.output->mean = Tokens(static_cast<double>(output));
    spec.long_prompts = LongPrompts::skip;
    return spec;
}

// Turns of 110, 220 and 330 tokens: of 250 that are taken the third is too long.
TEST(LongPrompts, ASessionEndsWhereItsLastTurnIsTooLong) {
    StreamSpec spec = drawn(ArrivalLaw::poisson, 10);
    spec.sessions = SessionSpec{};
    spec.sessions->turns = 3;
    spec.sessions->geometric = false;
    spec.requests = 3;
    spec.longest = 250;
    const RequestStream stream = make_stream(spec, 1);
    Request first, second, third;
    ASSERT_TRUE(stream.next(first));
    ASSERT_TRUE(stream.follow(first, Seconds(5), second));
    EXPECT_EQ(second.input_tokens, 210);
    EXPECT_FALSE(stream.follow(second, Seconds(50), third));
    EXPECT_EQ(stream.counts->too_long, 1);
}

// A user whose request is left out sends the next one: of twelve some are, two users go on.
TEST(LongPrompts, UsersGoOnWithTheirNextRequest) {
    StreamSpec spec = drawn(ArrivalLaw::closed, 10);
    spec.arrivals->concurrency = 2;
    spec.arrivals->think_time.mean = Seconds(1);
    spec.input->law = LengthLaw::uniform;
    spec.input->minimum = Tokens(1);
    spec.input->maximum = Tokens(100);
    spec.requests = 12;
    spec.longest = 60;
    const RequestStream stream = make_stream(spec, 1);
    std::vector<Request> running = all_of(stream);
    ASSERT_EQ(running.size(), 2U);
    long served = 0;
    while (!running.empty()) {
        const Request one = running.back();
        running.pop_back();
        EXPECT_LE(one.input_tokens, 50);
        ++served;
        Request following;
        if (stream.follow(one, one.arrival + Seconds(1), following)) running.push_back(following);
    }
    EXPECT_GT(stream.counts->too_long, 2);
    EXPECT_EQ(served + stream.counts->too_long, 12);
}

// Without a think time all of them would be asked at one time, for ever.
TEST(LongPrompts, UsersWhoCanAskNothingElseAreRefused) {
    StreamSpec spec = drawn(ArrivalLaw::closed, 10);
    spec.arrivals->concurrency = 1;
    spec.arrivals->think_time.law = WaitLaw::constant;
    spec.duration = Seconds(1);
    spec.longest = 60;
    EXPECT_THAT(refusal_of([&] { all_of(make_stream(spec, 1)); }),
                HasSubstr("skip leaves out 1000000 requests at one time"));
}

}  // namespace
}  // namespace podsim

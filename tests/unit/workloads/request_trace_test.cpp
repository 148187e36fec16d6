#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/readers.hpp"
#include "tests/unit/workloads/request_cases.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RequestTraceText : public testing::Test {
  protected:
    RequestStream open(const std::string& text, RequestTraceOptions options = {}) {
        return open_request_trace(folder_.write("trace", text), options);
    }
    std::vector<Request> read(const std::string& text, RequestTraceOptions options = {}) {
        return all_of(open(text, options));
    }
    std::string refusal(const std::string& text) {
        return refusal_of([&] { (void)read(text); });
    }
    RequestFolder folder_;
};

TEST_F(RequestTraceText, AzureCountsFromItsFirstRow) {
    const auto requests = read(kAzureText);
    ASSERT_EQ(requests.size(), 3U);
    EXPECT_EQ(requests[0].arrival, Seconds(0.0));
    EXPECT_DOUBLE_EQ(requests[1].arrival.value(), 0.0520000);
    EXPECT_DOUBLE_EQ(requests[2].arrival.value(), 0.0981890);
    EXPECT_EQ(requests[2].input_tokens, 110);
    EXPECT_EQ(requests[2].output_tokens, 27);
    EXPECT_EQ(requests[2].place, 4U);
}

// The traces of 2024 have an offset; midnight is passed within it.
TEST_F(RequestTraceText, AzureOfTwoDays) {
    const auto requests = read(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-02-28 23:59:59.500000+00:00,2162,5\n"
        "2024-02-29 01:00:01+01:00,2399,6\n"
        "2024-03-01T00:00:01Z,76,15\n");
    ASSERT_EQ(requests.size(), 3U);
    EXPECT_DOUBLE_EQ(requests[1].arrival.value(), 1.5);
    EXPECT_DOUBLE_EQ(requests[2].arrival.value(), 86401.5);  // 2024 is a leap year
}

TEST_F(RequestTraceText, BurstGptLeavesOutWhatFailed) {
    const RequestStream stream = open(kBurstText);
    const auto requests = all_of(stream);
    ASSERT_EQ(requests.size(), 3U);
    EXPECT_EQ(stream.format, "burstgpt");
    EXPECT_EQ(requests[0].arrival, Seconds(5));
    EXPECT_EQ(requests[2].input_tokens, 400);
    EXPECT_EQ(stream.counts->failed, 1);
    EXPECT_EQ(stream.counts->skipped, 0);
    EXPECT_EQ(stream.counts->rows, 4);
}

// Three requests in the first step of 3 s: 0, 1, 2; one at 3 s; two in the step from 9 s on, of
// which nothing says where it ends: 9 and 10.5.
TEST_F(RequestTraceText, MooncakeIsSpreadOverItsSteps) {
    RequestTraceOptions options;
    options.timestamps = Timestamps::even;
    const RequestStream stream = open(kMooncakeText, options);
    const auto requests = all_of(stream);
    std::vector<double> times;
    for (const Request& one : requests) times.push_back(one.arrival.value());
    EXPECT_THAT(times, ElementsAre(0, 1, 2, 3, 9, 10.5));
    EXPECT_THAT(requests[0].prefix_blocks, ElementsAre(0, 1, 2));
    EXPECT_THAT(requests[3].prefix_blocks, ElementsAre(0, 9));
    EXPECT_EQ(stream.block_tokens, 512);
    ASSERT_EQ(stream.notes.size(), 1U);
    EXPECT_THAT(stream.notes[0], HasSubstr("steps of 3 s, 60.0 % of the first gaps are zero"));
}

TEST_F(RequestTraceText, MooncakeAsItIs) {
    RequestTraceOptions options;
    options.timestamps = Timestamps::as_is;
    std::vector<double> times;
    for (const Request& one : read(kMooncakeText, options)) times.push_back(one.arrival.value());
    EXPECT_THAT(times, ElementsAre(0, 0, 0, 3, 9, 9));
}

TEST_F(RequestTraceText, MooncakeDrawnWithinItsSteps) {
    RequestTraceOptions options;
    options.timestamps = Timestamps::uniform;
    const auto requests = read(kMooncakeText, options);
    ASSERT_EQ(requests.size(), 6U);
    for (std::size_t i = 0; i < 6; ++i) {
        const double begin = i < 3 ? 0 : i < 4 ? 3 : 9;
        EXPECT_GE(requests[i].arrival.value(), begin);
        EXPECT_LT(requests[i].arrival.value(), begin + 3);
        if (i > 0) {
            EXPECT_GE(requests[i].arrival, requests[i - 1].arrival);
        }
    }
    EXPECT_EQ(requests[1].arrival, read(kMooncakeText, options)[1].arrival);
    options.seed = 2;
    EXPECT_NE(requests[1].arrival, read(kMooncakeText, options)[1].arrival);
}

TEST_F(RequestTraceText, BailianKnowsItsChats) {
    const RequestStream stream = open(kBailianText);
    const auto requests = all_of(stream);
    ASSERT_EQ(requests.size(), 2U);
    EXPECT_EQ(stream.block_tokens, 16);
    EXPECT_DOUBLE_EQ(requests[0].arrival.value(), 61.114);
    EXPECT_EQ(requests[1].session, requests[0].session);
    EXPECT_EQ(requests[0].turn, 0);
    EXPECT_EQ(requests[1].turn, 1);
}

TEST_F(RequestTraceText, VidurWithAndWithoutTimes) {
    EXPECT_EQ(
        read("arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,7,8\n1e1,9,10\n")[1].arrival,
        Seconds(10));
    const std::string lengths =
        "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n"
        "3772,54,3826,69.85\n";
    EXPECT_THAT(refusal(lengths), HasSubstr("lengths without times"));
    RequestTraceOptions options;
    options.only_lengths = true;
    EXPECT_EQ(read(lengths, options)[0].input_tokens, 3772);
}

TEST_F(RequestTraceText, LlmServingSimTablesTabsAndLines) {
    EXPECT_DOUBLE_EQ(
        read("arrival_time_ns,input_tokens,output_tokens\n46926808,2358,531\n")[0].arrival.value(),
        0.046926808);
    EXPECT_EQ(read("input_toks\toutput_toks\tarrival_time_ns\n128\t512\t0\n")[0].output_tokens,
              512);
    EXPECT_EQ(read("{\"input_toks\": 5, \"output_toks\": 6, \"arrival_time_ns\": 2000000000, "
                   "\"input_tok_ids\": [1, 2]}\n")[0]
                  .arrival,
              Seconds(2));
}

TEST_F(RequestTraceText, GzipIsTheSame) {
    EXPECT_EQ(read(gzipped(kMooncakeText)).size(), 6U);
    EXPECT_EQ(read("\xef\xbb\xbf" + replaced(kAzureText, "\n", "\r\n")).size(), 3U);
}

// All wrong rows at once, each with its line.
TEST_F(RequestTraceText, WhatIsWrongIsRefusedWithItsLine) {
    const std::string text =
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03,4808,10\n"
        "2023-11-16 18:17:04,-5,8\n"
        "2023-11-16 18:17:04,,8\n"
        "2023-11-16 18:17:02,7,8\n"
        "2023-11-16 18:17:05,7,8,9\n"
        "2023-11-16 18:17:05,7,0\n"
        "2023-11-16 18:17:05,99999999999,1\n"
        "yesterday,7,8\n"
        "2043-11-16 18:17:05,7,8\n"
        "2023-11-16 18:17:06,7,8\n";
    const std::string says = refusal(text);
    EXPECT_THAT(says, HasSubstr("trace:3: input: a length of -5 tokens"));
    EXPECT_THAT(says, HasSubstr("trace:4: ContextTokens: is missing"));
    EXPECT_THAT(says, HasSubstr("trace:5: the time runs backwards, 1 s"));
    EXPECT_THAT(says, HasSubstr("trace:6: 4 fields, the header names 3"));
    EXPECT_THAT(says, HasSubstr("trace:7: output: no tokens"));
    EXPECT_THAT(says, HasSubstr("trace:8: input: 99999999999 tokens are absurd"));
    EXPECT_THAT(says, HasSubstr("trace:9: TIMESTAMP: \"yesterday\" is no time"));
    EXPECT_THAT(says, HasSubstr("trace:10: 7305 days after the first row"));
    EXPECT_THAT(says, HasSubstr("bad_rows: skip"));

    RequestTraceOptions options;
    options.bad_rows = BadRows::skip;
    const RequestStream stream = open(text, options);
    EXPECT_EQ(all_of(stream).size(), 2U);
    EXPECT_EQ(stream.counts->rows, 10);
    EXPECT_EQ(stream.counts->skipped, 8);
    EXPECT_EQ(stream.counts->problems.size(), 8U);
}

TEST_F(RequestTraceText, TimesThatNoClockHas) {
    const std::string header = "arrival_time_ns,input_tokens,output_tokens\n";
    EXPECT_THAT(refusal(header + "-9000000000000000000,1,1\n9000000000000000000,1,1\n"),
                testing::AllOf(HasSubstr("trace:2: -9e+09 s is an absurd time"),
                               HasSubstr("trace:3: 9e+09 s is an absurd time")));
    EXPECT_THAT(refusal(header + "99999999999999999999,1,1\n"), HasSubstr("is no time"));
}

TEST_F(RequestTraceText, UnknownColumnsAreNamed) {
    const std::string text = replaced(kAzureText, "GeneratedTokens", "GeneratedTokens,User");
    EXPECT_THAT(refusal(text), testing::AllOf(HasSubstr("trace:1: unknown column User"),
                                              HasSubstr("bad_rows: skip leaves such columns out")));
    EXPECT_THAT(
        refusal(replaced(kMooncakeText, "\"timestamp\": 3000", "\"user\": 1, \"timestamp\": 3000")),
        HasSubstr("trace:4: user: unknown key user"));
}

TEST_F(RequestTraceText, NamesOfBlocksHaveToFitThePrompt) {
    EXPECT_THAT(refusal(replaced(kMooncakeText, "[0, 1, 2]", "[0, 1]")), HasSubstr("accepted"));
    EXPECT_THAT(refusal(replaced(kMooncakeText, "[0, 1, 2]", "[0]")),
                HasSubstr("trace:1: hash_ids: 1 blocks of 512 tokens for a prompt of 1030"));
    EXPECT_THAT(refusal(replaced(kMooncakeText, "[0, 1, 2]", "[0, -1, 2]")),
                HasSubstr("-1 is no name of a block"));
    EXPECT_THAT(refusal(replaced(kBurstText, "490", "491")), HasSubstr("491 is not 472 + 18"));
}

// Of a file that is cut off, what is whole is there and the cut is one row more.
TEST_F(RequestTraceText, CutOffGzip) {
    std::string text = "arrival_time_ns,input_tokens,output_tokens\n";
    for (int i = 0; i < 2000; ++i)
        text += std::to_string(i * 7919) + "," + std::to_string(1 + i * i % 977) + ",5\n";
    const std::string whole = gzipped(text);
    const std::string cut = whole.substr(0, whole.size() / 2);
    const std::string says = refusal(cut);
    EXPECT_THAT(says, HasSubstr("the gzip is cut off in this line"));
    const std::size_t hint = says.find("bad_rows");
    ASSERT_NE(hint, std::string::npos);
    EXPECT_EQ(says.find("bad_rows", hint + 1), std::string::npos) << says;

    RequestTraceOptions options;
    options.bad_rows = BadRows::skip;
    const RequestStream stream = open(cut, options);
    const auto rows = all_of(stream);
    EXPECT_GT(rows.size(), 500U);
    EXPECT_LT(rows.size(), 1500U);
    EXPECT_EQ(stream.counts->skipped, 1);
    EXPECT_EQ(stream.counts->rows, static_cast<long>(rows.size()) + 1);
    EXPECT_EQ(stream.counts->problems[0].place.line, static_cast<int>(rows.size()) + 2);
}

TEST_F(RequestTraceText, WhatIsNoTrace) {
    EXPECT_THAT(refusal(""), HasSubstr("is empty"));
    EXPECT_THAT(refusal("a,b\n1,2\n"), HasSubstr("no known format"));
    EXPECT_THAT(refusal("{\"a\": 1}\n"), HasSubstr("no known format"));
    EXPECT_THAT(refusal_of([] { (void)open_request_trace("/no/such/file", {}); }),
                HasSubstr("no such file"));
    EXPECT_FALSE(is_request_trace("/no/such/file"));
    EXPECT_TRUE(is_request_trace(folder_.write("x", kBurstText)));
}

}  // namespace
}  // namespace podsim

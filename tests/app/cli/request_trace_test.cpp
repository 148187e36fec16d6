#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

const char* const kMooncake =
    "{\"timestamp\": 0, \"input_length\": 1030, \"output_length\": 5, \"hash_ids\": [0, 1, 2]}\n"
    "{\"timestamp\": 0, \"input_length\": 1024, \"output_length\": 7, \"hash_ids\": [0, 3]}\n"
    "{\"timestamp\": 3000, \"input_length\": -1, \"output_length\": 9, \"hash_ids\": [0, 9]}\n"
    "{\"timestamp\": 9000, \"input_length\": 600, \"output_length\": 9, \"hash_ids\": [0, 3]}\n";

// Of 7 blocks 3 are found: 0 of the second request, 0 and 3 of the third. Of 2,654 tokens 512 and
// 600.
TEST(RequestTraceVerb, SaysWhatATraceHolds) {
    const Folder folder;
    folder.write("t", kMooncake);
    const Outcome table = folder.podsim({"trace", "t"});
    EXPECT_EQ(table.code, 0) << table.err;
    for (const char* part : {"mooncake, 3 requests in 4 rows, 1 skipped", "drawn within them",
                             "7 references to 4 blocks of 512 tokens", "42.9 %", "41.9 %", "9 s"})
        EXPECT_TRUE(contains(table.out, part)) << part << "\n" << table.out;
    EXPECT_TRUE(contains(table.err, "skipped: t:3: input: a length of -1 tokens")) << table.err;
    for (const std::string& line : lines_of(table.out)) EXPECT_LE(line.size(), 80U) << line;

    const auto json = nlohmann::json::parse(folder.podsim({"trace", "t", "--json"}).out);
    EXPECT_EQ(json["requests"], 3);
    EXPECT_EQ(json["skipped"], 1);
    EXPECT_EQ(json["input_tokens"]["total"], 2654.0);
    EXPECT_EQ(json["input_tokens"]["p50"], 1024.0);
    EXPECT_EQ(json["distinct_blocks"], 4);
    EXPECT_DOUBLE_EQ(json["reuse"][0]["block_hits"], 3.0 / 7);
    EXPECT_DOUBLE_EQ(json["reuse"][0]["token_hits"], 1112.0 / 2654);
    EXPECT_EQ(json["problems"].size(), 1U);
}

TEST(RequestTraceVerb, OtherTracesAreStillWhatTheyWere) {
    const Folder folder;
    folder.write("t.csv", "a,b\n1,2\n");
    const Outcome none = folder.podsim({"trace", "t.csv"});
    EXPECT_EQ(none.code, 2);
    EXPECT_TRUE(contains(none.err, "text of no trace format")) << none.err;
}

}  // namespace
}  // namespace podsim

// Reading a collective library, and each way it can be wrong.
#include "interconnect/collective_library.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/diagnostic.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char* const library_text = R"(title: Some library
transfers:
  dispatch:
    base: 40 us
    per_peer: 0.1 us
    per_doubling: 2 us
    scale_up_efficiency: 80 %
    scale_out_efficiency: 0.95
    message_alignment: 512 B
    local_over_scale_out: true
    record: {basis: measured, rows: 8, source: a table, date: 2026-01-01}
  all_reduce:
    base: 10 us
    record: {basis: assumed, source: nobody, date: 2026-01-01}
)";

std::string with(const std::string& from, const std::string& to) {
    return replaced(library_text, from, to);
}

CollectiveLibrarySpec library_of(const std::string& text) {
    return read_collective_library(parse_yaml(text, "library.yaml"), "some");
}

std::string refusal(const std::string& text) {
    return refusal_of([&] { library_of(text); });
}

TEST(CollectiveLibrary, Reads) {
    const CollectiveLibrarySpec library = library_of(library_text);
    EXPECT_EQ(library.name, "some");
    const TransferHabits& dispatch = transfer_habits(library, TransferType::dispatch);
    EXPECT_DOUBLE_EQ(dispatch.base.value(), 40e-6);
    EXPECT_DOUBLE_EQ(dispatch.per_peer.value(), 0.1e-6);
    EXPECT_DOUBLE_EQ(dispatch.per_doubling.value(), 2e-6);
    EXPECT_DOUBLE_EQ(dispatch.scale_up_efficiency, 0.8);
    EXPECT_DOUBLE_EQ(dispatch.scale_out_efficiency, 0.95);
    EXPECT_EQ(dispatch.message_alignment.value(), 512);
    EXPECT_TRUE(dispatch.local_over_scale_out);
    EXPECT_EQ(dispatch.record.rows, 8);
    const TransferHabits& reduce = transfer_habits(library, TransferType::all_reduce);
    EXPECT_FALSE(reduce.local_over_scale_out);
    EXPECT_EQ(reduce.message_alignment.value(), 0);
    EXPECT_EQ(reduce.per_peer.value(), 0);
}

TEST(CollectiveLibrary, NamesWhatItHas) {
    try {
        transfer_habits(library_of(library_text), TransferType::combine);
        FAIL() << "it has no combine";
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(),
                     "collective library some has no combine (it has dispatch, all_reduce)");
    }
}

TEST(CollectiveLibrary, MissingKeys) {
    EXPECT_THAT(refusal(with("title: Some library\n", "")), HasSubstr("title: is missing"));
    EXPECT_THAT(refusal(with("transfers:", "transferts:")),
                AllOf(HasSubstr("transfers: is missing"), HasSubstr("transferts: unknown key")));
    EXPECT_THAT(refusal(with("    base: 40 us\n", "")),
                HasSubstr("transfers.dispatch.base: is missing"));
    EXPECT_THAT(refusal(with("source: nobody, ", "")),
                HasSubstr("transfers.all_reduce.record.source: is missing"));
    EXPECT_THAT(refusal(with("  all_reduce:", "  all_reduces:")),
                AllOf(HasSubstr("transfers.all_reduces: unknown key"),
                      HasSubstr("did you mean all_reduce?")));
    EXPECT_THAT(refusal(with("per_peer", "per_pair")), HasSubstr("per_pair: unknown key"));
    EXPECT_THAT(refusal("title: Nothing\ntransfers: {}\n"),
                HasSubstr("transfers: names no collective"));
}

TEST(CollectiveLibrary, RefusesValuesThatCannotBe) {
    for (const char* key : {"base: 40", "per_peer: 0.1", "per_doubling: 2"}) {
        const std::string value = std::string(key).substr(std::string(key).find(' ') + 1);
        const std::string name = std::string(key).substr(0, std::string(key).find(':'));
        EXPECT_THAT(refusal(with(key, name + ": -" + value)), HasSubstr("0 or more"));
    }
    EXPECT_THAT(refusal(with("per_peer: 0.1 us", "per_peer: 0.1")), HasSubstr("unit"));
    EXPECT_THAT(refusal(with("per_peer: 0.1 us", "per_peer: 20 B")),
                HasSubstr("transfers.dispatch.per_peer: "));
    EXPECT_THAT(refusal(with("message_alignment: 512 B", "message_alignment: 512")),
                HasSubstr("unit"));
    EXPECT_THAT(refusal(with("message_alignment: 512 B", "message_alignment: -512 B")),
                HasSubstr("0 or more"));
    for (const char* value : {"0", "1.2", "-1", "120 %", "nan"}) {
        EXPECT_THAT(refusal(with("scale_up_efficiency: 80 %",
                                 std::string("scale_up_efficiency: ") + value)),
                    HasSubstr("transfers.dispatch.scale_up_efficiency: "));
    }
    EXPECT_THAT(refusal(with("local_over_scale_out: true", "local_over_scale_out: 1")),
                HasSubstr("true or false"));
}

TEST(CollectiveLibrary, SchemaNamesItsKeys) {
    EXPECT_TRUE(collective_library_schema()["properties"].contains("transfers"));
}

}  // namespace
}  // namespace podsim

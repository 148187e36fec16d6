// Tables as text: what a field is, and where a wrong one stands.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "base/csv.hpp"
#include "base/diagnostic.hpp"

namespace podsim {
namespace {

std::vector<std::vector<std::string>> rows_of(const std::string& text) {
    CsvReader reader(text, "t.csv");
    std::vector<std::vector<std::string>> rows;
    for (CsvRow row; reader.next(row);) rows.push_back(row.cells);
    return rows;
}

std::string error_of(const std::string& text) {
    try {
        rows_of(text);
    } catch (const InputError& error) {
        return error.what();
    }
    return "no error";
}

std::string packed(const std::string& text) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(compressBound(text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

TEST(Csv, PlainAndQuotedFieldsWithTheirLines) {
    CsvReader reader("a,b\n1,\"x, \"\"y\"\"\nz\"\n\n,2", "t.csv");
    EXPECT_EQ(reader.header(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(reader.column("b"), 1u);
    CsvRow row;
    ASSERT_TRUE(reader.next(row));
    EXPECT_EQ(row.line, 2);
    EXPECT_EQ(row.cells, (std::vector<std::string>{"1", "x, \"y\"\nz"}));
    ASSERT_TRUE(reader.next(row));
    EXPECT_EQ(row.line, 5);  // after a field of two lines and a blank one
    EXPECT_EQ(row.cells, (std::vector<std::string>{"", "2"}));
    EXPECT_FALSE(reader.next(row));
    EXPECT_FALSE(reader.next(row));
}

TEST(Csv, AHeaderAloneIsATableWithoutRows) {
    EXPECT_TRUE(rows_of("a,b\n").empty());
    EXPECT_TRUE(rows_of("a").empty());
}

TEST(Csv, ErrorsNameTheirLine) {
    EXPECT_EQ(error_of(""), "t.csv:1: empty, a header with the columns' names was expected");
    EXPECT_EQ(error_of("a,b\n1,2\n3\n"), "t.csv:3: 1 field, the header names 2");
    EXPECT_EQ(error_of("a\n1,2\n"), "t.csv:2: 2 fields, the header names 1");
    EXPECT_EQ(error_of("a,a\n"), "t.csv:1: two columns are called a");
    EXPECT_EQ(error_of("a,\n"), "t.csv:1: a column has no name");
    EXPECT_EQ(error_of("a\n\n\"x\n"), "t.csv:3: a quoted field begins here and never ends");
    EXPECT_NE(error_of("a\nx\"y\"\n").find("t.csv:2: field 1: a quote"), std::string::npos);
    EXPECT_NE(error_of("a\n\"x\"y\n").find("t.csv:2: field 1: a quote"), std::string::npos);
}

TEST(Csv, AnUnknownColumnNamesTheNearest) {
    const CsvReader reader("latency_us,m\n", "t.csv");
    try {
        reader.column("latency_ms");
        FAIL();
    } catch (const InputError& error) {
        EXPECT_NE(std::string(error.what()).find("did you mean latency_us?"), std::string::npos)
            << error.what();
    }
}

TEST(Csv, PackedTablesAreInflated) {
    const std::string text = "a,b\n1,2\n";
    const std::string path = testing::TempDir() + std::to_string(getpid()) + "_csv_test.csv.gz";
    std::ofstream(path, std::ios::binary) << packed(text);
    EXPECT_EQ(read_table_file(path), text);
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(read_table_file(path), text);
    // Members one after another are one file (RFC 1952, section 2.2).
    EXPECT_EQ(gunzip(packed("a\n") + packed("1\n"), "f", 100), "a\n1\n");
    std::filesystem::remove(path);
}

TEST(Csv, BrokenPackingIsAnError) {
    const std::string good = packed("a,b\n1,2\n");
    std::string flipped = good;
    flipped[good.size() - 6] = static_cast<char>(flipped[good.size() - 6] ^ 0x55);  // its checksum
    EXPECT_THROW(gunzip(good.substr(0, good.size() - 9), "f", 100), InputError);
    EXPECT_THROW(gunzip(flipped, "f", 100), InputError);
    EXPECT_THROW(gunzip(good + "rest", "f", 100), InputError);
    EXPECT_THROW(gunzip(good, "f", 7), InputError);
    EXPECT_EQ(gunzip(good, "f", 8), "a,b\n1,2\n");
    EXPECT_THROW(read_table_file("/nowhere.csv"), InputError);
}

}  // namespace
}  // namespace podsim

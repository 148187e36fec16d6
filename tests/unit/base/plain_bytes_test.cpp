// Plain data as bytes: nothing left out, nothing run together, back to the bit.
#include "base/plain_bytes.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/document.hpp"

namespace podsim {
namespace {

enum class Colour { red, blue };

struct Inner {
    double a = 1;
    std::string b = "b";
};
struct Outer {
    long number = 1;
    bool flag = false;
    Colour colour = Colour::red;
    Seconds time{1.0};
    Inner inner;
    std::optional<Inner> maybe;
    std::map<Colour, double> by_colour = {{Colour::red, 1}};
    std::vector<std::string> texts = {"ab", "c"};
    std::variant<Inner, long> either;
};

template <class T>
std::string bytes_of(const T& value) {
    ByteWriter writer;
    writer.add(value);
    return writer.take();
}

TEST(PlainBytes, EveryMemberCounts) {
    std::vector<Outer> all(14);
    all[1].number = 2;
    all[2].flag = true;
    all[3].colour = Colour::blue;
    all[4].time = Seconds(2);
    all[5].inner.a = std::nextafter(1.0, 2.0);
    all[6].inner.b = "c";
    all[7].maybe = Inner{};
    all[8].by_colour[Colour::blue] = 1;
    all[9].by_colour[Colour::red] = 2;
    all[10].texts = {"a", "bc"};
    all[11].texts = {"abc"};
    all[12].either = 0L;
    all[13].either = Inner{1, "c"};
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t j = 0; j < all.size(); ++j)
            EXPECT_EQ(bytes_of(all[i]) == bytes_of(all[j]), i == j) << i << " " << j;
    }
}

// 8 for the double, 8 for the length of the text, 1 for the text.
TEST(PlainBytes, SizeByHand) {
    EXPECT_EQ(bytes_of(Inner{}).size(), 17u);
    EXPECT_EQ(bytes_of(std::optional<Inner>(Inner{})).size(), 18u);
    EXPECT_EQ(bytes_of(std::optional<Inner>()).size(), 1u);
}

// The tree counts, where it was written does not.
TEST(PlainBytes, DocumentsWithoutPlaces) {
    const std::string tree = bytes_of(parse_yaml("a: [1, 2]\n", "one.yaml"));
    EXPECT_EQ(tree, bytes_of(parse_yaml("\n\na:   [1, 2]\n", "two.yaml")));
    EXPECT_NE(tree, bytes_of(parse_yaml("a: [1, 3]\n", "one.yaml")));
    EXPECT_NE(tree, bytes_of(parse_yaml("b: [1, 2]\n", "one.yaml")));
    EXPECT_NE(tree, bytes_of(parse_yaml("a: [1, \"2\"]\n", "one.yaml")));
}

struct Readable {
    double a = 0, b = 0;
    bool flag = false;
    Colour colour = Colour::red;
    Bytes size{0.0};
    std::string text;
    Inner inner;
};

TEST(PlainBytes, BackToTheBit) {
    const Readable value{-0.0,           std::numeric_limits<double>::denorm_min(),
                         true,           Colour::blue,
                         Bytes(1.0 / 3), std::string("a\0b", 3),
                         {1e300, ""}};
    const std::string bytes = bytes_of(value);
    ByteReader reader(bytes);
    Readable back;
    ASSERT_TRUE(reader.take(back));
    EXPECT_TRUE(reader.at_end());
    EXPECT_TRUE(std::signbit(back.a));
    EXPECT_EQ(back.text, value.text);
    EXPECT_EQ(bytes_of(back), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        ByteReader part(std::string_view(bytes).substr(0, size));
        EXPECT_FALSE(part.take(back)) << size;
    }
}

// A length that no memory has is not allocated.
TEST(PlainBytes, ImpossibleLength) {
    const std::string bytes = bytes_of(std::numeric_limits<std::size_t>::max()) + "text";
    std::string text;
    EXPECT_FALSE(ByteReader(bytes).take(text));
}

// Test vectors of FNV-1a, 64 bits (draft-eastlake-fnv, appendix C).
TEST(Fingerprint, Published) {
    EXPECT_EQ(fingerprint(""), 0xcbf29ce484222325u);
    EXPECT_EQ(fingerprint("a"), 0xaf63dc4c8601ec8cu);
    EXPECT_EQ(fingerprint("foobar"), 0x85944171f73967e8u);
    EXPECT_EQ(fingerprint("bar", fingerprint("foo")), fingerprint("foobar"));
}

}  // namespace
}  // namespace podsim

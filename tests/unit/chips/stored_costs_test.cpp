// Costs as the bytes of a file: back to the bit, or not at all.
#include "chips/stored_costs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/plain_bytes.hpp"

namespace podsim {
namespace {

constexpr std::size_t no_limit = 1U << 20;

std::string bytes_of(const OperatorCost& cost) {
    ByteWriter writer;
    writer.add(cost);
    return writer.take();
}

OperatorCost sample(double scale) {
    OperatorCost cost;
    cost.time = Seconds(scale / 3);
    cost.sustained = Seconds(scale / 7);
    cost.launch = Seconds(std::numeric_limits<double>::denorm_min());
    cost.matrix = Seconds(-0.0);
    cost.vector = Seconds(1e300);
    cost.hbm = Bytes(scale + 0.1);
    cost.hbm_time = Seconds(std::numeric_limits<double>::infinity());
    cost.on_vector_cores = true;
    cost.choice = "16 x 16";
    cost.basis = Confidence::measured;
    cost.held_out_error = 0.1;
    cost.warning = "widened";
    return cost;
}

using Costs = std::map<std::string, OperatorCost>;

const Costs& three() {
    static const Costs costs = {{"a", sample(1)}, {"bb", sample(2)}, {"", sample(3)}};
    return costs;
}

std::string file_of(const Costs& costs) {
    return StoredCosts("setting").file_with(costs, no_limit);
}

// Each of the three, found as it was or not found.
int found_of_three(const StoredCosts& stored) {
    int count = 0;
    for (const auto& [key, cost] : three()) {
        const auto found = stored.find(key);
        if (!found) continue;
        EXPECT_EQ(bytes_of(*found), bytes_of(cost));
        ++count;
    }
    return count;
}

TEST(StoredCosts, BackToTheBit) {
    const StoredCosts stored("setting", file_of(three()));
    EXPECT_EQ(found_of_three(stored), 3);
    EXPECT_FALSE(stored.find("b"));
    EXPECT_FALSE(stored.find("c"));
    EXPECT_EQ(found_of_three(StoredCosts("setting")), 0);
}

TEST(StoredCosts, OfAnotherSettingNothing) {
    for (const char* other : {"Setting", "settin", "setting ", ""})
        EXPECT_EQ(found_of_three(StoredCosts(other, file_of(three()))), 0) << other;
    // Not even where somebody gives the file of one setting the name of another of that length.
    std::string forged = file_of(three());
    forged.replace(forged.find("setting"), 7, "another");
    EXPECT_EQ(found_of_three(StoredCosts("another", forged)), 0);
}

TEST(StoredCosts, AddsAndReplaces) {
    const StoredCosts stored("setting", file_of(three()));
    const StoredCosts more("setting",
                           stored.file_with({{"a", sample(9)}, {"d", sample(4)}}, no_limit));
    EXPECT_EQ(bytes_of(*more.find("a")), bytes_of(sample(9)));
    EXPECT_EQ(bytes_of(*more.find("d")), bytes_of(sample(4)));
    EXPECT_EQ(bytes_of(*more.find("bb")), bytes_of(sample(2)));
    // Nothing of what was replaced is left: of four entries one, "d", is new.
    const std::size_t entry = file_of({{"d", sample(4)}}).size() - file_of({}).size();
    EXPECT_EQ(more.file_with({}, no_limit).size(), file_of(three()).size() + entry);
}

// What is oldest makes room.
TEST(StoredCosts, Limit) {
    std::string file;
    const std::size_t limit = file_of(three()).size();
    for (int i = 0; i < 20; ++i) {
        file = StoredCosts("setting", file)
                   .file_with({{std::string(1, char('a' + i)), sample(i)}}, limit);
        EXPECT_LE(file.size(), limit);
    }
    const StoredCosts stored("setting", file);
    EXPECT_TRUE(stored.find("t"));
    EXPECT_TRUE(stored.find("s"));
    EXPECT_FALSE(stored.find("a"));
    EXPECT_EQ(found_of_three(
                  StoredCosts("setting", StoredCosts("setting").file_with(three(), limit - 1))),
              2);
    EXPECT_EQ(found_of_three(StoredCosts("setting", StoredCosts("setting").file_with(three(), 0))),
              0);
}

// Any byte changed to any other value loses at most what it stood for, and gives no other cost.
TEST(StoredCosts, EachByteChanged) {
    const std::string file = file_of(three());
    ASSERT_LT(file.size(), 1000u);
    int least = 3;
    for (std::size_t i = 0; i < file.size(); ++i) {
        for (int bits = 1; bits < 256; ++bits) {
            std::string changed = file;
            changed[i] = static_cast<char>(changed[i] ^ bits);
            const StoredCosts stored("setting", changed);
            const int found = found_of_three(stored);
            EXPECT_LT(found, 4);
            least = std::min(least, found);
            if (bits != 1) continue;
            // And what it is rewritten to is whole again.
            EXPECT_EQ(found_of_three(StoredCosts("setting", stored.file_with(three(), no_limit))),
                      3);
        }
    }
    EXPECT_EQ(least, 0);
}

TEST(StoredCosts, TornAndForeign) {
    const std::string file = file_of(three());
    for (std::size_t size = 0; size < file.size(); ++size) {
        EXPECT_LT(found_of_three(StoredCosts("setting", file.substr(0, size))), 3) << size;
        EXPECT_LT(found_of_three(StoredCosts("setting", file.substr(size + 1))), 3) << size;
    }
    EXPECT_EQ(found_of_three(StoredCosts("setting", file + "more")), 3);
    EXPECT_EQ(found_of_three(StoredCosts("setting", std::string(5000, '\xff'))), 0);
    // A number of entries that no file holds.
    std::string counted = file;
    const std::size_t count = counted.find("setting") + 7;
    for (std::size_t i = 0; i < 8; ++i) counted[count + i] = '\xff';
    EXPECT_EQ(found_of_three(StoredCosts("setting", counted)), 0);
}

}  // namespace
}  // namespace podsim

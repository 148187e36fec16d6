// The fullest of links that are drawn at random.
#include "interconnect/fullest_link.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace podsim {
namespace {

// Two messages over four links: 1/4 meet. 1 x 3/4 + 2 x 1/4 = 1.25, where the mean link has 1/2.
// Three over two: all on one in 2 of 8 cases, else two: 2.25 of 1.5.
TEST(FullestLink, FewMessagesByHand) {
    EXPECT_NEAR(fullest_link(2, 4), 2.5, 1e-12);
    EXPECT_NEAR(fullest_link(3, 2), 1.5, 1e-12);
    // One message takes one link of four: four times the even share, and no more.
    EXPECT_EQ(fullest_link(1, 4), 4);
    EXPECT_EQ(fullest_link(0.01, 4), 4);
    EXPECT_NEAR(fullest_link(2.5, 4), 4 / 2.5 * (1.25 + fullest_link(3, 4) * 3 / 4) / 2, 1e-12);
    // Two pairs of links with two messages each: 1/2 in each that they meet, 3/4 in any.
    EXPECT_NEAR(fullest_link(2, 2, 2), 1.75, 1e-12);
    EXPECT_EQ(fullest_link(64, 1), 1);
    EXPECT_EQ(fullest_link(0, 4), 1);
}

// Normal for many: E max of 4 draws is 1.02938, of 7 1.35218; skewed by (c^2 - 1)/6 (1 - 2/k).
TEST(FullestLink, ManyMessages) {
    const double four = 1.02938, seven = 1.35218;
    EXPECT_NEAR(fullest_link(1e4, 4), 1 + four / 50 + (four * four - 1) / 12 / 2500, 1e-6);
    EXPECT_NEAR(fullest_link(7e4, 7), 1 + seven / 100 + (seven * seven - 1) / 6 * 5 / 7 / 1e4,
                1e-6);
    EXPECT_NEAR(fullest_link(1e9, 7), 1.0, 2e-4);
}

// Thrown at random: within 3 % whatever the messages, the links, and the sets that draw.
TEST(FullestLink, AsThrown) {
    std::mt19937 random(1);
    for (const long links : {2L, 4L, 7L, 16L, 64L}) {
        for (const int messages : {3, 32, 33, 64, 200}) {
            for (const int groups : {1, 2, 16}) {
                const int trials = 2000000 / (messages * groups) + 1000;
                double sum = 0;
                std::vector<int> count(static_cast<std::size_t>(links));
                for (int trial = 0; trial < trials; ++trial) {
                    int most = 0;
                    for (int group = 0; group < groups; ++group) {
                        std::fill(count.begin(), count.end(), 0);
                        for (int i = 0; i < messages; ++i) {
                            const auto link = random() % static_cast<unsigned long>(links);
                            most = std::max(most, ++count[static_cast<std::size_t>(link)]);
                        }
                    }
                    sum += most;
                }
                const double mean = static_cast<double>(messages) / static_cast<double>(links);
                EXPECT_NEAR(fullest_link(messages, links, groups) / (sum / trials / mean), 1, 0.03)
                    << links << " links, " << messages << " messages, " << groups << " groups";
            }
        }
    }
}

}  // namespace
}  // namespace podsim

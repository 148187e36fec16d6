// Messages that each take one of several equal links at random: how much more than the mean the
// fullest link gets. Planes of a chip's port and uplinks of a leaf that are chosen by a hash.
#pragma once

namespace podsim {

// E[max] / (m / k) for m messages of one size over k links, the fullest link of `groups` such sets
// that draw independently: what all of them wait for. Balls into bins:
//
//   few messages      P(max <= t) = m! [x^m] (sum_{i <= t} x^i / i!)^k / k^m, to the power of
//   groups below 4 a link    counts independent and binomial, of m with one chance in k more mean +
//   sqrt(mean) c + (c^2 - 1)/6, c the mean of the greatest of k x groups
//                     normal draws (one set's sum is fixed, which only several sets notice)
//
// 1 for one link or no messages; k where at most one message is under way. Messages between whole
// numbers lie on the line between their neighbours.
double fullest_link(double messages, long links, double groups = 1);

}  // namespace podsim

// Which of two ways bytes go: shares that leave the fullest link least full.
#pragma once

namespace podsim {

// The share in [0, 1] at which `slowest(share)`, convex in it as the fullest link's load is, is
// least: thirds are cut off until what is left is below 1e-10.
template <class Slowest>
double best_share(const Slowest& slowest) {
    double low = 0, high = 1;
    for (int i = 0; i < 60; ++i) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;
        if (slowest(a) <= slowest(b)) {
            high = b;
        } else {
            low = a;
        }
    }
    return (low + high) / 2;
}

}  // namespace podsim

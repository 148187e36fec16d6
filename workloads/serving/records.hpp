// What is kept of millions of requests and tokens: sums, sorted vectors, histograms, windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "workloads/serving.hpp"

namespace podsim {

// Values with weights in bins of equal ratio: percentiles to a thousandth, in fixed memory.
class LogHistogram {
  public:
    LogHistogram();
    // Values of 1 us to 1000 s keep their size, others count as the nearest of these.
    void add(double seconds, double weight);
    double percentile(double percent) const;
    double mean() const { return weight_ > 0 ? sum_ / weight_ : 0; }
    double weight() const { return weight_; }
    double largest() const { return largest_; }

  private:
    std::vector<double> bins_;
    double weight_ = 0, sum_ = 0, largest_ = 0;
};

Distribution distribution_of(const LogHistogram& histogram);
// Sorts the values.
Distribution distribution_of(std::vector<float>& values);

// A value integrated over windows of equal length, whose length doubles when there are too many.
class Windows {
  public:
    // `value` held from `begin` to `end`.
    void add(double begin, double end, double value);
    // Windows as long as a value that ends then would make them.
    void reach(double end);
    // Means over so many equal parts of `span`, each divided by `scale`.
    std::vector<double> means(double span, std::size_t parts, double scale) const;
    double total() const { return total_; }

  private:
    static constexpr std::size_t kMost = 128;
    double width_ = 1.0;
    double total_ = 0;
    std::vector<double> sums_;
};

}  // namespace podsim

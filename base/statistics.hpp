// Numbers about numbers: means, percentiles, errors against published values.
// Every function throws std::invalid_argument for no values at all, and for a NaN.
#pragma once

#include <vector>

namespace podsim {

double mean(const std::vector<double>& values);

// Of the mean of n independent draws: sqrt(sum of (x_i - mean)^2 / (n (n - 1))); 0 of one draw.
double standard_error(const std::vector<double>& values);

// The value below which `percent` of 0 to 100 lie, linear between order statistics: with
// x_0 <= ... <= x_(n-1) and h = (n - 1) percent / 100 it is x_floor(h) + (h - floor(h))
// (x_(floor(h)+1) - x_floor(h)). Type 7 of Hyndman and Fan (1996), as numpy does by default.
double percentile(std::vector<double> values, double percent);

// (simulated - published) / published: 0.05 is 5 % above the published value.
double relative_error(double simulated, double published);

// Of relative errors e_i: mean |e_i| (mean absolute percentage error, as a fraction), mean e_i,
// and the e_i of greatest |e_i|.
double mape(const std::vector<double>& errors);
double bias(const std::vector<double>& errors);
double worst(const std::vector<double>& errors);

}  // namespace podsim

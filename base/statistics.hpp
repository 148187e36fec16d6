// Numbers about numbers: means, percentiles, errors against published values, and levels held
// over time. Every function throws std::invalid_argument for no values at all, and for a NaN.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "base/units.hpp"

namespace podsim {

double mean(const std::vector<double>& values);

// exp(mean(log x)); std::invalid_argument unless every value is above 0.
double geometric_mean(const std::vector<double>& values);

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

// The integral of a level that is constant between changes: a queue's length, a resource's use.
//   mean = 1 / (t - t_0) * integral from t_0 to t of level
class TimeWeighted {
  public:
    TimeWeighted(std::string name, std::string description, std::string unit,
                 Seconds start = Seconds(0.0), double level = 0.0);

    // The level from `time` on. std::logic_error for a time before the last one.
    void set(Seconds time, double level);
    void add(Seconds time, double change) { set(time, level_ + change); }

    double level() const { return level_; }
    // The highest level, without those that came and went within one instant.
    double peak() const { return held_ < level_ ? level_ : held_; }
    double integral(Seconds until) const;  // level x seconds; not before the last change
    double mean(Seconds until) const;      // the level itself over no time
    const std::string& name() const { return name_; }
    const std::string& description() const { return description_; }
    const std::string& unit() const { return unit_; }

  private:
    std::string name_, description_, unit_;
    Seconds start_, last_;
    double level_, integral_ = 0.0;
    double held_ = -std::numeric_limits<double>::infinity();
};

}  // namespace podsim

// Draws of the laws that traffic is made of. Each draw is named (base/random.hpp), so that it is
// the same whoever asks first; it is the same on every machine as far as their logarithms are.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "workloads/traffic.hpp"

namespace podsim {

// The numbers of one draw, one after the other.
class Draws {
  public:
    explicit Draws(std::uint64_t key) : key_(key) {}
    double next() { return uniform(key_, number_++); }

  private:
    std::uint64_t key_;
    std::uint64_t number_ = 0;
};

double draw_exponential(Draws& draws);            // mean 1
double draw_normal(Draws& draws);                 // mean 0, variance 1
double draw_gamma(double shape, Draws& draws);    // scale 1
double draw_weibull(double shape, Draws& draws);  // scale 1
long draw_geometric(double mean, Draws& draws);   // from 0

// Of the Weibull law with that coefficient of variation: the k at which
//   cv^2 = Gamma(1 + 2/k) / Gamma(1 + 1/k)^2 - 1.
double weibull_shape(double cv);

// Gaps of mean 1.
class GapSampler {
  public:
    GapSampler() = default;
    GapSampler(ArrivalLaw law, double cv);
    static GapSampler of_shape(ArrivalLaw law, double shape);
    double operator()(Draws& draws) const;

  private:
    ArrivalLaw law_ = ArrivalLaw::poisson;
    double shape_ = 1, scale_ = 1;
};

class WaitSampler {
  public:
    WaitSampler() = default;
    explicit WaitSampler(const WaitSpec& spec);
    Seconds operator()(Draws& draws) const;

  private:
    WaitSpec spec_;
    double shape_ = 1, scale_ = 0, mu_ = 0, sigma_ = 0;
};

class LengthSampler {
  public:
    // `measured`: of an empirical law.
    explicit LengthSampler(const LengthSpec& spec, std::vector<long> measured = {});
    long operator()(Draws& draws) const;

  private:
    LengthSpec spec_;
    double mu_ = 0, sigma_ = 0;
    std::vector<long> measured_;
};

// Where on its clock an arrival process of mean rate `rate` is after so much of its expected
// number: t of the integral of r from 0 to t.
class RateClock {
  public:
    RateClock(double rate, const std::optional<DiurnalSpec>& diurnal);
    // Goes on by `arrivals` expected ones; the time it is then.
    double advance(double arrivals);

  private:
    double expected(double time) const;  // of the cosine, over the rate

    double rate_, time_ = 0, done_ = 0;
    double period_ = 0, peak_ = 0, amplitude_ = 0;
    std::vector<double> profile_;  // of mean 1
    long part_ = 0;                // of the profile, counted on over the periods
};

}  // namespace podsim

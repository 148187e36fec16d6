#include "workloads/requests/laws.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace podsim {

const std::vector<std::pair<const char*, ArrivalLaw>>& names_of(const ArrivalLaw*) {
    static const std::vector<std::pair<const char*, ArrivalLaw>> names = {
        {"poisson", ArrivalLaw::poisson},
        {"gamma", ArrivalLaw::gamma},
        {"weibull", ArrivalLaw::weibull},
        {"constant", ArrivalLaw::constant},
        {"closed", ArrivalLaw::closed}};
    return names;
}

const std::vector<std::pair<const char*, LengthLaw>>& names_of(const LengthLaw*) {
    static const std::vector<std::pair<const char*, LengthLaw>> names = {
        {"constant", LengthLaw::constant},
        {"uniform", LengthLaw::uniform},
        {"exponential", LengthLaw::exponential},
        {"lognormal", LengthLaw::lognormal},
        {"empirical", LengthLaw::empirical}};
    return names;
}

const std::vector<std::pair<const char*, WaitLaw>>& names_of(const WaitLaw*) {
    static const std::vector<std::pair<const char*, WaitLaw>> names = {
        {"constant", WaitLaw::constant},
        {"exponential", WaitLaw::exponential},
        {"gamma", WaitLaw::gamma},
        {"lognormal", WaitLaw::lognormal}};
    return names;
}

double draw_exponential(Draws& draws) {
    return -std::log(draws.next());
}

// Box and Muller (1958).
double draw_normal(Draws& draws) {
    const double radius = std::sqrt(-2 * std::log(draws.next()));
    return radius * std::cos(2 * M_PI * draws.next());
}

// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); below a shape of 1
// by theirs of shape + 1 and a power.
double draw_gamma(double shape, Draws& draws) {
    if (shape < 1) {
        const double power = std::pow(draws.next(), 1 / shape);
        return power * draw_gamma(shape + 1, draws);
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
        const double x = draw_normal(draws);
        const double root = 1 + c * x;
        const double u = draws.next();
        if (root <= 0) continue;
        const double v = root * root * root;
        if (std::log(u) < 0.5 * x * x + d * (1 - v + std::log(v))) return d * v;
    }
}

double draw_weibull(double shape, Draws& draws) {
    return std::pow(draw_exponential(draws), 1 / shape);
}

long draw_geometric(double mean, Draws& draws) {
    if (mean <= 0) return 0;
    // P(at least k) = q^k with q = mean / (1 + mean).
    const double k = std::log(draws.next()) / std::log(mean / (1 + mean));
    return static_cast<long>(std::min(k, 1e9));
}

double weibull_shape(double cv) {
    const auto squared = [](double k) {
        return std::exp(std::lgamma(1 + 2 / k) - 2 * std::lgamma(1 + 1 / k)) - 1;
    };
    double low = 0.05, high = 100;  // cv falls as k grows
    for (int i = 0; i < 200; ++i) {
        const double middle = std::sqrt(low * high);
        (squared(middle) > cv * cv ? low : high) = middle;
    }
    return std::sqrt(low * high);
}

GapSampler::GapSampler(ArrivalLaw law, double cv)
    : GapSampler(of_shape(law, law == ArrivalLaw::gamma     ? 1 / (cv * cv)
                               : law == ArrivalLaw::weibull ? weibull_shape(cv)
                                                            : 1)) {}

GapSampler GapSampler::of_shape(ArrivalLaw law, double shape) {
    GapSampler sampler;
    sampler.law_ = law;
    sampler.shape_ = shape;
    if (law == ArrivalLaw::gamma) sampler.scale_ = 1 / shape;
    if (law == ArrivalLaw::weibull) sampler.scale_ = 1 / std::tgamma(1 + 1 / shape);
    return sampler;
}

double GapSampler::operator()(Draws& draws) const {
    switch (law_) {
        case ArrivalLaw::gamma:
            return scale_ * draw_gamma(shape_, draws);
        case ArrivalLaw::weibull:
            return scale_ * draw_weibull(shape_, draws);
        case ArrivalLaw::constant:
            return 1;
        case ArrivalLaw::poisson:
        case ArrivalLaw::closed:
            break;
    }
    return draw_exponential(draws);
}

WaitSampler::WaitSampler(const WaitSpec& spec) : spec_(spec) {
    shape_ = 1 / (spec.cv * spec.cv);
    scale_ = spec.mean.value() / shape_;
    // Of exp(mu + sigma z): mean exp(mu + sigma^2 / 2), cv^2 = exp(sigma^2) - 1.
    const double variance = std::log(1 + spec.cv * spec.cv);
    sigma_ = std::sqrt(variance);
    mu_ = std::log(spec.mean.value()) - variance / 2;
}

Seconds WaitSampler::operator()(Draws& draws) const {
    if (spec_.mean.value() <= 0) return Seconds(0.0);
    switch (spec_.law) {
        case WaitLaw::constant:
            return spec_.mean;
        case WaitLaw::gamma:
            return Seconds(scale_ * draw_gamma(shape_, draws));
        case WaitLaw::lognormal:
            return Seconds(std::exp(mu_ + sigma_ * draw_normal(draws)));
        case WaitLaw::exponential:
            break;
    }
    return spec_.mean * draw_exponential(draws);
}

LengthSampler::LengthSampler(const LengthSpec& spec, std::vector<long> measured)
    : spec_(spec), measured_(std::move(measured)) {
    const double variance = std::log(1 + spec.cv * spec.cv);
    sigma_ = std::sqrt(variance);
    mu_ = std::log(std::max(spec.mean.value(), 1e-9)) - variance / 2;
}

long LengthSampler::operator()(Draws& draws) const {
    double tokens = spec_.mean.value();
    switch (spec_.law) {
        case LengthLaw::constant:
            break;
        case LengthLaw::uniform: {
            const double count = spec_.maximum.value() - spec_.minimum.value() + 1;
            tokens = spec_.minimum.value() + std::floor(count * draws.next());
            break;
        }
        case LengthLaw::exponential:
            tokens *= draw_exponential(draws);
            break;
        case LengthLaw::lognormal:
            tokens = std::exp(mu_ + sigma_ * draw_normal(draws));
            break;
        case LengthLaw::empirical:
            if (!measured_.empty()) {
                const auto count = static_cast<double>(measured_.size());
                tokens =
                    static_cast<double>(measured_[static_cast<std::size_t>(count * draws.next())]);
            }
            break;
    }
    tokens = std::clamp(std::round(tokens), spec_.minimum.value(), spec_.maximum.value());
    return static_cast<long>(tokens);
}

RateClock::RateClock(double rate, const std::optional<DiurnalSpec>& diurnal) : rate_(rate) {
    if (!diurnal) return;
    period_ = diurnal->period.value();
    peak_ = diurnal->peak.value();
    amplitude_ = diurnal->amplitude;
    profile_ = diurnal->profile;
    const double sum = std::accumulate(profile_.begin(), profile_.end(), 0.0);
    for (double& one : profile_) one *= static_cast<double>(profile_.size()) / sum;
}

// t + a P / 2 pi (sin(2 pi (t - peak) / P) + sin(2 pi peak / P)): the integral of r over the rate.
double RateClock::expected(double time) const {
    const double turn = 2 * M_PI / period_;
    return time + amplitude_ / turn * (std::sin(turn * (time - peak_)) + std::sin(turn * peak_));
}

double RateClock::advance(double arrivals) {
    const double amount = arrivals / rate_;  // of time at the mean rate
    if (!profile_.empty()) {
        const double part = period_ / static_cast<double>(profile_.size());
        double left = amount;
        while (true) {
            const double end = static_cast<double>(part_ + 1) * part;
            const double value = profile_[static_cast<std::size_t>(part_) % profile_.size()];
            const double room = (end - time_) * value;
            if (room >= left && value > 0) {
                time_ += left / value;
                return time_;
            }
            left -= room;
            time_ = end;
            ++part_;
        }
    }
    if (amplitude_ == 0) {
        time_ += amount;
        return time_;
    }
    // Between: over a whole period the expected number is that of the mean rate.
    const double goal = done_ + amount;
    double low = time_, high = time_ + amount + period_;
    for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
        const double middle = 0.5 * (low + high);
        (expected(middle) < goal ? low : high) = middle;
    }
    done_ = goal;
    time_ = std::max(time_, 0.5 * (low + high));
    return time_;
}

}  // namespace podsim

#include "sim/training_unfolded.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <tuple>
#include <utility>

#include "base/at.hpp"
#include "base/random.hpp"
#include "workloads/step_parts.hpp"
#include "workloads/training_groups.hpp"

namespace podsim {

namespace {

// Halves of a pass, and a forward and a backward pass as one.
struct LayerTimes {
    double forward = 0, input = 0, weight = 0, overlapped = 0;
};

LayerTimes operator+(const LayerTimes& a, const LayerTimes& b) {
    return {a.forward + b.forward, a.input + b.input, a.weight + b.weight,
            a.overlapped + b.overlapped};
}
LayerTimes operator*(double k, const LayerTimes& a) {
    return {k * a.forward, k * a.input, k * a.weight, k * a.overlapped};
}

// Times of a layer by the assignments of the busiest rank.
struct LoadCurve {
    std::vector<double> loads;
    std::vector<LayerTimes> times;
    LayerTimes at_expected;

    LayerTimes of(double load) const {
        const auto above = std::upper_bound(loads.begin(), loads.end(), load) - loads.begin();
        const auto last = static_cast<std::ptrdiff_t>(loads.size()) - 1;
        const auto b = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(above, 1, last));
        const double part = (load - loads[b - 1]) / (loads[b] - loads[b - 1]);
        return (1 - part) * times[b - 1] + part * times[b];
    }
    LayerTimes more(double load) const { return of(load) + -1.0 * at_expected; }
};

// Ranks of an expert group and what is expected of them in one layer.
struct LayerLaw {
    std::vector<CountLaw> ranks;
    double mean = 0, expected = 0, largest = 0;
};

class Unfolder {
  public:
    Unfolder(TrainingCase& training, const TrainingJob& job, const TrainingPlan& plan,
             const TrainingStep& folded, std::uint64_t seed)
        : training_(training), job_(job), plan_(plan), folded_(folded), seed_(seed) {
        spec_ = expert_step(job, plan, false);
        layout_ = expert_layout(spec_);
        const long groups = plan.expert_replicas();
        result_.blocks = std::max(1L, plan.data_parallel / groups_of_block(job, plan));
        groups_of_block_ = std::max(1L, groups / result_.blocks);
    }

    UnfoldedStep run() {
        for (long block = 0; block < result_.blocks; ++block)
            result_.total = max(result_.total, end_of(block));
        result_.total += folded_.gather + folded_.host;
        if (drawn_ > 0) result_.imbalance = imbalances_ / static_cast<double>(drawn_);
        return result_;
    }

  private:
    using Micro = std::pair<int, long>;  // pipe, micro-batch

    Seconds end_of(long block) {
        std::map<std::pair<Micro, int>, LayerTimes> delays;  // by position
        const auto of = [&](const Cell& cell) -> const LayerTimes& {
            const Micro micro{cell.pipe, cell.micro_batch};
            const auto [it, fresh] = delays.try_emplace({micro, cell.position});
            if (fresh) it->second = delay_of(block, micro, at(folded_.positions, cell.position));
            return it->second;
        };
        const PassDelay delay = [&](const Pass& pass) {
            switch (pass.kind) {
                case PassKind::forward:
                    return Seconds(of(pass.cell).forward);
                case PassKind::backward:
                    return Seconds(of(pass.cell).input + of(pass.cell).weight);
                case PassKind::input_gradient:
                    return Seconds(of(pass.cell).input);
                case PassKind::weight_gradient:
                    return Seconds(of(pass.cell).weight);
                case PassKind::overlapped:
                    break;
            }
            return Seconds(0.5 * (of(pass.cell).overlapped + of(pass.backward).overlapped));
        };
        const ScheduleTiming timing = time_schedule(folded_.schedule, folded_.times, false, delay);
        // Each stage's norm comes later by as much as its last pass ends later.
        Seconds later(0.0), own(0.0);
        for (int stage = 0; stage < folded_.schedule.stages; ++stage) {
            const Seconds more =
                at(timing.stages, stage).last - at(folded_.timing.stages, stage).last;
            later = max(later, folded_.own_norm(stage) + more);
            own = max(own, folded_.own_norm(stage));
        }
        return folded_.total - folded_.gather - folded_.host + later - own;
    }

    // Of all layers of a position.
    LayerTimes delay_of(long block, const Micro& micro, const TrainingPosition& position) {
        LayerTimes sum;
        for (long layer = position.begin; layer < position.end; ++layer) {
            if (!kind_of(layer).experts || !layout_.uneven()) continue;
            const LayerLaw& law = law_of(layer);
            double busiest = 0;
            for (long group = 0; group < groups_of_block_; ++group)
                busiest =
                    std::max(busiest, draw(law, block * groups_of_block_ + group, layer, micro));
            imbalances_ += busiest / law.mean;
            ++drawn_;
            sum = sum + curve_of(layer_of(position, layer), law).more(busiest);
        }
        return sum;
    }

    // The busiest rank of a group.
    double draw(const LayerLaw& law, long group, long layer, const Micro& micro) {
        double most = 0;
        for (std::size_t r = 0; r < law.ranks.size(); ++r) {
            const auto rank = static_cast<long>(r);
            const double a = uniform(seed_, 0, group, layer, micro.first, micro.second, rank);
            const double b = uniform(seed_, 1, group, layer, micro.first, micro.second, rank);
            // Box and Muller, Ann. Math. Statist. 29, 1958.
            const double z = std::sqrt(-2 * std::log(a)) * std::cos(2 * std::numbers::pi * b);
            most = std::max(most, drawn_count(law.ranks[r], z));
        }
        result_.draws += static_cast<long>(law.ranks.size());
        return most;
    }

    const LayerKind& kind_of(long layer) const {
        return job_.model.layers[static_cast<std::size_t>(layer)];
    }

    const LayerLaw& law_of(long layer) {
        const std::size_t balance = layout_.balance_of(layer);
        const auto [it, fresh] = laws_.try_emplace(balance);
        if (!fresh) return it->second;
        LayerLaw& law = it->second;
        const double tokens = static_cast<double>(plan_.own_tokens(job_)) * layout_.group_ranks;
        law.ranks = rank_counts(layout_.balances.at(balance), tokens);
        for (const CountLaw& one : law.ranks) {
            law.mean += one.mean / static_cast<double>(law.ranks.size());
            law.largest = std::max(law.largest, one.mean + 6 * one.deviation);
        }
        const ExpertLoad load =
            expert_load(spec_, layout_, static_cast<double>(plan_.own_tokens(job_)), balance);
        law.expected = load.imbalance * law.mean;
        return law;
    }

    LayerTimes times_of(const TrainingPosition& layer, double busiest) {
        const auto time = [&](PassKind kind) {
            return training_.loaded(plan_, layer, kind, busiest)->time().value();
        };
        LayerTimes times;
        times.forward = time(PassKind::forward);
        if (splits_backward(plan_.schedule)) {
            times.input = time(PassKind::input_gradient);
            times.weight = time(PassKind::weight_gradient);
        } else {
            times.input = time(PassKind::backward);
        }
        if (overlaps_passes(plan_.request(job_))) times.overlapped = time(PassKind::overlapped);
        return times;
    }

    const LoadCurve& curve_of(const TrainingPosition& layer, const LayerLaw& law) {
        // Layers of a kind whose loads have the same law are alike.
        const LayerKind& kind = kind_of(layer.begin);
        const auto& layers = job_.model.layers;
        const long first = std::find(layers.begin(), layers.end(), kind) - layers.begin();
        const auto [it, fresh] =
            curves_.try_emplace({first, layer.again, layout_.balance_of(layer.begin)});
        if (!fresh) return it->second;
        LoadCurve& curve = it->second;
        constexpr int points = 8;
        const double from = law.mean, to = std::max(law.largest, 1.01 * law.mean);
        for (int i = 0; i < points; ++i) {
            const double load = from + (to - from) * i / (points - 1);
            curve.loads.push_back(load);
            curve.times.push_back(times_of(layer, load));
        }
        curve.at_expected = curve.of(law.expected);
        return curve;
    }

    TrainingCase& training_;
    const TrainingJob& job_;
    const TrainingPlan& plan_;
    const TrainingStep& folded_;
    std::uint64_t seed_;
    StepSpec spec_;
    ExpertLayout layout_;
    long groups_of_block_ = 1;
    std::map<std::size_t, LayerLaw> laws_;
    std::map<std::tuple<long, long, std::size_t>, LoadCurve> curves_;  // kind, again, balance
    double imbalances_ = 0;
    long drawn_ = 0;
    UnfoldedStep result_;
};

}  // namespace

UnfoldedStep unfolded_step(TrainingCase& training, const TrainingJob& job, const TrainingPlan& plan,
                           const TrainingStep& folded, std::uint64_t seed) {
    return Unfolder(training, job, plan, folded, seed).run();
}

}  // namespace podsim

#include "sim/plan_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>
#include <stdexcept>

#include "models/training.hpp"
#include "sim/plan_bound.hpp"
#include "sim/plan_memory.hpp"
#include "sim/training_parts.hpp"

namespace podsim {

namespace {

// A candidate that fits.
struct Fitting {
    std::size_t order = 0;
    Seconds bound{0.0};
    double most_tokens = 0;  // a second, by the bound
    bool closer = false;     // the bound is of the schedule itself
};

class Search {
  public:
    Search(PlanQuestion& question, const PlanSpace& space)
        : question_(question),
          space_(space),
          training_(question.job, question.machine, question.cache, PassDetail::times),
          last_blocks_(question.job, question.machine, question.cache, PassDetail::times),
          memory_(question.job),
          bound_(question.job, training_),
          room_(question.machine.hardware.hbm_capacity * question.form.memory) {}

    PlanFound run() {
        found_.counts.combinations = space_.combinations;
        found_.counts.possible = static_cast<long>(space_.candidates.size());
        found_.usd_per_hour = question_.usd_per_hour;
        found_.has_run = static_cast<bool>(question_.days);
        std::map<int, std::vector<Fitting>> by_chips = fitting();
        for (auto& [chips, list] : by_chips) time(list);
        rank();
        if (question_.band && !found_.timed.empty() && !stopped()) look_at_band();
        return std::move(found_);
    }

  private:
    bool stopped() {
        if (!found_.partial && question_.stop && question_.stop()) found_.partial = true;
        return found_.partial;
    }

    void progress(const char* what, std::size_t done, std::size_t all) {
        if (question_.progress)
            question_.progress(what, static_cast<long>(done), static_cast<long>(all));
    }

    const PlanCandidate& candidate(std::size_t order) const { return space_.candidates[order]; }
    double tokens_of(const PlanCandidate& one) const {
        return static_cast<double>(one.global_batch) * static_cast<double>(question_.job.sequence);
    }

    std::map<int, std::vector<Fitting>> fitting() {
        std::map<int, std::vector<Fitting>> by_chips;
        std::optional<PlanNearest> nearest;
        const std::size_t all = space_.candidates.size();
        for (std::size_t i = 0; i < all && !stopped(); ++i) {
            if (i % 64 == 0) progress("memory", i, all);
            const PlanCandidate& one = candidate(i);
            question_.job.global_batch = one.global_batch;
            const std::optional<Bytes> need = need_of(one.plan);
            if (!need) continue;
            if (*need > room_) {
                ++found_.counts.too_large;
                if (!nearest || *need < nearest->need) nearest = PlanNearest{one, *need, room_, ""};
                continue;
            }
            by_chips[one.chips_there].push_back({i, Seconds(0.0), 0, false});
        }
        if (by_chips.empty() && nearest && !found_.partial) {
            nearest->need = exact_need(nearest->candidate);
            nearest->help = help_for(nearest->candidate);
            found_.nearest = nearest;
        }
        return by_chips;
    }

    // Nothing where the model's parts cannot be cut so: heads that share an output projection, say.
    std::optional<Bytes> need_of(const TrainingPlan& plan) {
        try {
            const auto positions = positions_of(question_.job, plan);
            const Bytes room = plan.offload.host_capacity;
            if (plan.offload.any() && room > Bytes(0.0) && memory_.host(plan, positions) > room) {
                refuse(fmt::format("what is offloaded ({}) is more than {} of the host's memory",
                                   to_string(plan.offload), to_string(room))
                           .c_str());
                return std::nullopt;
            }
            const Bytes least = least_need(question_.job, plan, positions);
            // What states alone fill is no less than what all of it fills.
            return least > room_ ? least : memory_.fullest(plan, positions);
        } catch (const std::invalid_argument& error) {
            refuse(error.what());
            return std::nullopt;
        }
    }

    void refuse(const char* why) {
        ++found_.counts.refused;
        if (found_.refusal.empty()) found_.refusal = why;
    }

    Bytes exact_need(const PlanCandidate& one) {
        question_.job.global_batch = one.global_batch;
        return memory_.fullest(one.plan, positions_of(question_.job, one.plan));
    }

    std::string help_for(const PlanCandidate& one) {
        question_.job.global_batch = one.global_batch;
        RankHardware hardware = question_.machine.hardware;
        hardware.hbm_capacity = room_;
        TrainingMachine machine{hardware, question_.machine.fabric, question_.machine.collectives,
                                one.plan.ranks(), question_.machine.driver};
        return TrainingCase(question_.job, machine, question_.cache).help_for_memory(one.plan);
    }

    // Of equally many chips. Whoever promises most is looked at more closely, by its layers, then
    // with what they leave out, then as it is, until it is known or no longer the most promising.
    void time(std::vector<Fitting>& list) {
        for (std::size_t i = 0; i < list.size() && !stopped(); ++i) {
            if (i % 16 == 0) progress("bounds", i, list.size());
            attempt(list[i], [&](const TrainingPlan& plan) {
                return bound_.of(plan, positions_of(question_.job, plan));
            });
        }
        const auto behind = [&](std::size_t a, std::size_t b) {
            return list[a].most_tokens < list[b].most_tokens ||
                   (list[a].most_tokens == list[b].most_tokens && a > b);
        };
        std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(behind)> open(behind);
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (list[i].most_tokens > 0) open.push(i);
        }
        std::map<std::string, double> by_mapping;
        std::vector<double> best;  // throughputs of different mappings, highest first
        double under_failures = 0;
        while (!open.empty() && !stopped()) {
            const std::size_t next = open.top();
            Fitting& one = list[next];
            if (one.most_tokens < threshold(best, under_failures)) break;
            open.pop();
            progress("timed", static_cast<std::size_t>(found_.counts.timed), list.size());
            if (!one.closer) {
                one.closer = true;
                if (attempt(one, [&](const TrainingPlan& plan) {
                        return max(one.bound,
                                   bound_.closer(plan, positions_of(question_.job, plan)));
                    }))
                    open.push(next);
                continue;
            }
            std::optional<PlanTimed> timed;
            attempt(one, [&](const TrainingPlan&) {
                timed = time(one);
                return one.bound;
            });
            if (!timed) continue;
            const auto [same, fresh] = by_mapping.try_emplace(mapping_key(timed->candidate), 0);
            if (timed->tokens_per_second > same->second) {
                if (!fresh) best.erase(std::find(best.begin(), best.end(), same->second));
                same->second = timed->tokens_per_second;
                best.insert(
                    std::upper_bound(best.begin(), best.end(), same->second, std::greater<>()),
                    same->second);
            }
            under_failures = std::max(under_failures, timed->tokens_under_failures());
            found_.timed.push_back(*timed);
        }
        found_.counts.hopeless += static_cast<long>(open.size());
    }

    // No step of it is shorter than what `action` says. A format or a collective may have no cost
    // on this machine: false.
    template <class Action>
    bool attempt(Fitting& one, Action action) {
        const PlanCandidate& of = candidate(one.order);
        question_.job.global_batch = of.global_batch;
        try {
            one.bound = action(of.plan);
        } catch (const std::invalid_argument& error) {
            refuse(error.what());
            one.most_tokens = 0;
            return false;
        }
        one.most_tokens = tokens_of(of) / one.bound.value();
        return true;
    }

    // Less than this is nothing that is asked for.
    double threshold(const std::vector<double>& best, double under_failures) const {
        const auto top = static_cast<std::size_t>(question_.form.top);
        if (best.size() < top) return 0;
        return std::min({best.front() * (1 - question_.form.within), best[top - 1],
                         under_failures > 0 ? under_failures : best.front()});
    }

    std::optional<PlanTimed> time(const Fitting& of) {
        const PlanCandidate& one = candidate(of.order);
        question_.job.global_batch = one.global_batch;
        const std::vector<PartStep> parts =
            part_steps(training_, last_blocks_, question_.job, one.plan);
        const TrainingStep& step = slowest(parts).step;
        ++found_.counts.timed;
        PlanTimed timed;
        for (const PartStep& part : parts)
            timed.memory = max(timed.memory, part.step.fullest().need.total());
        // Automatic schedules are known only now, and last blocks of unequal groups.
        if (timed.memory > room_) {
            ++found_.counts.too_large;
            return {};
        }
        timed.candidate = one;
        timed.order = of.order;
        timed.step = step.total;
        timed.bound = of.bound;
        timed.exposed = exposed_communication(step);
        timed.bubble = step.timing.bubble_fraction;
        timed.tokens_per_second = tokens_of(one) / step.total.value();
        const Flops per_token =
            training_flops_per_token(question_.job.model, question_.job.sequence,
                                     question_.job.has_drafts(), one.plan.routed.dropped);
        timed.model_flops_utilization =
            timed.tokens_per_second / one.chips * per_token.value() / question_.peak.value();
        if (question_.days) timed.days = question_.days(timed, slowest(parts));
        if (question_.usd_per_hour > 0) {
            constexpr double trillion = 1e12, hour = 3600;
            const double paid = static_cast<double>(one.chips_there + question_.spares);
            timed.usd_per_trillion = timed.tokens_under_failures() > 0
                                         ? paid * question_.usd_per_hour / hour * trillion /
                                               timed.tokens_under_failures()
                                         : std::numeric_limits<double>::infinity();
        }
        return timed;
    }

    // `value`: higher is better. Equals in the order of the space.
    template <class Value>
    void rank_by(PlanObjective objective, std::vector<std::size_t> list, Value value) {
        std::stable_sort(list.begin(), list.end(), [&](std::size_t a, std::size_t b) {
            const PlanTimed &x = found_.timed[a], &y = found_.timed[b];
            const double of_x = value(x), of_y = value(y);
            return of_x > of_y || (of_x == of_y && x.order < y.order);
        });
        std::map<std::string, std::size_t> shown;  // by mapping: its best
        std::vector<std::size_t> best;
        for (const std::size_t i : list) {
            PlanTimed& one = found_.timed[i];
            const auto [it, fresh] = shown.try_emplace(mapping_key(one.candidate), i);
            if (fresh && best.size() < static_cast<std::size_t>(question_.form.top))
                best.push_back(i);
        }
        found_.best[objective] = std::move(best);
    }

    // Stages of ZeRO that do not change the step by more than a thousandth.
    void note_zero_stages() {
        std::map<std::string, std::vector<std::size_t>> alike;
        for (std::size_t i = 0; i < found_.timed.size(); ++i)
            alike[mapping_key(found_.timed[i].candidate)].push_back(i);
        for (const auto& [mapping, list] : alike) {
            for (const std::size_t i : list) {
                PlanTimed& one = found_.timed[i];
                for (const std::size_t other : list) {
                    const PlanTimed& like = found_.timed[other];
                    if (std::abs(like.step / one.step - 1) < 1e-3)
                        one.zero_stages.push_back(like.candidate.plan.zero_stage);
                }
                std::sort(one.zero_stages.begin(), one.zero_stages.end());
            }
        }
    }

    void rank() {
        note_zero_stages();
        const auto& timed = found_.timed;
        std::vector<std::size_t> all(timed.size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        rank_by(PlanObjective::throughput, all,
                [](const PlanTimed& one) { return one.tokens_per_second; });
        if (question_.days)
            rank_by(PlanObjective::failures, all,
                    [](const PlanTimed& one) { return one.tokens_under_failures(); });
        if (question_.usd_per_hour > 0)
            rank_by(PlanObjective::cost, all,
                    [](const PlanTimed& one) { return -one.usd_per_trillion; });
        std::map<int, double> most;
        for (const PlanTimed& one : timed) {
            double& best = most[one.candidate.chips_there];
            best = std::max(best, one.tokens_per_second);
        }
        std::vector<std::size_t> near;
        for (const std::size_t i : all) {
            const double best = most[timed[i].candidate.chips_there];
            if (timed[i].tokens_per_second >= best * (1 - question_.form.within)) near.push_back(i);
        }
        rank_by(PlanObjective::communication, near,
                [](const PlanTimed& one) { return -one.exposed_share(); });
    }

    // The best twenty, with all operators off at once either way.
    void look_at_band() {
        std::vector<std::size_t> list(found_.timed.size());
        std::iota(list.begin(), list.end(), std::size_t{0});
        std::stable_sort(list.begin(), list.end(), [&](std::size_t a, std::size_t b) {
            return found_.timed[a].tokens_per_second > found_.timed[b].tokens_per_second;
        });
        list.resize(std::min<std::size_t>(list.size(), 20));
        TrainingMachine fast = question_.machine, slow = question_.machine;
        fast.operator_time = 1 / (1 + question_.band->share);
        slow.operator_time = 1 + question_.band->share;
        TrainingCase faster(question_.job, fast, question_.cache, PassDetail::times),
            slower(question_.job, slow, question_.cache, PassDetail::times);
        PlanBandEffect effect{*question_.band, list.front(), list.front()};
        double best_fast = 0, best_slow = 0;
        for (std::size_t i = 0; i < list.size() && !stopped(); ++i) {
            progress("band", i, list.size());
            PlanTimed& one = found_.timed[list[i]];
            question_.job.global_batch = one.candidate.global_batch;
            one.low = faster.time(one.candidate.plan);
            one.high = slower.time(one.candidate.plan);
            const double tokens = tokens_of(one.candidate);
            if (tokens / one.low.value() > best_fast) {
                best_fast = tokens / one.low.value();
                effect.best_fast = list[i];
            }
            if (tokens / one.high.value() > best_slow) {
                best_slow = tokens / one.high.value();
                effect.best_slow = list[i];
            }
        }
        if (!found_.partial) found_.band = effect;
    }

    PlanQuestion& question_;
    const PlanSpace& space_;
    TrainingCase training_;
    LastBlocks last_blocks_;
    PlanMemory memory_;
    PlanBound bound_;
    Bytes room_;
    PlanFound found_;
};

}  // namespace

PlanFound search_plans(PlanQuestion question, const PlanSpace& space) {
    return Search(question, space).run();
}

}  // namespace podsim

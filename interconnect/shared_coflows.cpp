#include "interconnect/shared_coflows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace podsim {

CoflowEngine::CoflowEngine(std::vector<BytesPerSecond> links, Calendar& calendar)
    : links_(std::move(links)),
      calendar_(calendar),
      on_link_(links_.size()),
      local_(links_.size(), -1) {
    for (std::size_t l = 0; l < links_.size(); ++l) {
        if (!(links_[l] >= BytesPerSecond(0.0)) || !std::isfinite(links_[l].value()))
            throw std::invalid_argument(fmt::format("link {}: {} B/s", l, links_[l].value()));
    }
}

void CoflowEngine::start(const SharedCoflow& coflow, const Done& done) {
    std::vector<std::size_t> started;
    std::vector<Activity> made;
    for (std::size_t c = 0; c < coflow.classes.size(); ++c) {
        Activity activity;
        activity.class_index = c;
        activity.demand.weight = coflow.weight;
        for (const LinkDemand& demand : coflow.classes[c].demands) {
            if (demand.link < 0 || static_cast<std::size_t>(demand.link) >= links_.size()) {
                throw std::invalid_argument(
                    fmt::format("a coflow names link {} of {}", demand.link, links_.size()));
            }
            if (!(demand.bytes > Bytes(0.0))) continue;
            const BytesPerSecond rate = links_[static_cast<std::size_t>(demand.link)];
            if (!(rate > BytesPerSecond(0.0))) {
                throw std::invalid_argument(
                    fmt::format("a coflow has {} B for link {}, which is dead",
                                demand.bytes.value(), demand.link));
            }
            activity.demand.usage.emplace_back(demand.link, (demand.bytes / rate).value());
        }
        // A link may be named more than once.
        auto& usage = activity.demand.usage;
        std::sort(usage.begin(), usage.end());
        std::size_t kept = 0;
        for (std::size_t u = 0; u < usage.size(); ++u) {
            if (kept > 0 && usage[kept - 1].first == usage[u].first) {
                usage[kept - 1].second += usage[u].second;
            } else {
                usage[kept++] = usage[u];
            }
        }
        usage.resize(kept);
        for (const auto& use : usage) activity.remaining = std::max(activity.remaining, use.second);
        for (auto& use : usage) use.second /= activity.remaining;
        made.push_back(std::move(activity));
    }
    if (made.empty()) return;
    std::size_t place = dones_.size();
    if (unused_dones_.empty()) {
        dones_.emplace_back(done, made.size());
    } else {
        place = unused_dones_.back();
        unused_dones_.pop_back();
        dones_[place] = {done, made.size()};
    }
    for (Activity& activity : made) {
        activity.done = place;
        if (unused_.empty()) {
            started.push_back(activities_.size());
            activities_.push_back(std::move(activity));
        } else {
            started.push_back(unused_.back());
            unused_.pop_back();
            activities_[started.back()] = std::move(activity);
        }
    }
    // All classes are there before speeds are worked out.
    calendar_.at(calendar_.now() + to_picoseconds(coflow.latency), EventClass::arrival,
                 [this, started] {
                     for (const std::size_t a : started) begin(a);
                     for (const std::size_t a : started) {
                         if (activities_[a].plan == 0) solve_around(activities_[a].demand);
                     }
                 });
}

void CoflowEngine::begin(std::size_t a) {
    Activity& activity = activities_[a];
    activity.active = true;
    activity.settled = calendar_.now();
    for (const auto& use : activity.demand.usage)
        on_link_[static_cast<std::size_t>(use.first)].push_back(a);
    if (activity.demand.usage.empty()) solve({a});
}

void CoflowEngine::settle(Activity& activity) const {
    const double elapsed = to_seconds(calendar_.now() - activity.settled).value();
    activity.remaining -= std::min(activity.remaining, elapsed * activity.speed);
    activity.settled = calendar_.now();
}

// What is connected with one of its links, piece by piece: what ended may have held together two
// that share nothing.
void CoflowEngine::solve_around(const FluidActivity& changed) {
    std::vector<std::vector<std::size_t>> pieces;
    for (const auto& use : changed.usage) {
        std::vector<std::size_t> piece;
        gather(use.first, piece);
        if (!piece.empty()) pieces.push_back(std::move(piece));
    }
    for (auto& piece : pieces) {
        for (const std::size_t a : piece) activities_[a].reached = false;
        solve(std::move(piece));
    }
}

void CoflowEngine::gather(int link, std::vector<std::size_t>& piece) {
    const auto reach = [&](int l) {
        for (const std::size_t a : on_link_[static_cast<std::size_t>(l)]) {
            if (std::exchange(activities_[a].reached, true)) continue;
            piece.push_back(a);
        }
    };
    reach(link);
    for (std::size_t i = 0; i < piece.size(); ++i) {
        for (const auto& use : activities_[piece[i]].demand.usage) reach(use.first);
    }
    std::sort(piece.begin(), piece.end());
}

// New speeds, and one event for the next end among them.
void CoflowEngine::solve(std::vector<std::size_t> piece) {
    const std::uint64_t plan = ++plans_;
    ++solved_;
    solved_classes_ += piece.size();
    std::vector<FluidActivity> demands;
    std::vector<int> numbered;
    for (const std::size_t a : piece) {
        demands.push_back(activities_[a].demand);
        for (auto& use : demands.back().usage) {
            int& local = local_[static_cast<std::size_t>(use.first)];
            if (local < 0) {
                local = static_cast<int>(numbered.size());
                numbered.push_back(use.first);
            }
            use.first = local;
        }
    }
    for (const int link : numbered) local_[static_cast<std::size_t>(link)] = -1;
    const std::vector<double> speeds = max_min_speeds(demands, static_cast<int>(numbered.size()));
    double next = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < piece.size(); ++i) {
        Activity& activity = activities_[piece[i]];
        settle(activity);
        activity.plan = plan;
        activity.speed = speeds[i];
        next = std::min(next, activity.remaining / speeds[i]);
    }
    // Rounded up, so that nothing ends before its bytes are there; a thousandth of a picosecond is
    // what doubles lose on the way.
    const auto delay = static_cast<Picoseconds>(std::ceil(next * 1e12 - 1e-3));
    calendar_.at(calendar_.now() + std::max<Picoseconds>(delay, 0), EventClass::completion,
                 [this, plan, members = std::move(piece)] { complete(plan, members); });
}

void CoflowEngine::complete(std::uint64_t plan, const std::vector<std::size_t>& piece) {
    // Whoever's speed has changed since took all that he is connected with along.
    std::vector<std::size_t> ended;
    for (const std::size_t a : piece) {
        Activity& activity = activities_[a];
        if (!activity.active || activity.plan != plan) return;
        settle(activity);
        if (activity.remaining <= 1e-12 * activity.speed) ended.push_back(a);
    }
    std::vector<Activity> gone;
    for (const std::size_t a : ended) {
        for (const auto& use : activities_[a].demand.usage) {
            auto& here = on_link_[static_cast<std::size_t>(use.first)];
            here.erase(std::find(here.begin(), here.end(), a));
        }
        gone.push_back(std::move(activities_[a]));
        activities_[a] = {};
        unused_.push_back(a);
    }
    for (const Activity& activity : gone) {
        // Nobody is worked out twice for two that end together.
        FluidActivity rest;
        for (const auto& use : activity.demand.usage) {
            const auto& here = on_link_[static_cast<std::size_t>(use.first)];
            if (!here.empty() && activities_[here.front()].plan == plan) rest.usage.push_back(use);
        }
        solve_around(rest);
    }
    for (const Activity& activity : gone) {
        auto& [done, left] = dones_[activity.done];
        const Done call = done;
        if (--left == 0) {
            done = {};
            unused_dones_.push_back(activity.done);
        }
        if (call) call(activity.class_index);
    }
}

std::vector<SharedCoflowTimes> run_coflows(const std::vector<BytesPerSecond>& links,
                                           const std::vector<SharedCoflow>& coflows) {
    Calendar calendar;
    CoflowEngine engine(links, calendar);
    std::vector<SharedCoflowTimes> times(coflows.size());
    for (std::size_t i = 0; i < coflows.size(); ++i) {
        const SharedCoflow& coflow = coflows[i];
        times[i].classes.resize(coflow.classes.size());
        Seconds last(0.0);
        for (const auto& its : coflow.classes) last = max(last, its.entry);
        calendar.at(to_picoseconds(last), EventClass::arrival,
                    [&engine, &calendar, &coflow, &its = times[i]] {
                        engine.start(coflow, [&calendar, &its](std::size_t c) {
                            its.classes[c] = to_seconds(calendar.now());
                            its.end = max(its.end, its.classes[c]);
                        });
                    });
    }
    run_plain(calendar);
    return times;
}

std::vector<BytesPerSecond> links_of(const TopologyStack& stack) {
    std::vector<BytesPerSecond> links;
    for (const auto& level : stack.levels) {
        for (const TopologyLink& link : level.topology.links) links.emplace_back(link.bandwidth);
    }
    return links;
}

SharedCoflow coflow_on_links(const CollectiveTerms& terms, Bytes size) {
    SharedCoflow coflow;
    coflow.latency = Seconds(terms.latency);
    SharedCoflow::Class all;
    int link = 0;
    for (const LinkBytes& level : terms.link_bytes) {
        for (const double bytes : level) all.demands.push_back({link++, bytes * size});
    }
    coflow.classes.push_back(std::move(all));
    return coflow;
}

}  // namespace podsim

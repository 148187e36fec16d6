#include "interconnect/placed_links.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/names.hpp"
#include "interconnect/between_domains.hpp"
#include "interconnect/collective_algorithms.hpp"
#include "interconnect/collective_work.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

using Groups = std::vector<std::vector<int>>;

// Seconds a byte of every link of one copy of a stack, inner levels group by group.
class LinkLoads {
  public:
    explicit LinkLoads(const TopologyStack& stack) : stack_(stack) {
        for (const TopologyStack::Level& level : stack.levels) {
            begin_.push_back(links_);
            const long copies = (stack.levels.back().chips + level.chips - 1) / level.chips;
            links_ += copies * static_cast<long>(level.topology.links.size());
        }
    }
    long links() const { return links_; }
    const std::map<long, double>& seconds() const { return seconds_; }

    void add(std::size_t level, long copy, const LinkBytes& loads, double weight) {
        const auto& links = stack_.levels[level].topology.links;
        const long first = begin_[level] + copy * static_cast<long>(links.size());
        for (std::size_t l = 0; l < loads.size(); ++l)
            if (loads[l] > 0)
                seconds_[first + static_cast<long>(l)] += weight * loads[l] / links[l].bandwidth;
    }

    // Flows between chips of the whole stack, each at the innermost level that has both ends.
    void add(const std::vector<Flow>& flows) {
        std::map<std::pair<std::size_t, long>, std::vector<Flow>> parts;
        for (const Flow& flow : flows) {
            if (flow.from == flow.to) continue;
            const Placed at = place_of(stack_, flow.from, flow.to);
            const long copy = flow.from / stack_.levels[at.level].chips;
            parts[{at.level, copy}].push_back({at.from, at.to, flow.bytes});
        }
        for (const auto& [where, some] : parts)
            add(where.first, where.second,
                flow_loads(stack_.levels[where.first].topology, some, stack_.spec.routing,
                           stack_.spec.flows_per_pair),
                1);
    }

    double slowest() const {
        double most = 0;
        for (const auto& [link, seconds] : seconds_) most = std::max(most, seconds);
        return most;
    }

  private:
    const TopologyStack& stack_;
    std::vector<long> begin_;
    long links_ = 0;
    std::map<long, double> seconds_;
};

void put_uses(const std::map<long, double>& seconds, double port, double most, long first,
              std::vector<LinkUse>& uses) {
    for (const auto& [link, time] : seconds)
        if (time > 1e-6 * port)
            uses.push_back({static_cast<int>(first + link), std::min(time / port, most)});
}

// Groups of chips of one shape with how much of each chip's port their ranks have.
using Shapes = std::map<ChipGroup, double>;

// Groups that begin at the chips from one on and move alike go as siblings.
std::vector<std::pair<ChipGroup, double>> joined(const Shapes& shapes) {
    std::vector<std::pair<ChipGroup, double>> result;
    for (const auto& [group, weight] : shapes) {
        if (!result.empty()) {
            auto& [last, its] = result.back();
            const bool next = group.members == last.members && group.stride == last.stride &&
                              group.first == last.first + last.siblings && its == weight;
            if (next && last.siblings < last.stride) {
                ++last.siblings;
                continue;
            }
        }
        result.emplace_back(group, weight);
    }
    return result;
}

class Placing {
  public:
    Placing(const Transfer& transfer, const RankFabric& fabric)
        : collective_(collective_of(transfer.type)), transfer_(transfer), fabric_(fabric) {
        // The steps of a reduce-scatter are those of an all-gather.
        if (collective_ == Collective::reduce_scatter) collective_ = Collective::all_gather;
        asked_ = value_named<Algorithm>(transfer.algorithm);
        if (asked_ == Algorithm::in_switch) asked_.reset();  // the library's protocol
    }

    LinkRatio ratio(const Groups& groups) const {
        LinkRatio result;
        const long of_domain =
            fabric_.scale_up_links ? LinkLoads(fabric_.scale_up_links->stack()).links() : 0;
        if (fabric_.scale_up_links && (asked_ || !fabric_.scale_up_links->ports_decide()))
            within(groups, of_domain, result);
        if (fabric_.scale_out_links && !fabric_.scale_out_links->ports_decide()) {
            const long chips = fabric_.scale_out_links->stack().levels.back().chips;
            between(groups, of_domain * ((chips + domain_chips() - 1) / domain_chips()), result);
        }
        return result;
    }

  private:
    long domain_of(int rank) const { return rank / fabric_.domain_ranks; }
    long domain_chips() const {
        return std::max(1L, fabric_.domain_ranks / fabric_.ranks_per_chip);
    }
    int chip_of(int rank) const { return rank / fabric_.ranks_per_chip; }

    void within(const Groups& groups, long links, LinkRatio& result) const {
        std::map<long, Shapes> shapes;
        std::map<long, std::vector<Flow>> messages;
        int most = 0;
        bool pipelined = false;  // over domains, by an algorithm that is asked for
        for (const auto& group : groups) {
            std::map<long, std::vector<int>> parts;
            for (const int rank : group) parts[domain_of(rank)].push_back(rank);
            for (const auto& [domain, ranks] : parts) {
                std::set<int> chips;
                const int origin = static_cast<int>(domain * domain_chips());
                for (const int rank : ranks) chips.insert(chip_of(rank) - origin);
                if (chips.size() < 2) continue;
                most = std::max(most, static_cast<int>(chips.size()));
                const double share = static_cast<double>(ranks.size()) /
                                     static_cast<double>(chips.size()) / fabric_.ranks_per_chip;
                if (collective_ == Collective::send_recv) {
                    messages[domain].push_back(
                        {chip_of(ranks[0]) - origin, chip_of(ranks[1]) - origin, share});
                    continue;
                }
                ChipGroup shape;
                shape.members = static_cast<int>(chips.size());
                shape.first = *chips.begin();
                shape.stride = std::max(1, (*chips.rbegin() - shape.first) / (shape.members - 1));
                // Between domains all ports are at work: every member is a root of trees.
                const bool beyond = parts.size() > 1;
                if (beyond && collective_ == Collective::all_reduce && asked_ == Algorithm::tree)
                    shape.roots = shape.members;
                pipelined = pipelined || (beyond && asked_);
                shapes[domain][shape] += share;
            }
        }
        if (most < 2) return;
        const TopologyStack& stack = fabric_.scale_up_links->stack();
        const double rate = fabric_.scale_up.value() * fabric_.ranks_per_chip;
        const double port = bus_factor(transfer_.type, most) / rate;
        double whole = 0;
        std::vector<std::pair<long, LinkLoads>> all;
        for (const auto& [domain, flows] : messages) {
            all.emplace_back(domain, LinkLoads(stack));
            all.back().second.add(flows);
        }
        for (const auto& [domain, its] : shapes) {
            all.emplace_back(domain, LinkLoads(stack));
            for (const auto& [group, weight] : joined(its)) {
                const CollectiveTerms terms = terms_of(stack, group, port, pipelined);
                // Pieces of a pipeline are in different steps at a time: the fullest link decides.
                if (!pipelined) whole = std::max(whole, weight * terms.seconds_per_byte);
                for (std::size_t level = 0; level < terms.link_bytes.size(); ++level)
                    for (const long copy : copies(stack.levels[level], group))
                        all.back().second.add(level, copy, terms.link_bytes[level], weight);
            }
        }
        for (const auto& [domain, loads] : all) whole = std::max(whole, loads.slowest());
        result.up = std::max(1.0, whole / port);
        for (const auto& [domain, loads] : all)
            put_uses(loads.seconds(), port, result.up, domain * links, result.up_uses);
    }

    // By the algorithm that is asked for where it is one of these chips, by the least bytes else:
    // of a group of several domains some are of what goes between them.
    CollectiveTerms terms_of(const TopologyStack& stack, const ChipGroup& group, double port,
                             bool pipelined) const {
        if (asked_ && !(pipelined && asked_ == Algorithm::hierarchical)) {
            const auto asked = collective_terms(stack, collective_, group, false, asked_);
            if (!asked.empty()) return asked.front();
        }
        CollectiveTerms least = least_bytes(stack, collective_, group, port);
        // A broadcast may scatter and gather (TopologyTimes::seconds_per_byte).
        if (collective_ == Collective::broadcast && least.seconds_per_byte > port * (1 + 1e-9)) {
            CollectiveTerms pass = least_bytes(stack, Collective::all_gather, group, port / 2);
            if (2 * pass.seconds_per_byte >= least.seconds_per_byte) return least;
            pass.seconds_per_byte *= 2;
            for (LinkBytes& level : pass.link_bytes)
                for (double& bytes : level) bytes *= 2;
            return pass;
        }
        return least;
    }

    // Inner groups of a level that members sit in.
    static std::set<long> copies(const TopologyStack::Level& level, const ChipGroup& group) {
        std::set<long> found;
        for (int i = 0; i < group.members; ++i)
            found.insert((group.first + static_cast<long>(i) * group.stride) / level.chips);
        return found;
    }

    // Rings go from a domain to the next, exchanges everywhere.
    void between(const Groups& groups, long first, LinkRatio& result) const {
        std::vector<Flow> flows;
        double port_bytes = 0;  // of the busiest member
        for (const auto& group : groups) {
            std::map<long, std::vector<int>> domains;
            for (const int rank : group) domains[domain_of(rank)].push_back(rank);
            if (domains.size() < 2) continue;
            std::map<int, double> taken;
            for (const Flow& flow : between_ranks(group, domains)) {
                flows.push_back({chip_of(flow.from), chip_of(flow.to),
                                 flow.bytes / static_cast<double>(fabric_.ranks_per_chip)});
                port_bytes = std::max(port_bytes, taken[flow.to] += flow.bytes);
            }
        }
        if (flows.empty()) return;
        LinkLoads loads(fabric_.scale_out_links->stack());
        loads.add(flows);
        const double port = port_bytes / (fabric_.scale_out.value() * fabric_.ranks_per_chip);
        result.out = std::max(1.0, loads.slowest() / port);
        put_uses(loads.seconds(), port, result.out, first, result.out_uses);
    }

    std::vector<Flow> between_ranks(const std::vector<int>& group,
                                    const std::map<long, std::vector<int>>& domains) const {
        if (collective_ == Collective::send_recv) return {{group[0], group[1], 1.0}};
        if (collective_ != Collective::all_to_all)
            return to_next_domains(domains, collective_ == Collective::broadcast);
        const double each = 1.0 / static_cast<double>(group.size());
        std::vector<Flow> flows;
        for (const int from : group)
            for (const int to : group)
                if (domain_of(from) != domain_of(to)) flows.push_back({from, to, each});
        return flows;
    }

    Collective collective_;
    std::optional<Algorithm> asked_;
    const Transfer& transfer_;
    const RankFabric& fabric_;
};

}  // namespace

LinkRatio placed_link_ratio(const Transfer& transfer, const RankFabric& fabric,
                            const Groups& groups) {
    // As in link_ratio: a few numbers are all latency.
    if (transfer.group_ranks < 2 || transfer.size < Bytes(64.0)) return {};
    return Placing(transfer, fabric).ratio(groups);
}

}  // namespace podsim

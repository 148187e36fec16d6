#include "interconnect/packet_collectives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "interconnect/binary_trees.hpp"

namespace podsim {

namespace {

struct Send {
    int from, to;
    double bytes;
    bool is_waited_for = false;  // by its sender too, before it goes on
};
using Step = std::vector<Send>;
using Chain = std::vector<Step>;

// Chains wait for nothing of each other; or the first step of each waits for what came to its
// senders in the first `steps` steps of the chain `behind` places before it, so that the pieces of
// a pipeline do not all stand in its first stage.
struct Pipeline {
    std::size_t behind = 0, steps = 0;
};

// Messages of chains of steps: those of one chain wait for those of its step before.
PacketTraffic messages_of(const std::vector<Chain>& chains, const Pipeline& pipeline, int ranks,
                          int collective) {
    PacketTraffic traffic;
    std::vector<std::size_t> start(chains.size(), 0);
    std::size_t rounds = 0;
    for (std::size_t c = 0; c < chains.size(); ++c) {
        if (pipeline.behind > 0 && c >= pipeline.behind)
            start[c] = start[c - pipeline.behind] + pipeline.steps;
        rounds = std::max(rounds, start[c] + chains[c].size());
    }
    struct Came {
        std::size_t chain;
        int rank, message;
    };
    std::vector<std::vector<std::vector<int>>> last(  // [chain][rank]: came in its last step
        chains.size(), std::vector<std::vector<int>>(static_cast<std::size_t>(ranks)));
    for (std::size_t round = 0; round < rounds; ++round) {
        std::vector<Came> came;
        for (std::size_t c = 0; c < chains.size(); ++c) {
            if (round < start[c] || round >= start[c] + chains[c].size()) continue;
            if (round == start[c] && start[c] > 0) last[c] = last[c - pipeline.behind];
            for (const Send& send : chains[c][round - start[c]]) {
                if (send.from == send.to || !(send.bytes > 0)) continue;
                PacketMessage message;
                message.source = send.from;
                message.destination = send.to;
                message.size = Bytes(send.bytes);
                message.collective = collective;
                message.after = last[c][static_cast<std::size_t>(send.from)];
                came.push_back({c, send.to, static_cast<int>(traffic.size())});
                if (send.is_waited_for)
                    came.push_back({c, send.from, static_cast<int>(traffic.size())});
                traffic.push_back(std::move(message));
            }
        }
        for (const Came& one : came) last[one.chain][static_cast<std::size_t>(one.rank)].clear();
        for (const Came& one : came)
            last[one.chain][static_cast<std::size_t>(one.rank)].push_back(one.message);
    }
    return traffic;
}

bool is_gather(Collective collective) {
    return collective == Collective::all_reduce || collective == Collective::all_gather ||
           collective == Collective::reduce_scatter;
}
bool scatters(Collective collective) {
    return collective == Collective::all_reduce || collective == Collective::reduce_scatter;
}
bool gathers(Collective collective) {
    return collective == Collective::all_reduce || collective == Collective::all_gather;
}

// Of messages of so many bytes.
int pieces_of(const PacketCollectiveSpec& spec, double bytes) {
    const double most = bytes / spec.least_piece.value();
    return std::clamp(static_cast<int>(std::min(most, 1e6)), 1, std::max(1, spec.most_pieces));
}

// Of two trees, in pieces as those of a chain but fewer: their depth is a logarithm.
int tree_pieces_of(const PacketCollectiveSpec& spec) {
    const double most = spec.size.value() / 2 / spec.least_link.value();
    return std::clamp(static_cast<int>(std::min(most, 1e6)), 1, std::max(1, spec.most_links / 8));
}

class StepMaker {
  public:
    explicit StepMaker(const PacketCollectiveSpec& spec)
        : spec_(spec), ranks_(spec.ranks), size_(spec.size.value()) {}

    // Of rings in two levels: two pieces within groups at a time; between groups, where they begin
    // there, as many as cover the way.
    Pipeline pipeline() const {
        if (spec_.algorithm != Algorithm::ring || spec_.layout.inner < 2 ||
            !is_gather(spec_.collective))
            return {};
        const auto inner = static_cast<std::size_t>(spec_.layout.inner);
        const std::size_t groups = static_cast<std::size_t>(ranks_) / inner;
        if (scatters(spec_.collective)) return {2, within(size_, true).size()};
        const auto pieces = static_cast<std::size_t>(pieces_of(spec_, size_ / ranks_));
        return {std::max<std::size_t>(2, pieces / 4), groups - 1};
    }

    std::vector<Chain> chains() const {
        switch (spec_.algorithm) {
            case Algorithm::ring:
                return ring();
            case Algorithm::tree:
                return tree();
            case Algorithm::halving_doubling:
                return {halving_doubling()};
            case Algorithm::direct:
                return {direct()};
            case Algorithm::dimension_wise:
                return dimension_wise();
            case Algorithm::hierarchical:
                return {hierarchical()};
            case Algorithm::in_switch:
                break;
        }
        return {};
    }

  private:
    bool gathers_all() const { return gathers(spec_.collective) || spec_.scatters_first; }

    // All of `members` to each other, in the order that is asked for.
    void exchange(const std::vector<int>& members, const ByteMatrix& bytes, Step& step) const {
        AllToAllSpec how = spec_.exchange;
        how.members = members;
        how.entries.clear();
        const auto inner = static_cast<std::size_t>(std::max(1, spec_.layout.inner));
        const std::size_t first = step.size();
        for (const PacketMessage& message : all_to_all(bytes, how))
            step.push_back({message.source, message.destination, message.size.value()});
        if (how.order != SendOrder::rotated || inner < 2 || members.size() % inner != 0 ||
            members.size() <= inner)
            return;
        // A group after the other and within it a place after the other, from one's own on: with
        // ports of their own for what leaves the group, a walk by rank would begin with the same
        // one for all of a group.
        const std::size_t groups = members.size() / inner;
        std::vector<std::size_t> place(static_cast<std::size_t>(ranks_), 0);
        for (std::size_t i = 0; i < members.size(); ++i)
            place[static_cast<std::size_t>(members[i])] = i;
        const auto turn_of = [&](const Send& send) {
            const std::size_t from = place[static_cast<std::size_t>(send.from)];
            const std::size_t to = place[static_cast<std::size_t>(send.to)];
            return std::pair{(to / inner + groups - from / inner) % groups,
                             (to % inner + inner - from % inner) % inner};
        };
        const auto begin = step.begin() + static_cast<std::ptrdiff_t>(first);
        for (auto at = begin; at != step.end();) {
            // To one sender's next walk, which begins where the first destination comes again.
            auto end = at + 1;
            while (end != step.end() && end->from == at->from && end->to != at->to) ++end;
            std::stable_sort(at, end,
                             [&](const Send& x, const Send& y) { return turn_of(x) < turn_of(y); });
            at = end;
        }
    }

    std::vector<int> near_order() const {
        if (!spec_.layout.near_order.empty()) return spec_.layout.near_order;
        std::vector<int> order;
        for (int i = 0; i < ranks_; ++i) order.push_back(i);
        return order;
    }

    // P - 1 steps of a part of `bytes` to the next in each ring.
    static void turn(const std::vector<std::vector<int>>& rings, double bytes, bool back,
                     Chain& chain) {
        const std::size_t steps = rings.front().size() - 1;
        for (std::size_t s = 0; s < steps; ++s) {
            Step step;
            for (const std::vector<int>& ring : rings) {
                const std::size_t n = ring.size();
                for (std::size_t i = 0; i < n; ++i)
                    step.push_back({ring[i], ring[(i + (back ? n - 1 : 1)) % n],
                                    bytes / static_cast<double>(n)});
            }
            chain.push_back(std::move(step));
        }
    }

    // A reduce-scatter and an all-gather of S, as far as they are asked for, in one ring; on a
    // torus half of it each way round. Within groups first where there are groups of near members,
    // of what is left then between equal places.
    std::vector<Chain> ring() const {
        if (spec_.collective == Collective::send_recv) return {neighbours()};
        if (spec_.collective == Collective::broadcast && !spec_.scatters_first) return rows();
        if (spec_.scatters_first && spec_.layout.inner > 1) return scattered_rows();
        if (spec_.layout.inner > 1) return two_levels();
        const bool both = spec_.layout.is_torus && ranks_ > 2;
        std::vector<Chain> chains;
        for (const bool back : {false, true}) {
            if (back && !both) break;
            Chain chain;
            const double part = both ? size_ / 2 : size_;
            if (scatters(spec_.collective)) turn({near_order()}, part, back, chain);
            if (gathers_all()) turn({near_order()}, part, back, chain);
            chains.push_back(std::move(chain));
        }
        return chains;
    }

    // What each near group does with `bytes` of its own: adds them up, a part at each member, or
    // gathers the parts. Where its algorithm is of several chains, step by step of all of them.
    Chain within(double bytes, bool adding) const {
        const RankLayout& layout = spec_.layout;
        Chain inner;
        if (layout.within == Algorithm::tree) {
            inner = trees_with_all_roots(bytes, adding);
        } else {
            PacketCollectiveSpec part;
            part.collective = adding ? Collective::reduce_scatter : Collective::all_gather;
            part.algorithm = layout.within;
            part.ranks = layout.inner;
            part.size = Bytes(bytes);
            part.exchange = spec_.exchange;
            if (!layout.group.empty()) part.layout = layout.group.front();
            for (const Chain& chain : StepMaker(part).chains()) {
                if (inner.size() < chain.size()) inner.resize(chain.size());
                for (std::size_t s = 0; s < chain.size(); ++s)
                    inner[s].insert(inner[s].end(), chain[s].begin(), chain[s].end());
            }
        }
        const std::vector<int> order = near_order();
        Chain all(inner.size());
        for (std::size_t s = 0; s < inner.size(); ++s) {
            for (std::size_t first = 0; first < order.size();
                 first += static_cast<std::size_t>(layout.inner)) {
                for (const Send& send : inner[s])
                    all[s].push_back({order[first + static_cast<std::size_t>(send.from)],
                                      order[first + static_cast<std::size_t>(send.to)],
                                      send.bytes});
            }
        }
        return all;
    }

    // Two trees from each member of a group, so that a part of the sum is at every port: up, or
    // down again.
    Chain trees_with_all_roots(double bytes, bool up) const {
        const int n = spec_.layout.inner;
        const double each = bytes / n / 2;
        Chain chain;
        for (int root = 0; root < n; ++root) {
            for (const bool second : {false, true}) {
                const Chain one = tree_steps(binary_tree(n, second), each, up);
                if (chain.size() < one.size()) chain.resize(one.size());
                for (std::size_t s = 0; s < one.size(); ++s)
                    for (const Send& send : one[s])
                        chain[s].push_back(
                            {(send.from + root) % n, (send.to + root) % n, send.bytes});
            }
        }
        return chain;
    }

    // In pieces that follow each other, so that both levels are at work.
    std::vector<Chain> two_levels() const {
        const auto inner = static_cast<std::size_t>(spec_.layout.inner);
        const std::vector<int> order = near_order();
        std::vector<std::vector<int>> between(inner);
        for (std::size_t i = 0; i < order.size(); ++i) between[i % inner].push_back(order[i]);
        const int pieces = pieces_of(spec_, size_ / ranks_);
        const double piece = size_ / pieces, left = piece / static_cast<double>(inner);
        Chain chain;
        const auto meet = [&](bool adding) {
            const Chain steps = within(piece, adding);
            chain.insert(chain.end(), steps.begin(), steps.end());
        };
        if (scatters(spec_.collective)) {
            meet(true);
            turn(between, left, false, chain);
        }
        if (gathers(spec_.collective)) {
            turn(between, left, false, chain);
            meet(false);
        }
        return std::vector<Chain>(static_cast<std::size_t>(pieces), chain);
    }

    // A broadcast from the first rank to the next and on, in pieces. Where there are near groups
    // each of their members passes a part on to its place in the next group, where it goes round.
    std::vector<Chain> rows() const {
        const std::vector<int> order = near_order();
        const auto inner = static_cast<std::size_t>(std::max(1, spec_.layout.inner));
        const bool one_row = inner == 1;
        const std::size_t n = one_row ? order.size() : inner, groups = order.size() / n;
        const std::size_t parts = one_row ? 1 : inner;
        const double most = size_ / spec_.least_link.value() / static_cast<double>(parts);
        const int pieces = std::clamp(static_cast<int>(std::min(most, 1e6)), 1,
                                      std::max(1, spec_.most_links / static_cast<int>(parts)));
        const double bytes = size_ / pieces / static_cast<double>(parts);
        std::vector<Chain> chains;
        for (int piece = 0; piece < pieces; ++piece) {
            for (std::size_t k = 0; k < parts; ++k) {
                Chain chain(n - 1 + (groups > 1 ? k + groups - 1 : 0));
                for (std::size_t j = 0; j + 1 < n; ++j)
                    chain[j].push_back({order[j], order[j + 1], bytes});
                for (std::size_t g = 1; g < groups; ++g) {
                    chain[k + g - 1].push_back({order[(g - 1) * n + k], order[g * n + k], bytes});
                    for (std::size_t j = 0; j + 1 < n; ++j)
                        chain[k + g + j].push_back(
                            {order[g * n + (k + j) % n], order[g * n + (k + j + 1) % n], bytes});
                }
                chains.push_back(std::move(chain));
            }
        }
        return chains;
    }

    // The same where members of a group gather: the first rank gives each of its group a part, that
    // one gives it to its place in the next group, and each group gathers.
    std::vector<Chain> scattered_rows() const {
        const std::vector<int> order = near_order();
        const auto n = static_cast<std::size_t>(spec_.layout.inner);
        const std::size_t groups = order.size() / n;
        std::vector<std::size_t> group_of(order.size(), 0);
        for (std::size_t i = 0; i < order.size(); ++i)
            group_of[static_cast<std::size_t>(order[i])] = i / n;
        const int pieces = pieces_of(spec_, size_ / ranks_);
        const double bytes = size_ / pieces, part = bytes / static_cast<double>(n);
        const Chain gather = within(bytes, false);
        Chain chain(groups + gather.size());
        for (std::size_t k = 1; k < n; ++k) chain[0].push_back({order[0], order[k], part, true});
        for (std::size_t g = 1; g < groups; ++g)
            for (std::size_t k = 0; k < n; ++k)
                chain[g].push_back({order[(g - 1) * n + k], order[g * n + k], part});
        for (std::size_t s = 0; s < gather.size(); ++s)
            for (const Send& send : gather[s])
                chain[group_of[static_cast<std::size_t>(send.from)] + 1 + s].push_back(send);
        return std::vector<Chain>(static_cast<std::size_t>(pieces), chain);
    }

    // Each its S to the next, all at once.
    Chain neighbours() const {
        const std::vector<int> order = near_order();
        Step step;
        for (std::size_t i = 0; i < order.size(); ++i)
            step.push_back({order[i], order[(i + 1) % order.size()], size_});
        return {step};
    }

    // With the partner half the ranks away, a quarter... and back (Thakur, Rabenseifner and Gropp
    // 2005): the long messages go to the nearest.
    Chain halving_doubling() const {
        Chain halving;
        double bytes = size_ / 2;
        for (int far = 1; far < ranks_; far *= 2, bytes /= 2) {
            Step step;
            for (int i = 0; i < ranks_; ++i) step.push_back({i, i ^ far, bytes});
            halving.push_back(std::move(step));
        }
        Chain chain;
        if (scatters(spec_.collective)) chain = halving;
        if (gathers_all()) chain.insert(chain.end(), halving.rbegin(), halving.rend());
        return chain;
    }

    ByteMatrix even(std::size_t members, double each) const {
        return ByteMatrix(members, std::vector<double>(members, each));
    }

    Chain direct() const {
        if (spec_.collective == Collective::send_recv) return neighbours();
        Chain chain;
        std::vector<int> all(static_cast<std::size_t>(ranks_));
        for (int i = 0; i < ranks_; ++i) all[static_cast<std::size_t>(i)] = i;
        if (spec_.collective == Collective::broadcast && !spec_.scatters_first) {
            Step step;
            for (int i = 1; i < ranks_; ++i) step.push_back({0, i, size_});
            return {step};
        }
        const int passes = spec_.collective == Collective::all_reduce ? 2 : 1;
        for (int pass = 0; pass < passes; ++pass) {
            Step step;
            exchange(all, spec_.bytes.empty() ? even(all.size(), size_ / ranks_) : spec_.bytes,
                     step);
            chain.push_back(std::move(step));
        }
        return chain;
    }

    // Within groups, then between equal places of groups; an all-gather the other way round.
    Chain hierarchical() const {
        const auto inner = static_cast<std::size_t>(spec_.layout.inner);
        const std::size_t groups = static_cast<std::size_t>(ranks_) / inner;
        const double n = static_cast<double>(inner), g = static_cast<double>(groups);
        const bool all = spec_.collective == Collective::all_to_all;
        Step within, between;
        for (std::size_t k = 0; k < groups; ++k) {
            std::vector<int> members;
            for (std::size_t i = 0; i < inner; ++i)
                members.push_back(static_cast<int>(k * inner + i));
            exchange(members, even(inner, size_ / n), within);
        }
        for (std::size_t i = 0; i < inner; ++i) {
            std::vector<int> members;
            for (std::size_t k = 0; k < groups; ++k)
                members.push_back(static_cast<int>(k * inner + i));
            exchange(members, even(groups, all ? size_ / g : size_ / n / g), between);
        }
        if (all || spec_.collective == Collective::reduce_scatter) return {within, between};
        if (spec_.collective == Collective::all_gather || spec_.scatters_first)
            return {between, within};
        return {within, between, between, within};
    }

    // A binary tree level by level, up or down.
    static Chain tree_steps(const std::vector<int>& parents, double bytes, bool up) {
        std::vector<std::size_t> depth(parents.size(), 0);
        Chain chain;
        for (const int child : from_the_root(parents)) {
            const int parent = parents[static_cast<std::size_t>(child)];
            if (parent < 0) continue;
            const std::size_t above = depth[static_cast<std::size_t>(parent)];
            depth[static_cast<std::size_t>(child)] = above + 1;
            if (chain.size() <= above) chain.resize(above + 1);
            chain[above].push_back(up ? Send{child, parent, bytes} : Send{parent, child, bytes});
        }
        if (up) std::reverse(chain.begin(), chain.end());
        return chain;
    }

    // Two binary trees with half of the bytes each, in pieces that follow each other, up and down
    // again.
    std::vector<Chain> tree() const {
        const int pieces = tree_pieces_of(spec_);
        const double bytes = size_ / 2 / pieces;
        const bool up = spec_.collective == Collective::all_reduce;
        std::vector<Chain> chains;
        for (int piece = 0; piece < pieces; ++piece) {
            for (const bool second : {false, true}) {
                const std::vector<int> parents =
                    up ? binary_tree(ranks_, second) : broadcast_tree(ranks_, second);
                Chain chain;
                if (up) chain = tree_steps(parents, bytes, true);
                const Chain down = tree_steps(parents, bytes, false);
                chain.insert(chain.end(), down.begin(), down.end());
                chains.push_back(std::move(chain));
            }
        }
        return chains;
    }

    // Along each dimension in turn, as many shares as dimensions, each in an order turned by one:
    // rings both ways round, or all of a line of a mesh at once; and back.
    std::vector<Chain> dimension_wise() const {
        const std::vector<long>& sizes = spec_.layout.dimensions;
        std::vector<std::size_t> used;
        for (std::size_t d = 0; d < sizes.size(); ++d)
            if (sizes[d] > 1) used.push_back(d);
        // What begins along a side is as large as lets the first phase end everywhere at a time, of
        // links that are alike.
        std::vector<double> weights;
        for (const std::size_t d : used) {
            const double n = static_cast<double>(sizes[d]);
            weights.push_back(spec_.layout.is_torus ? n / (n - 1) * (n > 2 ? 2 : 1) : n);
        }
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        std::vector<Chain> chains;
        for (std::size_t share = 0; share < used.size(); ++share) {
            for (const bool back : {false, true}) {
                if (back && !spec_.layout.is_torus) break;
                std::vector<Chain> phases;
                double left = size_ * weights[share] / sum / (spec_.layout.is_torus ? 2.0 : 1.0);
                for (std::size_t phase = 0; phase < used.size(); ++phase) {
                    const std::size_t d = used[(share + phase) % used.size()];
                    phases.push_back(along(d, left, back));
                    left /= static_cast<double>(sizes[d]);
                }
                Chain chain;
                if (scatters(spec_.collective))
                    for (const Chain& phase : phases)
                        chain.insert(chain.end(), phase.begin(), phase.end());
                if (gathers_all())
                    for (auto phase = phases.rbegin(); phase != phases.rend(); ++phase)
                        chain.insert(chain.end(), phase->begin(), phase->end());
                chains.push_back(std::move(chain));
            }
        }
        return chains;
    }

    Chain along(std::size_t d, double left, bool back) const {
        long stride = 1;
        for (std::size_t k = 0; k < d; ++k) stride *= spec_.layout.dimensions[k];
        const long n = spec_.layout.dimensions[d];
        std::vector<std::vector<int>> lines;
        for (int rank = 0; rank < ranks_; ++rank) {
            if (rank / stride % n != 0) continue;
            lines.emplace_back();
            for (long k = 0; k < n; ++k)
                lines.back().push_back(static_cast<int>(rank + k * stride));
        }
        Chain chain;
        if (spec_.layout.is_torus) {
            turn(lines, left, back, chain);
            return chain;
        }
        Step step;
        for (const std::vector<int>& line : lines)
            exchange(line, even(line.size(), left / static_cast<double>(n)), step);
        return {step};
    }

    const PacketCollectiveSpec& spec_;
    const int ranks_;
    const double size_;
};

}  // namespace

namespace {

// Of what near groups do before or after the rings between them.
std::string without_messages_within(const PacketCollectiveSpec& spec) {
    PacketCollectiveSpec part = spec;
    part.algorithm = spec.layout.within;
    part.ranks = spec.layout.inner;
    part.layout = spec.layout.group.empty() ? RankLayout{} : spec.layout.group.front();
    const bool tree = part.algorithm == Algorithm::tree;
    part.scatters_first = false;
    if (spec.scatters_first) part.collective = Collective::all_gather;
    if (!tree && part.collective == Collective::all_reduce)  // a part at each member in between
        part.collective = Collective::reduce_scatter;
    return without_messages(part);
}

// Messages of a chain, and of the pieces of its rows.
double links_of_chain(const PacketCollectiveSpec& spec) {
    return std::min<double>(spec.most_links + spec.layout.inner,
                            spec.size / spec.least_link + spec.layout.inner);
}

}  // namespace

std::string without_messages(const PacketCollectiveSpec& spec) {
    const bool gather = is_gather(spec.collective) || spec.scatters_first;
    const auto of = [&](const char* what) {
        return fmt::format("algorithm {} {}", to_string(spec.algorithm), what);
    };
    long product = 1;
    for (const long n : spec.layout.dimensions) product *= n;
    switch (spec.algorithm) {
        case Algorithm::in_switch:
            return "the switches add up, and packets' switches do not";
        case Algorithm::direct:
            // Every message of the second pass waits for P - 1 of the first.
            return spec.collective == Collective::all_reduce && spec.ranks > 256
                       ? of("of more than 256 ranks has too many messages that wait for others")
                       : "";
        case Algorithm::halving_doubling:
            if (!gather) return of("is of all_reduce, all_gather and reduce_scatter");
            return (spec.ranks & (spec.ranks - 1)) != 0 ? of("wants a power of two of ranks") : "";
        case Algorithm::tree:
            return spec.collective == Collective::all_reduce ||
                           (spec.collective == Collective::broadcast && !spec.scatters_first)
                       ? ""
                       : of("is of all_reduce and broadcast");
        case Algorithm::dimension_wise:
            return gather && product == spec.ranks && !spec.layout.dimensions.empty()
                       ? ""
                       : of("wants ranks that fill a torus or a mesh");
        case Algorithm::hierarchical:
            return (gather || spec.collective == Collective::all_to_all) && spec.layout.inner > 1 &&
                           spec.ranks % spec.layout.inner == 0
                       ? ""
                       : of("wants equal groups of ranks that are near");
        case Algorithm::ring:
            if (spec.collective == Collective::all_to_all) return of("is of gathers");
            return gather && spec.layout.inner > 1 ? without_messages_within(spec) : "";
    }
    return "";
}

double most_messages(const PacketCollectiveSpec& spec) {
    const double ranks = spec.ranks, inner = std::max(1, spec.layout.inner),
                 walks = std::max(1, spec.exchange.walks), size = spec.size.value();
    const double passes = spec.collective == Collective::all_reduce ? 2 : 1;
    double sides = 0;
    for (const long n : spec.layout.dimensions) sides += static_cast<double>(n);
    if (spec.scatters_first) {
        PacketCollectiveSpec gather = spec;
        gather.scatters_first = false;
        gather.collective = Collective::all_gather;
        return most_messages(gather) +
               2 * ranks *
                   static_cast<double>(std::max<std::size_t>(1, spec.layout.dimensions.size()));
    }
    if (spec.collective == Collective::broadcast && spec.algorithm == Algorithm::direct)
        return ranks;
    if (spec.collective == Collective::broadcast && spec.algorithm == Algorithm::ring)
        return ranks * links_of_chain(spec);
    switch (spec.algorithm) {
        case Algorithm::direct:
            return passes * ranks * ranks * walks;
        case Algorithm::hierarchical:
            return passes * ranks * (inner + ranks / inner) * walks;
        case Algorithm::ring:
            return inner > 1 ? passes * ranks * (2 * inner * walks + ranks / inner) *
                                   pieces_of(spec, size / ranks)
                             : passes * ranks * ranks * (spec.layout.is_torus ? 2 : 1);
        case Algorithm::halving_doubling:
            return passes * ranks * std::log2(ranks);
        case Algorithm::tree:
            return passes * 2 * ranks * tree_pieces_of(spec);
        case Algorithm::dimension_wise:
            return passes * ranks * sides * 2 * static_cast<double>(spec.layout.dimensions.size()) *
                   walks;
        case Algorithm::in_switch:
            break;
    }
    return 0;
}

namespace {

// The first rank gives everybody his part; when all have theirs they gather. Who began before would
// be in other steps than the rest, and rings of one dimension in the way of those of another.
PacketTraffic after_scatter(PacketTraffic gather, const PacketCollectiveSpec& spec) {
    PacketTraffic traffic;
    std::vector<int> parts;
    for (int i = 1; i < spec.ranks; ++i) {
        PacketMessage part;
        part.source = 0;
        part.destination = i;
        part.size = spec.size / spec.ranks;
        part.collective = spec.exchange.collective;
        parts.push_back(i - 1);
        traffic.push_back(std::move(part));
    }
    for (PacketMessage& message : gather) {
        for (int& before : message.after) before += spec.ranks - 1;
        if (message.after.empty()) message.after = parts;
        traffic.push_back(std::move(message));
    }
    return traffic;
}

}  // namespace

PacketTraffic collective_traffic(const PacketCollectiveSpec& spec) {
    if (spec.ranks < 2) throw std::invalid_argument("a collective wants two ranks at least");
    if (const std::string why = without_messages(spec); !why.empty())
        throw std::invalid_argument(why);
    const StepMaker maker(spec);
    PacketTraffic traffic =
        messages_of(maker.chains(), maker.pipeline(), spec.ranks, spec.exchange.collective);
    if (!spec.scatters_first || spec.layout.inner > 1) return traffic;
    return after_scatter(std::move(traffic), spec);
}

PacketTraffic in_pieces(const PacketTraffic& traffic, long pieces, Bytes most) {
    std::vector<std::pair<int, int>> made;  // first piece of each message, and how many
    PacketTraffic result;
    for (const PacketMessage& message : traffic) {
        long count = std::max(pieces, static_cast<long>(std::ceil(message.size / most)));
        count = std::clamp(count, 1L, std::max(1L, static_cast<long>(message.size.value())));
        PacketMessage piece = message;
        piece.size = message.size / static_cast<double>(count);
        piece.after.clear();
        for (const int before : message.after) {
            const auto& [first, number] = made.at(static_cast<std::size_t>(before));
            for (int i = 0; i < number; ++i) piece.after.push_back(first + i);
        }
        made.emplace_back(static_cast<int>(result.size()), static_cast<int>(count));
        for (long i = 0; i < count; ++i) {
            piece.piece = static_cast<int>(i % std::max(1L, pieces));
            result.push_back(piece);
        }
    }
    return result;
}

namespace {

// Steps through 0 to n - 1 that leave no large gap wherever they end: of about the golden section.
std::uint64_t even_stride(int n) {
    auto stride = static_cast<std::uint64_t>(std::lround(0.618 * n));
    while (stride > 1 && std::gcd(stride, static_cast<std::uint64_t>(n)) != 1) --stride;
    return std::max<std::uint64_t>(1, stride);
}

}  // namespace

PacketTraffic over_thirds(const PacketTraffic& traffic, int endpoints, const DetourSpec& spec) {
    if (endpoints < 3 || !(spec.share > 0)) return traffic;
    const auto n = static_cast<std::uint64_t>(endpoints);
    const std::uint64_t stride = even_stride(endpoints);
    const double most =
        std::max(1.0, std::min(static_cast<double>(spec.most_pieces),
                               spec.most_messages / 2 / static_cast<double>(traffic.size())));
    std::vector<std::vector<int>> ends;  // of each message: what brings its parts
    PacketTraffic result;
    const auto add = [&](const PacketMessage& like, int from, int to, double bytes,
                         std::vector<int> after) {
        PacketMessage part = like;
        part.source = from;
        part.destination = to;
        part.size = Bytes(bytes);
        part.after = std::move(after);
        result.push_back(std::move(part));
        return static_cast<int>(result.size()) - 1;
    };
    for (std::size_t m = 0; m < traffic.size(); ++m) {
        const PacketMessage& message = traffic[m];
        std::vector<int> after;
        for (const int before : message.after) {
            const std::vector<int>& parts = ends.at(static_cast<std::size_t>(before));
            after.insert(after.end(), parts.begin(), parts.end());
        }
        std::vector<int>& here = ends.emplace_back();
        const double far = spec.share * message.size.value(), near = message.size.value() - far;
        if (near >= 1)
            here.push_back(add(message, message.source, message.destination, near, after));
        const auto pieces =
            static_cast<std::uint64_t>(std::clamp(far / spec.least_piece.value(), 1.0, most));
        const std::uint64_t first = random_bits(spec.seed, m);
        for (std::uint64_t i = 0; i < pieces && far >= 1; ++i) {
            const auto third = static_cast<int>((first % n + i * stride) % n);
            const double bytes = far / static_cast<double>(pieces);
            if (third == message.source || third == message.destination) {
                here.push_back(add(message, message.source, message.destination, bytes, after));
                continue;
            }
            const int half = add(message, message.source, third, bytes, after);
            here.push_back(add(message, third, message.destination, bytes, {half}));
        }
    }
    return result;
}

}  // namespace podsim

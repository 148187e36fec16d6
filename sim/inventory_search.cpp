#include "sim/inventory_search.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>

namespace podsim {

namespace {

using Services = std::vector<std::vector<ServiceOption>>;
constexpr double kNever = std::numeric_limits<double>::infinity();

// How many replicas of a size the machines hold when nobody else is there.
long room_for(const OwnedMachines& owned, int chips) {
    const long whole = owned.chips / owned.machine, rest = owned.chips % owned.machine;
    return whole * (owned.machine / chips) + rest / chips;
}

// Replicas on machines, the largest first, each into the first machine that has room; what finds
// none is bought.
class Packing {
  public:
    explicit Packing(const OwnedRooms& rooms) : rooms_(rooms) {
        for (const OwnedMachines& one : rooms.machines) {
            std::vector<int> machines(static_cast<std::size_t>(one.chips / one.machine),
                                      one.machine);
            if (one.chips % one.machine > 0) machines.push_back(one.chips % one.machine);
            free_.push_back(std::move(machines));
        }
    }

    // Nothing where a replica finds no room and none may be bought.
    std::optional<InventoryPlacement> place(const Services& services,
                                            const std::vector<int>& choice) {
        struct Item {
            std::size_t service, pool;
        };
        std::vector<Item> items;
        InventoryPlacement placement;
        placement.option = choice;
        placement.used.resize(rooms_.machines.size(), 0);
        placement.here.resize(services.size());
        const auto pool_of = [&](const Item& item) -> const OptionPool& {
            const auto option = static_cast<std::size_t>(choice[item.service]);
            return services[item.service][option].pools[item.pool];
        };
        for (std::size_t s = 0; s < services.size(); ++s) {
            if (choice[s] == InventoryPlacement::kUnserved) continue;
            const std::size_t pools = services[s][static_cast<std::size_t>(choice[s])].pools.size();
            placement.here[s].resize(pools, 0);
            for (std::size_t p = 0; p < pools; ++p) items.push_back({s, p});
        }
        std::stable_sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
            return pool_of(a).chips > pool_of(b).chips;
        });
        for (const Item& item : items) {
            const OptionPool& pool = pool_of(item);
            const bool wanted = !rooms_.buy || pool.owned_usd <= pool.bought_usd;
            int here = 0;
            for (int& left : free_[pool.kind]) {
                while (wanted && here < pool.replicas && left >= pool.chips) {
                    left -= pool.chips;
                    ++here;
                }
            }
            if (here < pool.replicas && !rooms_.buy) return {};
            placement.here[item.service][item.pool] = here;
            placement.used[pool.kind] += here * pool.chips;
            placement.usd += here * pool.owned_usd + (pool.replicas - here) * pool.bought_usd;
        }
        return placement;
    }

  private:
    const OwnedRooms& rooms_;
    std::vector<std::vector<int>> free_;
};

// A choice and what it is worth.
struct Ranked {
    std::vector<int> choice;
    int served = -1;
    double usd = kNever;
    bool is_solved = false;
    std::optional<InventoryPlacement> placement;

    bool better_than(const Ranked& other) const {
        constexpr double kSame = 1e-9;
        if (served != other.served) return served > other.served;
        if (usd < other.usd * (1 - kSame)) return true;
        if (usd > other.usd * (1 + kSame)) return false;
        return is_solved && !other.is_solved;
    }
};

class Search {
  public:
    Search(const OwnedRooms& rooms, Services& services) : rooms_(rooms), services_(services) {
        double choices = 1;
        for (const auto& options : services) choices *= static_cast<double>(options.size()) + 1;
        if (choices > kMostChoices)
            throw std::invalid_argument("too many ways to place so many services");
    }

    Ranked best(InventoryCounts& counts) {
        counts.choices = 0;
        Ranked best;
        std::vector<int> choice(services_.size(), InventoryPlacement::kUnserved);
        do {
            ++counts.choices;
            Ranked one = look_at(choice);
            if (one.served >= 0 && one.better_than(best)) best = std::move(one);
        } while (advance(choice));
        return best;
    }

  private:
    bool advance(std::vector<int>& choice) const {
        for (std::size_t s = choice.size(); s-- > 0;) {
            if (choice[s] + 1 < static_cast<int>(services_[s].size())) {
                ++choice[s];
                return true;
            }
            choice[s] = InventoryPlacement::kUnserved;
        }
        return false;
    }

    // served -1 where it cannot be.
    Ranked look_at(const std::vector<int>& choice) const {
        Ranked one;
        one.choice = choice;
        int served = 0;
        double usd = 0, watts = 0;
        one.is_solved = true;
        for (std::size_t s = 0; s < choice.size(); ++s) {
            if (choice[s] == InventoryPlacement::kUnserved) continue;
            const ServiceOption& option = services_[s][static_cast<std::size_t>(choice[s])];
            if (!option.exists) return one;
            one.is_solved = one.is_solved && option.solved;
            usd += least_usd(option, rooms_);
            watts += watts_of(option);
            ++served;
        }
        if (watts > rooms_.most_watts) return one;
        if (one.is_solved) {
            one.placement = Packing(rooms_).place(services_, choice);
            if (!one.placement) return one;
            usd = one.placement->usd;
        }
        one.served = served;
        one.usd = usd;
        return one;
    }

    const OwnedRooms& rooms_;
    Services& services_;
};

}  // namespace

double least_usd(const ServiceOption& option, const OwnedRooms& rooms) {
    double sum = 0;
    for (const OptionPool& pool : option.pools) {
        const double bought = rooms.buy ? pool.bought_usd : kNever;
        const long room = room_for(rooms.machines[pool.kind], pool.chips);
        const long here = pool.owned_usd <= bought ? std::min<long>(room, pool.replicas) : 0;
        if (here < pool.replicas && !rooms.buy) return kNever;
        sum += static_cast<double>(here) * pool.owned_usd;
        if (here < pool.replicas) sum += static_cast<double>(pool.replicas - here) * bought;
    }
    return sum;
}

double watts_of(const ServiceOption& option) {
    double sum = 0;
    for (const OptionPool& pool : option.pools) sum += pool.watts * pool.replicas;
    return sum;
}

InventoryPlacement place_services(const OwnedRooms& rooms,
                                  std::vector<std::vector<ServiceOption>>& services,
                                  const SolveOption& solve, InventoryCounts& counts) {
    const auto rule_out = [&](ServiceOption& option) {
        if (option.exists &&
            (least_usd(option, rooms) == kNever || watts_of(option) > rooms.most_watts))
            option.exists = false;
    };
    for (auto& options : services) {
        for (ServiceOption& option : options) {
            const bool before = option.exists;
            rule_out(option);
            counts.by_bound += before && !option.exists ? 1 : 0;
        }
    }
    Search search(rooms, services);
    while (true) {
        const Ranked best = search.best(counts);
        if (best.is_solved) return *best.placement;
        for (std::size_t s = 0; s < best.choice.size(); ++s) {
            if (best.choice[s] == InventoryPlacement::kUnserved) continue;
            const auto chosen = static_cast<std::size_t>(best.choice[s]);
            ServiceOption& option = services[s][chosen];
            if (option.solved) continue;
            option = solve(s, chosen);
            option.solved = true;
            rule_out(option);
            ++counts.solved;
            break;
        }
    }
}

}  // namespace podsim

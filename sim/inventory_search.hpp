// Which of its options each service takes, so that as many as possible are served and the bill is
// the smallest. Knows no chips: an option is replicas of a size on kinds of machines, and what they
// cost on machines that are owned and on others.
//
// All choices are looked at by what they cost at least, the best first; where that rests on an
// option of which only a bound is known, the option is solved and the choices are ordered anew. The
// first choice that rests on solved options alone is the best: none of the others costs less than
// its bound.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

namespace podsim {

// Machines of one kind: so many chips in machines of `machine` chips each, the last one with what
// is left over.
struct OwnedMachines {
    int chips = 0, machine = 1;
};

// Replicas of one pool.
struct OptionPool {
    std::size_t kind = 0;  // of machines
    int chips = 1;         // of a replica, all in one machine
    int replicas = 1;
    double owned_usd = 0, bought_usd = 0;  // of a replica, an hour
    double watts = 0;                      // of a replica at most
};

struct OwnedRooms {
    std::vector<OwnedMachines> machines;  // by kind
    bool buy = true;
    double most_watts = std::numeric_limits<double>::infinity();  // of all services
};

struct ServiceOption {
    bool solved = false;  // else `pools` is what it takes at least
    bool exists = true;
    std::vector<OptionPool> pools;
};

// The smallest bill of an option by itself.
double least_usd(const ServiceOption& option, const OwnedRooms& rooms);
double watts_of(const ServiceOption& option);

struct InventoryPlacement {
    static constexpr int kUnserved = -1;
    std::vector<int> option;             // of each service
    std::vector<std::vector<int>> here;  // of each service and pool: replicas on owned machines
    std::vector<int> used;               // chips of each kind that is owned
    double usd = 0;                      // an hour
};

struct InventoryCounts {
    long choices = 0, solved = 0, by_bound = 0;  // options that their bound alone ruled out
};

// Solves an option: its replicas, or exists = false.
using SolveOption = std::function<ServiceOption(std::size_t service, std::size_t option)>;

// Throws std::invalid_argument for more than kMostChoices choices.
inline constexpr double kMostChoices = 200000;
InventoryPlacement place_services(const OwnedRooms& rooms,
                                  std::vector<std::vector<ServiceOption>>& services,
                                  const SolveOption& solve, InventoryCounts& counts);

}  // namespace podsim

// Several coflows on the same links at a time: who is done when.
//
// A coflow is a demand, bytes on each link, for each of its classes of ranks. It begins when its
// last class has entered, waits its latency, and then each class moves its bytes in proportion on
// all its links (MADD; Chowdhury, Zhong and Stoica, Varys, SIGCOMM 2014): at speed 1 its fullest
// link is full. Speeds of classes that share links are weighted max-min fair (base/fluid). Alone:
//
//   end of class c = latest entry + latency + max over links l of bytes(c, l) / bandwidth(l)
//
// An arrival or an end gives new speeds to what it is connected with over shared links, and to
// nothing else.
//
// Against flows that share each link by themselves (one for each pair, max-min fair, ways of at
// most h links): alone, a coflow is never later and the flows are at most h times later, since a
// flow that still runs has a full link on its way and link l is full for at most bytes(l) /
// bandwidth(l). Together, no coflow takes longer than (sum of weights) / (its weight) of its time
// alone, whereas one flow beside n others may take n + 1 times: flows share by number, coflows by
// weight. A weight of a coflow's number of flows on the fullest link brings the two together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/calendar.hpp"
#include "base/fluid.hpp"
#include "base/units.hpp"
#include "interconnect/collective_algorithms.hpp"

namespace podsim {

struct LinkDemand {
    int link = 0;
    Bytes bytes{0.0};
};

struct SharedCoflow {
    struct Class {
        Seconds entry{0.0};
        std::vector<LinkDemand> demands;
    };
    Seconds latency{0.0};
    double weight = 1;
    std::vector<Class> classes;
};

// The coflows that run now, on somebody's calendar.
class CoflowEngine {
  public:
    using Done = std::function<void(std::size_t class_index)>;

    // Both must outlive the engine. Throws std::invalid_argument: a link that is slower than 0.
    CoflowEngine(std::vector<BytesPerSecond> links, Calendar& calendar);

    // Its bytes start `latency` from now, whatever the entries say; `done` is called for each class
    // at its end. Throws std::invalid_argument: a link that is not there, or without bandwidth.
    void start(const SharedCoflow& coflow, const Done& done);

    // How often speeds were worked out, and of how many classes in all.
    std::uint64_t solved() const { return solved_; }
    std::uint64_t solved_classes() const { return solved_classes_; }

  private:
    struct Activity {
        FluidActivity demand;  // usage by link
        double remaining = 0;  // s at speed 1
        double speed = 0;
        Picoseconds settled = 0;
        std::uint64_t plan = 0;  // that tells its end
        std::size_t class_index = 0;
        std::size_t done = 0;
        bool active = false, reached = false;
    };

    void begin(std::size_t activity);
    void settle(Activity& activity) const;
    void solve_around(const FluidActivity& changed);
    void gather(int link, std::vector<std::size_t>& piece);
    void solve(std::vector<std::size_t> piece);
    void complete(std::uint64_t plan, const std::vector<std::size_t>& piece);

    std::vector<BytesPerSecond> links_;
    Calendar& calendar_;
    std::vector<Activity> activities_;
    std::vector<std::size_t> unused_;                  // places of activities that have ended
    std::vector<std::pair<Done, std::size_t>> dones_;  // and how many classes still run
    std::vector<std::size_t> unused_dones_;
    std::vector<std::vector<std::size_t>> on_link_;  // active on each link
    std::vector<int> local_;                         // a link's number in the piece being solved
    std::uint64_t plans_ = 0, solved_ = 0, solved_classes_ = 0;
};

struct SharedCoflowTimes {
    std::vector<Seconds> classes;  // end of each
    Seconds end{0.0};              // of the last
};

// All of them from time zero on.
std::vector<SharedCoflowTimes> run_coflows(const std::vector<BytesPerSecond>& links,
                                           const std::vector<SharedCoflow>& coflows);

// Links of a fabric, level after level, as its faults leave them; and what a collective of `size`
// puts on them, one class for all its members.
std::vector<BytesPerSecond> links_of(const TopologyStack& stack);
SharedCoflow coflow_on_links(const CollectiveTerms& terms, Bytes size);

}  // namespace podsim

// A product on a core structure. Wave w of c cores is the tiles w c .. w c + c - 1 of the raster,
// one a core (chips/tile_plan.hpp). Of a tile with n steps along K:
//
//   M = n u              the matrix unit, u a step (chips/tile_plan.hpp)
//   P = n p              the core's port: panels / rate, what L2 fetches at the memory's rate
//   H = max(misses + results of the wave before over memory, panels over L2's total, die link)
//   D                    the drain of its sums, beside the next tile where there are two
//   T = max(P + max(0, D1 - S p), M + D1, n (latency + p' + u) / S)     D1 = D with one accumulator
//
// since a load waits until the panel S slots before it was used, and with one accumulator S slots
// fill while the sums before drain; p' is p or what memory takes for a core's own misses alone.
// With F the time when a core's last product of a tile is done, R when its sums are out, and Q when
// the shared servers have moved all of a wave:
//
//   Q(w) = max(Q(w-1), least over its cores of F(w-1) - S/n (F(w-1) - F(w-2))) + H(w)
//   F(w) = max(F(w-1) + T, Q(w) + u, R(w-2) + M)          R(w) = max(R(w-1), F(w)) + D
//   t    = max(max R, Q + results of the last wave over memory) + latency of a write
//
// The first tile is followed burst by burst (FirstWave), and T is longer by what results of the
// wave before hold back at the memory (WritesAhead). A panel is in L2 when fewer bytes than L2
// holds were touched since its last wave; whole waves are counted (LRU, and cores walk along K
// together). With a split along K partial sums stay in L2 in place of older panels, and a second
// phase adds them up on the vector units: what of them L2 does not hold crosses memory again.
#include "chips/gemm_walk.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "chips/gemm_first_wave.hpp"
#include "chips/gemm_tile_cost.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

// Which panels L2 still holds when a wave asks for them.
class Residency {
  public:
    Residency(double capacity, bool resident) : capacity_(capacity), resident_(resident) {}

    void begin_wave() {
        at_wave_.push_back(0);
        // The oldest wave whose panels, with all touched since, still fit.
        while (oldest_ + 1 < static_cast<long>(at_wave_.size()) && since_ > capacity_) {
            since_ -= at_wave_[static_cast<std::size_t>(oldest_)];
            ++oldest_;
        }
    }
    // Bytes that have to be fetched for it: all or none.
    double touch(long& last, double bytes) {
        const long wave = static_cast<long>(at_wave_.size()) - 1;
        if (last == wave) return 0;
        const bool there = resident_ || (last >= 0 && last >= oldest_);
        if (last >= 0) {
            at_wave_[static_cast<std::size_t>(last)] -= bytes;
            if (last >= oldest_) since_ -= bytes;
        }
        last = wave;
        at_wave_.back() += bytes;
        since_ += bytes;
        return there ? 0 : bytes;
    }
    // Results that stay in it push out what was used longest ago.
    void keep(double bytes) {
        at_wave_.back() += bytes;
        since_ += bytes;
    }

  private:
    double capacity_;
    bool resident_;
    std::vector<double> at_wave_;
    double since_ = 0;  // touched from wave oldest_ on
    long oldest_ = 0;
};

// Its longest burst.
constexpr double kLongestBurst = 32768;

// The results of a wave reach the memory when the next wave has begun to load. What they hold back
// stalls a core longer than the panels that lie ready for it last.
struct WritesAhead {
    double seconds = 0;  // until all are written, with the reads between them
    double steps = 0;    // along K that these reads serve
    double latency = 0;  // of the first of them

    double stall(double step, double slots, double most, double way) const {
        const double ahead = std::min(slots, std::max(0.0, most - steps)) * step - way - latency;
        return std::max(0.0, seconds - steps * step - std::max(0.0, ahead));
    }
};

struct CoreState {
    double before = 0, done = 0;             // F of the tile before the last, of the last
    double drained_before = 0, drained = 0;  // R likewise
};

// A tile's results: when its last product is done, their bytes, whose they are.
struct Release {
    double time, bytes;
    CoreState* core;
};

// When a server of this rate, busy until then, has served all of them, whoever comes first.
double served(std::vector<Release>& releases, double rate, double until) {
    std::stable_sort(releases.begin(), releases.end(),
                     [](const Release& x, const Release& y) { return x.time < y.time; });
    for (const Release& each : releases) {
        until = std::max(until, each.time) + each.bytes / rate;
        each.core->drained = std::max(each.core->drained, until);
    }
    return until;
}

double share_away(const MemoryPath& path) {
    return 1 - 1 / as_double(path.dies);
}

}  // namespace

namespace {

// Waves between two looks at whether a walk is worth going on with.
constexpr std::size_t kGiveUpEvery = 8;

// A tile of the walk, and its operands' panels.
struct Placed {
    const TileCost* cost;
    std::int32_t a, b;
};

struct Panel {
    long wave = -1, users = 0;
    double missed = 0;

    double share() const { return missed > 0 ? missed / as_double(users) : 0; }
};

}  // namespace

double compulsory_bytes(const GemmWork& work, const GemmTiling& tiling) {
    const double n = as_double(work.n), k = as_double(work.k);
    double bytes = 0;
    for (const long rows : work.rows)
        bytes +=
            as_double(rows) * (k * work.a + (tiling.split > 1 ? 0 : n * work.c)) + n * k * work.b;
    return bytes;
}

Walked walk_tiles(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                  const Whole& whole, double limit) {
    const MemoryPath& path = core.path;
    TileCosts costs(core, work, tiling);
    std::vector<Placed> tiles;
    tiles.reserve(static_cast<std::size_t>(tile_count(work, tiling)));
    long a_panels = 0, b_panels = 0;
    double multiplies = 0;  // seconds of the tiles ahead, on one core
    const double port_rate = path.read * core.clock;
    const auto work_of = [&](const TileCost& cost) {
        return std::max(cost.multiply, (cost.a_bytes + cost.b_bytes) / port_rate);
    };
    Walked walked;
    for_each_tile(work, tiling, [&](const Tile& tile) {
        const TileCost& cost = costs.of(tile);
        multiplies += cost.multiply;
        walked.work += work_of(cost);
        tiles.push_back({&cost, static_cast<std::int32_t>(tile.a_panel),
                         static_cast<std::int32_t>(tile.b_panel)});
        a_panels = std::max(a_panels, tile.a_panel + 1);
        b_panels = std::max(b_panels, tile.b_panel + 1);
    });
    Residency residency(path.l2_bytes, path.resident);
    std::vector<Panel> a(static_cast<std::size_t>(a_panels)), b(static_cast<std::size_t>(b_panels));
    std::vector<CoreState> cores(static_cast<std::size_t>(tiling.cores));
    const double away = share_away(path);
    const double hit_latency = path.l2_latency + 2 * away * path.link_latency;
    const double read = path.read * core.clock, memory_read = path.memory_read * core.clock;
    const double slots = as_double(tiling.stages);
    const bool partial = tiling.split > 1;
    PipelineTime& time = walked.time;
    double worked = 0, first_done = 0, first_worked = 0;
    double ahead = path.resident ? 0 : compulsory_bytes(work, tiling) * whole.bytes;
    multiplies *= whole.work;
    double shared_done = 0, waiting = 0;  // results of the wave before
    std::vector<Release> releases;        // of the wave's results
    double written = 0;                   // when L2 has taken all of them
    bool first_wave = true;
    std::size_t turn = 0;  // core of the wave's first tile: core_of()
    for (std::size_t begin = 0; begin < tiles.size(); begin += cores.size(), ++turn) {
        const std::size_t end = std::min(tiles.size(), begin + cores.size());
        if (turn == cores.size()) turn = 0;
        // Every tile of the wave with its core.
        const auto each = [&](auto&& use) {
            std::size_t at = turn;
            for (std::size_t i = begin; i < end; ++i) {
                use(tiles[i], cores[at]);
                if (++at == cores.size()) at = 0;
            }
        };
        residency.begin_wave();
        ahead -= waiting;
        double fetched = 0, stored = 0, panels = 0, most_steps = 1, first_fetched = 0, reads = 0,
               fetched_b = 0;
        const auto touch = [&](Panel& panel, double bytes, double steps) {
            const long before = panel.wave;
            if (before < 0) ahead -= bytes;
            const double missed = residency.touch(panel.wave, bytes);
            if (panel.wave != before || panel.users == 0) {
                panel.users = 0;
                panel.missed = missed;
                if (missed > 0) {
                    first_fetched += std::min(missed, std::max(missed / steps, kL2Block));
                    reads += steps;
                }
            }
            ++panel.users;
            fetched += missed;
            panels += bytes;
        };
        double release = std::numeric_limits<double>::infinity();
        each([&](const Placed& tile, const CoreState& state) {
            const TileCost& cost = *tile.cost;
            touch(a[static_cast<std::size_t>(tile.a)], cost.a_bytes, cost.steps);
            const double before = fetched;
            touch(b[static_cast<std::size_t>(tile.b)], cost.b_bytes, cost.steps);
            fetched_b += fetched - before;
            stored += cost.sums * (partial ? 4 : work.c);
            most_steps = std::max(most_steps, cost.steps);
            release = std::min(release, cost.ahead * state.before + (1 - cost.ahead) * state.done);
        });
        if (partial) residency.keep(stored);
        const double to_memory = fetched + waiting;
        // Reads and writes take turns at the memory, a burst each.
        WritesAhead writes;
        if (waiting > 0 && fetched > 0) {
            const double read_burst = std::clamp(fetched / reads, kL2Block, kLongestBurst);
            const double write_burst = std::min(waiting / as_double(tiling.cores), kLongestBurst);
            const double beside = waiting * read_burst / write_burst;
            const double step = fetched / most_steps;
            writes.seconds = (waiting + std::min(beside, fetched)) / path.memory_rate;
            writes.steps = std::min(beside, fetched) / step;
            writes.latency = first_fetched / path.memory_rate;
        }
        const double cached = std::max(panels / as_double(path.multicast), stored);
        waiting = partial || path.resident ? 0 : stored;
        double shared = std::max(to_memory / path.memory_rate, cached / path.l2_rate);
        if (path.dies > 1)
            shared =
                std::max(shared, (panels + stored) * away / as_double(path.dies) / path.link_rate);
        time.memory_bytes += to_memory;
        time.l2_bytes += panels;
        const double latency = hit_latency + (fetched > 0 ? path.memory_latency : 0);

        FirstWave first(core);
        first.memory_latency = fetched > 0 ? path.memory_latency : 0;
        first.l2_latency = hit_latency;
        first.a_fetched = fetched - fetched_b;
        first.b_fetched = fetched_b;
        first.l2_seconds = cached / path.l2_rate;
        if (first_wave) release = latency;
        releases.clear();
        double least_drain = std::numeric_limits<double>::infinity(), latest = 0;
        shared_done = std::max(shared_done, release) + shared;
        // What a tile takes a core when so much of its panels is its own to fetch.
        const auto takes = [&](const TileCost& cost, double left, double right) {
            const double missed = left + right;
            const double bytes = cost.a_bytes + cost.b_bytes;
            const double port = (bytes - missed) / read + missed / memory_read;
            const double p = port / cost.steps;
            // Memory serves a core's own misses one after another, whoever else waits.
            const double own = std::max(p, missed / cost.steps / path.memory_rate);
            // A burst passes the port while its blocks arrive.
            const auto response = [&](double panel, double part) {
                const double burst = panel / cost.steps;
                const double fetch = path.memory_latency + burst / path.memory_rate +
                                     std::min(burst, kL2Block) / read;
                const double pass = burst / (part > 0 ? memory_read : read);
                return hit_latency + std::max(pass, part > 0 ? fetch : 0);
            };
            const double responses = response(cost.a_bytes, left) + response(cost.b_bytes, right);
            const double exposed =
                tiling.accumulators == 1 && !first_wave ? cost.drain + cost.skew : 0;
            const double in_turn =
                cost.steps * responses / bursts_in_flight(path.outstanding, cost);
            const auto lasts = [&](double idle) {
                double seconds =
                    std::max({port + std::max(0.0, idle - slots * p), cost.multiply + idle,
                              cost.steps * (latency + own + cost.step) / slots, in_turn});
                // Once all cores have had to wait for each other they ask in turn.
                if (first_wave) {
                    seconds =
                        std::max({seconds, first.tile(cost, slots, missed / bytes),
                                  in_turn + fetched / cost.steps / path.memory_rate + cost.step});
                }
                return seconds;
            };
            const double seconds = lasts(exposed);
            if (writes.seconds <= 0) return seconds;
            // What the writes hold back and the drain that the core waits for pass together.
            const double loads = lasts(0);
            return std::max(seconds,
                            loads + writes.stall(loads / cost.steps, slots, cost.steps, latency));
        };
        // Tiles beside each other are mostly alike.
        const TileCost* alike = nullptr;
        double alike_left = 0, alike_right = 0, alike_takes = 0;
        each([&](const Placed& tile, CoreState& state) {
            const TileCost& cost = *tile.cost;
            const double left = a[static_cast<std::size_t>(tile.a)].share();
            const double right = b[static_cast<std::size_t>(tile.b)].share();
            if (alike != &cost || alike_left != left || alike_right != right) {
                alike = &cost;
                alike_left = left;
                alike_right = right;
                alike_takes = takes(cost, left, right);
            }
            double done = std::max(state.done + alike_takes, shared_done + cost.step);
            done = std::max(done, (tiling.accumulators > 1 ? state.drained_before : state.drained) +
                                      cost.multiply);
            state.before = state.done;
            state.done = done;
            latest = std::max(latest, done);
            multiplies -= cost.multiply;
            worked += work_of(cost);
            releases.push_back({done + cost.skew, cost.sums * (partial ? 4 : work.c), &state});
            least_drain = std::min(least_drain, cost.drain);
            state.drained_before = state.drained;
            state.drained = std::max(state.drained, done + cost.skew) + cost.drain;
        });
        // L2 as a whole takes the results of all cores one after another; where it has them all
        // before any core is done with its own, it holds nobody up.
        if (stored / path.l2_rate > least_drain) written = served(releases, path.l2_rate, written);
        first_wave = false;
        if (end - begin < cores.size()) break;  // the last one
        if (begin == 0) {
            first_done = latest;
            first_worked = worked;
        } else {
            walked.pace = (latest - first_done) / (worked - first_worked);
        }
        if (turn % kGiveUpEvery == 0 && limit < std::numeric_limits<double>::infinity()) {
            double busy = multiplies;
            for (const CoreState& state : cores) busy += state.done;
            if (std::max(busy / as_double(tiling.cores), shared_done + ahead / path.memory_rate) >=
                limit) {
                time.seconds = std::numeric_limits<double>::infinity();
                return walked;
            }
        }
    }
    time.memory_bytes += waiting;
    time.seconds = shared_done + waiting / path.memory_rate;
    if (waiting > 0) time.seconds = std::max(time.seconds, served(releases, path.memory_rate, 0));
    for (const CoreState& state : cores) time.seconds = std::max(time.seconds, state.drained);
    if (!path.resident) time.seconds += partial ? 0 : path.memory_latency;
    return walked;
}

}  // namespace podsim

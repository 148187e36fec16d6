// One pseudo-channel: its banks, and the scheduler that picks their commands. No SystemC: whoever
// owns it pushes accesses and asks it to go on to a time; it decides command by command, jumping
// from one decision to the next, so that nothing is spent on cycles in which nothing happens.
//
// Row commands (activate, precharge, refresh) and column commands (read, write) have buses of
// their own, as in HBM. A command is issued at the earliest cycle that all of these allow:
//
//   column  >= activate + tRCD, last column + tCCD_S/L/R, last write data + tWTR_S/L (read),
//              last read + tRTW (write)
//   activate >= precharge + tRP, last activate of the bank + tRC, of others + tRRD_S/L, fourth
//              last + tFAW, end of a refresh
//   precharge >= activate + tRAS, last read + tRTP, last write data + tWR
//
// Among column commands to open rows the earliest goes first, among equally early ones that of the
// oldest access; the same among row commands: first ready, first come, first served (Rixner and
// others, ISCA 2000). After `row_hit_cap` column commands to a row, an older access to another row
// of the bank closes it. Writes gather until `drain_above` of them wait, or no read does, and are
// drained down to `drain_to`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "chips/hbm/bank_timing.hpp"

namespace podsim {

struct BankLayout {
    int stack_ids = 1, groups = 4, banks = 4;  // groups per stack id, banks per group
    int count() const { return stack_ids * groups * banks; }
};

struct MemoryAccess {
    std::uint32_t id = 0;
    Cycle arrival = 0;
    std::int16_t bank = 0, bursts = 1;
    std::int32_t row = 0;
    bool write = false;
};

// The last data of an access has passed the pins.
struct MemoryCompletion {
    std::uint32_t id = 0;
    Cycle time = 0;
};

enum class MemoryCommand { activate, precharge, read, write, refresh_all, refresh_bank };

struct IssuedCommand {
    Cycle time = 0;
    MemoryCommand command{};
    int bank = 0;
    std::int32_t row = 0;
};

struct PseudoChannelStatistics {
    std::uint64_t accesses = 0, completed = 0, reads = 0, writes = 0;  // reads, writes: commands
    std::uint64_t activates = 0, precharges = 0, refreshes = 0;
    std::uint64_t row_hits = 0, row_misses = 0, row_conflicts = 0;  // of accesses
    std::uint64_t drains = 0;                                       // turns from reading to writing
    Cycle refresh_cycles = 0;        // banks kept from work by a refresh, mean over the banks
    Cycle latency_cycles = 0;        // sum over completed accesses, arrival to last data
    std::uint64_t most_waiting = 0;  // accesses in window and before it
};

class PseudoChannel {
  public:
    PseudoChannel(const BankTiming& timing, const BankLayout& layout,
                  const MemoryController& controller);

    // An access that comes at access.arrival, which is no earlier than that of the one before
    // (others are put in their place). Where that lies in the past it counts as coming now.
    void push(const MemoryAccess& access);

    // Makes every decision due up to `until` and adds what they complete, in any order.
    void advance(Cycle until, std::vector<MemoryCompletion>& completed);

    std::size_t waiting() const { return entry_end_ - entry_begin_; }  // before the window
    bool idle() const { return in_window_[0] + in_window_[1] == 0 && waiting() == 0; }
    Cycle shortest_latency() const;  // of a column command to its last data

    const PseudoChannelStatistics& statistics() const { return statistics_; }
    // Every command from now on, for whoever wants to see them; nullptr: nobody.
    void trace(std::vector<IssuedCommand>* commands) { trace_ = commands; }

  private:
    static constexpr int kBanks = 64;
    static constexpr Cycle kNever = INT64_MAX / 4;
    // In a search a candidate is one number: cycles from now (24 bits), age (34), bank (6).
    static constexpr int kBankBits = 6, kTimeShift = 40;
    static constexpr std::uint64_t kAgeMask = (std::uint64_t{1} << 34) - 1;

    using Cycles = std::array<Cycle, kBanks>;
    using Keys = std::array<std::uint64_t, kBanks>;

    struct alignas(64) Slot {
        MemoryAccess access;
        std::uint64_t age = 0;
        std::int32_t next = -1, previous = -1;
        std::int16_t left = 0;
        bool activated = false, precharged = false;
    };
    struct List {
        std::int32_t head = -1, tail = -1, hit = -1;  // hit: oldest one to the open row
    };
    struct Candidate {
        Cycle time = kNever;
        std::uint64_t key = UINT64_MAX;  // age, bank
        int bank() const { return time == kNever ? -1 : static_cast<int>(key & (kBanks - 1)); }
        bool before(const Candidate& o) const {
            return time < o.time || (time == o.time && key < o.key);
        }
        void improve(const Candidate& o) {
            if (o.before(*this)) *this = o;
        }
    };

    void enter(const MemoryAccess& access);
    void review(int bank);
    void choose_column();
    void choose_precharge();
    void choose_activate();
    void review_and_consider(int bank);
    void consider_column(int bank);
    void consider_row(int bank);
    Candidate best_of(std::uint64_t mask, const Cycles& gates, const Cycles& own,
                      const Keys& keys) const;
    void issue_column(std::vector<MemoryCompletion>& completed);
    void issue_precharge();
    void issue_activate();
    void activate(int bank, int slot);
    void close(int bank);
    void remove(int mode, int index);
    void refresh();
    void refresh_all_banks();
    void refresh_one_bank();
    void turn(int mode);
    void turn_if_due();
    void record(MemoryCommand command, int bank, std::int32_t row) {
        if (trace_ != nullptr) trace_->push_back({now_, command, bank, row});
    }
    MemoryAccess& entry(std::uint64_t at) { return entry_[at & (entry_.size() - 1)]; }

    BankTiming t_;
    BankLayout layout_;
    MemoryController controller_;
    int banks_, groups_;

    std::array<std::uint8_t, kBanks> group_of_{}, stack_of_{};
    std::array<std::int32_t, kBanks> row_{};  // open, or -1
    std::array<Cycle, kBanks> activate_ok_{}, precharge_ok_{};
    std::array<std::array<Cycle, kBanks>, 2> column_ok_{};        // read, write: since activate
    std::array<std::array<Cycle, kBanks>, 2> group_column_ok_{};  // of groups
    std::array<Cycle, kBanks> group_activate_ok_{};               // of groups
    std::array<std::array<Cycle, 4>, kBanks> last_activates_{};   // of stack ids, a ring
    std::array<std::uint8_t, kBanks> ring_{};
    std::array<std::int32_t, kBanks> streak_{};  // column commands since the activate
    std::array<std::array<List, kBanks>, 2> lists_{};
    std::array<std::array<std::uint64_t, kBanks>, 2> hit_key_{}, head_key_{};  // age, bank
    std::array<std::uint64_t, 2> column_mask_{};  // banks with something to read or write
    std::array<std::uint64_t, 2> row_mask_{};     // banks whose row has to change for it
    std::uint64_t close_mask_ = 0;                // closed policy: rows nobody waits for
    std::uint64_t open_mask_ = 0;                 // banks with an open row

    std::vector<Slot> slots_;
    std::vector<std::int32_t> free_slots_;
    std::array<long, 2> in_window_{}, window_{};
    std::vector<MemoryAccess> entry_;  // a ring, a power of two long
    std::uint64_t entry_begin_ = 0, entry_end_ = 0;
    int mode_ = 0;  // 0 reads, 1 writes
    Cycle now_ = 0;
    std::uint64_t age_ = 0;
    // The best of each kind, as long as it is known to be: what a command or an access changes in
    // one bank is held against it, and only what moves the times of others asks for a new search.
    Candidate column_, precharge_, activate_;
    bool column_known_ = true, precharge_known_ = true, activate_known_ = true;
    double refresh_due_ = 0, refresh_step_ = 0;
    Cycle refresh_at_ = kNever;
    int refresh_next_ = 0;
    PseudoChannelStatistics statistics_;
    std::vector<IssuedCommand>* trace_ = nullptr;
};

}  // namespace podsim

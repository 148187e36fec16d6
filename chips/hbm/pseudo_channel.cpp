#include "chips/hbm/pseudo_channel.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

namespace podsim {

namespace {

std::uint64_t bit(int bank) {
    return std::uint64_t{1} << bank;
}

}  // namespace

PseudoChannel::PseudoChannel(const BankTiming& timing, const BankLayout& layout,
                             const MemoryController& controller)
    : t_(timing),
      layout_(layout),
      controller_(controller),
      banks_(layout.count()),
      groups_(layout.stack_ids * layout.groups),
      window_{controller.read_window, controller.write_window} {
    if (banks_ > kBanks) throw std::invalid_argument("more than 64 banks in a pseudo-channel");
    row_.fill(-1);
    for (int b = 0; b < banks_; ++b) {
        group_of_[b] = static_cast<std::uint8_t>(b / layout.banks);
        stack_of_[b] = static_cast<std::uint8_t>(b / (layout.banks * layout.groups));
        for (Keys& keys : head_key_)
            keys[b] = kAgeMask << kBankBits | static_cast<std::uint64_t>(b);
    }
    for (auto& ring : last_activates_) ring.fill(-kNever);
    slots_.resize(static_cast<std::size_t>(window_[0] + window_[1]));
    for (std::size_t i = slots_.size(); i-- > 0;)
        free_slots_.push_back(static_cast<std::int32_t>(i));
    if (controller.refresh != RefreshMode::none && t_.refresh_interval > 0) {
        const bool all = controller.refresh == RefreshMode::all_bank;
        refresh_step_ = t_.refresh_interval / (all ? 1 : banks_);
        refresh_due_ = refresh_step_;
        refresh_at_ = static_cast<Cycle>(refresh_due_);
    }
}

Cycle PseudoChannel::shortest_latency() const {
    return std::min(t_.cl, t_.cwl) + t_.burst;
}

void PseudoChannel::push(const MemoryAccess& access) {
    if (waiting() == entry_.size()) {
        std::vector<MemoryAccess> larger(std::max<std::size_t>(64, 2 * entry_.size()));
        for (std::uint64_t i = entry_begin_; i != entry_end_; ++i)
            larger[i & (larger.size() - 1)] = entry(i);
        entry_ = std::move(larger);
    }
    std::uint64_t at = entry_end_++;
    for (; at != entry_begin_ && access.arrival < entry(at - 1).arrival; --at)
        entry(at) = entry(at - 1);
    entry(at) = access;
    ++statistics_.accesses;
    statistics_.most_waiting =
        std::max(statistics_.most_waiting, statistics_.accesses - statistics_.completed);
}

void PseudoChannel::advance(Cycle until, std::vector<MemoryCompletion>& completed) {
    for (;;) {
        Cycle time = kNever;
        if (entry_begin_ != entry_end_) {
            const MemoryAccess& next = entry(entry_begin_);
            if (in_window_[next.write] < window_[next.write]) time = std::max(next.arrival, now_);
        }
        if (!column_known_) choose_column();
        if (!precharge_known_) choose_precharge();
        if (!activate_known_) choose_activate();
        const Candidate& row = activate_.before(precharge_) ? activate_ : precharge_;
        const Cycle command = std::min(column_.time, row.time);
        const Cycle refresh_time = std::max(refresh_at_, now_);
        if (time <= command && time <= refresh_time) {
            if (time > until) return;
            now_ = time;
            enter(entry(entry_begin_));
            ++entry_begin_;
        } else if (refresh_time <= command) {
            if (refresh_time > until) return;
            now_ = refresh_time;
            refresh();
        } else if (column_.time <= row.time) {
            if (column_.time > until) return;
            now_ = column_.time;
            issue_column(completed);
        } else {
            if (row.time > until) return;
            now_ = row.time;
            if (&row == &activate_) {
                issue_activate();
            } else {
                issue_precharge();
            }
        }
    }
}

void PseudoChannel::enter(const MemoryAccess& access) {
    const int mode = access.write ? 1 : 0;
    const std::int32_t index = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[index];
    slot = {access, age_++, -1, -1, access.bursts, false, false};
    ++in_window_[mode];
    List& list = lists_[mode][access.bank];
    slot.previous = list.tail;
    (list.tail >= 0 ? slots_[list.tail].next : list.head) = index;
    list.tail = index;
    if (list.hit < 0 && row_[access.bank] == access.row) list.hit = index;
    review_and_consider(access.bank);
    turn_if_due();
}

// Where nothing but this bank's accesses has changed, it alone is held against the best so far.
void PseudoChannel::review_and_consider(int bank) {
    const std::uint64_t columns = column_mask_[mode_], rows = row_mask_[mode_], tidy = close_mask_;
    review(bank);
    if (columns != column_mask_[mode_]) consider_column(bank);
    if (rows != row_mask_[mode_] || tidy != close_mask_) consider_row(bank);
}

void PseudoChannel::consider_column(int bank) {
    if (!column_known_) return;
    if (column_.bank() == bank) {
        column_known_ = false;
    } else if ((column_mask_[mode_] & bit(bank)) != 0) {
        const Cycle gate = std::max(group_column_ok_[mode_][group_of_[bank]], now_);
        column_.improve({std::max(column_ok_[mode_][bank], gate), hit_key_[mode_][bank]});
    }
}

void PseudoChannel::consider_row(int bank) {
    const bool wanted = ((row_mask_[mode_] | close_mask_) & bit(bank)) != 0;
    const bool open = (open_mask_ & bit(bank)) != 0;
    if (precharge_.bank() == bank) {
        precharge_known_ = false;
    } else if (wanted && open) {
        precharge_.improve({std::max(precharge_ok_[bank], now_), head_key_[mode_][bank]});
    }
    if (activate_.bank() == bank) {
        activate_known_ = false;
    } else if (wanted && !open) {
        const Cycle gate = std::max(group_activate_ok_[group_of_[bank]], now_);
        activate_.improve({std::max(activate_ok_[bank], gate), head_key_[mode_][bank]});
    }
}

// What the bank has to do in either mode, after its row or its accesses have changed.
void PseudoChannel::review(int bank) {
    for (int mode = 0; mode < 2; ++mode) {
        const List& list = lists_[mode][bank];
        // Nothing there and nothing before: reads alone are the usual case.
        if (list.head < 0 && ((column_mask_[mode] | row_mask_[mode]) & bit(bank)) == 0) continue;
        const bool hit =
            list.hit >= 0 && (streak_[bank] < controller_.row_hit_cap || list.hit == list.head);
        column_mask_[mode] = hit ? column_mask_[mode] | bit(bank) : column_mask_[mode] & ~bit(bank);
        const bool row = !hit && list.head >= 0;
        const auto key = [&](std::int32_t slot) {
            const std::uint64_t age = slot >= 0 ? slots_[slot].age & kAgeMask : kAgeMask;
            return age << kBankBits | static_cast<std::uint64_t>(bank);
        };
        hit_key_[mode][bank] = key(list.hit);
        // Rows closed for tidiness come after those that somebody waits for.
        head_key_[mode][bank] = key(list.head);
        row_mask_[mode] = row ? row_mask_[mode] | bit(bank) : row_mask_[mode] & ~bit(bank);
    }
    if (controller_.row_policy == RowPolicy::closed) {
        const bool done = row_[bank] >= 0 && lists_[0][bank].hit < 0 && lists_[1][bank].hit < 0;
        close_mask_ = done ? close_mask_ | bit(bank) : close_mask_ & ~bit(bank);
    }
}

// Time from now, age and bank in one number, so that the least is the earliest, of those the
// oldest, without a branch that could be guessed wrong.
PseudoChannel::Candidate PseudoChannel::best_of(std::uint64_t mask, const Cycles& gates,
                                                const Cycles& own, const Keys& keys) const {
    const Cycle now = now_;
    std::uint64_t best = UINT64_MAX;
    for (; mask != 0; mask &= mask - 1) {
        const int bank = std::countr_zero(mask);
        // By value: std::max picks references, and with them a branch.
        const Cycle one = own[bank], all = gates[group_of_[bank]];
        const Cycle ready = (one > all ? one : all) - now;
        const auto wait = static_cast<std::uint64_t>(ready > 0 ? ready : 0);
        const std::uint64_t key = wait << kTimeShift | keys[bank];
        best = key < best ? key : best;
    }
    if (best == UINT64_MAX) return {};
    constexpr std::uint64_t kKeyMask = (std::uint64_t{1} << kTimeShift) - 1;
    return {now + static_cast<Cycle>(best >> kTimeShift), best & kKeyMask};
}

void PseudoChannel::choose_column() {
    column_known_ = true;
    column_ =
        best_of(column_mask_[mode_], group_column_ok_[mode_], column_ok_[mode_], hit_key_[mode_]);
}

void PseudoChannel::choose_precharge() {
    precharge_known_ = true;
    static constexpr Cycles kNoGates{};
    precharge_ = best_of((row_mask_[mode_] | close_mask_) & open_mask_, kNoGates, precharge_ok_,
                         head_key_[mode_]);
}

void PseudoChannel::choose_activate() {
    activate_known_ = true;
    activate_ =
        best_of(row_mask_[mode_] & ~open_mask_, group_activate_ok_, activate_ok_, head_key_[mode_]);
}

void PseudoChannel::remove(int mode, int index) {
    const Slot& slot = slots_[index];
    List& list = lists_[mode][slot.access.bank];
    (slot.previous >= 0 ? slots_[slot.previous].next : list.head) = slot.next;
    (slot.next >= 0 ? slots_[slot.next].previous : list.tail) = slot.previous;
    std::int32_t hit = slot.next;
    while (hit >= 0 && slots_[hit].access.row != slot.access.row) hit = slots_[hit].next;
    list.hit = hit;
    free_slots_.push_back(index);
    --in_window_[mode];
}

void PseudoChannel::issue_column(std::vector<MemoryCompletion>& completed) {
    const int bank = column_.bank();
    const int mode = mode_;
    const int group = group_of_[bank], stack = stack_of_[bank];
    const Cycle now = now_;
    const std::int32_t index = lists_[mode][bank].hit;
    Slot& slot = slots_[index];
    record(mode == 0 ? MemoryCommand::read : MemoryCommand::write, bank, slot.access.row);

    const Cycle data_end = now + (mode == 0 ? t_.cl : t_.cwl) + t_.burst;
    auto& same = group_column_ok_[mode];
    auto& other = group_column_ok_[1 - mode];
    const Cycle turned = mode == 0 ? now + t_.rtw : data_end + t_.wtr_s;
    const int first = stack * layout_.groups, behind = first + layout_.groups;
    for (int g = first; g < behind; ++g) {
        same[g] = std::max(same[g], now + t_.ccd_s);
        other[g] = std::max(other[g], turned);
    }
    same[group] = std::max(same[group], now + t_.ccd_l);
    if (mode == 1) other[group] = std::max(other[group], data_end + t_.wtr_l);
    for (int g = 0; layout_.stack_ids > 1 && g < groups_; ++g) {
        if (g >= first && g < behind) continue;
        same[g] = std::max(same[g], now + t_.ccd_r);
        other[g] = std::max(other[g], turned);
    }
    const Cycle close = mode == 0 ? now + t_.read_to_precharge : data_end + t_.write_recovery;
    precharge_ok_[bank] = std::max(precharge_ok_[bank], close);
    ++streak_[bank];
    ++(mode == 0 ? statistics_.reads : statistics_.writes);
    column_known_ = false;
    if (--slot.left > 0) {
        // The cap is looked at when an access is done, or when another comes to the bank.
        return;
    }
    completed.push_back({slot.access.id, data_end});
    ++statistics_.completed;
    statistics_.latency_cycles += data_end - slot.access.arrival;
    ++(slot.precharged  ? statistics_.row_conflicts
       : slot.activated ? statistics_.row_misses
                        : statistics_.row_hits);
    remove(mode, index);
    review_and_consider(bank);
    turn_if_due();
}

void PseudoChannel::issue_precharge() {
    const int bank = precharge_.bank();
    precharge_known_ = false;
    const std::int32_t head = lists_[mode_][bank].head;
    record(MemoryCommand::precharge, bank, row_[bank]);
    ++statistics_.precharges;
    if (head >= 0) slots_[head].precharged = true;
    activate_ok_[bank] = std::max(activate_ok_[bank], now_ + t_.rp);
    close(bank);
    consider_row(bank);
}

void PseudoChannel::issue_activate() {
    const int bank = activate_.bank();
    activate_known_ = false;
    const std::int32_t head = lists_[mode_][bank].head;
    record(MemoryCommand::activate, bank, slots_[head].access.row);
    activate(bank, head);
    // The one bank that can read or write now and could not before.
    consider_column(bank);
}

void PseudoChannel::activate(int bank, int slot) {
    const int group = group_of_[bank], stack = stack_of_[bank];
    row_[bank] = slots_[slot].access.row;
    open_mask_ |= bit(bank);
    slots_[slot].activated = true;
    streak_[bank] = 0;
    ++statistics_.activates;
    activate_ok_[bank] = now_ + t_.rc;
    precharge_ok_[bank] = now_ + t_.ras;
    column_ok_[0][bank] = now_ + t_.rcd_read;
    column_ok_[1][bank] = now_ + t_.rcd_write;
    auto& ring = last_activates_[stack];
    ring[ring_[stack]] = now_;
    ring_[stack] = static_cast<std::uint8_t>((ring_[stack] + 1) % 4);
    // The oldest of the last four says when a fifth may come.
    const Cycle next = std::max(now_ + t_.rrd_s, ring[ring_[stack]] + t_.faw);
    for (int g = stack * layout_.groups; g < (stack + 1) * layout_.groups; ++g)
        group_activate_ok_[g] = std::max(group_activate_ok_[g], next);
    group_activate_ok_[group] = std::max(group_activate_ok_[group], now_ + t_.rrd_l);
    for (auto& lists : lists_) {
        std::int32_t hit = lists[bank].head;
        while (hit >= 0 && slots_[hit].access.row != row_[bank]) hit = slots_[hit].next;
        lists[bank].hit = hit;
    }
    review(bank);
}

void PseudoChannel::close(int bank) {
    row_[bank] = -1;
    open_mask_ &= ~bit(bank);
    streak_[bank] = 0;
    lists_[0][bank].hit = lists_[1][bank].hit = -1;
    review(bank);
}

void PseudoChannel::refresh() {
    if (controller_.refresh == RefreshMode::all_bank) {
        refresh_all_banks();
    } else {
        refresh_one_bank();
    }
    ++statistics_.refreshes;
    column_known_ = precharge_known_ = activate_known_ = false;
    refresh_due_ += refresh_step_;
    refresh_at_ = static_cast<Cycle>(refresh_due_);
}

// Every row is closed as soon as its rules allow, all at the same time; nothing else is issued
// until the refresh is over. Data on their way still come.
void PseudoChannel::refresh_all_banks() {
    Cycle closed = now_, start = now_;
    for (int b = 0; b < banks_; ++b) {
        if (row_[b] >= 0) closed = std::max(closed, precharge_ok_[b]);
    }
    for (int b = 0; b < banks_; ++b) {
        if (row_[b] >= 0) {
            start = std::max(start, closed + t_.rp);
        } else {
            // As for an activate: a bank closed a moment ago is still precharging.
            start = std::max(start, activate_ok_[b]);
        }
    }
    const Cycle due = now_, end = start + t_.refresh_all;
    for (int b = 0; b < banks_; ++b) {
        if (row_[b] >= 0) {
            now_ = closed;
            record(MemoryCommand::precharge, b, row_[b]);
            ++statistics_.precharges;
            now_ = due;
            close(b);
        }
        activate_ok_[b] = end;
    }
    now_ = start;
    record(MemoryCommand::refresh_all, 0, 0);
    now_ = due;
    statistics_.refresh_cycles += end - due;
}

void PseudoChannel::refresh_one_bank() {
    // Neighbours in the rotation lie in different groups.
    const int per_group = layout_.banks;
    const int turn = refresh_next_;
    refresh_next_ = (refresh_next_ + 1) % banks_;
    const int bank = turn % groups_ * per_group + turn / groups_;
    const Cycle due = now_;
    Cycle start = std::max(now_, activate_ok_[bank]);
    if (row_[bank] >= 0) {
        const Cycle closed = std::max(now_, precharge_ok_[bank]);
        now_ = closed;
        record(MemoryCommand::precharge, bank, row_[bank]);
        ++statistics_.precharges;
        now_ = due;
        start = std::max(start, closed + t_.rp);
        close(bank);
    }
    activate_ok_[bank] = start + t_.refresh_bank;
    now_ = start;
    record(MemoryCommand::refresh_bank, bank, 0);
    now_ = due;
    statistics_.refresh_cycles += (activate_ok_[bank] - due) / banks_;
}

void PseudoChannel::turn(int mode) {
    mode_ = mode;
    if (mode == 1) ++statistics_.drains;
    column_known_ = precharge_known_ = activate_known_ = false;
}

void PseudoChannel::turn_if_due() {
    if (mode_ == 0) {
        const bool full = in_window_[1] >= controller_.drain_above;
        if (full || (in_window_[0] == 0 && in_window_[1] > 0)) turn(1);
    } else if (in_window_[0] > 0 && in_window_[1] <= controller_.drain_to) {
        turn(0);
    }
}

}  // namespace podsim

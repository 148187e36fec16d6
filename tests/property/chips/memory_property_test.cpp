// What holds for any pattern on any controller: nothing lost, no rule of the timing table broken,
// Little's law, and the same answer whichever way responses are given.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "chips/hbm/memory.hpp"
#include "chips/hbm/traffic_source.hpp"
#include "tests/unit/chips/bank_scene.hpp"

namespace podsim {
namespace {

AccessPattern any_pattern() {
    AccessPattern pattern;
    pattern.order = *rc::gen::element(AccessOrder::sequential, AccessOrder::streams,
                                      AccessOrder::random, AccessOrder::strided);
    pattern.request = *rc::gen::element(32L, 64L, 256L);
    pattern.chunk = pattern.request * *rc::gen::element(1L, 4L, 16L);
    pattern.stride = *rc::gen::element(64L, 4096L, 65536L);
    pattern.write_share = *rc::gen::element(0.0, 0.1, 0.5, 1.0);
    pattern.load = *rc::gen::element(0.0, 0.3, 0.9);
    pattern.requests = 1500;
    pattern.seed = *rc::gen::inRange<std::uint64_t>(1, 1000);
    return pattern;
}

MemoryDevice any_device() {
    MemoryDevice device = shipped_memory(*rc::gen::element<std::string>("hbm2e", "hbm3", "hbm4"));
    device.controller.refresh =
        *rc::gen::element(RefreshMode::all_bank, RefreshMode::per_bank, RefreshMode::none);
    device.controller.row_policy = *rc::gen::element(RowPolicy::open, RowPolicy::closed);
    device.controller.entry = *rc::gen::element(1L, 64L);
    device.controller.row_hit_cap = *rc::gen::element(1L, 64L);
    device.organisation.channels.value = 1;
    device.organisation.stack_ids.value = *rc::gen::element(1L, 2L);
    return device;
}

struct Outcome {
    std::vector<TrafficRecord> records;
    HbmStatistics statistics;
    std::size_t left = 0;
};

Outcome simulate(const MemoryDevice& device, const AccessPattern& pattern, Responses responses,
                 long outstanding) {
    HbmMemorySpec spec;
    spec.device = device;
    spec.responses = responses;
    const double rate = pattern.load * peak_bandwidth(spec).value();
    const double interval = rate > 0 ? static_cast<double>(pattern.request) / rate * 1e12 : 0;
    const SystemcSession session;
    HbmMemory memory("hbm", spec);
    TrafficSource source("source", pattern, outstanding, static_cast<Picoseconds>(interval));
    source.socket.bind(*memory.sockets.front());
    sc_core::sc_start();
    return {source.records(), memory.statistics(), memory.outstanding()};
}

RC_GTEST_PROP(Memory, LosesNothing, ()) {
    const MemoryDevice device = any_device();
    const AccessPattern pattern = any_pattern();
    const Outcome outcome = simulate(device, pattern, Responses::annotated, 300);
    const HbmStatistics& s = outcome.statistics;
    RC_ASSERT(outcome.left == 0U);
    RC_ASSERT(outcome.records.size() == 1500U);
    for (const TrafficRecord& record : outcome.records)
        RC_ASSERT(record.completion > record.arrival);
    RC_ASSERT(s.responses == 1500U);
    RC_ASSERT(s.commands.accesses == s.commands.completed);
    RC_ASSERT(s.commands.row_hits + s.commands.row_misses + s.commands.row_conflicts ==
              s.commands.accesses);
    RC_ASSERT(s.moved.value() >= s.bytes.value());
    RC_ASSERT(s.commands.activates >= s.commands.precharges);
}

// Time between commands, checked by a reader of the trace that shares no code with the scheduler.
RC_GTEST_PROP(Memory, KeepsTheTimingTable, ()) {
    MemoryDevice device = any_device();
    device.organisation.stack_ids.value = 1;
    const BankTiming t = bank_timing(device, device.pin_rate.value);
    const int groups = static_cast<int>(device.organisation.bank_groups.value);
    const int per_group = static_cast<int>(device.organisation.banks.value);
    PseudoChannel channel(t, {1, groups, per_group}, device.controller);
    std::vector<IssuedCommand> commands;
    channel.trace(&commands);
    Cycle arrival = 0;
    for (std::uint32_t i = 0; i < 800; ++i) {
        arrival += *rc::gen::inRange(0, 12);
        channel.push({i, arrival,
                      static_cast<std::int16_t>(*rc::gen::inRange(0, groups * per_group)), 2,
                      *rc::gen::inRange(0, 3), *rc::gen::inRange(0, 4) == 0});
    }
    std::vector<MemoryCompletion> completions;
    channel.advance(1000000, completions);
    RC_ASSERT(completions.size() == 800U);
    std::stable_sort(commands.begin(), commands.end(),
                     [](const auto& a, const auto& b) { return a.time < b.time; });
    constexpr Cycle long_ago = -100000;
    struct Bank {
        Cycle activate = long_ago, precharge = long_ago, read = long_ago, write_end = long_ago,
              busy_until = long_ago;
        bool open = false;
        std::int32_t row = 0;
    };
    std::map<int, Bank> banks;
    std::vector<Cycle> activates;
    Cycle column = long_ago, read = long_ago;
    std::map<int, Cycle> group_column, group_activate, group_write_end;
    for (int g = 0; g < groups; ++g)
        group_column[g] = group_activate[g] = group_write_end[g] = long_ago;
    for (const IssuedCommand& c : commands) {
        Bank& bank = banks[c.bank];
        const int group = c.bank / per_group;
        switch (c.command) {
            case MemoryCommand::activate:
                RC_ASSERT(!bank.open);
                RC_ASSERT(c.time >= bank.precharge + t.rp);
                RC_ASSERT(c.time >= bank.activate + t.rc);
                RC_ASSERT(c.time >= bank.busy_until);
                RC_ASSERT(c.time >= group_activate[group] + t.rrd_l);
                for (const auto& [g, time] : group_activate) RC_ASSERT(c.time >= time + t.rrd_s);
                if (activates.size() >= 4)
                    RC_ASSERT(c.time >= activates[activates.size() - 4] + t.faw);
                activates.push_back(c.time);
                group_activate[group] = bank.activate = c.time;
                bank.open = true;
                bank.row = c.row;
                break;
            case MemoryCommand::precharge:
                RC_ASSERT(bank.open);
                RC_ASSERT(c.time >= bank.activate + t.ras);
                RC_ASSERT(c.time >= bank.read + t.read_to_precharge);
                RC_ASSERT(c.time >= bank.write_end + t.write_recovery);
                bank.precharge = c.time;
                bank.open = false;
                break;
            case MemoryCommand::read:
            case MemoryCommand::write: {
                const bool writes = c.command == MemoryCommand::write;
                RC_ASSERT(bank.open);
                RC_ASSERT(bank.row == c.row);
                RC_ASSERT(c.time >= bank.activate + (writes ? t.rcd_write : t.rcd_read));
                RC_ASSERT(c.time >= column + t.ccd_s);
                RC_ASSERT(c.time >= group_column[group] + t.ccd_l);
                if (writes) RC_ASSERT(c.time >= read + t.rtw);
                for (const auto& [g, end] : group_write_end) {
                    if (!writes) RC_ASSERT(c.time >= end + (g == group ? t.wtr_l : t.wtr_s));
                }
                column = group_column[group] = c.time;
                if (writes) {
                    group_write_end[group] = bank.write_end = c.time + t.cwl + t.burst;
                } else {
                    read = bank.read = c.time;
                }
                break;
            }
            case MemoryCommand::refresh_all:
                for (auto& [index, other] : banks) {
                    RC_ASSERT(!other.open);
                    RC_ASSERT(c.time >= other.precharge + t.rp);
                    other.busy_until = c.time + t.refresh_all;
                }
                break;
            case MemoryCommand::refresh_bank:
                RC_ASSERT(!bank.open);
                RC_ASSERT(c.time >= bank.precharge + t.rp);
                bank.busy_until = c.time + t.refresh_bank;
                break;
        }
    }
}

// Requests under way = throughput x latency; with a fixed number of them under way that is no
// definition: throughput and latency are counted apart.
RC_GTEST_PROP(Memory, LittlesLaw, ()) {
    MemoryDevice device = any_device();
    AccessPattern pattern = any_pattern();
    pattern.load = 0;
    pattern.write_share = 0;
    pattern.requests = 6000;
    const long outstanding = *rc::gen::element(8L, 32L, 100L);
    const Outcome outcome = simulate(device, pattern, Responses::annotated, outstanding);
    double latency = 0;
    Picoseconds last = 0;
    for (const TrafficRecord& record : outcome.records) {
        latency += static_cast<double>(record.completion - record.arrival);
        last = std::max(last, record.completion);
    }
    // At the end the window empties: at most one window of requests is missing.
    const double under_way = latency / static_cast<double>(last);
    RC_ASSERT(under_way <= static_cast<double>(outstanding) * 1.0001);
    RC_ASSERT(under_way >= static_cast<double>(outstanding) * 0.85);
}

// Told early with its time, or at that time: each request takes as long. (Of requests that wait for
// responses, those freed at one time may get each other's addresses.)
RC_GTEST_PROP(Memory, EitherWayOfRespondingIsExact, ()) {
    MemoryDevice device = any_device();
    device.controller.entry = 4096;  // no back-pressure, which is answered at activations
    AccessPattern pattern = any_pattern();
    pattern.load = *rc::gen::element(0.1, 0.5, 0.9);
    const Outcome early = simulate(device, pattern, Responses::annotated, 0);
    const Outcome on_time = simulate(device, pattern, Responses::on_time, 0);
    for (std::size_t i = 0; i < early.records.size(); ++i) {
        RC_ASSERT(early.records[i].arrival == on_time.records[i].arrival);
        RC_ASSERT(early.records[i].completion == on_time.records[i].completion);
    }
}

RC_GTEST_PROP(Memory, IsDeterministic, ()) {
    const MemoryDevice device = any_device();
    const AccessPattern pattern = any_pattern();
    const Outcome one = simulate(device, pattern, Responses::annotated, 100);
    const Outcome other = simulate(device, pattern, Responses::annotated, 100);
    for (std::size_t i = 0; i < one.records.size(); ++i) {
        RC_ASSERT(one.records[i].arrival == other.records[i].arrival);
        RC_ASSERT(one.records[i].completion == other.records[i].completion);
    }
}

// Any address of a row's worth of every bank falls into a place of its own.
RC_GTEST_PROP(Address, IsABijection, ()) {
    AddressShape shape;
    shape.channels = *rc::gen::element(1L, 2L, 5L, 6L, 12L);
    shape.groups = *rc::gen::element(2L, 4L);
    shape.stack_ids = *rc::gen::element(1L, 2L);
    const bool banks = *rc::gen::arbitrary<bool>(), channels = *rc::gen::arbitrary<bool>();
    const AddressMap map({"column:8", "channel", "column", "group", "bank", "stack"}, shape, banks,
                         channels);
    std::map<std::tuple<int, int, int>, int> seen;  // places, with how many accesses each has
    const long all =
        shape.accesses_per_row * shape.channels * shape.groups * shape.banks * shape.stack_ids;
    const auto start = *rc::gen::inRange<std::uint64_t>(0, 1000) * static_cast<std::uint64_t>(all);
    for (long i = 0; i < all; ++i) {
        const MemoryPlace place = map.place((start + static_cast<std::uint64_t>(i)) * 64);
        RC_ASSERT(place.channel < shape.channels);
        RC_ASSERT(place.bank < shape.groups * shape.banks * shape.stack_ids);
        ++seen[{place.channel, place.bank, place.row}];
    }
    RC_ASSERT(static_cast<long>(seen.size()) == all / shape.accesses_per_row);
    for (const auto& [place, count] : seen) RC_ASSERT(count == shape.accesses_per_row);
}

}  // namespace
}  // namespace podsim

// How an experiment turns the knobs of the packet level, for one collective at `--fidelity cycle`:
// of an alternative over those of the workload over the usual ones.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "interconnect/packet_settings.hpp"

namespace podsim {

const std::vector<std::pair<const char*, SendOrder>>& names_of(const SendOrder*);
const std::vector<std::pair<const char*, SourceQueues>>& names_of(const SourceQueues*);
const std::vector<std::pair<const char*, SwitchQueues>>& names_of(const SwitchQueues*);
const std::vector<std::pair<const char*, SwitchArbitration>>& names_of(const SwitchArbitration*);
const std::vector<std::pair<const char*, PacketForwarding>>& names_of(const PacketForwarding*);
const std::vector<std::pair<const char*, PathChoice>>& names_of(const PathChoice*);

// What each rank of a dispatch or combine sends to each other: its part (the busiest rank's where
// popularity is unequal), or tokens drawn one by one.
enum class PacketLoads { expected, drawn };
const std::vector<std::pair<const char*, PacketLoads>>& names_of(const PacketLoads*);

struct CongestionForm {
    Bytes mark_above{0.0};
    CongestionControlSpec control;
};

struct PacketsForm {
    std::optional<Bytes> payload, header;
    std::optional<SendOrder> order;
    std::optional<long> walks;
    std::optional<PacketLoads> loads;
    std::optional<long> placement;
    std::optional<Seconds> entry_spread;
    std::optional<Bytes> credits;
    std::optional<Seconds> credit_return;
    std::optional<Bytes> input_buffer;
    std::optional<SourceQueues> source_queues;
    std::optional<SwitchQueues> queues;
    std::optional<SwitchArbitration> arbitration;
    std::optional<PacketForwarding> forwarding;
    std::optional<PathChoice> path_choice;
    std::optional<long> lookahead;
    std::optional<double> bit_error_rate;
    std::optional<CongestionForm> congestion;
};

// For ReadForm and SchemaForm.
template <class Form>
void describe(Form& form, CongestionForm& congestion);
template <class Form>
void describe(Form& form, PacketsForm& packets);

}  // namespace podsim

// The habits of one collective library on one fabric: software latency and attainable share of
// the links. Fitted on its own benchmark tables; the record says on how many rows and how well.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/document.hpp"
#include "base/fit_record.hpp"
#include "base/units.hpp"
#include "interconnect/fitted_range.hpp"
#include "program/transfer.hpp"

namespace podsim {

// One way in which a library moves the bytes of a collective. Libraries of the NCCL kind have
// several (flags in every 8 bytes, in every 128, or none; rings or the switches' own reduction) and
// take the one that is done first.
struct TransferProtocol {
    std::string name;
    Seconds base{0.0};
    Seconds per_peer{0.0};
    double scale_up_efficiency = 0.9;  // share of the port a long transfer reaches, at most 1
    double scale_out_efficiency = 0.9;
    BytesPerSecond peer_bandwidth{0.0};  // of the channel between two ranks; 0: the port decides
    // A message is cut into chunks that wait for each other on their way round: k chunks of wire
    // time w / k cost k s beside w, and the first is on its way w / k before all flows. At the best
    // k that is 2 sqrt(w s) more, s for each chunk.
    Seconds per_chunk{0.0};
    BytesPerSecond copy_bandwidth{0.0};  // at which a rank copies its own part; 0: not at all
    bool in_switch = false;  // the switches add up and copy: S (1 + 1/L) a port, not 2 S (L - 1)/L
};

// T = base + per_peer (P - 1) + per_doubling max(0, log2(P / 8)) + per_expert E
//     + latency of the wire + per_token tokens / min(senders, E) + bytes on the fullest port,
// for P ranks and E experts;
// with protocols the least of it over them; `least` where that is less.
struct TransferHabits {
    Seconds base{0.0};
    Seconds per_peer{0.0};
    Seconds per_doubling{0.0};
    double scale_up_efficiency = 0.9;  // share of the port a long transfer reaches, at most 1
    double scale_out_efficiency = 0.9;
    Bytes message_alignment{
        0.0};  // dispatch and combine pad each token to a multiple of it; 0: not
    bool local_over_scale_out = false;  // peers on the same node are reached over the network too
    Seconds per_expert{0.0};            // counters and flags of each expert
    Seconds per_message{0.0};           // of a port, beside the bytes of a token
    Seconds per_token{0.0};             // of a core that sends, for each token whatever its copies
    Seconds least{0.0};                 // no transfer takes less, the wire's latency included
    long senders = 0;                   // such cores, at most one an expert; 0: one
    bool merges_copies = false;  // a token crosses the network once a domain, then once a rank
    std::vector<TransferProtocol> protocols;  // instead of one base, per_peer and two efficiencies
    std::vector<FittedRange> ranges;          // what the record's rows covered; none: not said
    FitRecord record;
};

struct CollectiveLibrarySpec {
    std::string name, system, title;  // system: it was measured on, "" where none is meant
    std::map<TransferType, TransferHabits> transfers;
    Node calibration;  // tables it is fitted on; whoever fits reads them
};

// The protocols of a type of transfer; one without a name where the habits state none.
std::vector<TransferProtocol> protocols_of(const TransferHabits& habits);

CollectiveLibrarySpec read_collective_library(const Node& document, const std::string& name);

// Those of all-gathers for a broadcast that the library says nothing of. Throws
// std::invalid_argument naming the library and the types it has.
const TransferHabits& transfer_habits(const CollectiveLibrarySpec& library, TransferType type);
nlohmann::ordered_json collective_library_schema();

}  // namespace podsim

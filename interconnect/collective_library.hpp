// The habits of one collective library on one fabric: software latency and attainable share of
// the links. Fitted on its own benchmark tables; the record says on how many rows and how well.
#pragma once

#include <map>
#include <string>

#include "base/document.hpp"
#include "base/fit_record.hpp"
#include "base/units.hpp"
#include "program/transfer.hpp"

namespace podsim {

// T = base + per_peer (P - 1) + per_doubling max(0, log2(P / 8)) + latency of the wire
//     + bytes on the fullest port, for P ranks.
struct TransferHabits {
    Seconds base{0.0};
    Seconds per_peer{0.0};
    Seconds per_doubling{0.0};
    double scale_up_efficiency = 0.9;  // share of the port a long transfer reaches, at most 1
    double scale_out_efficiency = 0.9;
    Bytes message_alignment{
        0.0};  // dispatch and combine pad each token to a multiple of it; 0: not
    bool local_over_scale_out = false;  // peers on the same node are reached over the network too
    FitRecord record;
};

struct CollectiveLibrarySpec {
    std::string name, title;
    std::map<TransferType, TransferHabits> transfers;
};

CollectiveLibrarySpec read_collective_library(const Node& document, const std::string& name);

// Throws std::invalid_argument naming the library and the types it has.
const TransferHabits& transfer_habits(const CollectiveLibrarySpec& library, TransferType type);
nlohmann::ordered_json collective_library_schema();

}  // namespace podsim

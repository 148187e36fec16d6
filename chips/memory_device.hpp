// A memory as its standard describes it: organisation, timing table, and the controller in front of
// it. Facts of a device are data (configs/memories); the equations stand in chips/hbm.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"

namespace podsim {

using JoulesPerByte = decltype(Joules{} / Bytes{});

// Of one stack (HBM), package (LPDDR5X), device (GDDR7) or slice (SRAM). A pseudo-channel has data
// pins, banks and a command bus of its own.
struct MemoryOrganisation {
    Sourced<long> channels;                  // per stack
    Sourced<long> pseudo_channels;           // per channel
    Sourced<long> width;                     // data pins of a pseudo-channel
    Sourced<long> burst_length;              // beats of one column command
    Sourced<long> beats_per_cycle;           // bits a pin moves in a cycle of the command clock
    Sourced<long> stack_ids;                 // ranks of banks behind one pseudo-channel
    Sourced<long> bank_groups;               // per rank
    Sourced<long> banks;                     // per group
    Sourced<Bytes> page;                     // of one bank's open row, in a pseudo-channel
    std::vector<Sourced<Bytes>> capacities;  // of a stack, as sold
};

// Names as in the JEDEC standards, `bank_` for per-bank refresh. Zero: there is no such rule.
struct MemoryTiming {
    Sourced<Seconds> tRCD_read, tRCD_write;   // activate to column command
    Sourced<Seconds> tRP, tRAS, tRC;          // precharge, row open at least, activate to activate
    Sourced<Seconds> tCCD_S, tCCD_L, tCCD_R;  // column to column: other group, same, other stack id
    Sourced<Seconds> tRRD_S, tRRD_L, tFAW;    // activate to activate, four of them
    Sourced<Seconds> tWR, tRTP;               // last data written, read command: to precharge
    Sourced<Seconds> tWTR_S, tWTR_L, tRTW;    // last data written to read, read to write command
    Sourced<Seconds> tCL, tCWL;               // column command to first data
    Sourced<Seconds> tREFI, tRFC, tRFC_bank;  // refresh interval, all banks, one bank
};

enum class RefreshMode { all_bank, per_bank, none };
enum class RowPolicy { open, closed };
const std::vector<std::pair<const char*, RefreshMode>>& names_of(const RefreshMode*);
const std::vector<std::pair<const char*, RowPolicy>>& names_of(const RowPolicy*);

// First ready, first come, first served, over a window of accesses; writes gather and are drained.
struct MemoryController {
    long access = 64;        // bytes of one access in the window
    long read_window = 64;   // accesses
    long write_window = 64;  // accesses
    long drain_above = 48;   // writes waiting at which they are drained
    long drain_to = 16;      // and down to which, where reads wait
    long row_hit_cap = 64;   // column commands to an open row while an older access wants another
    long entry = 64;         // accesses before the window after which senders are held back
    RefreshMode refresh = RefreshMode::per_bank;
    RowPolicy row_policy = RowPolicy::open;
    // Parts of an address from its lowest bits up: `column:4` takes 4 column commands' worth,
    // a name alone what is left of it. The row is what remains.
    std::vector<std::string> address = {"column:8", "channel", "column", "group", "bank", "stack"};
    bool hash_banks = true;     // group and bank are xored with the low bits of the row
    bool hash_channels = true;  // the channel is turned by a hash of what stands above it
};

struct MemoryDevice {
    std::string name, title;
    Sourced<BytesPerSecond> pin_rate;  // of one data pin
    MemoryOrganisation organisation;
    MemoryTiming timing;
    MemoryController controller;
    Sourced<JoulesPerByte> energy;  // moved, device and both ends of the wires
};

// Throws InputError: a page that is no whole number of bursts, more than 64 banks, tRC below
// tRAS + tRP, an address that leaves something out, watermarks that cross.
MemoryDevice read_memory(const Node& document, const std::string& name);

// Bytes of one column command, and the data-sheet rates.
Bytes burst_bytes(const MemoryDevice& device);
BytesPerSecond pseudo_channel_bandwidth(const MemoryDevice& device);
BytesPerSecond stack_bandwidth(const MemoryDevice& device);

nlohmann::ordered_json memory_schema();

}  // namespace podsim

// One HBM3 pseudo-channel on a bench, with row-bank-column addresses that can be done by hand.
//
// At 6.4 Gb/s a cycle is 0.625 ns and one column command moves 32 B in two of them. From the table:
// tRCD 31 (read) and 15 (write), tRP 26, tRAS 45, tRC 72, tCL 20, tCWL 10, tCCD_S 2, tCCD_L 4,
// tRRD_S 4, tRRD_L 5, tFAW 24, tWR 33, tRTP 9, tWTR_S 7, tWTR_L 10, tRTW 20; tRFC 560,
// tRFC_bank 320, tREFI 6,240.
#pragma once

#include <algorithm>
#include <vector>

#include "chips/hbm/pseudo_channel.hpp"
#include "tests/support/readers.hpp"

namespace podsim {

inline MemoryDevice shipped_memory(const std::string& name) {
    return read_memory(Catalog(configs_root).load("memory", name, {}, ""), name);
}

// Without hashes, whole rows side by side: column, group, bank, row.
inline MemoryDevice plain_hbm3(RefreshMode refresh = RefreshMode::none) {
    MemoryDevice device = shipped_memory("hbm3");
    device.controller.address = {"column", "channel", "group", "bank", "stack"};
    device.controller.hash_banks = device.controller.hash_channels = false;
    device.controller.refresh = refresh;
    return device;
}

struct BankScene {
    explicit BankScene(const MemoryDevice& device = plain_hbm3())
        : channel(bank_timing(device, device.pin_rate.value), {1, 4, 4}, device.controller) {
        channel.trace(&commands);
    }

    // One column command's worth. Banks 0 to 3 are of group 0, 4 to 7 of group 1.
    void access(Cycle arrival, int bank, int row, bool write = false) {
        channel.push({next_id++, arrival, static_cast<std::int16_t>(bank), 1, row, write});
    }
    void run(Cycle until = 1000000) { channel.advance(until, completions); }

    // When the n-th command of a kind was issued, -1 where there was none.
    Cycle time_of(MemoryCommand command, std::size_t n = 0) const {
        for (const IssuedCommand& issued : commands) {
            if (issued.command == command && n-- == 0) return issued.time;
        }
        return -1;
    }
    Cycle completion(std::uint32_t id) const {
        for (const MemoryCompletion& completion : completions) {
            if (completion.id == id) return completion.time;
        }
        return -1;
    }

    PseudoChannel channel;
    std::vector<IssuedCommand> commands;
    std::vector<MemoryCompletion> completions;
    std::uint32_t next_id = 0;
};

}  // namespace podsim

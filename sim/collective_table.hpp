// Measured times of collectives as published: tables of many makers, turned into transfers with a
// time. What is fitted and what is compared reads them through here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "interconnect/coflow.hpp"
#include "program/transfer.hpp"
#include "sim/kernel_table.hpp"
#include "sim/table_errors.hpp"

namespace podsim {

struct CollectiveRow {
    int line = 0;
    Transfer transfer;
    Seconds measured{0.0};
};

// Adds the measurements of one row: none, one, or one for each collective timed in it.
using CollectiveAdapter =
    std::function<void(const TableFields& fields, std::vector<CollectiveRow>& rows)>;

void register_collective_adapters(Registry<CollectiveAdapter>& adapters);

// The rows that the filter leaves and, where it is given, that are of this type; in the order of
// type, ranks, experts, copies, token and size (then of lines), so that "every tenth" means the
// same whatever the order of the file. Throws InputError as read_kernel_table does.
std::vector<CollectiveRow> read_collective_table(const TableSource& source,
                                                 const std::string& folder, const Place& asked_at,
                                                 std::optional<TransferType> type = {});

// "all_reduce of 8 ranks, 64 MiB"
std::string shape_of(const Transfer& transfer);

// The collective alone on the fabric, all ranks entering together.
Seconds simulated_time(const CollectiveRow& row, const RankFabric& fabric,
                       const CollectiveLibrarySpec& library);
TableErrors compare_rows(const std::vector<CollectiveRow>& rows, const RankFabric& fabric,
                         const CollectiveLibrarySpec& library);

}  // namespace podsim

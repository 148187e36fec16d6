// What the cost model says of measured kernels, and how far off that is.
#pragma once

#include <string>
#include <vector>

#include "chips/chip.hpp"
#include "chips/cost.hpp"
#include "chips/kernel_library.hpp"
#include "sim/kernel_table.hpp"

namespace podsim {

struct TableErrors {
    long rows = 0;
    double mape = 0, median = 0, bias = 0;  // of simulated / measured - 1; median: of the amounts
    double total = 0;                       // of the sum of all times
    double worst = 0;
    int worst_line = 0;
    std::string worst_shape;
    Seconds measured{0.0}, simulated{0.0};  // sums
};

// Of operators one after another: at full clock, and on a rank long busy.
struct RowTime {
    Seconds full{0.0}, sustained{0.0};
    void add(const OperatorCost& cost) {
        full += cost.time;
        sustained += cost.sustained;
    }
};

// The operators of a row one after another, alone on the chip, repeated as the harness did. A
// module is never done before its host, max(host, operators + overhead). `others`: of operators
// that ran too and are not in the row.
Seconds simulated_time(const KernelRow& row, const RankHardware& hardware,
                       const KernelLibrarySpec& library, RowTime others = {});

// One row of a table beside what we say of it.
struct ComparedRow {
    int line = 0;
    std::string shape;
    Seconds measured{0.0}, simulated{0.0};
};

// Throws std::invalid_argument where there is none.
TableErrors errors_of(const std::vector<ComparedRow>& rows);
TableErrors errors_of(const std::vector<KernelRow>& rows, const std::vector<double>& simulated);
TableErrors compare_rows(const std::vector<KernelRow>& rows, const RankHardware& hardware,
                         const KernelLibrarySpec& library);

}  // namespace podsim

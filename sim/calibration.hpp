// Fits the habits of a kernel library to kernel tables. Structural parameters stay as they are:
// the chip is read from its data sheet, and one set of habits serves all shapes of a kind.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "sim/kernel_table.hpp"
#include "sim/table_errors.hpp"

namespace podsim {

// How the error on rows that were not fitted on comes about. tenth: every tenth row, in the order
// of shapes, is never fitted on. folds: ten fits, each without one such tenth; for small tables.
enum class HeldOut { tenth, folds };
const std::vector<std::pair<const char*, HeldOut>>& names_of(const HeldOut*);

// One set of habits ("gemm.bf16", "attention_decode"), which of its values may move, and the
// tables that move them. A library's YAML has a list of them under `calibration`; where rows are
// several kernels, those of the vector units may move too ("vector.memory_efficiency").
struct CalibrationPart {
    std::string part;
    std::vector<std::string> free;
    std::vector<TableSource> tables;
    HeldOut held_out = HeldOut::tenth;
    long at_most = 1000;  // rows fitted on, evenly taken from those that may be
    Place place;
};

// What the library's own `calibration` says; nothing where it has none. Throws InputError: a part,
// a parameter or a table adapter that does not exist.
std::vector<CalibrationPart> read_calibration(const KernelLibrarySpec& library);

// Parts for a table that no library names: its rows by the habits they exercise, with as many free
// values as that many rows can hold.
std::vector<std::pair<CalibrationPart, std::vector<KernelRow>>> parts_of(
    const std::vector<KernelRow>& rows, const KernelLibrarySpec& library, const Place& asked_at);

struct PartFit {
    std::string part;
    std::map<std::string, double> values;  // of the free parameters, in base units
    TableErrors fitted, held_out;          // on the rows fitted on, on those that were not
    std::vector<std::string> at_bounds;    // values that ended where their range ends
};

struct FitOptions {
    int evaluations = 1500;  // of one start
    int starts = 3;
    std::function<void(const std::string&)> progress;
};

// Minimises the mean square of log(simulated / measured), from the library's own values and from
// shaken ones, over the logarithms of the parameters. Sets the values in `library`. Errors far
// beyond the usual count by their amount, not its square: a kernel that chose badly is no property
// of the library's habits. Throws InputError: too few rows, rows that the part does not decide
// about.
PartFit fit_part(const CalibrationPart& part, const std::vector<KernelRow>& rows,
                 const RankHardware& hardware, KernelLibrarySpec& library,
                 const FitOptions& options);

// "launch 2.6 us, k_step 0.07 us"
std::string values_text(const PartFit& fit);

// Puts the values into the library's document, and rows, error and date into their record.
void write_fit(Node& document, const PartFit& fit, const std::string& date);

}  // namespace podsim

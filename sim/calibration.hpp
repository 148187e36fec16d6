// Fits the habits of a kernel library to kernel tables. Structural parameters stay as they are:
// the chip is read from its data sheet, and one set of habits serves all shapes of a kind.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/form.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "sim/fit_search.hpp"
#include "sim/kernel_table.hpp"
#include "sim/table_errors.hpp"

namespace podsim {

// One set of habits ("gemm.bf16", "attention_decode"), which of its values may move, and the
// tables that move them. A library's YAML has a list of them under `calibration`; where rows are
// several kernels, other habits of the library may move too ("vector.memory_efficiency").
struct CalibrationPart {
    std::string part;
    std::vector<std::string> free;
    std::vector<TableSource> tables;
    HeldOut held_out = HeldOut::tenth;
    long at_most = 1000;  // rows fitted on, evenly taken from those that may be
    Place place;
};

template <class Form>
void describe(Form& form, CalibrationPart& part) {
    form.required("part", part.part, "which habits: gemm.bf16, attention_decode, all_reduce ...");
    form.required("free", part.free, "values that may move");
    form.required("tables", part.tables, "measurements they are fitted on");
    form.optional("held_out", part.held_out,
                  "tenth: every tenth row is never fitted on; folds: ten fits, each without one");
    form.optional("at_most", part.at_most, "rows fitted on, evenly taken", at_least(20));
    if (form.ok() && part.free.empty()) form.problem("free", "names no parameter");
    if (form.ok() && part.tables.empty()) form.problem("tables", "names no table");
}

// The parts under `calibration` of a library: `known_of` names the parameters of a part and throws
// std::invalid_argument for one that the library lacks; tables name one of `adapters`. Throws
// InputError.
using KnownParameters = std::function<std::vector<std::string>(const CalibrationPart& part)>;
std::vector<CalibrationPart> read_parts(const Node& calibration,
                                        const std::vector<std::string>& adapters,
                                        const KnownParameters& known_of);

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

// Fits the part (fit_search.hpp) and sets the values in `library`. Throws InputError: too few rows,
// rows that the part does not decide about.
PartFit fit_part(const CalibrationPart& part, const std::vector<KernelRow>& rows,
                 const RankHardware& hardware, KernelLibrarySpec& library,
                 const FitOptions& options);

// "launch 2.6 us, k_step 0.07 us"
std::string values_text(const PartFit& fit);

// Puts the values into the library's document, and rows, error and date into their record.
void write_fit(Node& document, const PartFit& fit, const std::string& date);

}  // namespace podsim

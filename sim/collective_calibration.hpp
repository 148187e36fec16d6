// Fits the habits of a collective library to tables of measured collectives: one set of values for
// all sizes and groups of a type of transfer. The fabric is read from the system's data sheet.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "interconnect/collective_library.hpp"
#include "interconnect/system.hpp"
#include "sim/calibration.hpp"
#include "sim/collective_table.hpp"

namespace podsim {

// The values that a fit may move: "base", "per_peer" ... or, of a library with protocols,
// "simple.base". Of the habits as they are: a library without protocols has none to move.
std::vector<FitParameter> fit_parameters(const TransferHabits& habits);

// What the library's own `calibration` says, its parts types of transfer. Throws InputError.
std::vector<CalibrationPart> read_calibration(const CollectiveLibrarySpec& library);

// The measurements of a part: those of its tables that are of its type.
std::vector<CollectiveRow> rows_of(const CalibrationPart& part, const std::string& folder);

// Parts for a table that no library names: its rows by type.
std::vector<std::pair<CalibrationPart, std::vector<CollectiveRow>>> parts_of(
    const std::vector<CollectiveRow>& rows, const CollectiveLibrarySpec& library,
    const Place& asked_at);

// As the fit of a kernel library's part. Throws InputError: too few rows.
PartFit fit_part(const CalibrationPart& part, const std::vector<CollectiveRow>& rows,
                 const RankFabric& fabric, CollectiveLibrarySpec& library,
                 const FitOptions& options);

std::string values_text(const PartFit& fit, const CollectiveLibrarySpec& library);

// Puts the values into the library's document, and rows, error and date into their record. Throws
// InputError where the protocols are those of the document's `base:`.
void write_fit(Node& document, const PartFit& fit, const CollectiveLibrarySpec& library,
               const std::string& date);

}  // namespace podsim

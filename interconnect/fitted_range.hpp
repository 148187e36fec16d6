// Which transfers a library's habits were fitted on. Beyond them habits are carried over, and
// whoever reads a result is told.
#pragma once

#include <string>
#include <vector>

#include "base/form.hpp"
#include "base/units.hpp"
#include "program/transfer.hpp"

namespace podsim {

// Lowest and highest of the rows of one table; of what is left out the table says nothing.
struct FittedRange {
    std::vector<long> ranks;
    std::vector<long> tokens;  // dispatch and combine: that a rank sends
    std::vector<Bytes> bytes;  // as nccl-tests count a collective's size
};

enum class FitQuantity { ranks, tokens, bytes, type };

// What was asked of a fit that goes from `low` to `high`, in ranks, tokens a rank or bytes; of
// `type` that the library's habits are another type's.
struct OutsideFit {
    TransferType type = TransferType::all_reduce;
    FitQuantity quantity = FitQuantity::ranks;
    double low = 0, high = 0, asked = 0;
};

// In what respects none of the ranges covers the transfer. Where several could, the one with the
// nearest number of ranks is meant, of equally near ones the one with the fewest respects. Nothing
// where no range is stated or nothing moves between ranks.
std::vector<OutsideFit> outside_fit(const Transfer& transfer,
                                    const std::vector<FittedRange>& ranges);

// From the least to the greatest of the transfers; empty for none.
FittedRange range_of(const std::vector<Transfer>& transfers);

// As it is written in YAML: "{ranks: [2, 8], bytes: [512 B, 4096 B]}".
std::string to_string(const FittedRange& range);

// One line a quantity for the reader of a result, in the order of the quantities.
std::vector<std::string> fit_warnings(const std::string& library,
                                      const std::vector<OutsideFit>& outside);

template <class Form>
void describe(Form& form, FittedRange& range) {
    form.optional("ranks", range.ranks, "fewest and most ranks of a group", at_least(1));
    form.optional("tokens", range.tokens,
                  "dispatch, combine: fewest and most tokens that a rank sends", at_least(1));
    form.optional("bytes", range.bytes, "least and greatest size, as nccl-tests count it",
                  positive());
    if (!form.ok()) return;
    const auto check = [&](const char* key, const auto& values) {
        if (form.has(key) && (values.size() != 2 || values[1] < values[0]))
            form.problem(key, "is not [lowest, highest]");
    };
    check("ranks", range.ranks);
    check("tokens", range.tokens);
    check("bytes", range.bytes);
}

}  // namespace podsim

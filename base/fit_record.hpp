// Where a fitted set of parameters comes from: the record that every kernel library, collective
// library and engine carries, and that results repeat.
#pragma once

#include <string>

#include "base/sourced.hpp"

namespace podsim {

struct FitRecord {
    Confidence basis = Confidence::assumed;
    long rows = 0;              // measurements it was fitted on
    double held_out_error = 0;  // mean absolute relative error on rows not fitted on
    std::string source, date, note;
};

template <class Form>
void describe(Form& form, FitRecord& record) {
    form.required("basis", record.basis,
                  "measured, derived (carried over from a relative) or assumed");
    form.optional("rows", record.rows, "number of measurements it was fitted on");
    form.optional("held_out_error", record.held_out_error,
                  "mean absolute relative error on rows not fitted on");
    form.required("source", record.source, "whose measurements, and where they were published");
    form.required("date", record.date, "when it was fitted, or the source published");
    form.optional("note", record.note, "what the reader of a result should know");
}

}  // namespace podsim

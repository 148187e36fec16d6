// Whole tables of measured kernels, or of collectives, as cases of a suite: the model of each
// against every row, without a machine around it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "base/document.hpp"
#include "sim/case_use.hpp"
#include "sim/kernel_table.hpp"
#include "sim/suite_fits.hpp"
#include "sim/table_errors.hpp"

namespace podsim {

// all; tenth: every tenth in the order of shapes, which no fit has seen where the library was
// fitted with `held_out: tenth`.
enum class TableRows { all, tenth };
const std::vector<std::pair<const char*, TableRows>>& names_of(const TableRows*);

struct TableGate {
    std::optional<double> mape;      // on the rows compared
    std::optional<double> held_out;  // what the library's record says of rows not fitted on
};

struct TableCase {
    std::string id, source, note;
    std::string chip, kernels;        // of measured kernels,
    std::string system, collectives;  // or of measured collectives
    std::string part;
    TableSource table;
    TableRows rows = TableRows::all;
    TableGate gate;
    CaseUse use = CaseUse::check;
};

struct TableReport {
    TableCase table;
    TableErrors errors;
    double held_out_error = 0;  // of the record of `part`
    std::string skipped;        // why nothing was compared; "" when it was
    std::vector<FitUse> fits;   // habits that its rows exercise
    bool passed = true;
};

// Throws InputError. A table that is not in `data` is skipped and says so.
TableReport run_table(const TableCase& table, Catalog& catalog, const std::string& data,
                      const Place& place);

// What is wrong with a case without its table: the chip, the library, the part, the adapter.
void check_table(const TableCase& table, Catalog& catalog, const Place& place);

template <class Form>
void describe(Form& form, TableGate& gate) {
    form.optional("mape", gate.mape, "largest mean absolute error over the rows");
    form.optional("held_out", gate.held_out,
                  "largest error that the library's record gives for rows not fitted on");
}

template <class Form>
void describe(Form& form, TableCase& one) {
    form.required("id", one.id, "name of the table here");
    form.optional("chip", one.chip, "kernels: chip they were measured on");
    form.optional("kernels", one.kernels, "kernels: library whose habits are asked");
    form.optional("system", one.system, "collectives: system they were measured on");
    form.optional("collectives", one.collectives, "collectives: library whose habits are asked");
    form.optional("part", one.part,
                  "habits whose record counts: gemm.bf16, attention_decode ...; of collectives the "
                  "type, whose rows alone are meant");
    if (form.ok() && one.collectives.empty() == one.kernels.empty())
        form.problem("kernels", "kernels or collectives are needed, and not both");
    if (form.ok() && !one.kernels.empty() && (one.chip.empty() || !one.system.empty()))
        form.problem("chip", "is missing, or a system beside it: kernels run on a chip");
    if (form.ok() && !one.collectives.empty() && (one.system.empty() || !one.chip.empty()))
        form.problem("system", "is missing, or a chip beside it: collectives run on a system");
    describe(form, one.table);
    form.optional("rows", one.rows, "all, or every tenth in the order of shapes");
    form.optional("gate", one.gate, "errors above which the suite fails");
    form.required("use", one.use, "fit: fitted on these rows; check: scored; print: shown");
    form.required("source", one.source, "who published it, and where");
    form.optional("note", one.note, "what a reader of the comparison should know");
}

}  // namespace podsim

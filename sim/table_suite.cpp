#include "sim/table_suite.hpp"

#include <stdexcept>

#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "sim/fit_parameters.hpp"

namespace podsim {

const std::vector<std::pair<const char*, TableRows>>& names_of(const TableRows*) {
    static const std::vector<std::pair<const char*, TableRows>> names = {
        {"all", TableRows::all}, {"tenth", TableRows::tenth}};
    return names;
}

namespace {

struct Subject {
    RankHardware hardware;
    KernelLibrarySpec library;
    double held_out_error = 0;
};

Subject subject_of(const TableCase& table, Catalog& catalog, const Place& place) {
    Subject subject;
    subject.hardware = rank_hardware(
        read_chip(catalog.load("chip", table.chip, place, table.id + ".chip"), table.chip));
    subject.library = read_kernel_library(
        catalog.load("kernels", table.kernels, place, table.id + ".kernels"), table.kernels);
    if (!table.part.empty()) {
        try {
            subject.held_out_error = record_of(subject.library, table.part).held_out_error;
        } catch (const std::invalid_argument& error) {
            throw InputError(place, table.id + ".part", error.what());
        }
    }
    Registry<TableAdapter> adapters("table adapter");
    register_table_adapters(adapters);
    adapters.find(table.table.adapter, place, table.id + ".adapter");
    if (table.gate.held_out && table.part.empty()) {
        throw InputError(place, table.id + ".gate.held_out",
                         "a part is needed, whose record says the error");
    }
    return subject;
}

}  // namespace

void check_table(const TableCase& table, Catalog& catalog, const Place& place) {
    subject_of(table, catalog, place);
}

TableReport run_table(const TableCase& table, Catalog& catalog, const std::string& data,
                      const Place& place) {
    const Subject subject = subject_of(table, catalog, place);
    TableReport report;
    report.table = table;
    report.held_out_error = subject.held_out_error;
    if (!table.part.empty()) add_fit_of_part(subject.library, table.part, report.fits);
    if (!find_table(table.table, data, place)) {
        report.skipped = "no " + table.table.file + " in " + data;
        return report;
    }
    std::vector<KernelRow> rows = read_kernel_table(table.table, data, place);
    if (table.rows == TableRows::tenth) {
        std::vector<KernelRow> tenth;
        for (std::size_t i = 0; i < rows.size(); i += 10) tenth.push_back(std::move(rows[i]));
        rows = std::move(tenth);
    }
    try {
        report.errors = compare_rows(rows, subject.hardware, subject.library);
    } catch (const std::invalid_argument& error) {  // a format that chip or library lacks
        throw InputError(place, table.id, error.what());
    }
    for (const KernelRow& row : rows) {
        for (const OperatorBody& body : row.operators)
            add_fit_of_part(subject.library, part_of(subject.library, body), report.fits);
    }
    // A NaN fails.
    const TableGate& gate = table.gate;
    if (gate.mape && !(report.errors.mape <= *gate.mape)) report.passed = false;
    if (gate.held_out && !(report.held_out_error <= *gate.held_out)) report.passed = false;
    if (table.use == CaseUse::print) report.passed = true;
    return report;
}

}  // namespace podsim

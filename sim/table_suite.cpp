#include "sim/table_suite.hpp"

#include <optional>
#include <stdexcept>

#include "base/names.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "interconnect/system.hpp"
#include "sim/collective_table.hpp"
#include "sim/fit_parameters.hpp"
#include "sim/resolve.hpp"

namespace podsim {

const std::vector<std::pair<const char*, TableRows>>& names_of(const TableRows*) {
    static const std::vector<std::pair<const char*, TableRows>> names = {
        {"all", TableRows::all}, {"tenth", TableRows::tenth}};
    return names;
}

namespace {

void require_part(const TableCase& table, const Place& place) {
    if (table.gate.held_out && table.part.empty()) {
        throw InputError(place, table.id + ".gate.held_out",
                         "a part is needed, whose record says the error");
    }
}

struct KernelSubject {
    RankHardware hardware;
    KernelLibrarySpec library;
    double held_out_error = 0;
};

KernelSubject kernel_subject(const TableCase& table, Catalog& catalog, const Place& place) {
    KernelSubject subject;
    subject.hardware = rank_hardware(load_chip(catalog, table.chip, place, table.id + ".chip"));
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
    require_part(table, place);
    return subject;
}

struct CollectiveSubject {
    RankFabric fabric;
    CollectiveLibrarySpec library;
    std::optional<TransferType> type;
    double held_out_error = 0;
};

CollectiveSubject collective_subject(const TableCase& table, Catalog& catalog, const Place& place) {
    CollectiveSubject subject;
    const SystemSpec system = read_system(
        catalog.load("system", table.system, place, table.id + ".system"), table.system);
    const ChipSpec chip = load_chip(catalog, system.chip, place, table.id + ".system");
    subject.fabric = rank_fabric(system, chip.ranks);
    subject.library = read_collective_library(
        catalog.load("collectives", table.collectives, place, table.id + ".collectives"),
        table.collectives);
    if (!table.part.empty()) {
        subject.type = value_named<TransferType>(table.part);
        const auto habits = subject.type ? subject.library.transfers.find(*subject.type)
                                         : subject.library.transfers.end();
        if (habits == subject.library.transfers.end()) {
            throw InputError(place, table.id + ".part",
                             table.collectives + " has no transfer called " + table.part);
        }
        subject.held_out_error = habits->second.record.held_out_error;
    }
    Registry<CollectiveAdapter> adapters("table adapter");
    register_collective_adapters(adapters);
    adapters.find(table.table.adapter, place, table.id + ".adapter");
    require_part(table, place);
    return subject;
}

template <class Row>
void keep_meant(TableRows meant, std::vector<Row>& rows) {
    if (meant == TableRows::all) return;
    std::vector<Row> tenth;
    for (std::size_t i = 0; i < rows.size(); i += 10) tenth.push_back(std::move(rows[i]));
    rows = std::move(tenth);
}

bool of_kernels(const TableCase& table) {
    return table.collectives.empty();
}

// Fills the report's errors and those of the record.
void compare_kernels(TableReport& report, Catalog& catalog, const std::string& data,
                     const Place& place) {
    const KernelSubject subject = kernel_subject(report.table, catalog, place);
    report.held_out_error = subject.held_out_error;
    if (!report.table.part.empty())
        add_fit_of_part(subject.library, report.table.part, report.fits);
    if (!report.skipped.empty()) return;
    auto rows = read_kernel_table(report.table.table, data, place);
    keep_meant(report.table.rows, rows);
    report.errors = compare_rows(rows, subject.hardware, subject.library);
    for (const KernelRow& row : rows) {
        for (const OperatorBody& body : row.operators)
            add_fit_of_part(subject.library, part_of(subject.library, body), report.fits);
    }
}

void compare_collectives(TableReport& report, Catalog& catalog, const std::string& data,
                         const Place& place) {
    const CollectiveSubject subject = collective_subject(report.table, catalog, place);
    report.held_out_error = subject.held_out_error;
    if (!report.skipped.empty()) return;
    auto rows = read_collective_table(report.table.table, data, place, subject.type);
    keep_meant(report.table.rows, rows);
    report.errors = compare_rows(rows, subject.fabric, subject.library);
    for (const auto& row : rows) {
        const TransferType type = row.transfer.type;
        add_once({"collectives", subject.library.name, to_string(type),
                  transfer_habits(subject.library, type).record},
                 report.fits);
    }
}

}  // namespace

void check_table(const TableCase& table, Catalog& catalog, const Place& place) {
    if (of_kernels(table))
        kernel_subject(table, catalog, place);
    else
        collective_subject(table, catalog, place);
}

TableReport run_table(const TableCase& table, Catalog& catalog, const std::string& data,
                      const Place& place) {
    TableReport report;
    report.table = table;
    if (!find_table(table.table, data, place))
        report.skipped = "no " + table.table.file + " in " + data;
    try {
        if (of_kernels(table))
            compare_kernels(report, catalog, data, place);
        else
            compare_collectives(report, catalog, data, place);
    } catch (const std::invalid_argument& error) {  // a format, or links, that are not there
        throw InputError(place, table.id, error.what());
    }
    if (!report.skipped.empty()) return report;
    // A NaN fails.
    const TableGate& gate = table.gate;
    if (gate.mape && !(report.errors.mape <= *gate.mape)) report.passed = false;
    if (gate.held_out && !(report.held_out_error <= *gate.held_out)) report.passed = false;
    if (table.use == CaseUse::print) report.passed = true;
    return report;
}

}  // namespace podsim

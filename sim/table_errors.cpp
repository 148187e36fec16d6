#include "sim/table_errors.hpp"

#include <cmath>
#include <stdexcept>

#include "base/statistics.hpp"

namespace podsim {

Seconds simulated_time(const KernelRow& row, const RankHardware& hardware,
                       const KernelLibrarySpec& library, RowTime others) {
    for (const OperatorBody& body : row.operators)
        others.add(operator_cost(body, hardware, library, Fidelity::tile, 1.0));
    Seconds time = others.full, sustained = others.sustained;
    const auto module = library.modules.find(row.module);
    if (module != library.modules.end()) {
        const ModuleHabits& habits = module->second;
        time = max(habits.host, time + habits.overhead);
        sustained = max(habits.host, sustained + habits.overhead);
    }
    return repeated_time(time, sustained, hardware, row.repeats);
}

TableErrors errors_of(const std::vector<ComparedRow>& rows) {
    if (rows.empty()) throw std::invalid_argument("one row at least is needed");
    TableErrors report;
    std::vector<double> errors, amounts;
    for (const ComparedRow& row : rows) {
        const double error = relative_error(row.simulated.value(), row.measured.value());
        errors.push_back(error);
        amounts.push_back(std::abs(error));
        report.measured += row.measured;
        report.simulated += row.simulated;
        if (errors.size() == 1 || amounts.back() > std::abs(report.worst)) {
            report.worst = error;
            report.worst_line = row.line;
            report.worst_shape = row.shape;
        }
    }
    report.rows = static_cast<long>(rows.size());
    report.mape = mape(errors);
    report.median = percentile(amounts, 50);
    report.bias = bias(errors);
    report.total = relative_error(report.simulated.value(), report.measured.value());
    return report;
}

TableErrors errors_of(const std::vector<KernelRow>& rows, const std::vector<double>& simulated) {
    if (rows.size() != simulated.size()) {
        throw std::invalid_argument("as many simulated times as rows are needed");
    }
    std::vector<ComparedRow> compared;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        compared.push_back({rows[i].line, shape_of(rows[i].operators.back()), rows[i].measured,
                            Seconds(simulated[i])});
    }
    return errors_of(compared);
}

TableErrors compare_rows(const std::vector<KernelRow>& rows, const RankHardware& hardware,
                         const KernelLibrarySpec& library) {
    std::vector<double> simulated;
    simulated.reserve(rows.size());
    for (const KernelRow& row : rows) {
        simulated.push_back(simulated_time(row, hardware, library).value());
    }
    return errors_of(rows, simulated);
}

}  // namespace podsim

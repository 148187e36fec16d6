// Measured kernel times as published: tables of many makers, turned into operators with a time.
// What is fitted (calibration) and what is compared (table suites) reads them through here.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/csv.hpp"
#include "base/diagnostic.hpp"
#include "base/registry.hpp"
#include "base/units.hpp"
#include "chips/sustained_clock.hpp"
#include "program/operator.hpp"

namespace podsim {

// One measurement: kernels that ran one after another, and how long they took together.
struct KernelRow {
    int line = 0;
    std::vector<OperatorBody> operators;
    Seconds measured{0.0};
    Repeats repeats = {};     // of all of them together: a habit of the harness
    std::string module = {};  // whose habits come on top of its operators; "" for bare kernels
};

// A table and which of its rows are meant. `filter` maps a column, or a quotient of two
// ("num_heads/num_key_value_heads"), to what it has to be: alternatives "bfloat16|fp8", each a
// text or a range of numbers "1..16", "64..". `columns` gives columns that the file lacks.
struct TableSource {
    std::string adapter, file;
    std::map<std::string, std::string> filter, columns;
};

// The fields of one row by the names of their columns. Each throws InputError with the line.
class TableFields {
  public:
    TableFields(const CsvReader& reader, const CsvRow& row,
                const std::map<std::string, std::string>& constants)
        : reader_(reader), row_(row), constants_(constants) {}

    const std::string& text(const std::string& column) const;
    std::string text_or(const std::string& column, const std::string& otherwise) const;
    double number(const std::string& column) const;  // finite
    long count(const std::string& column) const;     // a whole number of at least 1
    DType dtype(const std::string& column) const;    // by our names or the tables' ("bfloat16")
    int line() const { return row_.line; }
    Place place() const { return {reader_.file(), row_.line, 0}; }
    [[noreturn]] void fail(const std::string& column, const std::string& what) const;

  private:
    const CsvReader& reader_;
    const CsvRow& row_;
    const std::map<std::string, std::string>& constants_;
};

// Adds the measurements of one row: none, one, or one for each kernel timed in it.
using TableAdapter = std::function<void(const TableFields& fields, std::vector<KernelRow>& rows)>;

void register_table_adapters(Registry<TableAdapter>& adapters);
// Of these, the tables of sparse, compressed and linear attention and of hyper-connections.
void register_sparse_adapters(Registry<TableAdapter>& adapters);

// The rows that the filter leaves, in the order of their operators' shapes (then of lines), so
// that "every tenth" means the same whatever the order of the file. `folder` is where data lie; a
// path beginning with '.' starts from the file that names the table. Throws InputError: an unknown
// adapter or column, a field that cannot be read, a time that is not above 0, no rows left.
std::vector<KernelRow> read_kernel_table(const TableSource& source, const std::string& folder,
                                         const Place& asked_at);

// Calls `use` with the fields of every row that passes the source's filter, and says which file it
// was. Throws InputError: a table that is not there, an unknown column.
std::string for_each_row(const TableSource& source, const std::string& folder,
                         const Place& asked_at, const std::function<void(const TableFields&)>& use);

// Where the file is, or nothing when it is not there.
std::optional<std::string> find_table(const TableSource& source, const std::string& folder,
                                      const Place& asked_at);

template <class Form>
void describe(Form& form, TableSource& source) {
    form.required("adapter", source.adapter, "what kind of table it is");
    form.required("file", source.file,
                  "path within the data folder; from this file's own where it begins with a dot");
    form.optional("filter", source.filter,
                  "column: what it has to be (\"bfloat16|fp8\", \"1..16\"); a/b is a quotient");
    form.optional("columns", source.columns, "values of columns that the file lacks");
}

}  // namespace podsim

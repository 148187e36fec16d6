#include "sim/kernel_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/names.hpp"

namespace podsim {

namespace {

std::optional<double> to_number(const std::string& text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
    return value;
}

// One alternative of a filter: a text, or a range of numbers.
struct Alternative {
    std::string text;
    bool range = false;
    double low = -INFINITY, high = INFINITY;
};

// One condition: the column, the one it is divided by where there is one, the alternatives.
struct Condition {
    std::string column, divisor;
    std::vector<Alternative> alternatives;
};

Alternative read_alternative(const std::string& text, const Place& place, const std::string& key) {
    Alternative one;
    one.text = text;
    const std::size_t dots = text.find("..");
    if (dots == std::string::npos) return one;
    one.range = true;
    const std::string low = text.substr(0, dots), high = text.substr(dots + 2);
    for (const auto& [bound, value] : {std::pair<std::string, double*>{low, &one.low},
                                       std::pair<std::string, double*>{high, &one.high}}) {
        if (bound.empty()) continue;
        const auto number = to_number(bound);
        if (!number) {
            throw InputError(place, "filter." + key,
                             fmt::format("\"{}\" is no range of numbers such as 1..16", text));
        }
        *value = *number;
    }
    return one;
}

std::vector<Condition> read_conditions(const TableSource& source, const Place& place) {
    std::vector<Condition> conditions;
    for (const auto& [key, wanted] : source.filter) {
        Condition condition;
        const std::size_t slash = key.find('/');
        condition.column = key.substr(0, slash);
        if (slash != std::string::npos) condition.divisor = key.substr(slash + 1);
        for (std::size_t begin = 0; begin <= wanted.size();) {
            const std::size_t end = std::min(wanted.find('|', begin), wanted.size());
            condition.alternatives.push_back(
                read_alternative(wanted.substr(begin, end - begin), place, key));
            begin = end + 1;
        }
        conditions.push_back(std::move(condition));
    }
    return conditions;
}

bool holds(const Condition& condition, const TableFields& fields) {
    const bool quotient = !condition.divisor.empty();
    const double ratio =
        quotient ? fields.number(condition.column) / fields.number(condition.divisor) : 0;
    return std::any_of(condition.alternatives.begin(), condition.alternatives.end(),
                       [&](const auto& one) {
                           if (!one.range) {
                               return quotient ? to_number(one.text) == ratio
                                               : fields.text(condition.column) == one.text;
                           }
                           const double value = quotient ? ratio : fields.number(condition.column);
                           return value >= one.low && value <= one.high;
                       });
}

}  // namespace

const std::string& TableFields::text(const std::string& column) const {
    const auto& header = reader_.header();
    const auto found = std::find(header.begin(), header.end(), column);
    if (found != header.end()) {
        return row_.cells[static_cast<std::size_t>(found - header.begin())];
    }
    const auto constant = constants_.find(column);
    if (constant != constants_.end()) return constant->second;
    throw InputError({unknown_name({reader_.file(), 1, 0}, "", "column", column, header)});
}

std::string TableFields::text_or(const std::string& column, const std::string& otherwise) const {
    const auto& header = reader_.header();
    const bool known = std::find(header.begin(), header.end(), column) != header.end() ||
                       constants_.count(column) > 0;
    if (!known) return otherwise;
    const std::string& written = text(column);
    return written.empty() ? otherwise : written;
}

double TableFields::number(const std::string& column) const {
    const auto value = to_number(text(column));
    if (!value) fail(column, "a number was expected");
    return *value;
}

long TableFields::count(const std::string& column) const {
    const double value = number(column);
    if (!(value >= 1 && value <= 1e15 && value == std::floor(value))) {
        fail(column, "a whole number of at least 1 was expected");
    }
    return static_cast<long>(value);
}

DType TableFields::dtype(const std::string& column) const {
    static const std::map<std::string, DType> theirs = {{"bfloat16", DType::bf16},
                                                        {"float16", DType::fp16},
                                                        {"half", DType::fp16},
                                                        {"fp8_block", DType::fp8}};
    const std::string& written = text(column);
    if (const auto dtype = value_named<DType>(written)) return *dtype;
    const auto found = theirs.find(written);
    if (found == theirs.end()) {
        fail(column, "a number format was expected, such as bf16 or fp8 (filter the others out)");
    }
    return found->second;
}

void TableFields::fail(const std::string& column, const std::string& what) const {
    throw InputError({reader_.file(), row_.line, 0}, column,
                     fmt::format("\"{}\": {}", text(column), what));
}

std::optional<std::string> find_table(const TableSource& source, const std::string& folder,
                                      const Place& asked_at) {
    namespace fs = std::filesystem;
    const bool beside = !source.file.empty() && source.file[0] == '.';
    const fs::path path = (beside ? fs::path(asked_at.file).parent_path() : fs::path(folder)) /
                          source.file;  // an absolute file replaces what stands before it
    std::error_code error;
    if (!fs::exists(path, error)) return std::nullopt;
    return path.lexically_normal().string();
}

std::string for_each_row(const TableSource& source, const std::string& folder,
                         const Place& asked_at,
                         const std::function<void(const TableFields&)>& use) {
    const std::vector<Condition> conditions = read_conditions(source, asked_at);
    const auto path = find_table(source, folder, asked_at);
    if (!path) {
        throw InputError(asked_at, "file", "no table " + source.file + " in " + folder,
                         "--data DIR or PODSIM_DATA say where the tables lie");
    }
    CsvReader reader(read_table_file(*path), *path);
    for (CsvRow row; reader.next(row);) {
        const TableFields fields(reader, row, source.columns);
        const bool wanted = std::all_of(conditions.begin(), conditions.end(),
                                        [&](const auto& one) { return holds(one, fields); });
        if (wanted) use(fields);
    }
    return *path;
}

std::vector<KernelRow> read_kernel_table(const TableSource& source, const std::string& folder,
                                         const Place& asked_at) {
    Registry<TableAdapter> adapters("table adapter");
    register_table_adapters(adapters);
    const TableAdapter& adapter = adapters.find(source.adapter, asked_at, "adapter");
    std::vector<KernelRow> rows;
    const auto use = [&](const TableFields& fields) {
        const std::size_t before = rows.size();
        adapter(fields, rows);
        for (std::size_t i = before; i < rows.size(); ++i) {
            rows[i].line = fields.line();
            const bool sane = rows[i].measured > Seconds(0.0);
            if (!sane) throw InputError(fields.place(), "", "a time that is not above 0");
            try {
                for (const auto& body : rows[i].operators) require_valid({"row", body});
            } catch (const std::invalid_argument& error) {
                throw InputError(fields.place(), "", error.what());
            }
        }
    };
    const std::string path = for_each_row(source, folder, asked_at, use);
    if (rows.empty()) throw InputError({path, 0, 0}, "", "no row passes the filter");
    std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
        return a.operators != b.operators ? a.operators < b.operators : a.line < b.line;
    });
    return rows;
}

}  // namespace podsim

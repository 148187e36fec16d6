// Any bytes at all: a table or an InputError with a line inside the text, never anything else.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "base/csv.hpp"
#include "base/diagnostic.hpp"

namespace podsim {
namespace {

void read_all(const std::string& text) {
    try {
        CsvReader reader(text, "f");
        for (CsvRow row; reader.next(row);) RC_ASSERT(row.cells.size() == reader.header().size());
    } catch (const InputError& error) {
        const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
        for (const Diagnostic& diagnostic : error.diagnostics()) {
            RC_ASSERT(diagnostic.place.line >= 1 && diagnostic.place.line <= lines);
        }
    }
}

RC_GTEST_PROP(CsvFuzz, AnyBytes, (const std::string& text)) {
    read_all(text);
}

RC_GTEST_PROP(CsvFuzz, TextOfTheSpecialCharacters, ()) {
    read_all(*rc::gen::container<std::string>(rc::gen::element('a', ',', '"', '\n', '1')));
}

RC_GTEST_PROP(CsvFuzz, AnyBytesAsGzip, (const std::string& data)) {
    for (const std::string& bytes : {data, "\x1f\x8b\x08" + data}) {
        try {
            RC_ASSERT(gunzip(bytes, "f", 1000).size() <= 1000);
        } catch (const InputError&) {
        }
    }
}

// What is quoted comes back as it was.
RC_GTEST_PROP(CsvFuzz, QuotedFieldsSurvive, (const std::vector<std::string>& fields)) {
    std::string header, line;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        std::string quoted;
        for (const char c : fields[i]) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
        header += (i > 0 ? ",c" : "c") + std::to_string(i);
        line += (i > 0 ? ",\"" : "\"") + quoted + "\"";
    }
    RC_PRE(!fields.empty());
    CsvReader reader(header + "\n" + line + "\n", "f");
    CsvRow row;
    RC_ASSERT(reader.next(row));
    RC_ASSERT(row.cells == fields);
    RC_ASSERT(!reader.next(row));
}

}  // namespace
}  // namespace podsim

// Words for what is wrong, and the nearest name to one that nobody knows.
#include "base/diagnostic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace podsim {
namespace {

// Optimal string alignment distance: insertions, deletions, substitutions and transpositions
// of neighbours cost 1 each, no part is edited twice (Boytsov 2011). Letters are compared
// without their case.
std::size_t edit_distance(const std::string& a, const std::string& b) {
    const auto same = [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) ==
               std::tolower(static_cast<unsigned char>(y));
    };
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = same(a[i - 1], b[j - 1]) ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

// A diagnostic is one line whatever a hostile file put into a key.
std::string one_line(const std::string& text) {
    std::string result;
    for (const char c : text) {
        if (c == '\n') {
            result += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
            result += c;
        }
    }
    return result;
}

}  // namespace

std::string to_string(const Diagnostic& diagnostic) {
    std::string text = diagnostic.place.file;
    if (diagnostic.place.line > 0) text += fmt::format(":{}", diagnostic.place.line);
    if (diagnostic.place.line > 0 && diagnostic.place.column > 0) {
        text += fmt::format(":{}", diagnostic.place.column);
    }
    if (!text.empty()) text += ": ";
    if (!diagnostic.path.empty()) text += diagnostic.path + ": ";
    text += diagnostic.what;
    if (!diagnostic.hint.empty()) text += " (" + diagnostic.hint + ")";
    return one_line(text);
}

InputError::InputError(std::vector<Diagnostic> diagnostics) : diagnostics_(std::move(diagnostics)) {
    for (const Diagnostic& diagnostic : diagnostics_) {
        text_ += (text_.empty() ? "" : "\n") + to_string(diagnostic);
    }
}

InputError::InputError(Place place, std::string path, std::string what, std::string hint)
    : InputError(std::vector<Diagnostic>{
          {std::move(place), std::move(path), std::move(what), std::move(hint)}}) {}

std::string nearest_name(const std::string& wanted, const std::vector<std::string>& known) {
    // Beyond this length nothing is a slip of a known name, and the table would be large.
    if (wanted.empty() || wanted.size() > 100) return "";
    const std::size_t allowed = std::max<std::size_t>(1, wanted.size() / 3);
    std::string best;
    std::size_t best_distance = allowed + 1, best_prefix = 0;
    for (const std::string& name : known) {
        const std::size_t distance = edit_distance(wanted, name);
        // A distance of the whole name shares no letter with it.
        if (distance > allowed || distance >= std::max(name.size(), wanted.size())) continue;
        // Among equals the one that begins alike: h80 is h800 rather than h20.
        const auto split = std::mismatch(wanted.begin(), wanted.end(), name.begin(), name.end());
        const auto prefix = static_cast<std::size_t>(split.first - wanted.begin());
        if (distance < best_distance || (distance == best_distance && prefix > best_prefix)) {
            best = name;
            best_distance = distance;
            best_prefix = prefix;
        }
    }
    if (!best.empty() || wanted.size() < 3) return best;
    // "910c" is far from "ascend-910c" in edits and still plain.
    for (const std::string& name : known) {
        const bool holds = name.find(wanted) != std::string::npos;
        if (holds && (best.empty() || name.size() < best.size())) best = name;
    }
    return best;
}

Diagnostic unknown_name(Place place, std::string path, const std::string& kind,
                        const std::string& wanted, const std::vector<std::string>& known) {
    constexpr std::size_t listed = 20;
    std::string hint;
    const std::string nearest = nearest_name(wanted, known);
    if (!nearest.empty()) hint = "did you mean " + nearest + "? ";
    hint += known.empty() ? "none is known" : "known: ";
    for (std::size_t i = 0; i < std::min(listed, known.size()); ++i) {
        hint += (i > 0 ? ", " : "") + known[i];
    }
    if (known.size() > listed) hint += fmt::format(" and {} more", known.size() - listed);
    return {std::move(place), std::move(path), "unknown " + kind + " " + wanted, hint};
}

}  // namespace podsim

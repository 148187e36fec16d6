#include "models/published_size.hpp"

#include <charconv>
#include <cmath>

namespace podsim {

namespace {

std::optional<double> parameters_in(const std::string& text) {
    double value = 0;
    const char* const end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (error != std::errc() || !std::isfinite(value) || value <= 0) return {};
    if (stop != end && *stop == ' ') ++stop;
    if (stop == end) return value;
    if (stop + 1 != end) return {};
    switch (*stop) {
        case 'K':
            return value * 1e3;
        case 'M':
            return value * 1e6;
        case 'B':
            return value * 1e9;
        case 'T':
            return value * 1e12;
        default:
            return {};
    }
}

}  // namespace

PublishedSize read_published(const Node& config) {
    PublishedSize size;
    const Node* published = config.find("published");
    if (published == nullptr || published->kind == Node::Kind::null) return size;
    if (published->kind != Node::Kind::map) {
        throw InputError(published->place, "published",
                         "expected a map such as {total: 671 B, active: 37 B}");
    }
    std::vector<Diagnostic> problems;
    for (const Node::Entry& entry : published->entries) {
        const std::string path = "published." + entry.key;
        if (entry.key != "total" && entry.key != "active") {
            problems.push_back(
                unknown_name(entry.place, path, "key", entry.key, {"total", "active"}));
            continue;
        }
        const std::optional<double> value =
            entry.value.kind == Node::Kind::scalar ? parameters_in(entry.value.text) : std::nullopt;
        if (!value) {
            problems.push_back({entry.value.place, path,
                                "expected a number of parameters such as 671 B or 1.6 T", ""});
        }
        (entry.key == "total" ? size.total : size.active) = value;
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return size;
}

}  // namespace podsim

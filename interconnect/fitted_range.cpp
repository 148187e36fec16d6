#include "interconnect/fitted_range.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace podsim {

namespace {

// How many times `asked` lies below or above the range, as a logarithm; 0 within.
double distance(double asked, double low, double high) {
    return std::max({0.0, std::log(low / asked), std::log(asked / high)});
}

// 0: not said.
double tokens_of(const Transfer& t) {
    return t.copies > 0 ? t.messages_per_rank / static_cast<double>(t.copies) : 0.0;
}

std::vector<OutsideFit> outside_one(const Transfer& t, const FittedRange& range) {
    std::vector<OutsideFit> outside;
    const auto look = [&](FitQuantity quantity, const auto& limits, double asked) {
        if (limits.size() != 2 || !(asked > 0)) return;
        const auto low = static_cast<double>(limits[0]), high = static_cast<double>(limits[1]);
        // A rounding error beyond the end is the end.
        if (distance(asked, low, high) > 1e-9)
            outside.push_back({t.type, quantity, low, high, asked});
    };
    look(FitQuantity::ranks, range.ranks, t.group_ranks);
    look(FitQuantity::tokens, range.tokens, tokens_of(t));
    std::vector<double> bytes;
    for (const Bytes limit : range.bytes) bytes.push_back(limit.value());
    look(FitQuantity::bytes, bytes, t.size.value());
    return outside;
}

std::string span_text(FitQuantity quantity, double low, double high) {
    const auto number = [&](double value) {
        return quantity == FitQuantity::bytes ? to_string(Bytes(value))
                                              : fmt::format("{:.6g}", value);
    };
    return low < high ? number(low) + " to " + number(high) : number(low);
}

template <class T>
void widen(std::vector<T>& limits, T value) {
    if (limits.empty()) limits = {value, value};
    limits[0] = std::min(limits[0], value);
    limits[1] = std::max(limits[1], value);
}

const char* unit_of(FitQuantity quantity) {
    switch (quantity) {
        case FitQuantity::ranks:
            return " ranks";
        case FitQuantity::tokens:
            return " tokens a rank";
        case FitQuantity::bytes:
        case FitQuantity::type:
            return "";
    }
    return "";
}

// Types that were fitted alike, and what was asked of them.
struct Asked {
    double low, high;
    std::vector<TransferType> types;
    double least, most;
};

std::vector<Asked> asked_of(FitQuantity quantity, const std::vector<OutsideFit>& outside) {
    std::vector<Asked> all;
    for (const OutsideFit& one : outside) {
        if (one.quantity != quantity) continue;
        auto same = std::find_if(all.begin(), all.end(), [&](const Asked& known) {
            return known.low == one.low && known.high == one.high;
        });
        if (same == all.end())
            same = all.insert(all.end(), {one.low, one.high, {}, one.asked, one.asked});
        if (std::find(same->types.begin(), same->types.end(), one.type) == same->types.end())
            same->types.push_back(one.type);
        same->least = std::min(same->least, one.asked);
        same->most = std::max(same->most, one.asked);
    }
    return all;
}

}  // namespace

std::vector<OutsideFit> outside_fit(const Transfer& transfer,
                                    const std::vector<FittedRange>& ranges) {
    if (transfer.group_ranks < 2 || transfer.size <= Bytes(0.0)) return {};
    std::optional<std::vector<OutsideFit>> best;
    double nearest = 0;
    for (const FittedRange& range : ranges) {
        const double away = range.ranks.size() == 2 ? distance(transfer.group_ranks,
                                                               static_cast<double>(range.ranks[0]),
                                                               static_cast<double>(range.ranks[1]))
                                                    : 0.0;
        std::vector<OutsideFit> outside = outside_one(transfer, range);
        if (best && (away > nearest || (away == nearest && outside.size() >= best->size())))
            continue;
        best = std::move(outside);
        nearest = away;
    }
    return best.value_or(std::vector<OutsideFit>{});
}

FittedRange range_of(const std::vector<Transfer>& transfers) {
    FittedRange range;
    for (const Transfer& t : transfers) {
        widen(range.ranks, static_cast<long>(t.group_ranks));
        const double tokens = tokens_of(t);
        // An exchange is as large as its tokens make it.
        if (tokens > 0) widen(range.tokens, std::lround(tokens));
        if (!(tokens > 0)) widen(range.bytes, t.size);
    }
    return range;
}

std::string to_string(const FittedRange& range) {
    std::string text;
    const auto add = [&](const char* key, const auto& limits) {
        if (limits.size() != 2) return;
        text += fmt::format("{}{}: [{}, {}]", text.empty() ? "" : ", ", key, limits[0], limits[1]);
    };
    add("ranks", range.ranks);
    add("tokens", range.tokens);
    std::vector<std::string> bytes;
    // Rounded, the end would leave out its own row.
    for (const Bytes limit : range.bytes) bytes.push_back(fmt::format("{:.0f} B", limit.value()));
    add("bytes", bytes);
    return "{" + text + "}";
}

std::vector<std::string> fit_warnings(const std::string& library,
                                      const std::vector<OutsideFit>& outside) {
    std::vector<std::string> warnings;
    for (const Asked& one : asked_of(FitQuantity::type, outside))
        warnings.push_back(
            fmt::format("collective library {} has no {}: as its all_gather, derived", library,
                        to_string(one.types.front())));
    for (const FitQuantity quantity :
         {FitQuantity::ranks, FitQuantity::tokens, FitQuantity::bytes}) {
        std::string text;
        for (const Asked& one : asked_of(quantity, outside)) {
            std::string types;
            for (const TransferType type : one.types)
                types += (types.empty() ? "" : ", ") + to_string(type);
            text += fmt::format("{} {}{} ({}), here {}", text.empty() ? "" : "; at",
                                span_text(quantity, one.low, one.high), unit_of(quantity), types,
                                span_text(quantity, one.least, one.most));
        }
        if (text.empty()) continue;
        warnings.push_back(
            fmt::format("collective library {} was fitted at{}: derived", library, text));
    }
    return warnings;
}

}  // namespace podsim

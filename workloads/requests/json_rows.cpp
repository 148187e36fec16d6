// Requests as one JSON object a line: Mooncake, Qwen-Bailian, LLMServingSim.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "workloads/requests/rows.hpp"

namespace podsim {

namespace {

using Json = nlohmann::json;

// Reads one line's keys; what is not there or is of another kind is an error at the line.
class LineKeys {
  public:
    LineKeys(std::string_view line, const Place& place) : place_(place) {
        json_ = Json::parse(line.begin(), line.end(), nullptr, false);
        if (json_.is_discarded())
            throw InputError(place, "", "no JSON", "one whole object a line was expected");
        if (!json_.is_object())
            throw InputError(place, "", "no JSON object", "a request with its keys was expected");
    }

    const Json& object() const { return json_; }

    long whole_number(const char* key) const {
        const Json& value = at(key);
        if (value.is_number_unsigned() && value.get<std::uint64_t>() > (1ULL << 62))
            throw InputError(place_, key, fmt::format("{} is absurd", value.dump()));
        if (!value.is_number_integer())
            throw InputError(place_, key, fmt::format("{} is no whole number", shown(value)));
        return value.get<long>();
    }
    // In units of 10^-digits seconds, as ns.
    std::int64_t time(const char* key, int digits) const {
        const Json& value = at(key);
        std::optional<std::int64_t> read;
        if (value.is_number()) read = scaled_decimal(value.dump(), 9 - digits);
        if (!read)
            throw InputError(place_, key, fmt::format("{} is no time", shown(value)),
                             "a number was expected");
        return *read;
    }
    void blocks(const char* key, std::vector<std::uint64_t>& out) const {
        out.clear();
        const auto found = json_.find(key);
        if (found == json_.end()) return;
        if (!found->is_array())
            throw InputError(place_, key, fmt::format("{} is no list", shown(*found)),
                             "names of blocks were expected");
        for (const Json& one : *found) {
            if (!one.is_number_unsigned())
                throw InputError(place_, key, fmt::format("{} is no name of a block", shown(one)),
                                 "whole numbers of 0 or more were expected");
            out.push_back(one.get<std::uint64_t>());
        }
    }

  private:
    const Json& at(const char* key) const {
        const auto found = json_.find(key);
        if (found == json_.end()) throw InputError(place_, key, "is missing");
        return *found;
    }
    static std::string shown(const Json& value) {
        return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40);
    }

    const Place& place_;
    Json json_;
};

struct LineKind {
    RequestFormat format;
    const char *time, *input, *output;
    int digits;  // of the clock: 3 for ms
    long block_tokens;
    std::vector<std::string> known;
};

const LineKind& mooncake() {
    static const LineKind kind{RequestFormat::mooncake,
                               "timestamp",
                               "input_length",
                               "output_length",
                               3,
                               512,
                               {"timestamp", "input_length", "output_length", "hash_ids"}};
    return kind;
}

const LineKind& bailian() {
    static const LineKind kind{RequestFormat::bailian,
                               "timestamp",
                               "input_length",
                               "output_length",
                               0,
                               16,
                               {"timestamp", "input_length", "output_length", "hash_ids", "chat_id",
                                "parent_chat_id", "turn", "type"}};
    return kind;
}

const LineKind& llmservingsim() {
    static const LineKind kind{
        RequestFormat::llmservingsim,
        "arrival_time_ns",
        "input_toks",
        "output_toks",
        9,
        0,
        {"arrival_time_ns", "input_toks", "output_toks", "input_tok_ids", "output_tok_ids"}};
    return kind;
}

class LineParser {
  public:
    LineParser(const LineKind& kind, std::shared_ptr<std::vector<Diagnostic>> met)
        : kind_(kind), met_(std::move(met)) {}

    void operator()(std::string_view line, const Place& place, TraceRow& row) {
        const LineKeys keys(line, place);
        for (const auto& item : keys.object().items()) {
            if (std::find(kind_.known.begin(), kind_.known.end(), item.key()) != kind_.known.end())
                continue;
            meet(item.key(), place);
        }
        row.time = keys.time(kind_.time, kind_.digits);
        row.input = keys.whole_number(kind_.input);
        row.output = keys.whole_number(kind_.output);
        if (kind_.block_tokens > 0) {
            keys.blocks("hash_ids", row.blocks);
        } else {
            row.blocks.clear();
        }
        row.session = -1;
        row.turn = 0;
        row.failed = false;
        if (kind_.format == RequestFormat::bailian) chat(keys, row);
    }

  private:
    // A chat's turns are chats of their own that name the one before: the session is the first.
    void chat(const LineKeys& keys, TraceRow& row) {
        const long id = keys.whole_number("chat_id"), parent = keys.whole_number("parent_chat_id");
        row.turn = static_cast<int>(std::clamp(keys.whole_number("turn"), 1L, 1'000'000L)) - 1;
        const auto root = roots_.find(parent);
        row.session = root != roots_.end() ? root->second : parent >= 0 ? parent : id;
        roots_[id] = row.session;
    }
    void meet(const std::string& key, const Place& place) {
        const bool before = std::any_of(met_->begin(), met_->end(),
                                        [&](const Diagnostic& one) { return one.path == key; });
        if (before || met_->size() >= RequestCounts::kMostProblems) return;
        Diagnostic one = unknown_name(place, "", "key", key.substr(0, 60), kind_.known);
        one.path = key;
        met_->push_back(std::move(one));
    }

    const LineKind& kind_;
    std::shared_ptr<std::vector<Diagnostic>> met_;
    std::unordered_map<long, long> roots_;
};

bool names(std::string_view line, const char* key) {
    return line.find(fmt::format("\"{}\"", key)) != std::string_view::npos;
}

}  // namespace

std::optional<RowFormat> json_rows(std::string_view first) {
    if (first.empty() || first.front() != '{') return std::nullopt;
    const LineKind* kind = nullptr;
    if (names(first, "input_length") && names(first, "timestamp"))
        kind = names(first, "chat_id") ? &bailian() : &mooncake();
    else if (names(first, "input_toks") && names(first, "arrival_time_ns"))
        kind = &llmservingsim();
    if (kind == nullptr) return std::nullopt;
    RowFormat rows;
    rows.format = kind->format;
    rows.block_tokens = kind->block_tokens;
    rows.parse = LineParser(*kind, rows.met);
    return rows;
}

}  // namespace podsim

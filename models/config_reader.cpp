#include "models/config_reader.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "models/silent_keys.hpp"

namespace podsim {

namespace {

constexpr const char* text_key = "text_config";

std::string kind_name(const Node& node) {
    switch (node.kind) {
        case Node::Kind::null:
            return "null";
        case Node::Kind::list:
            return "a list";
        case Node::Kind::map:
            return "a map";
        case Node::Kind::scalar:
            break;
    }
    return node.quoted ? "the text \"" + node.text + "\"" : node.text;
}

}  // namespace

ConfigReader::ConfigReader(const Node& config) : config_(config) {
    if (config.kind != Node::Kind::map) {
        throw InputError(config.place, "",
                         "a model is a map of keys such as hidden_size, not " + kind_name(config));
    }
    const Node* text = config.find(text_key);
    if (text != nullptr && text->kind == Node::Kind::map) text_ = text;
}

// The family is the whole model's.
const Node* ConfigReader::find(const std::string& key) const {
    if (text_ != nullptr && key != "model_type") {
        if (const Node* node = text_->find(key)) return node;
    }
    return config_.find(key);
}

std::string ConfigReader::path_of(const std::string& key) const {
    return text_ != nullptr && text_->find(key) != nullptr ? std::string(text_key) + "." + key
                                                           : key;
}

bool ConfigReader::has(const std::string& key) const {
    const Node* node = find(key);
    return node != nullptr && node->kind != Node::Kind::null;
}

long ConfigReader::size(const std::string& key, long limit) {
    const Node* node = present(key);
    if (node != nullptr) return whole_number(*node, path_of(key), 1, limit);
    note_missing(key, "a whole number from 1");
    return 0;
}

long ConfigReader::count(const std::string& key, long limit) {
    const Node* node = present(key);
    if (node != nullptr) return whole_number(*node, path_of(key), 0, limit);
    note_missing(key, "a whole number from 0");
    return 0;
}

long ConfigReader::size_or(const std::string& key, long limit, long absent) {
    const Node* node = present(key);
    return node == nullptr ? absent : whole_number(*node, path_of(key), 1, limit);
}

long ConfigReader::count_or(const std::string& key, long limit, long absent) {
    const Node* node = present(key);
    return node == nullptr ? absent : whole_number(*node, path_of(key), 0, limit);
}

long ConfigReader::size_or_null(const std::string& key, long limit) {
    const Node* node = find(key);
    if (node != nullptr && node->kind == Node::Kind::null) {
        asked_.insert(key);
        return 0;
    }
    return size(key, limit);
}

bool ConfigReader::flag_or(const std::string& key, bool absent) {
    const Node* node = present(key);
    if (node == nullptr) return absent;
    if (node->kind == Node::Kind::scalar && !node->quoted) {
        if (node->text == "true") return true;
        if (node->text == "false") return false;
    }
    problems_.push_back({node->place, path_of(key),
                         fmt::format("{}, expected true or false", kind_name(*node)), ""});
    return absent;
}

std::string ConfigReader::text(const std::string& key) {
    const Node* node = present(key);
    if (node == nullptr) {
        note_missing(key, "a name");
        return "";
    }
    if (node->kind != Node::Kind::scalar || node->text.empty()) {
        problems_.push_back(
            {node->place, path_of(key), fmt::format("{}, expected a name", kind_name(*node)), ""});
        return "";
    }
    return node->text;
}

std::vector<std::string> ConfigReader::texts(const std::string& key) {
    const Node* node = present(key);
    if (node == nullptr) {
        note_missing(key, "a list of names");
        return {};
    }
    std::vector<std::string> names;
    for (const Node& item : node->items) {
        if (item.kind == Node::Kind::scalar) names.push_back(item.text);
    }
    const bool all = node->kind == Node::Kind::list && names.size() == node->items.size();
    if (all && !names.empty()) return names;
    problems_.push_back(
        {node->place, path_of(key),
         fmt::format("{}, expected a list of names", all ? "an empty list" : kind_name(*node)),
         ""});
    return {};
}

// "4,5,6", as some files write a list.
std::vector<long> ConfigReader::listed(const Node& text, const std::string& path, long limit) {
    std::vector<long> numbers;
    std::string part;
    for (const char c : text.text + ",") {
        if (c == ' ') continue;
        if (c != ',') {
            part += c;
            continue;
        }
        Node item = text;
        item.text = std::exchange(part, "");
        item.quoted = false;
        numbers.push_back(whole_number(item, path, 0, limit));
    }
    return numbers;
}

std::vector<long> ConfigReader::counts(const std::string& key, long limit, long length) {
    const Node* node = present(key);
    if (node == nullptr) {
        note_missing(key, "a list of whole numbers");
        return {};
    }
    std::vector<long> numbers;
    if (node->kind == Node::Kind::scalar && node->text.find(',') != std::string::npos) {
        return listed(*node, path_of(key), limit);
    }
    if (node->kind == Node::Kind::scalar) {
        numbers.assign(static_cast<std::size_t>(length),
                       whole_number(*node, path_of(key), 0, limit));
        return numbers;
    }
    const bool is_list = node->kind == Node::Kind::list;
    if (!is_list || node->items.empty()) {
        problems_.push_back({node->place, path_of(key),
                             fmt::format("{}, expected a list of whole numbers",
                                         is_list ? "an empty list" : kind_name(*node)),
                             ""});
        return {};
    }
    for (std::size_t i = 0; i < node->items.size(); ++i) {
        numbers.push_back(
            whole_number(node->items[i], fmt::format("{}.{}", path_of(key), i), 0, limit));
    }
    return numbers;
}

std::vector<Diagnostic> ConfigReader::unexpected() const {
    std::vector<Diagnostic> found;
    // null and false switch nothing on.
    const auto is_off = [](const Node& value) {
        return value.kind == Node::Kind::null ||
               (value.kind == Node::Kind::scalar && !value.quoted && value.text == "false");
    };
    const auto look_through = [&](const Node& map, const std::string& prefix) {
        for (const Node::Entry& entry : map.entries) {
            if (asked_.count(entry.key) > 0 || says_nothing(entry.key) || is_off(entry.value))
                continue;
            found.push_back({entry.value.place, prefix + entry.key,
                             "is not a key that this family's sizes come from: ignored", ""});
        }
    };
    look_through(config_, "");
    if (text_ != nullptr) look_through(*text_, std::string(text_key) + ".");
    return found;
}

long ConfigReader::scale_block() {
    const std::string key = "quantization_config";
    const Node* quantisation = present(key);
    if (quantisation == nullptr) return 0;
    if (quantisation->kind != Node::Kind::map) {
        problems_.push_back({quantisation->place, key,
                             fmt::format("{}, expected a map", kind_name(*quantisation)), ""});
        return 0;
    }
    const Node* block = quantisation->find("weight_block_size");
    if (block == nullptr || block->kind == Node::Kind::null) return 0;
    const std::string path = key + ".weight_block_size";
    if (block->kind != Node::Kind::list || block->items.size() != 2) {
        problems_.push_back(
            {block->place, path, "expected two whole numbers such as [128, 128]", ""});
        return 0;
    }
    const long limit = 1'000'000;
    const long rows = whole_number(block->items[0], path + ".0", 1, limit);
    const long columns = whole_number(block->items[1], path + ".1", 1, limit);
    if (rows > 0 && columns > 0 && rows != columns) {
        problems_.push_back(
            {block->place, path,
             fmt::format("[{}, {}]: only square blocks are modelled", rows, columns), ""});
    }
    return rows;
}

void ConfigReader::require(bool holds, const std::string& key, const std::string& what) {
    if (!holds) problems_.push_back({place_of(key), path_of(key), what, ""});
}

void ConfigReader::require_empty_list(const std::string& key, const std::string& what) {
    const Node* node = present(key);
    if (node == nullptr || (node->kind == Node::Kind::list && node->items.empty())) return;
    problems_.push_back({node->place, path_of(key), what, ""});
}

const Place& ConfigReader::place_of(const std::string& key) const {
    const Node* node = find(key);
    return node == nullptr ? config_.place : node->place;
}

void ConfigReader::finish() {
    if (problems_.empty()) return;
    std::vector<std::string> unused;
    for (const Node::Entry& entry : config_.entries) {
        if (asked_.count(entry.key) == 0) unused.push_back(entry.key);
    }
    for (const std::size_t index : missing_) {
        const std::string near = nearest_name(problems_[index].path, unused);
        if (near.empty()) continue;
        const Place place = place_of(near);
        problems_[index].hint = place.line > 0
                                    ? fmt::format("is {} in line {} meant?", near, place.line)
                                    : fmt::format("is {} meant?", near);
    }
    throw InputError(problems_);
}

const Node* ConfigReader::present(const std::string& key) {
    asked_.insert(key);
    const Node* node = find(key);
    return node == nullptr || node->kind == Node::Kind::null ? nullptr : node;
}

long ConfigReader::whole_number(const Node& node, const std::string& path, long least, long limit) {
    const std::string expected = fmt::format("expected a whole number from {} to {}", least, limit);
    long value = 0;
    const char* const end = node.text.data() + node.text.size();
    bool whole = node.kind == Node::Kind::scalar && !node.quoted && !node.text.empty();
    if (whole) {
        const auto [stop, error] = std::from_chars(node.text.data(), end, value);
        // A leading zero is octal in YAML and forbidden in JSON: refuse to guess.
        const std::size_t first = node.text[0] == '-' ? 1 : 0;
        const bool octal = node.text.size() > first + 1 && node.text[first] == '0';
        whole = error != std::errc::invalid_argument && stop == end && !octal;
        if (whole && error == std::errc::result_out_of_range) {
            value = first == 1 ? -1 : limit + 1;
        }
    }
    if (!whole) {
        problems_.push_back(
            {node.place, path, fmt::format("{}, {}", kind_name(node), expected), ""});
        return 0;
    }
    if (value < least || value > limit) {
        problems_.push_back({node.place, path, fmt::format("{}, {}", node.text, expected), ""});
        return 0;
    }
    return value;
}

void ConfigReader::note_missing(const std::string& key, const std::string& expected) {
    const Node* node = find(key);
    missing_.push_back(problems_.size());
    problems_.push_back(
        {place_of(key), key,
         fmt::format("{}, expected {}", node == nullptr ? "missing" : "null", expected), ""});
}

}  // namespace podsim

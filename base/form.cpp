// The parts of a form that do not depend on a Spec's type: single values and their schemas.
#include "base/form.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace podsim {
namespace {

constexpr double largest = std::numeric_limits<double>::max();
// Longer texts are no value of ours; they would only fill the error's line.
constexpr std::size_t longest_number = 100;

std::string shown(const Node& node) {
    constexpr std::size_t most = 60;
    switch (node.kind) {
        case Node::Kind::list:
            return "a list";
        case Node::Kind::map:
            return "a map";
        case Node::Kind::null:
            return "nothing";
        case Node::Kind::scalar:
            break;
    }
    const bool fits = node.text.size() <= most;
    return fmt::format("\"{}{}\"", node.text.substr(0, most), fits ? "" : "...");
}

Diagnostic wrong(const Node& node, const std::string& path, const std::string& expected,
                 const std::string& hint = "") {
    return {node.place, path, fmt::format("{} was expected, this is {}", expected, shown(node)),
            hint};
}

bool check(const Node& node, const std::string& path, double value, const Checks& checks,
           Problems& problems) {
    bool passed = true;
    for (const Check& one : checks) {
        if (one.passes(value)) continue;
        problems.push_back(wrong(node, path, one.text));
        passed = false;
    }
    return passed;
}

bool is_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// How a text that is no whole number could be one.
std::string integer_hint(const Node& node) {
    if (node.kind != Node::Kind::scalar) return "";
    if (node.quoted) return "without quotes";
    const std::string digits = node.text.substr(0, node.text.find_first_not_of("0123456789"));
    if (digits.empty()) return "";
    if (digits.size() == node.text.size()) return "without leading zeros";
    const char next = node.text[digits.size()];
    if (next == '.' || next == 'e' || next == 'E') return "write all digits and no point";
    if (next == ',' || next == '_') return "without separators";
    return "without a unit";
}

nlohmann::ordered_json number_limits(const Checks& checks) {
    nlohmann::ordered_json limits = nlohmann::ordered_json::object();
    for (const Check& check : checks) {
        limits[check.above_minimum ? "exclusiveMinimum" : "minimum"] = check.minimum;
        if (check.maximum < largest) limits["maximum"] = check.maximum;
    }
    return limits;
}

}  // namespace

Check positive() {
    return {0.0, largest, true, "a value above 0"};
}
Check non_negative() {
    return {0.0, largest, false, "a value of 0 or more"};
}
Check at_least(double minimum) {
    return {minimum, largest, false, fmt::format("a value of at least {}", minimum)};
}
Check share() {
    return {0.0, 1.0, false, "a share from 0 to 1"};
}
Check share_above_zero() {
    return {0.0, 1.0, true, "a share above 0, at most 1"};
}

JsonSchema::JsonSchema(nlohmann::ordered_json json)
    : json_(std::make_shared<const nlohmann::ordered_json>(std::move(json))) {}

const nlohmann::ordered_json& JsonSchema::json() const {
    static const nlohmann::ordered_json null;
    return json_ == nullptr ? null : *json_;
}

namespace form_detail {

std::string join(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
}

Diagnostic wrong_kind(const Node& node, const std::string& path, const std::string& expected) {
    return wrong(node, path, expected);
}

bool is_kind(const Node& node, const std::string& path, Node::Kind kind, Problems& problems) {
    if (node.kind == kind) return true;
    problems.push_back(wrong(node, path, kind == Node::Kind::list ? "a list" : "a map"));
    return false;
}

bool read_bool(const Node& node, const std::string& path, bool& out, Problems& problems) {
    const bool plain = node.kind == Node::Kind::scalar && !node.quoted;
    const bool yes = plain && (node.text == "true" || node.text == "yes");
    const bool no = plain && (node.text == "false" || node.text == "no");
    if (yes || no) {
        out = yes;
    } else {
        problems.push_back(wrong(node, path, "true or false"));
    }
    return yes || no;
}

bool read_text(const Node& node, const std::string& path, std::string& out, Problems& problems) {
    if (node.kind != Node::Kind::scalar) {
        problems.push_back(wrong(node, path, "a text"));
        return false;
    }
    out = node.text;
    return true;
}

bool read_integer(const Node& node, const std::string& path, long long minimum, long long maximum,
                  const Checks& checks, long long& out, Problems& problems) {
    const std::string& text = node.text;
    const std::string_view digits = std::string_view(text).substr(text.rfind('-', 0) == 0 ? 1 : 0);
    const bool is_integer = node.kind == Node::Kind::scalar && !node.quoted && is_digits(digits) &&
                            (digits.size() == 1 || digits[0] != '0');
    if (!is_integer) {
        problems.push_back(wrong(node, path, "a whole number", integer_hint(node)));
        return false;
    }
    const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
    if (result.ec != std::errc() || out < minimum || out > maximum) {
        problems.push_back(
            wrong(node, path, fmt::format("a whole number from {} to {}", minimum, maximum)));
        return false;
    }
    return check(node, path, static_cast<double>(out), checks, problems);
}

bool read_number(const Node& node, const std::string& path, Dimension dimension,
                 const Checks& checks, double& out, Problems& problems) {
    const std::string expected = describe_dimension(dimension);
    const bool is_text = node.kind == Node::Kind::scalar && node.text.size() <= longest_number;
    // "5" in quotes is a text; "3.2 TB/s" and "12 %" can be nothing but values.
    const bool is_quoted_number =
        node.quoted && !node.text.empty() &&
        node.text.find_first_not_of("0123456789.+-eE") == std::string::npos;
    if (!is_text || is_quoted_number) {
        problems.push_back(wrong(node, path, expected, is_quoted_number ? "without quotes" : ""));
        return false;
    }
    double value = 0.0;
    try {
        value = parse_quantity(node.text, dimension);
    } catch (const UnitError& error) {
        problems.push_back(
            {node.place, path, fmt::format("{}, expected {}", error.what, error.expected), ""});
        return false;
    }
    if (!check(node, path, value, checks, problems)) return false;
    out = value;
    return true;
}

bool read_choice(const Node& node, const std::string& path, const std::vector<std::string>& names,
                 std::size_t& out, Problems& problems) {
    const auto name = std::find(names.begin(), names.end(), node.text);
    if (node.kind == Node::Kind::scalar && name != names.end()) {
        out = static_cast<std::size_t>(name - names.begin());
        return true;
    }
    const std::string nearest = nearest_name(node.text, names);
    problems.push_back(wrong(node, path, fmt::format("one of {}", fmt::join(names, ", ")),
                             nearest.empty() ? "" : "did you mean " + nearest + "?"));
    return false;
}

bool find_key(const Node::Entry& entry, const std::string& path,
              const std::vector<std::string>& names, std::size_t& out, Problems& problems) {
    const auto name = std::find(names.begin(), names.end(), entry.key);
    if (name == names.end()) {
        problems.push_back(
            unknown_name(entry.place, join(path, entry.key), "key", entry.key, names));
        return false;
    }
    out = static_cast<std::size_t>(name - names.begin());
    return true;
}

JsonSchema any_schema() {
    return JsonSchema(nlohmann::ordered_json::object());
}

JsonSchema type_schema(const char* type) {
    return JsonSchema(nlohmann::ordered_json{{"type", type}});
}

JsonSchema integer_schema(const Checks& checks) {
    nlohmann::ordered_json result{{"type", "integer"}};
    result.update(number_limits(checks));
    return JsonSchema(std::move(result));
}

JsonSchema number_schema(const Checks& checks) {
    nlohmann::ordered_json number{{"type", "number"}};
    number.update(number_limits(checks));
    return JsonSchema(nlohmann::ordered_json{
        {"anyOf", {number, {{"type", "string"}, {"pattern", quantity_pattern({})}}}}});
}

JsonSchema quantity_schema(Dimension dimension, const Checks& checks) {
    std::string description = describe_dimension(dimension);
    for (const Check& one : checks) description += "; " + one.text;
    return JsonSchema(nlohmann::ordered_json{{"type", "string"},
                                             {"pattern", quantity_pattern(dimension)},
                                             {"description", description}});
}

JsonSchema choice_schema(const std::vector<std::string>& names) {
    return JsonSchema(nlohmann::ordered_json{{"enum", names}});
}

JsonSchema either_schema(const JsonSchema& one, const JsonSchema& other) {
    return JsonSchema(nlohmann::ordered_json{{"anyOf", {one.json(), other.json()}}});
}

JsonSchema list_schema(const JsonSchema& item) {
    return JsonSchema(nlohmann::ordered_json{{"type", "array"}, {"items", item.json()}});
}

JsonSchema map_schema(const std::vector<std::string>* keys, const JsonSchema& value) {
    nlohmann::ordered_json result{{"type", "object"}};
    if (keys != nullptr) result["propertyNames"] = {{"enum", *keys}};
    result["additionalProperties"] = value.json();
    return JsonSchema(std::move(result));
}

JsonSchema default_value(bool value) {
    return JsonSchema(nlohmann::ordered_json(value));
}
JsonSchema default_value(long long value) {
    return JsonSchema(nlohmann::ordered_json(value));
}
JsonSchema default_value(unsigned long long value) {
    return JsonSchema(nlohmann::ordered_json(value));
}
JsonSchema default_value(double value) {
    return JsonSchema(nlohmann::ordered_json(value));
}
JsonSchema default_value(const std::string& value) {
    return JsonSchema(nlohmann::ordered_json(value));
}

}  // namespace form_detail

namespace {

// The entry of a map that a dotted path leads through next; nullptr where it ends. Keys may hold
// dots themselves.
const Node::Entry* step_along(const Node& node, std::string_view& path) {
    for (const Node::Entry& entry : node.entries) {
        const std::size_t size = entry.key.size();
        if (path.substr(0, size) != entry.key) continue;
        if (path.size() != size && path[size] != '.') continue;
        path.remove_prefix(std::min(path.size(), size + 1));
        return &entry;
    }
    return nullptr;
}

}  // namespace

void place_in_variant(const Node& document, Problems& problems) {
    for (Diagnostic& problem : problems) {
        const Place stands = problem.place;
        if (stands.file == document.place.file || stands.line == 0) continue;
        problem.place = document.place;
        const Node* node = &document;
        std::string_view rest = problem.path;
        while (const Node::Entry* next = step_along(*node, rest)) {
            node = &next->value;
            if (next->place.file == document.place.file) problem.place = next->place;
        }
        problem.hint += fmt::format("{}the value stands in {}:{}", problem.hint.empty() ? "" : "; ",
                                    stands.file, stands.line);
    }
}

void ReadForm::problem(const std::string& key, const std::string& what, const std::string& hint) {
    const Node* node = &node_;
    std::string_view rest = key;
    while (const Node::Entry* next = step_along(*node, rest)) node = &next->value;
    problems_.push_back({node->place, form_detail::join(path_, key), what, hint});
}

const Node* ReadForm::take(const char* key, bool needed, const char* help) {
    known_.push_back(key);
    const Node* value = node_.find(key);
    if (value == nullptr) {
        if (needed) problem(key, "is missing", help);
        return nullptr;
    }
    // `null` written out takes back what a base document said; an empty value is a slip.
    const bool taken_back = value->kind == Node::Kind::null && !value->text.empty();
    return taken_back && !needed ? nullptr : value;
}

void ReadForm::report_unknown_keys() {
    if (ignore_unknown_) return;
    for (const Node::Entry& entry : node_.entries) {
        if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
        problems_.push_back(unknown_name(entry.place, form_detail::join(path_, entry.key), "key",
                                         entry.key, known_));
    }
}

SchemaForm::SchemaForm()
    : schema_(std::make_shared<nlohmann::ordered_json>(
          nlohmann::ordered_json{{"type", "object"},
                                 {"properties", nlohmann::ordered_json::object()},
                                 {"required", nlohmann::ordered_json::array()},
                                 {"additionalProperties", false}})) {}

JsonSchema SchemaForm::take() const {
    return JsonSchema(*schema_);
}

void SchemaForm::add(bool needed, const char* key, const char* help, const JsonSchema& schema,
                     const JsonSchema& default_value) {
    nlohmann::ordered_json rest = schema.json();
    // The description of the key stands before the one of its type.
    nlohmann::ordered_json property{{"description", help}};
    if (rest.contains("description")) {
        property["description"] =
            fmt::format("{}; {}", help, rest["description"].get<std::string>());
        rest.erase("description");
    }
    property.update(rest);
    if (!default_value.json().is_null()) property["default"] = default_value.json();
    (*schema_)["properties"][key] = std::move(property);
    if (needed) (*schema_)["required"].push_back(key);
}

JsonSchema document_schema(const std::string& title, const JsonSchema& spec) {
    nlohmann::ordered_json result{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                                  {"title", title}};
    result.update(spec.json());
    return JsonSchema(std::move(result));
}

}  // namespace podsim

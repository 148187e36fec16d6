// One description of a Spec serves three readers: the configuration reader, the JSON Schema
// writer, and whoever lists a Spec's keys. A Spec's file defines
//
//   template <class Form> void describe(Form& form, HbmSpec& spec) {
//       form.required("capacity", spec.capacity, "memory of a package", positive());
//       form.optional("efficiency", spec.efficiency, "share of peak a stream reaches", share());
//   }
//
// and read<HbmSpec>(node, path) fills it. Field types: bool, integers, double (a plain number or
// "12 %"), std::string, Quantity, Sourced<...>, enums with names_of(const E*), std::vector,
// std::map from std::string or such an enum, std::optional, nested described Specs, and Node (any
// tree, left to be read later). An optional field that is absent or `null` keeps what it holds.
//
// Rules that tie keys together stand in the description too; ok() says that everything so far
// could be read, and is false where nothing is read (a schema is written):
//
//       if (form.ok() && spec.ranks > spec.chips) form.problem("ranks", "more than the chips");
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/diagnostic.hpp"
#include "base/document.hpp"
#include "base/names.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"

namespace podsim {

// What a number has to be besides readable. A NaN never passes, infinity neither.
struct Check {
    double minimum, maximum;
    bool above_minimum;  // the minimum itself does not pass
    std::string text;    // "a value above 0"

    bool passes(double value) const {
        return (above_minimum ? value > minimum : value >= minimum) && value <= maximum;
    }
};
using Checks = std::vector<Check>;

Check positive();
Check non_negative();
Check at_least(double minimum);  // in base units, for a Quantity
Check share();                   // 0 to 1
Check share_above_zero();        // above 0, at most 1

using Problems = std::vector<Diagnostic>;

// A JSON Schema, or a part of one. It hides its JSON, whose header would cost every source that
// describes or reads a Spec some two seconds to compile.
class JsonSchema {
  public:
    JsonSchema() = default;  // null
    explicit JsonSchema(nlohmann::ordered_json json);
    const nlohmann::ordered_json& json() const;

  private:
    std::shared_ptr<const nlohmann::ordered_json> json_;
};

// How field types are told apart, and the readers of single values. Each reader returns whether
// `out` was filled and otherwise adds to `problems`.
namespace form_detail {

template <class T, template <class...> class Template>
struct IsOf : std::false_type {};
template <template <class...> class Template, class... A>
struct IsOf<Template<A...>, Template> : std::true_type {};
template <class T>
struct IsQuantity : std::false_type {};
template <int T, int B, int F, int U, int E, int K>
struct IsQuantity<Quantity<T, B, F, U, E, K>> : std::true_type {};

template <class T>
constexpr bool is_vector = IsOf<T, std::vector>::value;
template <class T>
constexpr bool is_map = IsOf<T, std::map>::value;
template <class T>
constexpr bool is_optional = IsOf<T, std::optional>::value;
template <class T>
constexpr bool is_sourced = IsOf<T, Sourced>::value;
template <class T>
constexpr bool is_quantity = IsQuantity<T>::value;
template <class T>
constexpr bool is_number = is_quantity<T> || (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);

std::string join(const std::string& path, const std::string& key);
Diagnostic wrong_kind(const Node& node, const std::string& path, const std::string& expected);

bool is_kind(const Node& node, const std::string& path, Node::Kind kind, Problems& problems);
bool read_bool(const Node& node, const std::string& path, bool& out, Problems& problems);
bool read_text(const Node& node, const std::string& path, std::string& out, Problems& problems);
bool read_integer(const Node& node, const std::string& path, long long minimum, long long maximum,
                  const Checks& checks, long long& out, Problems& problems);
// A plain number or a share; or, for a dimension, a value with its unit.
bool read_number(const Node& node, const std::string& path, Dimension dimension,
                 const Checks& checks, double& out, Problems& problems);
// The index of the name that is written.
bool read_choice(const Node& node, const std::string& path, const std::vector<std::string>& names,
                 std::size_t& out, Problems& problems);

// The same for the key of a map.
bool find_key(const Node::Entry& entry, const std::string& path,
              const std::vector<std::string>& names, std::size_t& out, Problems& problems);

JsonSchema any_schema();
JsonSchema type_schema(const char* type);
JsonSchema integer_schema(const Checks& checks);
JsonSchema number_schema(const Checks& checks);
JsonSchema quantity_schema(Dimension dimension, const Checks& checks);
JsonSchema choice_schema(const std::vector<std::string>& names);
JsonSchema either_schema(const JsonSchema& one, const JsonSchema& other);
JsonSchema list_schema(const JsonSchema& item);
// `keys`: nullptr where any text is a key.
JsonSchema map_schema(const std::vector<std::string>* keys, const JsonSchema& value);

JsonSchema default_value(bool value);
JsonSchema default_value(long long value);
JsonSchema default_value(unsigned long long value);
JsonSchema default_value(double value);
JsonSchema default_value(const std::string& value);

template <class E>
std::vector<std::string> names_as_text() {
    std::vector<std::string> names;
    for (const auto& entry : names_of(static_cast<const E*>(nullptr))) names.push_back(entry.first);
    return names;
}

template <class T>
void read_value(const Node& node, const std::string& path, const Checks& checks, T& out,
                Problems& problems);
template <class T>
JsonSchema schema_of(const Checks& checks);
template <class T>
JsonSchema default_of(const T& value);
// Whether a value may be written. What may not stands for something else, that is worked out.
template <class T>
bool passes(const T& value, const Checks& checks);

}  // namespace form_detail

// Reads one map. Every problem goes to the list it was given; nothing is thrown.
class ReadForm {
  public:
    ReadForm(const Node& node, std::string path, Problems& problems)
        : node_(node), path_(std::move(path)), problems_(problems), before_(problems.size()) {}

    template <class T, class... C>
    void required(const char* key, T& field, const char* help, const C&... checks) {
        this->field(true, key, field, help, Checks{checks...});
    }
    template <class T, class... C>
    void optional(const char* key, T& field, const char* help, const C&... checks) {
        this->field(false, key, field, help, Checks{checks...});
    }
    template <class T>
    void field(bool needed, const char* key, T& out, const char* help, const Checks& checks) {
        const Node* value = take(key, needed, help);
        if (value == nullptr) return;
        form_detail::read_value(*value, form_detail::join(path_, key), checks, out, problems_);
    }

    const Node& node() const { return node_; }
    const Place& place() const { return node_.place; }
    const std::string& path() const { return path_; }  // dotted, "" at the root
    bool has(const char* key) const { return node_.find(key) != nullptr; }
    bool ok() const { return problems_.size() == before_; }

    // Records what is wrong with `key`: at its value, or at this map where it is absent.
    void problem(const std::string& key, const std::string& what, const std::string& hint = "");

    // For a description that stops early, as where the kind that decides about the other keys
    // cannot be read: what it did not ask for is then not called unknown.
    void ignore_unknown_keys() { ignore_unknown_ = true; }
    // Keys nobody asked for; to be called after the description.
    void report_unknown_keys();

  private:
    const Node* take(const char* key, bool needed, const char* help);

    const Node& node_;
    std::string path_;
    Problems& problems_;
    std::size_t before_;
    bool ignore_unknown_ = false;
    std::vector<std::string> known_;
};

// Fills `spec` from a map as far as it goes and adds every problem to `problems`, for callers
// that have more to read before they throw. Returns whether there was none.
template <class Spec>
bool read_into(const Node& node, const std::string& path, Spec& spec, Problems& problems) {
    if (node.kind != Node::Kind::map) {
        problems.push_back(form_detail::wrong_kind(node, path, "a map"));
        return false;
    }
    ReadForm form(node, path, problems);
    try {
        describe(form, spec);
        form.report_unknown_keys();
    } catch (const InputError& error) {
        problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
    return form.ok();
}

// What is wrong with a value that a document has from another file, by `base:`, is said where the
// user wrote: at the nearest key above it that stands in the document's own file. The hint names
// the line of the value.
void place_in_variant(const Node& document, Problems& problems);

// The Spec of a document, or one InputError with all its problems.
template <class Spec>
Spec read(const Node& node, const std::string& path) {
    Spec spec{};
    Problems problems;
    if (read_into(node, path, spec, problems)) return spec;
    place_in_variant(node, problems);
    throw InputError(std::move(problems));
}

// Writes the JSON Schema of a map: what ReadForm takes, for editors to complete and check.
class SchemaForm {
  public:
    SchemaForm();

    template <class T, class... C>
    void required(const char* key, T& field, const char* help, const C&... checks) {
        this->field(true, key, field, help, Checks{checks...});
    }
    template <class T, class... C>
    void optional(const char* key, T& field, const char* help, const C&... checks) {
        this->field(false, key, field, help, Checks{checks...});
    }
    template <class T>
    void field(bool needed, const char* key, T& out, const char* help, const Checks& checks) {
        const bool says = !needed && form_detail::passes(out, checks);
        add(needed, key, help, form_detail::schema_of<T>(checks),
            says ? form_detail::default_of(out) : JsonSchema());
    }

    bool has(const char*) const { return false; }
    bool ok() const { return false; }
    void ignore_unknown_keys() {}
    void problem(const std::string&, const std::string&, const std::string& = "") {}

    JsonSchema take() const;

  private:
    void add(bool needed, const char* key, const char* help, const JsonSchema& schema,
             const JsonSchema& default_value);
    std::shared_ptr<nlohmann::ordered_json> schema_;
};

// A JSON Schema (draft 2020-12) of a document whose map is `spec`.
JsonSchema document_schema(const std::string& title, const JsonSchema& spec);

template <class Spec>
JsonSchema schema(const std::string& title) {
    return document_schema(title, form_detail::schema_of<Spec>({}));
}

namespace form_detail {

// The map form of a value that says where it comes from.
template <class Form, class T>
void describe_sourced(Form& form, Sourced<T>& field, const Checks& checks) {
    form.field(true, "value", field.value, "the value itself", checks);
    form.field(false, "low", field.low, "lowest value it may be", checks);
    form.field(false, "high", field.high, "highest value it may be", checks);
    form.optional("source", field.source, "who says so");
    form.optional("confidence", field.confidence, "what kind of origin that is");
    form.optional("note", field.note, "what a reader should know");
    if constexpr (is_number<T>) {
        if (!form.ok()) return;
        if (field.low && !(*field.low <= field.value)) form.problem("low", "is above the value");
        if (field.high && !(field.value <= *field.high)) {
            form.problem("high", "is below the value");
        }
    }
}

template <class T>
void read_sourced(const Node& node, const std::string& path, const Checks& checks, Sourced<T>& out,
                  Problems& problems) {
    out = {};
    if (node.kind != Node::Kind::map) {
        read_value(node, path, checks, out.value, problems);
        return;
    }
    ReadForm form(node, path, problems);
    describe_sourced(form, out, checks);
    form.report_unknown_keys();
}

template <class E>
E choice(std::size_t index) {
    return names_of(static_cast<const E*>(nullptr))[index].second;
}

template <class Key, class T>
void read_map(const Node& node, const std::string& path, const Checks& checks,
              std::map<Key, T>& out, Problems& problems) {
    out.clear();
    for (const Node::Entry& entry : node.entries) {
        Key key{};
        if constexpr (std::is_enum_v<Key>) {
            std::size_t index = 0;
            if (!find_key(entry, path, names_as_text<Key>(), index, problems)) continue;
            key = choice<Key>(index);
        } else {
            key = entry.key;
        }
        T value{};
        read_value(entry.value, join(path, entry.key), checks, value, problems);
        out.emplace(std::move(key), std::move(value));
    }
}

template <class T>
void read_value(const Node& node, const std::string& path, const Checks& checks, T& out,
                Problems& problems) {
    if constexpr (std::is_same_v<T, Node>) {
        out = node;
    } else if constexpr (std::is_same_v<T, bool>) {
        read_bool(node, path, out, problems);
    } else if constexpr (std::is_same_v<T, std::string>) {
        read_text(node, path, out, problems);
    } else if constexpr (std::is_integral_v<T>) {
        using Limits = std::numeric_limits<T>;
        constexpr auto widest = std::numeric_limits<long long>::max();
        constexpr auto highest = static_cast<unsigned long long>(Limits::max());
        long long value = 0;
        if (read_integer(node, path, static_cast<long long>(Limits::min()),
                         highest < widest ? static_cast<long long>(highest) : widest, checks, value,
                         problems)) {
            out = static_cast<T>(value);
        }
    } else if constexpr (std::is_same_v<T, double>) {
        read_number(node, path, {}, checks, out, problems);
    } else if constexpr (is_quantity<T>) {
        double value = 0.0;
        if (read_number(node, path, T::dimension, checks, value, problems)) out = T(value);
    } else if constexpr (std::is_enum_v<T>) {
        std::size_t index = 0;
        if (read_choice(node, path, names_as_text<T>(), index, problems)) out = choice<T>(index);
    } else if constexpr (is_sourced<T>) {
        read_sourced(node, path, checks, out, problems);
    } else if constexpr (is_optional<T>) {
        read_value(node, path, checks, out.emplace(), problems);
    } else if constexpr (is_vector<T>) {
        if (!is_kind(node, path, Node::Kind::list, problems)) return;
        out.clear();
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            typename T::value_type item{};
            read_value(node.items[i], join(path, item_label(node, i)), checks, item, problems);
            out.push_back(std::move(item));
        }
    } else if constexpr (is_map<T>) {
        if (is_kind(node, path, Node::Kind::map, problems)) {
            read_map(node, path, checks, out, problems);
        }
    } else {
        read_into(node, path, out, problems);
    }
}

template <class T>
JsonSchema schema_of(const Checks& checks) {
    if constexpr (std::is_same_v<T, Node>) {
        return any_schema();
    } else if constexpr (std::is_same_v<T, bool>) {
        return type_schema("boolean");
    } else if constexpr (std::is_same_v<T, std::string>) {
        return type_schema("string");
    } else if constexpr (std::is_integral_v<T>) {
        return integer_schema(checks);
    } else if constexpr (std::is_same_v<T, double>) {
        return number_schema(checks);
    } else if constexpr (is_quantity<T>) {
        return quantity_schema(T::dimension, checks);
    } else if constexpr (std::is_enum_v<T>) {
        return choice_schema(names_as_text<T>());
    } else if constexpr (is_sourced<T>) {
        SchemaForm form;
        T sourced{};
        describe_sourced(form, sourced, checks);
        return either_schema(schema_of<decltype(T::value)>(checks), form.take());
    } else if constexpr (is_optional<T>) {
        return schema_of<typename T::value_type>(checks);
    } else if constexpr (is_vector<T>) {
        return list_schema(schema_of<typename T::value_type>(checks));
    } else if constexpr (is_map<T>) {
        const JsonSchema value = schema_of<typename T::mapped_type>(checks);
        if constexpr (std::is_enum_v<typename T::key_type>) {
            const auto keys = names_as_text<typename T::key_type>();
            return map_schema(&keys, value);
        } else {
            return map_schema(nullptr, value);
        }
    } else {
        SchemaForm form;
        T spec{};
        describe(form, spec);
        return form.take();
    }
}

template <class T>
bool passes([[maybe_unused]] const T& value, const Checks& checks) {
    double number = 0;
    if constexpr (is_quantity<T>) {
        number = value.value();
    } else if constexpr (is_number<T>) {
        number = static_cast<double>(value);
    } else {
        return true;
    }
    return std::all_of(checks.begin(), checks.end(),
                       [&](const Check& check) { return check.passes(number); });
}

// What an absent optional key stands for, null where that is more than a plain value.
template <class T>
JsonSchema default_of(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
        return value.empty() ? JsonSchema() : default_value(value);
    } else if constexpr (is_quantity<T>) {
        return std::isfinite(value.value()) ? default_value(to_string(value)) : JsonSchema();
    } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double>) {
        return default_value(value);
    } else if constexpr (std::is_arithmetic_v<T>) {
        using Widest = std::conditional_t<
            std::is_floating_point_v<T>, double,
            std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>>;
        return default_value(static_cast<Widest>(value));
    } else if constexpr (std::is_enum_v<T>) {
        return default_value(std::string(name_of(value)));
    } else {
        return {};
    }
}

}  // namespace form_detail
}  // namespace podsim

// What is done with trees once they are read: laying one on another, setting a value by its
// path, turning them into JSON and back. The readers are yaml_reader.cpp and json_reader.cpp.
#include "base/document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text_file.hpp"

namespace podsim {
namespace {

constexpr std::size_t deepest = 64;

// {value: 600 W, source: ...} is one value that says where it comes from.
bool is_sourced_value(const Node& node) {
    return node.find("value") != nullptr;
}

void restamp(Node& node, const Place& place) {
    node.place = place;
    for (Node& item : node.items) restamp(item, place);
    for (Node::Entry& entry : node.entries) {
        entry.place = place;
        restamp(entry.value, place);
    }
}

// A number of JSON's grammar, or true or false, that prints as it is written.
bool is_json_literal(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    return (json.is_number() || json.is_boolean()) && json.dump() == text;
}

// Whether `key` is the next step of `path`: all of it, or up to a dot.
bool is_step(const std::string& key, std::string_view path) {
    return !key.empty() && path.substr(0, key.size()) == key &&
           (path.size() == key.size() || path[key.size()] == '.');
}

struct Setter {
    const std::string& path;
    const Place& place;

    [[noreturn]] void fail(const std::string& what, const std::string& hint = "") const {
        throw InputError(place, path, what, hint);
    }

    // The node at `rest` below `node`, made where maps lack it. Known keys and names may hold
    // dots themselves: the longest one that fits is the step.
    Node& descend(Node& node, std::string_view rest, std::size_t depth) const {
        if (depth > deepest) fail(fmt::format("a path of more than {} steps", deepest));
        if (node.kind == Node::Kind::null) {
            node.kind = Node::Kind::map;
            node.text.clear();
            node.place = place;
        }
        if (node.kind == Node::Kind::scalar) {
            fail(fmt::format("\"{}\" is a step into a single value", rest),
                 "the value here is " + node.text);
        }
        std::string step(rest.substr(0, rest.find('.')));
        Node* next = node.kind == Node::Kind::list ? item(node, rest, step) : nullptr;
        for (Node::Entry& entry : node.entries) {
            const bool longer = next == nullptr || entry.key.size() > step.size();
            if (!is_step(entry.key, rest) || !longer) continue;
            next = &entry.value;
            step = entry.key;
        }
        if (next == nullptr) {
            if (step.empty()) fail("an empty step in the path");
            Node::Entry entry{step, place, {}};
            entry.value.place = place;
            node.entries.push_back(std::move(entry));
            next = &node.entries.back().value;
        }
        if (rest.size() == step.size()) return *next;
        return descend(*next, rest.substr(step.size() + 1), depth + 1);
    }

    Node* item(Node& list, std::string_view rest, std::string& step) const {
        std::vector<std::string> labels;
        Node* next = nullptr;
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            labels.push_back(item_label(list, i));
            const std::string index = std::to_string(i);
            for (const std::string& label : {index, labels.back()}) {
                const bool longer = next == nullptr || label.size() > step.size();
                if (!is_step(label, rest) || !longer) continue;
                next = &list.items[i];
                step = label;
            }
        }
        if (next == nullptr) {
            const Diagnostic d = unknown_name(place, path, "list element", step, labels);
            fail(d.what, d.hint);
        }
        return next;
    }
};

void add_origins(const Node& node, const std::string& path,
                 std::vector<std::pair<std::string, std::string>>& result) {
    const std::string prefix = path.empty() ? "" : path + ".";
    if (node.kind == Node::Kind::scalar) {
        const Place& p = node.place;
        result.emplace_back(path, p.line > 0 ? fmt::format("{}:{}", p.file, p.line) : p.file);
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        add_origins(node.items[i], prefix + item_label(node, i), result);
    }
    for (const Node::Entry& entry : node.entries) {
        add_origins(entry.value, prefix + entry.key, result);
    }
}

Node from_json_at(const nlohmann::ordered_json& json, const Place& place, std::size_t depth) {
    if (depth > deepest) {
        throw InputError(place, "", fmt::format("nested more than {} deep", deepest));
    }
    Node node;
    node.place = place;
    if (json.is_null()) {
        node.text = "null";
    } else if (json.is_object()) {
        node.kind = Node::Kind::map;
        for (const auto& [key, value] : json.items()) {
            node.entries.push_back({key, place, from_json_at(value, place, depth + 1)});
        }
    } else if (json.is_array()) {
        node.kind = Node::Kind::list;
        for (const auto& value : json) {
            node.items.push_back(from_json_at(value, place, depth + 1));
        }
    } else {
        node.kind = Node::Kind::scalar;
        node.text = json.is_string() ? json.get<std::string>() : json.dump();
        // What to_json would have written as a number, had it been one, was text.
        node.quoted = json.is_string() && is_json_literal(node.text);
    }
    return node;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    for (const Entry& entry : entries) {
        if (entry.key == key) return &entry.value;
    }
    return nullptr;
}

Node* Node::find(std::string_view key) {
    return const_cast<Node*>(static_cast<const Node*>(this)->find(key));
}

std::string item_label(const Node& list, std::size_t index) {
    const Node* name = list.items[index].find("name");
    const bool named = name != nullptr && name->kind == Node::Kind::scalar && !name->text.empty();
    return named ? name->text : std::to_string(index);
}

Node overlay(Node under, const Node& over) {
    const bool merge = under.kind == Node::Kind::map && over.kind == Node::Kind::map &&
                       !is_sourced_value(under) && !is_sourced_value(over);
    if (!merge) return over;
    for (const Node::Entry& entry : over.entries) {
        const auto same = std::find_if(under.entries.begin(), under.entries.end(),
                                       [&](const Node::Entry& e) { return e.key == entry.key; });
        if (same == under.entries.end()) {
            under.entries.push_back(entry);
        } else {
            *same = {entry.key, entry.place, overlay(std::move(same->value), entry.value)};
        }
    }
    under.place = over.place;
    return under;
}

void set_path(Node& root, const std::string& path, const std::string& value, const Place& place) {
    const Setter setter{path, place};
    if (path.empty()) setter.fail("an empty path, a key such as hbm.bandwidth was expected");
    plain_text(path, place.file);
    Node node;
    if (value.find_first_not_of(" \t\n\r") != std::string::npos) {
        try {
            node = parse_yaml(value, place.file);
        } catch (const InputError& error) {
            // Lines and columns of the value would read as those of a file.
            const Diagnostic& first = error.diagnostics().front();
            setter.fail(fmt::format("the value \"{}\": {}", value, first.what), first.hint);
        }
    }
    restamp(node, place);
    Node& target = setter.descend(root, path, 1);
    target = std::move(node);
}

nlohmann::ordered_json to_json(const Node& node) {
    switch (node.kind) {
        case Node::Kind::null:
            return nullptr;
        case Node::Kind::scalar:
            if (!node.quoted && is_json_literal(node.text)) {
                return nlohmann::ordered_json::parse(node.text);
            }
            return node.text;
        case Node::Kind::list: {
            auto json = nlohmann::ordered_json::array();
            for (const Node& item : node.items) json.push_back(to_json(item));
            return json;
        }
        case Node::Kind::map:
            break;
    }
    auto json = nlohmann::ordered_json::object();
    for (const Node::Entry& entry : node.entries) json[entry.key] = to_json(entry.value);
    return json;
}

Node from_json(const nlohmann::ordered_json& json, const std::string& file) {
    return from_json_at(json, {file}, 1);
}

std::vector<std::pair<std::string, std::string>> origins(const Node& root) {
    std::vector<std::pair<std::string, std::string>> result;
    add_origins(root, "", result);
    return result;
}

}  // namespace podsim

// Configuration documents: YAML (or JSON) files as plain trees that remember where each value
// was written, so that an error a hundred calls later can still say file, line and column.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/diagnostic.hpp"

namespace podsim {

struct Node {
    enum class Kind { null, scalar, list, map };
    struct Entry;

    Kind kind = Kind::null;
    std::string text;            // of a scalar, as written; of a null, "" where nothing is written
    bool quoted = false;         // "yes" is text, yes is not
    Place place;                 // of the value
    std::vector<Node> items;     // of a list
    std::vector<Entry> entries;  // of a map, in the order written

    const Node* find(std::string_view key) const;  // nullptr when absent, or not a map
    Node* find(std::string_view key);
};

struct Node::Entry {
    std::string key;
    Place place;  // of the key
    Node value;
};

// Parses one YAML document. Throws InputError with every problem that can be told apart:
// syntax, tab indentation, duplicate keys, anchors/merge keys (not supported), several
// documents, an empty file, missing or unreadable file, a directory.
Node read_yaml(const std::string& path);
Node parse_yaml(const std::string& text, const std::string& file);

// The same for a strict JSON file (config.json): not-JSON is an error with line and column.
Node read_json(const std::string& path);
Node parse_json(const std::string& text, const std::string& file);

// `over` laid on `under`: maps merge key by key, everything else is replaced. A map of the form
// {value: ..., source: ...} counts as one value and is replaced whole.
Node overlay(Node under, const Node& over);

// Sets the value at a dotted path ("hbm.bandwidth", "alternatives.H800.chips"): a list element
// is chosen by index or by its `name`. Missing map keys on the way are made (the reader decides
// whether they are known). `value` is parsed as YAML flow text, its place is `place`.
// Throws InputError: an empty path, no such list element, a step into a scalar.
void set_path(Node& root, const std::string& path, const std::string& value, const Place& place);

// Plain JSON of a tree (scalars stay text unless they are unquoted numbers or booleans), and
// back (every place says `file`). A tree survives the round trip in meaning.
nlohmann::ordered_json to_json(const Node& node);
Node from_json(const nlohmann::ordered_json& json, const std::string& file);

// How a dotted path calls an element of a list: by its `name` where it has one, else by index.
std::string item_label(const Node& list, std::size_t index);

// Dotted path -> "file:line" of every scalar: the origin of each value of a resolved tree.
std::vector<std::pair<std::string, std::string>> origins(const Node& root);

}  // namespace podsim

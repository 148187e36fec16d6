#include "base/yaml_writer.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace podsim {

namespace {

constexpr std::size_t line_width = 100;

// Whether the text stands plain: nothing in it that YAML, in block or in flow style, gives a
// meaning to, and not a word that is a value of another kind.
bool is_plain(const std::string& text) {
    static constexpr std::array<const char*, 7> words = {"null", "true", "false", "yes",
                                                         "no",   "on",   "off"};
    if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
    std::string lower = text;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const char* word : words) {
        if (lower == word) return false;
    }
    const auto first = static_cast<unsigned char>(text.front());
    if (std::isalnum(first) == 0 && text.front() != '/' && text.front() != '.') return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view(" _-+./%()<>=^;$").find(c) != std::string_view::npos;
    });
}

bool is_number(const std::string& text) {
    return text.find_first_of("0123456789") != std::string::npos &&
           text.find_first_not_of("0123456789.eE+-") == std::string::npos;
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
    }
    return out + "\"";
}

std::string scalar_text(const Node& node) {
    if (node.kind == Node::Kind::null) return "null";
    if (node.quoted && is_number(node.text)) return quoted(node.text);
    if (is_plain(node.text) || (!node.quoted && is_number(node.text))) return node.text;
    // Unquoted in the source means a value of another kind: true, null.
    static constexpr std::string_view awkward = ",:{}[]#&*!|>'\"@`\n\t\\ ";
    if (!node.quoted && node.text.find_first_of(awkward) == std::string::npos) return node.text;
    return quoted(node.text);
}

std::string key_text(const std::string& key) {
    return is_plain(key) && !is_number(key) ? key : quoted(key);
}

bool is_scalar(const Node& node) {
    return node.kind == Node::Kind::scalar || node.kind == Node::Kind::null;
}

std::string flow(const Node& node) {
    std::string text;
    if (node.kind == Node::Kind::list) {
        for (const Node& item : node.items) text += (text.empty() ? "" : ", ") + flow(item);
        return "[" + text + "]";
    }
    if (node.kind == Node::Kind::map) {
        for (const auto& entry : node.entries) {
            text += (text.empty() ? "" : ", ") + key_text(entry.key) + ": " + flow(entry.value);
        }
        return "{" + text + "}";
    }
    return scalar_text(node);
}

bool all_scalars(const Node& node) {
    return std::all_of(node.items.begin(), node.items.end(), is_scalar) &&
           std::all_of(node.entries.begin(), node.entries.end(),
                       [](const auto& entry) { return is_scalar(entry.value); });
}

bool fits_flow(const Node& node, std::size_t indent, std::size_t column) {
    const bool is_list = node.kind == Node::Kind::list;
    const bool empty = node.items.empty() && node.entries.empty();
    return empty || ((is_list || indent >= 4) && all_scalars(node) &&
                     column + flow(node).size() <= line_width);
}

void write(const Node& node, std::size_t indent, std::string& out);

// What follows "key:" or "-".
void write_value(const Node& node, std::size_t indent, std::size_t column, std::string& out) {
    if (is_scalar(node) || fits_flow(node, indent, column)) {
        out += " " + flow(node) + "\n";
    } else {
        out += "\n";
        write(node, indent, out);
    }
}

void write(const Node& node, std::size_t indent, std::string& out) {
    const std::string margin(indent, ' ');
    for (const auto& entry : node.entries) {
        const std::string key = key_text(entry.key);
        out += margin + key + ":";
        write_value(entry.value, indent + 2, indent + key.size() + 2, out);
    }
    for (const Node& item : node.items) {
        if (item.kind == Node::Kind::map && !item.entries.empty()) {
            std::string block;
            write(item, indent + 2, block);
            block.replace(indent, 1, "-");
            out += block;
        } else {
            out += margin + "-";
            write_value(item, indent + 2, indent + 2, out);
        }
    }
}

}  // namespace

std::string to_yaml(const Node& node) {
    if (is_scalar(node)) return scalar_text(node) + "\n";
    if (node.items.empty() && node.entries.empty()) return flow(node) + "\n";
    std::string out;
    write(node, 0, out);
    return out;
}

}  // namespace podsim

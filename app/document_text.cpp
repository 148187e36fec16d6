#include "app/document_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/text_table.hpp"

namespace podsim {

namespace {

constexpr std::size_t kIndent = 2, kKeyColumn = 28;

std::string scalar(const Node& node, const char* key) {
    const Node* value = node.find(key);
    return value != nullptr ? value->text : "";
}

bool is_sourced(const Node& node) {
    return node.kind == Node::Kind::map && node.find("value") != nullptr;
}

// "700 W (700 W to 780 W) [estimate] analysts; not published"
std::string sourced_text(const Node& node) {
    std::string text = scalar(node, "value");
    const std::string low = scalar(node, "low"), high = scalar(node, "high");
    if (!low.empty() || !high.empty()) {
        text += fmt::format(" ({} to {})", low.empty() ? scalar(node, "value") : low,
                            high.empty() ? scalar(node, "value") : high);
    }
    const std::string confidence = scalar(node, "confidence");
    text += " [" + (confidence.empty() ? "assumed" : confidence) + "]";
    if (const std::string source = scalar(node, "source"); !source.empty()) text += " " + source;
    if (const std::string note = scalar(node, "note"); !note.empty()) text += "; " + note;
    return text;
}

bool is_plain_list(const Node& node) {
    return node.kind == Node::Kind::list &&
           std::all_of(node.items.begin(), node.items.end(),
                       [](const Node& item) { return item.kind == Node::Kind::scalar; });
}

class Writer {
  public:
    explicit Writer(const std::string& file) : file_(file) {}

    void entries(const Node& node, std::size_t depth) {
        for (const Node::Entry& entry : node.entries) value(entry.key, entry.value, depth);
    }
    const std::string& text() const { return text_; }

  private:
    void value(const std::string& key, const Node& node, std::size_t depth) {
        if (is_sourced(node)) {
            leaf(key, sourced_text(node) + origin(*node.find("value")), depth);
        } else if (node.kind == Node::Kind::scalar) {
            leaf(key, node.text + origin(node), depth);
        } else if (node.kind == Node::Kind::null) {
            leaf(key, "-", depth);
        } else if (is_plain_list(node)) {
            std::string list;
            for (const Node& item : node.items) list += (list.empty() ? "" : ", ") + item.text;
            leaf(key, list.empty() ? "none" : list, depth);
        } else if (node.kind == Node::Kind::list) {
            heading(key, depth);
            for (std::size_t i = 0; i < node.items.size(); ++i) {
                value(item_label(node, i), node.items[i], depth + 1);
            }
        } else {
            heading(key, depth);
            entries(node, depth + 1);
        }
    }

    void leaf(const std::string& key, const std::string& what, std::size_t depth) {
        const std::string label = std::string(depth * kIndent, ' ') + key;
        if (display_width(label) < kKeyColumn) {
            text_ += hanging(pad_right(label, kKeyColumn), what);
        } else {
            text_ += label + "\n" + hanging(std::string(kKeyColumn, ' '), what);
        }
    }

    void heading(const std::string& key, std::size_t depth) {
        text_ += hanging(std::string(std::min<std::size_t>(depth * kIndent, 40), ' '), key);
    }

    std::string origin(const Node& node) const {
        if (node.place.file == file_ || node.place.file.empty()) return "";
        const std::string name = std::filesystem::path(node.place.file).filename().string();
        return node.place.line > 0 ? fmt::format(" <{}:{}>", name, node.place.line)
                                   : " <" + name + ">";
    }

    const std::string& file_;
    std::string text_;
};

}  // namespace

std::string document_text(const Node& document, const std::string& file) {
    Writer writer(file);
    writer.entries(document, 0);
    return writer.text();
}

}  // namespace podsim

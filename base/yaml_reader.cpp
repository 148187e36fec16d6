// YAML text to a Node, by yaml-cpp's events rather than its nodes: events carry every mark,
// show quoting, anchors and aliases, and never resolve `010` or `.inf` on their own.
//
// What yaml-cpp 0.7 lets pass and this reader does not: duplicate keys (it keeps the first),
// `<<` (left unmerged), a quote that is never closed (ends silently at the end of the file),
// a last key without its colon (a key without a value), tabs as indentation (an error of another
// name), keys that are no text, tags.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/document.hpp"
#include "base/text_file.hpp"

namespace podsim {
namespace {

constexpr std::size_t deepest = 64;
// Each value becomes a node with its place, many times as large as its text.
constexpr long most_values = 1'000'000;

class TreeBuilder : public YAML::EventHandler {
  public:
    TreeBuilder(const std::string& text, const std::string& file) : text_(text), file_(file) {}

    Node root;
    std::vector<Diagnostic> problems;
    int documents = 0;

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents == 2) {
            problem(place(mark), "a second document begins here, one was expected",
                    "remove the line ---");
        }
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        check(mark, "?", anchor);
        Node node;
        node.place = place(mark);
        const auto offset = static_cast<std::size_t>(std::max(mark.pos, 0));
        const std::string_view rest =
            std::string_view(text_).substr(std::min(offset, text_.size()));
        for (const char* word : {"~", "null", "Null", "NULL"}) {
            const std::size_t length = std::string_view(word).size();
            const bool ends = rest.size() <= length ||
                              std::string_view(" \t\n,]}#").find(rest[length]) != std::string::npos;
            if (rest.substr(0, length) == word && ends) node.text = word;
        }
        if (node.text.empty()) {
            node.place = place_of_nothing(mark, offset);
            require_colon();
        }
        add(std::move(node));
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        problem(place(mark), "aliases (*) are not supported",
                "write the value out, or use base: to start from another file");
        Node node;
        node.place = place(mark);
        add(std::move(node));
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        Node node;
        node.kind = Node::Kind::scalar;
        node.text = value;
        node.quoted = tag == "!";
        node.place = place(mark);
        // yaml-cpp's tag of quoted text, and the one of a lone '!'.
        const auto offset = static_cast<std::size_t>(mark.pos);
        const bool lone_tag = tag == "!" && offset < text_.size() && text_[offset] == '!';
        check(mark, node.quoted && !lone_tag ? "?" : tag, anchor);
        if (node.quoted && !quote_closes(offset)) {
            problem(node.place, "this quote is never closed");
        }
        offset_ = offset;
        add(std::move(node));
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value style) override {
        open(mark, tag, anchor, Node::Kind::list, style);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value style) override {
        open(mark, tag, anchor, Node::Kind::map, style);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Frame {
        Node node;
        bool flow = false;
        bool has_key = false;  // of a map: the next event is the value of `key`
        Node key;
        std::size_t key_offset = 0;
        std::map<std::string, int> lines;  // of a map: where each key was written
    };

    Place place(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

    void problem(Place where, std::string what, std::string hint = "") {
        problems.push_back({std::move(where), dotted_path(), std::move(what), std::move(hint)});
    }

    std::string dotted_path() const {
        std::string path;
        for (const Frame& frame : frames_) {
            const bool map = frame.node.kind == Node::Kind::map;
            if (map && !frame.has_key) continue;
            path += path.empty() ? "" : ".";
            path += map ? frame.key.text : std::to_string(frame.node.items.size());
        }
        return path;
    }

    void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        if (anchor != 0) {
            problem(place(mark), "anchors (&) are not supported",
                    "write the value out, or use base: to start from another file");
        }
        if (tag != "?" && !tag.empty()) problem(place(mark), "tags (!) are not supported");
    }

    // yaml-cpp marks a value that is not there at the token after it: a line or more too late.
    Place place_of_nothing(const YAML::Mark& mark, std::size_t offset) const {
        if (frames_.empty()) return place(mark);
        const Frame& frame = frames_.back();
        if (frame.node.kind == Node::Kind::map && frame.has_key) return frame.key.place;
        if (frame.flow || offset == 0) return place(mark);
        const auto dash = text_.rfind('-', offset - 1);
        if (dash == std::string::npos) return place(mark);
        const auto lines = std::count(text_.begin() + static_cast<std::ptrdiff_t>(dash),
                                      text_.begin() + static_cast<std::ptrdiff_t>(offset), '\n');
        const auto before = dash == 0 ? std::string::npos : text_.rfind('\n', dash - 1);
        const std::size_t column = before == std::string::npos ? dash + 1 : dash - before;
        return {file_, mark.line + 1 - static_cast<int>(lines), static_cast<int>(column)};
    }

    // "chips:3" at the end of a map is to yaml-cpp a key of that name without a value.
    void require_colon() {
        if (frames_.empty() || !frames_.back().has_key || frames_.back().key.quoted) return;
        const Frame& frame = frames_.back();
        const auto end = text_.find_first_not_of(" \n", frame.key_offset + frame.key.text.size());
        const char next = end == std::string::npos ? '\0' : text_[end];
        // In braces or brackets that are never closed the syntax error says more.
        if (next == ':' || (frame.flow && next != ',' && next != '}')) return;
        problem(frame.key.place, "a key without a value",
                "a key is followed by a colon and a space");
    }

    // Whether the quoted scalar that begins at `offset` ends with its quote.
    bool quote_closes(std::size_t offset) const {
        const char quote = offset < text_.size() ? text_[offset] : '\0';
        if (quote != '"' && quote != '\'') return true;  // a block scalar
        for (std::size_t i = offset + 1; i < text_.size(); ++i) {
            if (quote == '"' && text_[i] == '\\') {
                ++i;
            } else if (text_[i] == quote) {
                if (quote == '"' || i + 1 >= text_.size() || text_[i + 1] != quote) return true;
                ++i;  // '' inside single quotes
            }
        }
        return false;
    }

    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
              Node::Kind kind, YAML::EmitterStyle::value style) {
        check(mark, tag, anchor);
        if (frames_.size() >= deepest) {
            throw InputError(place(mark), "",
                             fmt::format("lists and maps are nested more than {} deep", deepest));
        }
        Frame frame;
        frame.node.kind = kind;
        frame.node.place = place(mark);
        frame.flow = style == YAML::EmitterStyle::Flow;
        frames_.push_back(std::move(frame));
    }

    void close() {
        Node node = std::move(frames_.back().node);
        frames_.pop_back();
        add(std::move(node));
    }

    void add(Node node) {
        if (++values_ > most_values) {
            throw InputError(node.place, "",
                             fmt::format("the file holds more than {} values", most_values));
        }
        if (frames_.empty()) {
            if (documents == 1) root = std::move(node);
            return;
        }
        Frame& frame = frames_.back();
        if (frame.node.kind == Node::Kind::list) {
            frame.node.items.push_back(std::move(node));
            return;
        }
        if (!frame.has_key) {
            add_key(frame, std::move(node));
            return;
        }
        frame.has_key = false;
        frame.node.entries.push_back({frame.key.text, frame.key.place, std::move(node)});
    }

    void add_key(Frame& frame, Node key) {
        if (key.kind == Node::Kind::scalar && key.text == "<<" && !key.quoted) {
            problem(key.place, "merge keys (<<) are not supported",
                    "use base: to start from another file");
        } else if (key.kind != Node::Kind::scalar || key.text.empty()) {
            problem(key.place, "a key is a text, this is none");
        } else {
            const auto [first, fresh] = frame.lines.emplace(key.text, key.place.line);
            if (!fresh) {
                problem(key.place, fmt::format("the key {} is written twice, first in line {}",
                                               key.text, first->second));
            }
        }
        frame.key = std::move(key);
        frame.key_offset = offset_;
        frame.has_key = true;
    }

    const std::string& text_;
    const std::string& file_;
    std::vector<Frame> frames_;
    long values_ = 0;
    std::size_t offset_ = 0;  // of the last scalar
};

// A tab before the first word of a line is never meant, and the parsers' words for it differ.
std::vector<Diagnostic> tabs_as_indentation(const std::string& text, const std::string& file) {
    std::vector<Diagnostic> problems;
    int line = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        ++line;
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::size_t word = std::min(text.find_first_not_of(" \t", begin), end);
        const std::size_t tab = text.find('\t', begin);
        if (tab < word && word < end && text[word] != '#') {
            problems.push_back({{file, line, static_cast<int>(tab - begin) + 1},
                                "",
                                "a tab in the indentation",
                                "YAML is indented by spaces"});
        }
        begin = end + 1;
    }
    return problems;
}

std::string hint_for_syntax(const std::string& message) {
    if (message == "illegal map value") {
        return "a text that holds ': ' goes in quotes; a key stands at the indentation of its "
               "neighbours";
    }
    if (message == "unknown token") return "a text that begins with this character goes in quotes";
    return "";
}

}  // namespace

Node parse_yaml(const std::string& text, const std::string& file) {
    const std::string plain = plain_text(text, file);
    std::vector<Diagnostic> tabs = tabs_as_indentation(plain, file);
    if (!tabs.empty()) throw InputError(std::move(tabs));

    TreeBuilder builder(plain, file);
    try {
        std::istringstream stream(plain);
        YAML::Parser parser(stream);
        while (builder.documents < 2 && parser.HandleNextDocument(builder)) {
        }
    } catch (const YAML::Exception& error) {
        builder.problems.push_back({{file, error.mark.line + 1, error.mark.column + 1},
                                    "",
                                    "not YAML: " + error.msg,
                                    hint_for_syntax(error.msg)});
    }
    if (!builder.problems.empty()) throw InputError(std::move(builder.problems));
    const bool nothing = builder.root.kind == Node::Kind::null && builder.root.text.empty();
    if (builder.documents == 0 || nothing) throw InputError({file}, "", "the file is empty");
    return std::move(builder.root);
}

Node read_yaml(const std::string& path) {
    return parse_yaml(read_text_file(path), path);
}

}  // namespace podsim

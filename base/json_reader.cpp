// Strict JSON text to a Node. nlohmann's parser judges the syntax; a walk over the text, by
// then known to be valid, finds the places, which its values do not keep.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/document.hpp"
#include "base/text_file.hpp"

namespace podsim {
namespace {

constexpr int deepest = 64;
// Each value becomes a node with its place, many times as large as its text.
constexpr long most_values = 1'000'000;

// Listens to a parse for its errors, depth and number of values alone.
class SyntaxCheck : public nlohmann::json_sax<nlohmann::json> {
  public:
    SyntaxCheck(const std::string& text, const std::string& file) : text_(text), file_(file) {}

    bool null() override { return value(); }
    bool boolean(bool) override { return value(); }
    bool number_integer(number_integer_t) override { return value(); }
    bool number_unsigned(number_unsigned_t) override { return value(); }
    bool number_float(number_float_t, const string_t&) override { return value(); }
    bool string(string_t&) override { return value(); }
    bool binary(binary_t&) override { return value(); }
    bool start_object(std::size_t) override {
        return value() && (++depth_ <= deepest || too_deep());
    }
    bool key(string_t&) override { return true; }
    bool end_object() override { return --depth_ >= 0; }
    bool start_array(std::size_t) override {
        return value() && (++depth_ <= deepest || too_deep());
    }
    bool end_array() override { return --depth_ >= 0; }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::json::exception& error) override {
        // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ...":
        // of which the place, where the parser stopped, is said in our own way.
        std::string what = error.what();
        for (const char* part : {"] ", "syntax error"}) {
            const auto begin = what.find(part);
            if (begin != std::string::npos) what.erase(0, begin + (part[0] == ']' ? 2 : 0));
        }
        throw InputError(place_at(text_, std::max<std::size_t>(position, 1) - 1, file_), "",
                         "not JSON: " + what);
    }

  private:
    bool value() {
        if (++values_ <= most_values) return true;
        throw InputError({file_}, "", fmt::format("holds more than {} values", most_values));
    }
    [[noreturn]] bool too_deep() {
        throw InputError({file_}, "",
                         fmt::format("lists and objects are nested more than {} deep", deepest));
    }
    const std::string& text_;
    const std::string& file_;
    int depth_ = 0;
    long values_ = 0;
};

// Reads valid JSON of bounded depth.
class Walk {
  public:
    Walk(const std::string& text, const std::string& file) : text_(text), file_(file) {}

    Node value() {
        skip_space();
        Node node;
        node.place = here();
        switch (text_[at_]) {
            case '{':
                object(node);
                break;
            case '[':
                list(node);
                break;
            case '"':
                node.kind = Node::Kind::scalar;
                node.quoted = true;
                node.text = string();
                break;
            default:
                node.text = word();
                if (node.text != "null") node.kind = Node::Kind::scalar;
        }
        skip_space();
        return node;
    }

    std::vector<Diagnostic> problems;

  private:
    Place here() {
        // Places are asked for in the order of the text: count on from the last one.
        for (; counted_ < at_; ++counted_) {
            column_ = text_[counted_] == '\n' ? 1 : column_ + 1;
            line_ += text_[counted_] == '\n' ? 1 : 0;
        }
        return {file_, line_, column_};
    }

    void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\n\r", at_), text_.size()); }

    std::string word() {
        const std::size_t begin = at_;
        at_ = std::min(text_.find_first_of(",]} \t\n\r", at_), text_.size());
        return text_.substr(begin, at_ - begin);
    }

    std::string string() {
        const std::size_t begin = at_++;
        for (; text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\') ++at_;
        }
        ++at_;
        return nlohmann::json::parse(text_.substr(begin, at_ - begin)).get<std::string>();
    }

    void list(Node& node) {
        node.kind = Node::Kind::list;
        ++at_;
        skip_space();
        while (text_[at_] != ']') {
            node.items.push_back(value());
            if (text_[at_] == ',') ++at_;
        }
        ++at_;
    }

    void object(Node& node) {
        node.kind = Node::Kind::map;
        std::map<std::string, int> lines;
        ++at_;
        for (skip_space(); text_[at_] != '}'; skip_space()) {
            const Place place = here();
            std::string key = string();
            const auto [first, fresh] = lines.emplace(key, place.line);
            if (!fresh) {
                problems.push_back(
                    {place, key,
                     fmt::format("the key is written twice, first in line {}", first->second), ""});
            }
            skip_space();
            ++at_;  // the colon
            node.entries.push_back({std::move(key), place, value()});
            if (text_[at_] == ',') ++at_;
        }
        ++at_;
    }

    const std::string& text_;
    const std::string& file_;
    std::size_t at_ = 0, counted_ = 0;
    int line_ = 1, column_ = 1;
};

}  // namespace

Node parse_json(const std::string& text, const std::string& file) {
    const std::string plain = plain_text(text, file);
    if (plain.find_first_not_of(" \t\n") == std::string::npos) {
        throw InputError({file}, "", "the file is empty");
    }
    SyntaxCheck syntax(plain, file);
    nlohmann::json::sax_parse(plain, &syntax);
    Walk walk(plain, file);
    Node root = walk.value();
    if (!walk.problems.empty()) throw InputError(std::move(walk.problems));
    return root;
}

Node read_json(const std::string& path) {
    return parse_json(read_text_file(path), path);
}

}  // namespace podsim

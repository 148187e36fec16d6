// Traces in JSON. A parser callback takes each element of the list as it is complete and lets go of
// it, so that a trace is in memory as text and as nodes, but never as a tree.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

#include "workloads/trace/json_elements.hpp"
#include "workloads/trace/readers.hpp"

namespace podsim {

namespace {

using Json = nlohmann::json;

// "parse error at line 3, column 5: ..." without the library's own number in front.
std::string without_number(const std::string& text) {
    const auto end = text.find("] ");
    return end == std::string::npos ? text : text.substr(end + 2);
}

// Finds the list of nodes or events while the text is parsed.
class ListFinder {
  public:
    explicit ListFinder(RankFile& file) : file_(file) {}

    // Whether the parser keeps what it has parsed.
    bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
        using Event = Json::parse_event_t;
        if (depth == 0 && event == Event::array_start) {
            key_ = "traceEvents";  // Chrome's other form: the list alone
            element_depth_ = 1;
        }
        if (depth == 1 && element_depth_ == 2 && event == Event::key)
            key_ = parsed.get<std::string>();
        if (event != Event::object_end || depth != element_depth_) return true;
        if (!choose()) return true;
        elements_->element(parsed);
        return false;
    }
    void finish(const Json& root) const {
        if (elements_) return elements_->finish(root);
        throw InputError({file_.rank.file, 0, 0}, "", "JSON, but no trace that is known",
                         "expected a list of nodes in workload_graph (Chakra), nodes (PyTorch) or "
                         "traceEvents (Kineto)");
    }
    std::string where() const { return elements_ ? elements_->where() : ""; }

  private:
    bool choose() {
        const bool graph = key_ == "workload_graph", nodes = key_ == "nodes";
        if (!graph && !nodes && key_ != "traceEvents") return false;
        if (!elements_) {
            elements_ = graph   ? chakra_json_elements(file_)
                        : nodes ? pytorch_elements(file_)
                                : kineto_elements(file_);
        }
        return true;
    }

    RankFile& file_;
    std::string key_;
    int element_depth_ = 2;
    std::optional<JsonElements> elements_;
};

}  // namespace

RankFile read_json_trace(TraceBytes& bytes) {
    RankFile file;
    file.rank.file = bytes.path();
    ListFinder finder(file);
    try {
        std::string text = bytes.rest(kMostTraceText);
        const Json root =
            Json::parse(text, [&](int depth, Json::parse_event_t event, Json& parsed) {
                return finder(depth, event, parsed);
            });
        text = {};
        finder.finish(root);
    } catch (const Json::parse_error& error) {
        throw InputError({bytes.path(), 0, 0}, fmt::format("byte {}", error.byte),
                         without_number(error.what()), "expected JSON");
    } catch (const Json::exception& error) {
        throw InputError({bytes.path(), 0, 0}, finder.where(), without_number(error.what()),
                         "expected what the format's other nodes have there");
    }
    return file;
}

bool collective_named(const std::string& name, TraceCollective& collective) {
    std::string plain;
    for (const char c : name) {
        if (c == '(') break;
        if (std::isalpha(static_cast<unsigned char>(c)) != 0)
            plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    // Longer names first: "reduce" is in "allreduce" and "reducescatter".
    static const std::pair<const char*, TraceCollective> words[] = {
        {"reducescatter", TraceCollective::reduce_scatter},
        {"allreduce", TraceCollective::all_reduce},
        {"allgather", TraceCollective::all_gather},
        {"alltoall", TraceCollective::all_to_all},
        {"sendrecv", TraceCollective::all_to_all},
        {"broadcast", TraceCollective::broadcast},
        {"barrier", TraceCollective::barrier},
        {"gather", TraceCollective::gather},
        {"scatter", TraceCollective::scatter},
        {"reduce", TraceCollective::reduce}};
    for (const auto& [word, value] : words) {
        if (plain.find(word) == std::string::npos) continue;
        collective = value;
        return true;
    }
    return false;
}

double bytes_of_torch_type(const std::string& name) {
    std::string plain = name;
    std::transform(plain.begin(), plain.end(), plain.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto has = [&](const char* word) { return plain.find(word) != std::string::npos; };
    if (has("float8") || has("fp8")) return 1;
    if (has("bfloat16") || has("half") || has("float16") || has("short")) return 2;
    if (has("double") || has("long") || has("int64") || has("float64")) return 8;
    if (has("float") || has("int32")) return 4;
    if (has("char") || has("byte") || has("bool") || has("int8")) return 1;
    return has("int") ? 4 : 0;
}

}  // namespace podsim

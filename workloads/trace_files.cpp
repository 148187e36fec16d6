#include "workloads/trace_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "workloads/trace/readers.hpp"
#include "workloads/trace/trace_index.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The last number in a file's name: trace.12.et, rank3.json.gz. -1: none.
int rank_in_name(const std::string& path) {
    const std::string name = fs::path(path).filename().string();
    const std::size_t suffix = name.rfind(".et") != std::string::npos     ? name.rfind(".et")
                               : name.rfind(".json") != std::string::npos ? name.rfind(".json")
                                                                          : name.size();
    std::size_t end = suffix;
    std::size_t begin = end;
    while (begin > 0 && std::isdigit(static_cast<unsigned char>(name[begin - 1])) != 0) --begin;
    return begin == end || end - begin > 8 ? -1 : std::stoi(name.substr(begin, end - begin));
}

// Whether JSON begins as a trace does, and not as a file of groups or settings.
bool holds_trace(const std::string& path) {
    const std::string begin = first_bytes(path, 1 << 16);
    const char* const keys[] = {"\"nodes\"", "\"traceEvents\"", "\"deviceProperties\"",
                                "\"workload_graph\""};
    return std::any_of(std::begin(keys), std::end(keys),
                       [&](const char* key) { return begin.find(key) != std::string::npos; });
}

std::vector<std::string> files_of_folder(const std::string& folder) {
    std::vector<std::string> et, json, folders;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string path = entry.path().string();
        if (entry.is_directory()) folders.push_back(path);
        if (!entry.is_regular_file()) continue;
        if (ends_with(path, ".et") || ends_with(path, ".et.gz")) et.push_back(path);
        if ((ends_with(path, ".json") || ends_with(path, ".json.gz")) && holds_trace(path))
            json.push_back(path);
    }
    std::vector<std::string>& files = et.empty() ? json : et;
    // astra-sim's examples have their traces in a folder of that name.
    if (files.empty() && fs::is_directory(fs::path(folder) / "trace"))
        return files_of_folder((fs::path(folder) / "trace").string());
    if (files.empty())
        throw InputError({folder, 0, 0}, "", "a folder without traces",
                         "expected .et, .et.gz, .json or .json.gz, one a rank");
    std::sort(files.begin(), files.end());
    return files;
}

constexpr const char* kGroupFile = "comm_group.json";

// {"0": [0, 1], ...}, or nothing where the JSON is something else. A file of the usual name is
// meant to be this: what is wrong with it is an error.
std::optional<std::map<std::string, TraceGroup>> groups_in(const std::string& path) {
    constexpr std::size_t most = std::size_t{256} << 20;
    constexpr long most_ranks = 100'000'000;
    const bool named = ends_with(path, kGroupFile);
    const auto something_else = [&](const std::string& where, const std::string& what) {
        if (named)
            throw InputError({path, 0, 0}, where, what,
                             "expected names and lists of ranks: {\"0\": [0, 1], \"1\": [2, 3]}");
        return std::nullopt;
    };
    TraceBytes bytes(path);
    const Json json = Json::parse(bytes.rest(most), nullptr, false);
    if (json.is_discarded()) return something_else("", "is not JSON");
    if (!json.is_object())
        return something_else("", fmt::format("is JSON of type {}", json.type_name()));
    if (json.empty()) return something_else("", "names no group");
    std::map<std::string, TraceGroup> groups;
    for (const auto& [name, list] : json.items()) {
        if (!list.is_array())
            return something_else("group " + name,
                                  fmt::format("is JSON of type {}", list.type_name()));
        if (list.empty()) return something_else("group " + name, "is empty");
        TraceGroup group;
        std::set<int> seen;
        for (const Json& rank : list) {
            if (!rank.is_number_integer() || rank.get<long>() < 0 || rank.get<long>() > most_ranks)
                return something_else("group " + name, "has a rank " + rank.dump() +
                                                           ", no whole number of 0 or more");
            if (!seen.insert(rank.get<int>()).second)
                throw InputError({path, 0, 0}, "group " + name,
                                 fmt::format("names rank {} twice", rank.get<int>()), "");
            group.members.push_back(rank.get<int>());
        }
        groups[name] = group;
    }
    return groups;
}

struct GroupFile {
    std::string path;
    std::map<std::string, TraceGroup> groups;
};

// Beside the traces or in ../inputs.
std::optional<GroupFile> find_groups(const std::vector<std::string>& files) {
    const fs::path folder = fs::path(files.front()).parent_path();
    for (const fs::path& place : {folder, folder / ".." / "inputs"}) {
        const fs::path where = place.empty() ? fs::path(".") : place;
        std::error_code none;
        if (!fs::is_directory(where, none)) continue;
        std::vector<std::string> candidates;
        for (const auto& entry : fs::directory_iterator(where)) {
            const std::string path = entry.path().lexically_normal().string();
            if (entry.is_regular_file() && ends_with(path, ".json") &&
                std::find(files.begin(), files.end(), path) == files.end() &&
                entry.file_size() < (std::uintmax_t{16} << 20))
                candidates.push_back(path);
        }
        // The usual name first, else whatever reads as groups.
        std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
            const bool named = ends_with(a, kGroupFile), other = ends_with(b, kGroupFile);
            return named != other ? named : a < b;
        });
        for (const std::string& path : candidates)
            if (auto groups = groups_in(path)) return GroupFile{path, std::move(*groups)};
    }
    return std::nullopt;
}

bool is_simai(const std::string& begin) {
    const std::string line = begin.substr(0, begin.find('\n'));
    return line.rfind("HYBRID_", 0) == 0 || line.rfind("MICRO", 0) == 0 ||
           line.rfind("DATA", 0) == 0 || line.rfind("MODEL", 0) == 0 ||
           line.find("model_parallel_NPU_group") != std::string::npos;
}

bool is_aicb(const std::string& begin) {
    return begin.find("comm_type,comm_group") != std::string::npos;
}

bool is_json(const std::string& begin) {
    const auto first = begin.find_first_not_of(" \t\r\n");
    return first != std::string::npos && (begin[first] == '{' || begin[first] == '[');
}

// One rank's file, of the formats that have one a rank.
RankFile read_rank_file(const std::string& path, const std::string& begin) {
    TraceBytes bytes(path);
    if (!looks_like_text(begin)) return read_chakra(bytes);
    if (is_json(begin)) return read_json_trace(bytes);
    throw InputError({path, 0, 0}, "", "text of no trace format",
                     "Chakra protobuf or JSON, PyTorch execution traces, Kineto, SimAI or AICB; or "
                     "one file of requests (docs/traffic.md)");
}

class Gatherer {
  public:
    explicit Gatherer(std::vector<std::string> files) : files_(std::move(files)) {}

    ExecutionTrace gather() {
        for (const std::string& path : files_) {
            try {
                add(path);
            } catch (const InputError& error) {
                problems_.insert(problems_.end(), error.diagnostics().begin(),
                                 error.diagnostics().end());
                if (problems_.size() >= 20) break;
            }
        }
        throw_problems();
        number_ranks();
        if (const auto file = find_groups(files_)) {
            for (const auto& [name, group] : file->groups) trace_.groups[name] = group;
            group_file_ = file->path;
        }
        settle_groups();
        join_clocks();
        throw_problems();
        return std::move(trace_);
    }

  private:
    void throw_problems() {
        if (!problems_.empty()) throw InputError(std::move(problems_));
    }
    void problem(const std::string& file, const std::string& path, const std::string& what,
                 const std::string& hint) {
        if (problems_.size() < 20) problems_.push_back({{file, 0, 0}, path, what, hint});
    }

    void add(const std::string& path) {
        const std::string begin = first_bytes(path, 4096);
        if (begin.empty()) throw InputError({path, 0, 0}, "", "is empty", "expected a trace");
        RankFile file = read_rank_file(path, begin);
        if (trace_.ranks.empty()) {
            trace_.format = file.format;
        } else if (file.format != trace_.format) {
            throw InputError({path, 0, 0}, "",
                             fmt::format("is {}, {} is {}", name(file.format), files_.front(),
                                         name(trace_.format)),
                             "the ranks of one trace are of one format");
        }
        file.rank.rank = file.stated_rank >= 0 ? file.stated_rank : rank_in_name(path);
        world_size_ = std::max(world_size_, file.world_size);
        for (const auto& [group, members] : file.groups) trace_.groups.emplace(group, members);
        trace_.warnings.insert(trace_.warnings.end(), file.warnings.begin(), file.warnings.end());
        trace_.ranks.push_back(std::move(file.rank));
    }
    static std::string name(TraceFormat format) {
        for (const auto& [text, value] : names_of(static_cast<const TraceFormat*>(nullptr)))
            if (value == format) return text;
        return "?";
    }

    void number_ranks() {
        // One file alone: whichever rank it was, it is the one there is.
        if (trace_.ranks.size() == 1) {
            trace_.ranks.front().rank = 0;
            return;
        }
        std::stable_sort(trace_.ranks.begin(), trace_.ranks.end(),
                         [](const auto& a, const auto& b) { return a.rank < b.rank; });
        for (std::size_t i = 0; i < trace_.ranks.size(); ++i) {
            const RankTrace& rank = trace_.ranks[i];
            if (rank.rank == static_cast<int>(i)) continue;
            if (rank.rank < 0) {
                problem(rank.file, "", "does not say which rank it is",
                        "name the files PREFIX.RANK.et, or give one of them alone");
            } else if (i > 0 && trace_.ranks[i - 1].rank == rank.rank) {
                problem(rank.file, "",
                        fmt::format("is rank {}, as is {}", rank.rank, trace_.ranks[i - 1].file),
                        "each rank has one file");
            } else {
                problem(rank.file, "",
                        fmt::format("is rank {}, and rank {} is missing", rank.rank, i),
                        "give the files of all ranks, or one alone");
            }
            break;
        }
        throw_problems();
    }

    // Writers that went through a table call group 1 "1.0".
    static std::string without_fraction(const std::string& name) {
        return ends_with(name, ".0") ? name.substr(0, name.size() - 2) : name;
    }

    void settle_groups() {
        const int ranks = static_cast<int>(trace_.ranks.size());
        long renamed = 0;
        for (RankTrace& rank : trace_.ranks) {
            for (std::string& group : rank.group_names) {
                if (trace_.groups.count(group) != 0) continue;
                const std::string plain = without_fraction(group);
                if (trace_.groups.count(plain) != 0) {
                    group = plain;
                    ++renamed;
                } else if (trace_.groups.empty()) {
                    unknown_.insert(group);
                } else {
                    problem(rank.file, "group " + group, "is not defined",
                            (group_file_.empty() ? std::string("the trace") : group_file_) +
                                " defines " + known_groups());
                }
            }
        }
        if (renamed > 0)
            trace_.warnings.push_back(fmt::format(
                "{} ranks write the number of a process group with a fraction (1.0): read as 1",
                renamed));
        for (const std::string& group : unknown_) {
            trace_.warnings.push_back(fmt::format(
                "process group {} is defined nowhere (no comm_group.json): taken as all ranks",
                group));
            trace_.groups[group].ranks = 0;
        }
        if (ranks < 2) return;
        for (const auto& [name, group] : trace_.groups) {
            for (const int member : group.members) {
                if (member < ranks) continue;
                problem(group_file_.empty() ? files_.front() : group_file_, "group " + name,
                        fmt::format("names rank {}, the trace has {}", member, ranks),
                        "give the files of all ranks");
                break;
            }
        }
        if (world_size_ > ranks)
            problem(files_.front(), "",
                    fmt::format("is of {} ranks, {} are given", world_size_, ranks),
                    "give the files of all ranks, or one alone");
    }

    std::string known_groups() const {
        std::vector<std::string> names;
        for (const auto& [name, group] : trace_.groups) {
            if (names.size() == 8) {
                names.emplace_back("...");
                break;
            }
            names.push_back(name);
        }
        return fmt::format("{}", fmt::join(names, ", "));
    }

    // Kineto's ranks have one clock where they ran on one host: those that began later start later.
    void join_clocks() {
        if (trace_.format != TraceFormat::kineto || trace_.ranks.size() < 2) return;
        std::vector<double> begins;
        double longest = 0;
        for (const RankTrace& rank : trace_.ranks) {
            begins.push_back(std::stod(rank.metadata.at("begin_us")) * 1e-6);
            for (const TraceNode& node : rank.nodes)
                longest = std::max(longest, node.start + std::max(0.0, node.duration));
        }
        const auto [least, most] = std::minmax_element(begins.begin(), begins.end());
        if (*most - *least > longest) {
            trace_.warnings.emplace_back(
                "the ranks' clocks are further apart than the trace is long: all begin together");
            return;
        }
        for (std::size_t i = 0; i < trace_.ranks.size(); ++i) {
            for (TraceNode& node : trace_.ranks[i].nodes) {
                if (!node.on_host) continue;
                node.duration += begins[i] - *least;
                break;
            }
        }
        trace_.warnings.push_back(
            fmt::format("one clock for all ranks: the last begins {:.3f} ms after the first, as it "
                        "did",
                        (*most - *least) * 1e3));
    }

    std::vector<std::string> files_;
    ExecutionTrace trace_;
    std::vector<Diagnostic> problems_;
    std::set<std::string> unknown_;
    std::string group_file_;
    int world_size_ = -1;
};

}  // namespace

ExecutionTrace read_trace(const std::vector<std::string>& paths) {
    if (paths.size() == 1 && fs::is_directory(paths.front())) {
        const fs::path index = fs::path(paths.front()) / kTraceIndex;
        if (fs::exists(index)) return read_indexed_trace(index.string());
    }
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        if (!fs::is_directory(path)) {
            files.push_back(fs::path(path).lexically_normal().string());
            continue;
        }
        const auto inside = files_of_folder(path);
        files.insert(files.end(), inside.begin(), inside.end());
    }
    if (files.size() == 1) {
        if (fs::path(files.front()).filename() == kTraceIndex)
            return read_indexed_trace(files.front());
        const std::string begin = first_bytes(files.front(), 4096);
        TraceBytes bytes(files.front());
        if (looks_like_text(begin) && is_simai(begin)) return read_simai(bytes);
        if (looks_like_text(begin) && is_aicb(begin)) return read_aicb(bytes);
    }
    return Gatherer(std::move(files)).gather();
}

}  // namespace podsim

// AICB's list of collectives (CSV): comm_type, comm_group, comm_group_size, msg_size, and the time
// in ms where it was measured. One rank's, one after the other; all ranks alike. Tensor-parallel
// groups are neighbours, the others a tensor-parallel group apart, `all` is everyone.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/csv.hpp"
#include "workloads/trace/json_elements.hpp"
#include "workloads/trace/readers.hpp"

namespace podsim {

namespace {

// "[rank0 ~ rank127]": 128.
int ranks_of(const std::string& line) {
    const auto last = line.rfind("rank");
    int rank = -1;
    if (last != std::string::npos)
        (void)std::from_chars(line.data() + last + 4, line.data() + line.size(), rank);
    return rank + 1;
}

class Aicb {
  public:
    explicit Aicb(TraceBytes& bytes) : file_(bytes.path()), text_(bytes.rest(kMostTraceText)) {}

    ExecutionTrace read() {
        trace_.format = TraceFormat::aicb;
        int stated = 0, skipped_lines = 0;
        if (!text_.empty() && text_.front() == '[') {
            const auto end = text_.find('\n');
            stated = ranks_of(text_.substr(0, end));
            text_.erase(0, end == std::string::npos ? text_.size() : end + 1);
            skipped_lines = 1;
        }
        CsvReader table(std::move(text_), file_);
        type_ = table.column("comm_type");
        group_ = table.column("comm_group");
        group_size_ = table.column("comm_group_size");
        size_ = table.column("msg_size");
        elapsed_ = table.column("_elapsed_time");
        CsvRow row;
        while (table.next(row)) take(row, row.line + skipped_lines);
        builder_.finish(false, "line");
        place_groups(stated);
        rank_.file = file_;
        rank_.label = "ranks";
        rank_.count = ranks_;
        if (messages_ > 0)
            trace_.warnings.push_back(fmt::format(
                "{}: {} sends and receives between stages are left out: the list is of one rank",
                file_, messages_));
        trace_.ranks.push_back(std::move(rank_));
        return std::move(trace_);
    }

  private:
    double number(const std::string& text, int line, const char* what) const {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc() && end == text.data() + text.size() && value >= 0 && value < 1e18)
            return value;
        throw InputError({file_, line, 0}, what, fmt::format("{} is no size", text),
                         "expected a number of at least 0");
    }

    void take(const CsvRow& row, int line) {
        std::string type = row.cells[type_], group = row.cells[group_];
        type = type.substr(type.rfind('.') + 1);
        group = group.substr(group.rfind('.') + 1);
        if (type == "isend" || type == "irecv") {
            ++messages_;
            return;
        }
        TraceNode node;
        const bool known = collective_named(type, node.collective);
        if (!known && (type == "epoch_end" || type == "computation")) {
            if (type == "epoch_end") return;
            node.kind = TraceKind::compute;
            node.duration = 0;
        } else if (!known) {
            throw InputError({file_, line, 0}, "comm_type", type + " is no collective",
                             "all_reduce, all_gather, reduce_scatter, all_to_all, broadcast ...");
        } else {
            node.kind = TraceKind::collective;
            node.payload = number(row.cells[size_], line, "msg_size");
            // Not said: that of the group's other rows, or all that are left.
            const std::string& stated = row.cells[group_size_];
            int members = 0;
            if (stated != "None") {
                const double size = number(stated, line, "comm_group_size");
                if (size > 1e7 || size < 1)
                    throw InputError({file_, line, 0}, "comm_group_size",
                                     stated + " is no number of ranks", "expected at least 1");
                members = static_cast<int>(size);
                known_[group] = members;
            } else if (const auto found = known_.find(group); found != known_.end()) {
                members = found->second;
            }
            if (group == "tp_group") tensor_ = std::max(tensor_, members);
            if (group == "all") ranks_ = std::max(ranks_, members);
            if (group != "tp_group" && group != "all") largest_ = std::max(largest_, members);
            const std::string name = members > 0 ? fmt::format("{} of {}", group, members) : group;
            trace_.groups[name].ranks = members;
            node.group = builder_.group(name);
        }
        if (row.cells[elapsed_] != "None" && !row.cells[elapsed_].empty())
            node.duration = number(row.cells[elapsed_], line, "_elapsed_time") * 1e-3;
        node.id = next_;
        node.name = builder_.name(type);
        std::vector<std::uint64_t> before;
        if (next_ > 0) before.push_back(next_ - 1);
        builder_.add(node, before, {}, static_cast<std::uint64_t>(line));
        ++next_;
    }

    void place_groups(int stated) {
        const int tensor = std::max(1, tensor_);
        ranks_ = std::max({ranks_, stated, largest_ * tensor, tensor});
        for (auto& [name, group] : trace_.groups) {
            const bool neighbours = name.rfind("tp_group", 0) == 0 || name.rfind("all", 0) == 0;
            group.stride = neighbours || largest_ * tensor > ranks_ ? 1 : tensor;
            if (group.ranks == 0) group.ranks = ranks_ / group.stride;
            ranks_ = std::max(ranks_, static_cast<int>(group.ranks * group.stride));
        }
    }

    std::string file_, text_;
    ExecutionTrace trace_;
    RankTrace rank_;
    RankBuilder builder_{rank_};
    std::size_t type_ = 0, group_ = 0, group_size_ = 0, size_ = 0, elapsed_ = 0;
    std::uint64_t next_ = 0;
    int largest_ = 0, tensor_ = 0, ranks_ = 1;  // largest: of groups that are not tensor-parallel
    std::map<std::string, int> known_;          // sizes of groups
    long messages_ = 0;
};

}  // namespace

ExecutionTrace read_aicb(TraceBytes& bytes) {
    return Aicb(bytes).read();
}

}  // namespace podsim

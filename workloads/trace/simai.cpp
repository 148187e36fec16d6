// SimAI's layer workloads (AICB's text): what one rank does for each layer of its stage, all ranks
// alike. Line 1 says the parallel degrees, line 2 how many layers, then 12 fields a layer: name,
// -1, and compute time in ns, collective and bytes of the forward pass, of the gradients of the
// inputs and of those of the weights, and the time of an update.
//
// Groups: no suffix is tensor parallelism in the first two columns and data parallelism in the
// third; _EP the expert group, _DP_EP data parallelism among experts. Ranks lie tensor first, then
// experts, then data, stages outermost.
//
// Where layers repeat `ga` times they are micro-batches, which the stages run one forward, one
// backward (1F1B), with pp_comm bytes between neighbours each way. Layers before and after run
// once: forward first and backward last. Collectives of the first two columns hold up what follows;
// those of the weights run beside, and the end waits for them. Interleaved stages (vpp) run as
// plain ones.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

#include "workloads/trace/readers.hpp"

namespace podsim {

namespace {

struct Part {
    double seconds = 0, bytes = 0;
    std::string collective;  // "NONE": none
};

struct Layer {
    std::string name;
    int line = 0;
    std::array<Part, 3> parts;  // forward, gradients of inputs, of weights
};

struct Header {
    long tensor = 1, experts = 1, stages = 1, virtual_stages = 1, batches = 1, ranks = 0;
    double message = 0;
    long stage_ranks() const { return ranks / stages; }
};

enum Column { forward = 0, input_gradient = 1, weight_gradient = 2 };

class SimAi {
  public:
    explicit SimAi(TraceBytes& bytes) : file_(bytes.path()), text_(bytes.rest(kMostTraceText)) {
        trace_.format = TraceFormat::simai;
    }

    ExecutionTrace read() {
        read_lines();
        find_batches();
        for (long stage = 0; stage < header_.stages; ++stage) build(stage);
        if (alone_ > 0)
            trace_.warnings.push_back(
                fmt::format("{}: {} collectives are among one rank, as {} ranks are laid out: left "
                            "out (all_gpus: N in line 1 says how many there are)",
                            file_, alone_, header_.ranks));
        return std::move(trace_);
    }

  private:
    [[noreturn]] void fail(int line, const std::string& path, const std::string& what,
                           const std::string& hint) const {
        throw InputError({file_, line, 0}, path, what, hint);
    }

    double number(const std::string& text, int line, const char* what) const {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() ||
            !(value >= 0 && value < 1e18))
            fail(line, what, fmt::format("{} is no size", text), "expected a number of at least 0");
        return value;
    }

    long degree(const std::string& text, const std::string& key) const {
        const double value = number(text, 1, key.c_str());
        if (value < 1 || value > 1e7 || value != static_cast<double>(static_cast<long>(value)))
            fail(1, key, fmt::format("{} is no number of ranks", text),
                 "expected a whole number of 1 to 10,000,000");
        return static_cast<long>(value);
    }

    void read_header(const std::string& line) {
        std::istringstream words(line);
        std::string word, value;
        words >> word;  // the kind of parallelism
        kind_ = word;
        while (words >> word) {
            if (!word.empty() && word.back() == ':') word.pop_back();
            if (!(words >> value)) fail(1, word, "has no value", "");
            if (word == "model_parallel_NPU_group") header_.tensor = degree(value, word);
            if (word == "ep") header_.experts = degree(value, word);
            if (word == "pp") header_.stages = degree(value, word);
            if (word == "vpp") header_.virtual_stages = degree(value, word);
            if (word == "ga") header_.batches = degree(value, word);
            if (word == "all_gpus") header_.ranks = degree(value, word);
            if (word == "pp_comm") header_.message = number(value, 1, "pp_comm");
        }
        if (header_.ranks == 0) {
            // Older files do not say: one tensor-parallel group, or eight ranks.
            header_.ranks = header_.tensor > 1 ? header_.tensor : 8;
            trace_.warnings.push_back(fmt::format("{}:1: does not say all_gpus: {} ranks are taken",
                                                  file_, header_.ranks));
        }
        if (header_.stages > kMostStages)
            fail(1, "pp", fmt::format("{} stages", header_.stages),
                 fmt::format("at most {} are read", kMostStages));
        // A product of three numbers up to 10^7 would not fit a whole number.
        const double within = static_cast<double>(header_.tensor) *
                              static_cast<double>(header_.experts) *
                              static_cast<double>(header_.stages);
        if (std::fmod(static_cast<double>(header_.ranks), within) != 0) {
            fail(1, "all_gpus",
                 fmt::format("tensor {} x experts {} x stages {} do not divide {} ranks",
                             header_.tensor, header_.experts, header_.stages, header_.ranks),
                 "");
        }
        if (header_.stages > 1 && header_.message <= 0)
            trace_.warnings.push_back(
                fmt::format("{}:1: stages without pp_comm: nothing passes between them", file_));
        if (header_.virtual_stages > 1 && header_.stages > 1)
            trace_.warnings.push_back(
                fmt::format("{}:1: {} virtual stages a rank run as one: one forward, one backward",
                            file_, header_.virtual_stages));
    }

    void read_lines() {
        std::istringstream lines(text_);
        std::string line;
        int at = 0;
        long promised = -1;
        while (std::getline(lines, line)) {
            ++at;
            if (at == 1) {
                read_header(line);
                continue;
            }
            if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
            std::istringstream words(line);
            std::vector<std::string> fields;
            for (std::string word; words >> word;) fields.push_back(word);
            if (at == 2) {
                promised = static_cast<long>(number(fields.front(), 2, "layers"));
                continue;
            }
            if (fields.size() != 12)
                fail(at, "", fmt::format("{} fields, expected 12", fields.size()),
                     "name, -1, three times compute, collective and bytes, update");
            Layer layer{fields[0], at, {}};
            for (std::size_t part = 0; part < 3; ++part) {
                layer.parts[part].seconds = number(fields[2 + 3 * part], at, "compute") * 1e-9;
                layer.parts[part].collective = fields[3 + 3 * part];
                layer.parts[part].bytes = number(fields[4 + 3 * part], at, "bytes");
            }
            layers_.push_back(layer);
        }
        if (promised < 0) fail(at, "", "says no number of layers", "line 2 says it");
        if (promised != static_cast<long>(layers_.size()))
            fail(2, "layers", fmt::format("{} are announced, {} follow", promised, layers_.size()),
                 "the file is cut off, or line 2 is wrong");
        if (layers_.empty()) fail(2, "layers", "none", "");
    }

    // The stretch of layers that repeats once a micro-batch.
    void find_batches() {
        begin_ = 0;
        end_ = layers_.size();
        period_ = layers_.size();
        const auto batches = static_cast<std::size_t>(header_.batches);
        if (batches == 1) return;
        for (std::size_t first = 0; first < layers_.size(); ++first) {
            const std::string& name = layers_[first].name;
            std::vector<std::size_t> places;
            for (std::size_t i = 0; i < layers_.size() && places.size() <= batches; ++i)
                if (layers_[i].name == name) places.push_back(i);
            if (places.size() != batches || places[0] != first) continue;
            const std::size_t period = places[1] - places[0];
            if (first + period * batches > layers_.size()) continue;
            bool repeats = true;
            for (std::size_t i = first; i < first + period * (batches - 1); ++i)
                repeats = repeats && layers_[i].name == layers_[i + period].name;
            if (!repeats) continue;
            begin_ = first;
            period_ = period;
            end_ = first + period * batches;
            return;
        }
        trace_.warnings.push_back(fmt::format(
            "{}: no layers repeat {} times: they run as one micro-batch", file_, batches));
        header_.batches = 1;
    }

    // Tests of one collective have it in the last column, among everyone.
    bool is_micro(const Layer& layer) const {
        return kind_ == "MICRO" || layer.name == "micro_test";
    }

    // The group a collective is among, and its Transfer.
    int transfer_of(const Layer& layer, Column column) {
        const Part& part = layer.parts[column];
        std::string name = part.collective;
        const auto ends = [&](const std::string& suffix) {
            const bool has = name.size() > suffix.size() &&
                             name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
            if (has) name.resize(name.size() - suffix.size());
            return has;
        };
        Transfer transfer;
        if (ends("_DP_EP")) {
            transfer.stride = static_cast<int>(header_.tensor * header_.experts);
            transfer.group_ranks = static_cast<int>(header_.stage_ranks() / transfer.stride);
        } else if (ends("_EP")) {
            transfer.stride = static_cast<int>(header_.tensor);
            transfer.group_ranks = static_cast<int>(header_.experts);
        } else if (column == weight_gradient && !is_micro(layer)) {
            transfer.stride = static_cast<int>(header_.tensor);
            transfer.group_ranks = static_cast<int>(header_.stage_ranks() / header_.tensor);
        } else {
            // Without tensor parallelism, or a micro test: everyone.
            transfer.group_ranks =
                static_cast<int>(header_.tensor > 1 ? header_.tensor : header_.stage_ranks());
        }
        TraceCollective type{};
        static const std::pair<const char*, TraceCollective> types[] = {
            {"ALLREDUCE", TraceCollective::all_reduce},
            {"ALLGATHER", TraceCollective::all_gather},
            {"REDUCESCATTER", TraceCollective::reduce_scatter},
            {"ALLTOALL", TraceCollective::all_to_all},
            {"BROADCAST", TraceCollective::broadcast}};
        const auto* known = std::find_if(std::begin(types), std::end(types),
                                         [&](const auto& one) { return name == one.first; });
        if (known == std::end(types))
            fail(layer.line, layer.name, fmt::format("{} is no collective", part.collective),
                 "NONE, ALLREDUCE, ALLGATHER, REDUCESCATTER, ALLTOALL or BROADCAST, with _EP or "
                 "_DP_EP");
        type = known->second;
        transfer.name = part.collective;
        return intern(transfer, type, part.bytes);
    }

    int intern(Transfer transfer, TraceCollective type, double bytes) {
        transfer.size = Bytes(bytes);
        transfer = transfer_like(transfer, type);
        for (std::size_t i = 0; i < trace_.transfers.size(); ++i)
            if (trace_.transfers[i] == transfer) return static_cast<int>(i);
        trace_.transfers.push_back(transfer);
        return static_cast<int>(trace_.transfers.size()) - 1;
    }

    // One stage's graph as it is built.
    struct Stage {
        RankTrace rank;
        RankBuilder builder{rank};
        std::uint64_t next = 0;
        std::vector<std::uint64_t> last;    // what the next step follows
        std::vector<std::uint64_t> beside;  // what only the end waits for
    };

    std::uint64_t add(Stage& stage, TraceNode node, const std::string& name,
                      const std::vector<std::uint64_t>& before, int line) {
        node.id = stage.next++;
        node.name = stage.builder.name(name);
        stage.builder.add(node, before, {}, static_cast<std::uint64_t>(line));
        return node.id;
    }

    void run(Stage& stage, const Layer& layer, Column column) {
        const Part& part = layer.parts[column];
        if (part.seconds > 0) {
            TraceNode node;
            node.kind = TraceKind::compute;
            node.duration = part.seconds;
            static const char* const suffix[] = {"", " input gradient", " weight gradient"};
            stage.last = {add(stage, node, layer.name + suffix[column], stage.last, layer.line)};
        }
        if (part.collective == "NONE" || part.bytes <= 0) return;
        TraceNode node;
        node.kind = TraceKind::collective;
        node.transfer = transfer_of(layer, column);
        const Transfer& transfer = trace_.transfers[static_cast<std::size_t>(node.transfer)];
        if (transfer.group_ranks < 2) {
            ++alone_;
            return;
        }
        node.payload = part.bytes;
        node.instance = instances_++;
        node.stream = column == weight_gradient ? 1 : 0;  // these run beside what follows
        node.collective = chakra_type(transfer.type);
        const auto id = add(stage, node, transfer.name, stage.last, layer.line);
        if (column == weight_gradient) {
            stage.beside.push_back(id);
        } else {
            stage.last = {id};
        }
    }

    static TraceCollective chakra_type(TransferType type) {
        switch (type) {
            case TransferType::all_reduce:
                return TraceCollective::all_reduce;
            case TransferType::all_gather:
                return TraceCollective::all_gather;
            case TransferType::reduce_scatter:
                return TraceCollective::reduce_scatter;
            default:
                return TraceCollective::all_to_all;
        }
    }

    void forward_pass(Stage& stage, std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) run(stage, layers_[i], forward);
    }
    void backward_pass(Stage& stage, std::size_t begin, std::size_t end) {
        for (std::size_t i = end; i-- > begin;) {
            run(stage, layers_[i], input_gradient);
            run(stage, layers_[i], weight_gradient);
        }
    }

    // Message `batch` over the boundary after stage `boundary`, one way: both sides name it alike.
    std::int32_t message(long boundary, long batch, bool back) const {
        return static_cast<std::int32_t>(
            kMessages + ((boundary * header_.batches + batch) * 2 + (back ? 1 : 0)));
    }

    void pass(Stage& stage, TraceKind kind, long boundary, long batch, bool back) {
        if (header_.message <= 0) return;
        TraceNode node;
        node.kind = kind;
        node.payload = header_.message;
        node.instance = message(boundary, batch, back);
        Transfer transfer;
        transfer.name = back ? "gradients between stages" : "activations between stages";
        transfer.type = TransferType::send_recv;
        transfer.group_ranks = 2;
        transfer.stride = static_cast<int>(header_.stage_ranks());
        transfer.size = Bytes(header_.message);
        transfer.shares = {{1, transfer.size, Bytes(0.0)}, {1, Bytes(0.0), transfer.size}};
        const auto found = std::find(trace_.transfers.begin(), trace_.transfers.end(), transfer);
        node.transfer = static_cast<std::int32_t>(found - trace_.transfers.begin());
        if (found == trace_.transfers.end()) trace_.transfers.push_back(transfer);
        const bool sends = kind == TraceKind::send;
        const auto id = add(stage, node, sends ? transfer.name : transfer.name + ", received",
                            sends ? stage.last : std::vector<std::uint64_t>{}, 1);
        if (sends) {
            stage.beside.push_back(id);
        } else {
            stage.last.push_back(id);
        }
    }

    void forward_batch(Stage& stage, long number, long batch) {
        if (number > 0) pass(stage, TraceKind::receive, number - 1, batch, false);
        forward_pass(stage, begin_, begin_ + period_);
        if (number + 1 < header_.stages) pass(stage, TraceKind::send, number, batch, false);
    }
    void backward_batch(Stage& stage, long number, long batch) {
        if (number + 1 < header_.stages) pass(stage, TraceKind::receive, number, batch, true);
        backward_pass(stage, begin_, begin_ + period_);
        if (number > 0) pass(stage, TraceKind::send, number - 1, batch, true);
    }

    void build(long number) {
        Stage stage;
        stage.rank.file = file_;
        stage.rank.label = header_.stages > 1 ? fmt::format("stage {}", number) : "ranks";
        stage.rank.rank = static_cast<int>(number * header_.stage_ranks());
        stage.rank.count = static_cast<int>(header_.stage_ranks());
        forward_pass(stage, 0, begin_);
        const long warm = std::min(header_.batches, header_.stages - 1 - number);
        long forwards = 0, backwards = 0;
        while (forwards < warm) forward_batch(stage, number, forwards++);
        while (backwards < header_.batches) {
            if (forwards < header_.batches) forward_batch(stage, number, forwards++);
            backward_batch(stage, number, backwards++);
        }
        forward_pass(stage, end_, layers_.size());
        backward_pass(stage, end_, layers_.size());
        backward_pass(stage, 0, begin_);
        stage.builder.finish(false, "line");
        trace_.ranks.push_back(std::move(stage.rank));
    }

    static constexpr long kMostStages = 4096;
    static constexpr std::int32_t kMessages = 1 << 30;  // instances of messages from here on

    std::string file_, text_, kind_;
    Header header_;
    std::vector<Layer> layers_;
    std::size_t begin_ = 0, end_ = 0, period_ = 0;
    std::int32_t instances_ = 0;
    long alone_ = 0;  // collectives of groups of one
    ExecutionTrace trace_;
};

}  // namespace

ExecutionTrace read_simai(TraceBytes& bytes) {
    return SimAi(bytes).read();
}

}  // namespace podsim

// PyTorch's execution traces, schema 1.0.1 (flat fields) and 1.0.2-chakra.0.0.4 and later (inputs,
// outputs and attrs as maps): what was called and with which tensors, without times.
//
// Operations that contain others say nothing of their own: the innermost ones are the work. One
// follows the one before it on its thread, and whoever last wrote a storage that it reads. A
// collective (`nccl:<op>` within `record_param_comms`) is begun in its place and waited for by the
// `wait` of its number, and by who uses its tensors. FLOPs are those of products and convolutions,
// from the shapes; bytes those of all tensors, each once.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "workloads/trace/json_elements.hpp"

namespace podsim {

namespace {

using Json = nlohmann::json;

// [tensor_id, storage_id, offset, num_elem, elem_bytes, device]
struct Tensor {
    std::int64_t storage = 0;
    double bytes = 0;
    bool on_device = false;
};

struct Call {
    std::uint64_t id = 0, parent = 0, entry = 0;
    std::int64_t order = 0;  // in which it began: rf_id
    std::int32_t thread = 0;
    std::string name, group;
    bool schema = false;  // an operation of PyTorch's, not an annotation
    std::vector<Tensor> read, written;
    double flops = 0;
    std::int64_t sequence = -1;  // of record_param_comms
    double group_size = 0;
    bool is_wait = false;
};

// Views and bookkeeping, which move nothing.
bool moves_nothing(const std::string& name) {
    static const std::unordered_set<std::string> names = {"aten::view",
                                                          "aten::as_strided",
                                                          "aten::slice",
                                                          "aten::narrow",
                                                          "aten::empty",
                                                          "aten::empty_strided",
                                                          "aten::empty_like",
                                                          "aten::result_type",
                                                          "aten::detach",
                                                          "detach",
                                                          "aten::detach_",
                                                          "aten::t",
                                                          "aten::transpose",
                                                          "aten::permute",
                                                          "aten::expand",
                                                          "aten::unsqueeze",
                                                          "aten::squeeze",
                                                          "aten::reshape",
                                                          "aten::_reshape_alias",
                                                          "aten::select",
                                                          "aten::unbind",
                                                          "aten::split",
                                                          "aten::chunk",
                                                          "aten::resize_",
                                                          "aten::set_",
                                                          "aten::alias",
                                                          "aten::lift_fresh",
                                                          "aten::is_nonzero",
                                                          "aten::item",
                                                          "aten::_local_scalar_dense",
                                                          "aten::view_as",
                                                          "aten::flatten",
                                                          "aten::unflatten",
                                                          "aten::expand_as",
                                                          "aten::T",
                                                          "aten::numpy_T",
                                                          "aten::unsafe_split",
                                                          "aten::movedim",
                                                          "aten::record_stream",
                                                          "aten::size"};
    return names.count(name) != 0;
}

// The sizes of an operand, or nothing where it is no tensor.
std::vector<double> sizes(const Json& shapes, std::size_t index) {
    std::vector<double> result;
    if (!shapes.is_array() || index >= shapes.size() || !shapes[index].is_array()) return result;
    for (const Json& one : shapes[index]) {
        if (!one.is_number()) return {};
        result.push_back(one.get<double>());
    }
    return result;
}

double product(const std::vector<double>& list) {
    double result = 1;
    for (const double one : list) result *= one;
    return result;
}

// 2 m n k of products; of a convolution 2 x outputs x the weights of one; of its backward pass
// twice that of its forward one.
double flops_of(const std::string& name, const Json& inputs, const Json& outputs) {
    const auto matmul = [&](std::size_t a, std::size_t b) {
        const auto left = sizes(inputs, a), right = sizes(inputs, b);
        if (left.size() < 2 || right.size() < 2) return 0.0;
        return 2 * product(left) * right.back();
    };
    if (name == "aten::mm" || name == "aten::bmm") return matmul(0, 1);
    if (name == "aten::addmm" || name == "aten::baddbmm") return matmul(1, 2);
    if (name.find("convolution_backward") != std::string::npos) {
        const auto out = sizes(inputs, 0), weight = sizes(inputs, 2);
        return out.size() < 3 || weight.size() != out.size()
                   ? 0
                   : 4 * product(out) * product(weight) / weight[0];
    }
    if (name == "aten::cudnn_convolution" || name == "aten::conv2d" ||
        name == "aten::_convolution" || name == "aten::convolution") {
        const auto out = sizes(outputs, 0), weight = sizes(inputs, 1);
        return out.size() < 3 || weight.size() != out.size()
                   ? 0
                   : 2 * product(out) * product(weight) / weight[0];
    }
    return 0;
}

class PyTorch {
  public:
    explicit PyTorch(RankFile& file) : file_(file), builder_(file.rank) {
        file.format = TraceFormat::pytorch;
    }

    void element(const Json& json) {
        ++count_;
        Call call;
        call.entry = count_;
        call.id = id_ = json.at("id").get<std::uint64_t>();
        call.name = json.value("name", "");
        static const Json nothing = Json::array();
        const Json *inputs = &nothing, *outputs = &nothing, *in_shapes = &nothing,
                   *out_shapes = &nothing;
        const auto list = [](const Json& map, const char* key) {
            const auto found = map.find(key);
            return found != map.end() && found->is_array() ? &*found : &nothing;
        };
        if (const auto attributes = json.find("attrs"); attributes != json.end()) {
            const Json& deps = json.at("ctrl_deps");
            call.parent = deps.is_array() ? (deps.empty() ? 0 : deps[0].get<std::uint64_t>())
                                          : deps.get<std::uint64_t>();
            for (const Json& one : *attributes)
                attribute(call, one.value("name", ""), one.at("value"));
            inputs = list(json.at("inputs"), "values");
            in_shapes = list(json.at("inputs"), "shapes");
            outputs = list(json.at("outputs"), "values");
            out_shapes = list(json.at("outputs"), "shapes");
        } else {
            call.parent = json.at("parent").get<std::uint64_t>();
            for (const char* key : {"rf_id", "tid", "op_schema"})
                if (const auto found = json.find(key); found != json.end())
                    attribute(call, key, *found);
            inputs = list(json, "inputs");
            in_shapes = list(json, "input_shapes");
            outputs = list(json, "outputs");
            out_shapes = list(json, "output_shapes");
        }
        tensors(*inputs, call.read);
        tensors(*outputs, call.written);
        call.flops = flops_of(call.name, *in_shapes, *out_shapes);
        if (call.name == "record_param_comms") read_arguments(call, *inputs);
        if (call.name == "## process_group:init ##") read_groups(*inputs);
        calls_.push_back(std::move(call));
    }

    void finish(const Json& root) {
        for (const char* key : {"schema", "pid", "time"}) {
            if (const auto found = root.find(key); found != root.end())
                file_.rank.metadata[key] =
                    found->is_string() ? found->get<std::string>() : found->dump();
        }
        std::stable_sort(calls_.begin(), calls_.end(),
                         [](const Call& a, const Call& b) { return a.order < b.order; });
        require_ids_once();
        for (std::size_t i = 0; i < calls_.size(); ++i) by_id_.emplace(calls_[i].id, i);
        mark_parents();
        for (const Call& call : calls_) add(call);
        builder_.finish(false, "entry");
    }
    std::string where() const { return fmt::format("entry {}, node {}", count_, id_); }

  private:
    static void attribute(Call& call, const std::string& key, const Json& value) {
        if (key == "rf_id") call.order = value.get<std::int64_t>();
        if (key == "tid") call.thread = value.get<std::int32_t>();
        if (key == "op_schema")
            call.schema = value.is_string() && !value.get<std::string>().empty();
        if (key == "pg_size" && value.is_number()) call.group_size = value.get<double>();
        if (key == "pg_name")
            call.group = value.is_string() ? value.get<std::string>() : value.dump();
    }

    static void tensors(const Json& values, std::vector<Tensor>& to) {
        for (const Json& value : values) {
            if (!value.is_array() || value.empty()) continue;
            if (value[0].is_array()) {
                tensors(value, to);
                continue;
            }
            if (value.size() != 6 || !value[5].is_string() || !value[3].is_number()) continue;
            const std::string device = value[5].get<std::string>();
            to.push_back({value[1].get<std::int64_t>(),
                          value[3].get<double>() * value[4].get<double>(),
                          device.rfind("cpu", 0) != 0});
        }
    }

    // [tensors, sequence, group, ..., what, ...]; a wait has no tensors.
    static void read_arguments(Call& call, const Json& inputs) {
        for (const Json& one : inputs) {
            if (one.is_number_integer() && call.sequence < 0)
                call.sequence = one.get<std::int64_t>();
            if (one.is_string() && one.get<std::string>() == "wait") call.is_wait = true;
        }
    }

    void read_groups(const Json& inputs) {
        if (inputs.empty() || !inputs[0].is_string()) return;
        const Json list = Json::parse(inputs[0].get<std::string>(), nullptr, false);
        if (!list.is_array()) return;
        for (const Json& one : list) {
            if (!one.is_object()) continue;
            TraceGroup group;
            const auto ranks = one.find("ranks");
            if (ranks != one.end() && ranks->is_array())
                for (const Json& rank : *ranks)
                    if (rank.is_number_integer()) group.members.push_back(rank.get<int>());
            // Without ranks: all of them.
            group.ranks = one.value("group_size", 0L);
            if (group.size() > 0) file_.groups[one.value("pg_name", "")] = group;
            if (one.value("pg_desc", "") == "default_pg")
                file_.world_size = static_cast<int>(group.size());
        }
    }

    void require_ids_once() const {
        std::unordered_map<std::uint64_t, std::uint64_t> seen;
        for (const Call& call : calls_) {
            const auto [at, fresh] = seen.emplace(call.id, call.entry);
            if (fresh) continue;
            throw InputError({file_.rank.file, 0, 0},
                             fmt::format("entry {}, node {}", call.entry, call.id),
                             fmt::format("has the id of the node at entry {}", at->second),
                             "every node of a rank has an id of its own");
        }
    }

    // Of operations within operations the innermost is meant; what the libraries annotate within a
    // collective is the collective.
    void mark_parents() {
        for (const Call& call : calls_)
            if (call.schema || call.name.rfind("nccl:", 0) == 0) parents_.insert(call.parent);
    }

    static double bytes_of(const std::vector<Tensor>& list) {
        double sum = 0;
        std::set<std::int64_t> seen;
        for (const Tensor& tensor : list)
            if (seen.insert(tensor.storage).second) sum += tensor.bytes;
        return sum;
    }

    void add(const Call& call) {
        TraceNode node;
        node.id = call.id;
        node.stream = call.thread;
        if (call.name.rfind("nccl:", 0) == 0 && collective_named(call.name, node.collective)) {
            add_collective(call, node);
        } else if (call.is_wait) {
            const auto begun = by_sequence_.find(call.sequence);
            if (begun != by_sequence_.end()) last_[call.thread].push_back(begun->second);
        } else if (call.schema && parents_.count(call.id) == 0 && !moves_nothing(call.name)) {
            add_work(call, node);
        }
    }

    std::vector<std::uint64_t> before_of(const Call& call) {
        std::vector<std::uint64_t> before = last_[call.thread];
        for (const auto* list : {&call.read, &call.written}) {
            for (const Tensor& tensor : *list) {
                const auto found = writer_.find(tensor.storage);
                if (found != writer_.end()) before.push_back(found->second);
            }
        }
        std::sort(before.begin(), before.end());
        before.erase(std::unique(before.begin(), before.end()), before.end());
        return before;
    }

    void wrote(const std::vector<Tensor>& list, std::uint64_t node) {
        for (const Tensor& tensor : list) writer_[tensor.storage] = node;
    }

    void add_work(const Call& call, TraceNode node) {
        node.kind = TraceKind::compute;
        node.name = builder_.name(call.name);
        const auto on_device = [](const Tensor& tensor) { return tensor.on_device; };
        node.on_host = std::none_of(call.read.begin(), call.read.end(), on_device) &&
                       std::none_of(call.written.begin(), call.written.end(), on_device);
        node.flops = call.flops;
        node.bytes = bytes_of(call.read) + bytes_of(call.written);
        builder_.add(node, before_of(call), {}, call.entry);
        last_[call.thread] = {call.id};
        // An operation in place names what it writes among its inputs; its name ends in "_".
        wrote(call.written, call.id);
        if (!call.name.empty() && call.name.back() == '_') wrote(call.read, call.id);
    }

    void add_collective(const Call& call, TraceNode node) {
        const auto parent = by_id_.find(call.parent);
        const Call* record = parent != by_id_.end() ? &calls_[parent->second] : nullptr;
        node.kind = TraceKind::collective;
        node.name = builder_.name(call.name);
        node.payload = bytes_of(call.read);
        std::vector<Tensor> results = call.read;
        if (record != nullptr) {
            results.insert(results.end(), record->written.begin(), record->written.end());
            if (!record->group.empty()) node.group = builder_.group(record->group);
            if (record->sequence >= 0) by_sequence_[record->sequence] = call.id;
            // nccl-tests count the result.
            if (node.collective == TraceCollective::all_gather && !record->written.empty())
                node.payload = bytes_of(record->written);
        }
        builder_.add(node, before_of(call), {}, call.entry);
        wrote(results, call.id);
    }

    RankFile& file_;
    RankBuilder builder_;
    std::uint64_t count_ = 0, id_ = 0;
    std::vector<Call> calls_;
    std::unordered_map<std::uint64_t, std::size_t> by_id_;
    std::unordered_set<std::uint64_t> parents_;
    std::unordered_map<std::int64_t, std::uint64_t> writer_, by_sequence_;
    std::map<std::int32_t, std::vector<std::uint64_t>> last_;  // by thread
};

}  // namespace

JsonElements pytorch_elements(RankFile& file) {
    const auto reader = std::make_shared<PyTorch>(file);
    return {[reader](const Json& json) { reader->element(json); },
            [reader](const Json& root) { reader->finish(root); },
            [reader] { return reader->where(); }};
}

}  // namespace podsim

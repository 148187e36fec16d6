// Chakra's JSON: {"workload_graph": [{Id, Name, NodeType, runtime in us, data_deps, ...}]}. Its
// `ctrlDeps` are PyTorch's parents, which end after their children and give no order.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "workloads/trace/json_elements.hpp"

namespace podsim {

namespace {

using Json = nlohmann::json;

class ChakraJson {
  public:
    explicit ChakraJson(RankFile& file) : file_(file), builder_(file.rank) {
        file.format = TraceFormat::chakra_json;
    }

    void element(const Json& json) {
        ++count_;
        TraceNode node;
        const Json* id = find(json, {"Id", "id"});
        if (id == nullptr || !id->is_number_unsigned()) fail("has no whole number Id", "");
        node.id = id_ = id->get<std::uint64_t>();
        const Json* name = find(json, {"Name", "name"});
        node.name = builder_.name(name != nullptr ? name->get<std::string>() : "");
        if (const Json* runtime = find(json, {"runtime", "duration_micros"}))
            node.duration = size(*runtime, "runtime") * 1e-6;
        if (const Json* host = find(json, {"is_cpu_op"})) node.on_host = host->get<bool>();
        if (const Json* bytes = find(json, {"tensor_size"}))
            node.bytes = size(*bytes, "tensor_size");
        if (const Json* flops = find(json, {"num_ops"})) node.flops = size(*flops, "num_ops");
        if (const Json* priority = find(json, {"comm_priority"}))
            node.priority = whole(*priority, "comm_priority");
        if (const Json* tag = find(json, {"comm_tag"})) node.tag = whole(*tag, "comm_tag");
        if (const Json* group = find(json, {"pg_name"}))
            node.group =
                builder_.group(group->is_string() ? group->get<std::string>() : group->dump());
        settle_kind(json, node);
        std::vector<std::uint64_t> data, control;
        if (const Json* deps = find(json, {"data_deps", "dataDeps"}))
            data = ids(*deps, "data_deps");
        if (const Json* deps = find(json, {"ctrl_deps", "ctrlDeps"}))
            control = ids(*deps, "ctrl_deps");
        builder_.add(node, data, control, count_);
    }

    void finish() {
        builder_.finish(false, "entry");
        if (untold_ > 0) {
            file_.warnings.push_back(
                fmt::format("{}: {} collectives without a size run for their recorded time",
                            file_.rank.file, untold_));
        }
    }
    std::string where() const { return fmt::format("entry {}, node {}", count_, id_); }

  private:
    [[noreturn]] void fail(const std::string& what, const std::string& hint) const {
        throw InputError({file_.rank.file, 0, 0}, where(), what, hint);
    }
    static const Json* find(const Json& json, std::initializer_list<const char*> keys) {
        for (const char* key : keys) {
            const auto found = json.find(key);
            if (found != json.end() && !found->is_null()) return &*found;
        }
        return nullptr;
    }
    double size(const Json& json, const char* key) const {
        const double value = json.get<double>();
        if (!(value >= 0 && value < 1e18))
            fail(fmt::format("{} is {}", key, json.dump()), "expected a size of at least 0");
        return value;
    }
    int whole(const Json& json, const char* key) const {
        const double value = json.get<double>();
        if (!(std::abs(value) < 2e9) || value != std::floor(value))
            fail(fmt::format("{} is {}", key, json.dump()),
                 "expected a whole number below 2,000,000,000");
        return static_cast<int>(value);
    }
    std::vector<std::uint64_t> ids(const Json& json, const char* key) const {
        std::vector<std::uint64_t> list;
        if (!json.is_array()) fail(fmt::format("{} is no list", key), "expected ids of nodes");
        for (const Json& one : json) {
            if (!one.is_number_unsigned())
                fail(fmt::format("{} holds {}", key, one.dump()), "expected ids of nodes");
            list.push_back(one.get<std::uint64_t>());
        }
        return list;
    }

    void settle_kind(const Json& json, TraceNode& node) {
        const Json* type = find(json, {"NodeType", "type"});
        const int number = type != nullptr ? whole(*type, "NodeType") : 0;
        if (number < 1 || number > 7)
            fail(fmt::format("has the type {}", number), "types of nodes are 1 to 7");
        node.kind = static_cast<TraceKind>(number == 4   ? 1
                                           : number == 1 ? 0
                                           : number < 4  ? number
                                                         : number - 1);
        const Json* payload = find(json, {"comm_size"});
        if (payload != nullptr) node.payload = size(*payload, "comm_size");
        const bool sends = node.kind == TraceKind::send;
        if (sends || node.kind == TraceKind::receive) {
            const char* key = sends ? "comm_dst" : "comm_src";
            const Json* peer = find(json, {key});
            if (peer == nullptr || whole(*peer, key) < 0)
                fail(sends ? "is sent to no one" : "is received of no one",
                     sends ? "comm_dst says to whom" : "comm_src says of whom");
            node.peer = whole(*peer, key);
        }
        if (node.kind != TraceKind::collective) return;
        const Json* collective = find(json, {"comm_type"});
        const int which = collective != nullptr ? whole(*collective, "comm_type") : -1;
        if (payload == nullptr && (node.on_host || node.duration >= 0)) {
            untold_ += node.on_host ? 0 : 1;
            node.kind = TraceKind::compute;
            return;
        }
        if (which < 0 || which > 9)
            fail(fmt::format("is a collective of the unknown type {}", which),
                 "types are 0 (all-reduce) to 9 (barrier)");
        node.collective = static_cast<TraceCollective>(which);
        if (payload == nullptr)
            fail("is a collective without a size", "comm_size says how many bytes");
    }

    RankFile& file_;
    RankBuilder builder_;
    std::uint64_t count_ = 0, id_ = 0;
    long untold_ = 0;
};

}  // namespace

JsonElements chakra_json_elements(RankFile& file) {
    const auto reader = std::make_shared<ChakraJson>(file);
    return {[reader](const Json& json) { reader->element(json); },
            [reader](const Json&) { reader->finish(); }, [reader] { return reader->where(); }};
}

}  // namespace podsim

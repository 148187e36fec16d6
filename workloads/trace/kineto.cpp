// Kineto's traces (Chrome's trace format): what ran on a device and when the host asked for it, as
// times. A trace to replay needs what waited for what, which is inferred:
//
//   - a device operation follows the one before it on its stream, and the call that launched it;
//   - after a cudaStreamWaitEvent the next operation of that launcher follows the last ones of the
//     other streams, those that had indeed ended when it began;
//   - the host is one chain of calls, over all threads (autograd's runs while the main one waits);
//     between two calls it computes, for as long as it did;
//   - a call that blocked (a synchronisation, a copy to pageable memory) follows the operation it
//     waited for, and takes what it took beyond that wait.
//
// So the host's and the kernels' own times are kept, and every wait is left to the replay.
// Collectives: the kernel's arguments in newer files ("Collective name", "In msg nelems"), else the
// `nccl:` annotation around the launch, with its tensors.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "workloads/trace/json_elements.hpp"

namespace podsim {

namespace {

using Json = nlohmann::json;

struct Event {
    double start = 0, length = 0;  // us
    double end() const { return start + length; }
    std::int64_t thread = 0;  // of the host; stream of the device
    std::int64_t correlation = -1;
    std::uint32_t name = 0;
    std::uint64_t entry = 0;
};

struct DeviceEvent : Event {
    bool collective = false, has_payload = false;
    TraceCollective type = TraceCollective::all_reduce;
    double payload = 0, bytes = 0;
    std::string group;
    int launch = -1;         // index of the call
    std::uint32_t node = 0;  // index of its node
};

struct Call : Event {
    bool waits = false;  // may block
    bool event = false;  // cudaStreamWaitEvent
    int device = -1;     // index of what it launched
};

struct Annotation : Event {
    TraceCollective type = TraceCollective::all_reduce;
    double payload = 0;
};

// Clocks of host and device differ by about so much, us.
constexpr double kSlack = 2;

class Kineto {
  public:
    explicit Kineto(RankFile& file) : file_(file), builder_(file.rank) {
        file.format = TraceFormat::kineto;
    }

    void element(const Json& json) {
        ++count_;
        if (json.value("ph", "") != "X") return;
        const std::string category = json.value("cat", "");
        const auto args = json.find("args");
        static const Json none = Json::object();
        const Json& details = args != json.end() && args->is_object() ? *args : none;
        if (category == "kernel" || category == "gpu_memcpy" || category == "gpu_memset") {
            device(json, details, category == "kernel");
        } else if (category == "cuda_runtime" || category == "cuda_driver") {
            call(json, details);
        } else if (category == "cpu_op" || category == "user_annotation") {
            host(json, details);
        }
    }

    void finish(const Json& root) {
        read_place(root);
        if (devices_.empty()) {
            throw InputError({file_.rank.file, 0, 0}, "", "holds no operation of a device",
                             "record it with ProfilerActivity.CUDA or .NPU");
        }
        const auto earlier = [](const Event& a, const Event& b) {
            return a.start != b.start ? a.start < b.start : a.entry < b.entry;
        };
        std::sort(devices_.begin(), devices_.end(), earlier);
        std::sort(calls_.begin(), calls_.end(), earlier);
        std::sort(annotations_.begin(), annotations_.end(), earlier);
        join_launches();
        build();
        builder_.finish(false, "event");
        if (untold_ > 0) {
            file_.warnings.push_back(fmt::format(
                "{}: {} collective kernels do not say what they move: they run for their recorded "
                "time",
                file_.rank.file, untold_));
        }
        if (unlaunched_ > 0) {
            file_.warnings.push_back(
                fmt::format("{}: {} device operations without the call that launched them: they "
                            "follow their stream alone",
                            file_.rank.file, unlaunched_));
        }
    }
    std::string where() const { return fmt::format("event {}", count_); }

  private:
    Event event_of(const Json& json) {
        Event event;
        event.start = json.at("ts").get<double>();
        event.length = json.value("dur", 0.0);
        if (!(event.length >= 0) || !std::isfinite(event.start) || event.length > 1e12) {
            throw InputError({file_.rank.file, 0, 0}, where(),
                             fmt::format("lasts {} us", event.length), "expected at least 0");
        }
        event.entry = count_;
        event.name = builder_.name(json.value("name", ""));
        begin_ = std::min(begin_, event.start);
        end_ = std::max(end_, event.end());
        return event;
    }

    static std::int64_t number(const Json& json, const char* key, std::int64_t absent) {
        const auto found = json.find(key);
        return found != json.end() && found->is_number() ? found->get<std::int64_t>() : absent;
    }

    void device(const Json& json, const Json& args, bool kernel) {
        DeviceEvent event;
        static_cast<Event&>(event) = event_of(json);
        event.thread = number(args, "stream", number(json, "tid", 0));
        event.correlation = number(args, "correlation", -1);
        event.bytes = static_cast<double>(number(args, "bytes", 0));
        const std::string& name = file_.rank.names[event.name];
        const bool library = name.find("nccl") != std::string::npos ||
                             name.find("hccl") != std::string::npos ||
                             name.find("rccl") != std::string::npos;
        event.collective = kernel && library && collective_named(name, event.type);
        const auto stated = args.find("Collective name");
        if (event.collective && stated != args.end() && stated->is_string()) {
            (void)collective_named(stated->get<std::string>(), event.type);
            const bool result = event.type == TraceCollective::all_gather;
            const double elements =
                static_cast<double>(number(args, result ? "Out msg nelems" : "In msg nelems", -1));
            const double width = bytes_of_torch_type(args.value("dtype", ""));
            event.payload = elements * width;
            event.has_payload = elements >= 0 && width > 0;
            read_group(args, event);
        }
        devices_.push_back(event);
    }

    void read_group(const Json& args, DeviceEvent& event) {
        event.group = args.value("Process Group Name", "");
        const auto ranks = args.find("Process Group Ranks");
        if (event.group.empty() || ranks == args.end()) return;
        const Json list =
            ranks->is_string() ? Json::parse(ranks->get<std::string>(), nullptr, false) : *ranks;
        if (!list.is_array() || list.empty()) return;
        TraceGroup group;
        for (const Json& rank : list) {
            if (!rank.is_number_integer()) return;  // "[0, 1, ...]": cut off by the writer
            group.members.push_back(rank.get<int>());
        }
        file_.groups[event.group] = group;
    }

    void call(const Json& json, const Json& args) {
        const std::string name = json.value("name", "");
        const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
        Call call;
        static_cast<Event&>(call) = event_of(json);
        call.thread = number(json, "tid", 0);
        call.correlation = number(args, "correlation", -1);
        call.waits = has("Synchronize") || has("Memcpy");
        call.event = has("StreamWaitEvent");
        calls_.push_back(call);
    }

    void host(const Json& json, const Json& args) {
        const std::string name = json.value("name", "");
        const Event event = event_of(json);
        if (name.rfind("nccl:", 0) != 0) return;
        Annotation note;
        static_cast<Event&>(note) = event;
        note.thread = number(json, "tid", 0);
        if (!collective_named(name, note.type)) return;
        const auto dims = args.find("Input Dims");
        const auto types = args.find("Input type");
        if (dims == args.end() || types == args.end() || !dims->is_array() || !types->is_array())
            return;
        for (std::size_t i = 0; i < std::min(dims->size(), types->size()); ++i) {
            if (!(*dims)[i].is_array() || (*dims)[i].empty() || !(*types)[i].is_string()) continue;
            double elements = 1;
            for (const Json& size : (*dims)[i])
                elements *= size.is_number() ? size.get<double>() : 0;
            note.payload += elements * bytes_of_torch_type((*types)[i].get<std::string>());
        }
        annotations_.push_back(note);
    }

    void read_place(const Json& root) {
        const auto place = root.is_object() ? root.find("distributedInfo") : root.end();
        if (place == root.end() || !place->is_object()) return;
        file_.stated_rank = static_cast<int>(number(*place, "rank", -1));
        file_.world_size = static_cast<int>(number(*place, "world_size", -1));
    }

    // The annotation that the launch stands in.
    const Annotation* annotation_around(const Call& call) const {
        const Annotation* found = nullptr;
        for (const Annotation& note : annotations_) {
            if (note.start > call.start) break;
            if (note.thread == call.thread && call.start <= note.end()) found = &note;
        }
        return found;
    }

    void join_launches() {
        std::unordered_map<std::int64_t, int> calls;
        for (std::size_t i = 0; i < calls_.size(); ++i)
            calls.emplace(calls_[i].correlation, static_cast<int>(i));
        for (std::size_t i = 0; i < devices_.size(); ++i) {
            DeviceEvent& event = devices_[i];
            const auto found = event.correlation < 0 ? calls.end() : calls.find(event.correlation);
            if (found == calls.end()) {
                ++unlaunched_;
                continue;
            }
            event.launch = found->second;
            calls_[static_cast<std::size_t>(event.launch)].device = static_cast<int>(i);
            if (!event.collective || event.has_payload) continue;
            if (const Annotation* note =
                    annotation_around(calls_[static_cast<std::size_t>(event.launch)])) {
                event.type = note->type;
                event.payload = note->payload;
                event.has_payload = note->payload > 0;
            }
        }
    }

    std::uint32_t add(const TraceNode& node, const std::vector<std::uint64_t>& before,
                      std::uint64_t entry) {
        TraceNode one = node;
        one.id = next_;
        builder_.add(one, before, {}, entry);
        return static_cast<std::uint32_t>(next_++);
    }

    // The host's work since its last call, `until` this time.
    void host_until(double until, std::uint64_t entry) {
        TraceNode node;
        node.kind = TraceKind::compute;
        node.on_host = true;
        node.stream = 0;
        node.name = host_name_;
        node.start = (now_ - begin_) * 1e-6;
        node.duration = std::max(0.0, until - now_) * 1e-6;
        std::vector<std::uint64_t> before;
        if (last_host_ >= 0) before.push_back(static_cast<std::uint64_t>(last_host_));
        last_host_ = add(node, before, entry);
        now_ = std::max(now_, until);
    }

    void build() {
        host_name_ = builder_.name("host");
        wait_name_ = builder_.name("host waits");
        now_ = begin_;
        std::size_t unlaunched = 0;  // of devices_, looked at so far
        for (const Call& call : calls_) {
            if (call.event) awaited_[call.thread] = true;
            if (call.device < 0 && !call.waits) continue;
            for (; unlaunched < devices_.size() && devices_[unlaunched].start <= call.start;
                 ++unlaunched)
                if (devices_[unlaunched].launch < 0) add_device(devices_[unlaunched], false);
            if (call.device >= 0) {
                host_until(call.waits ? call.start : call.end(), call.entry);
                DeviceEvent& launched = devices_[static_cast<std::size_t>(call.device)];
                add_device(launched, awaited_[call.thread] || launched.collective);
                awaited_[call.thread] = false;
                if (!call.waits) continue;
                wait(call, launched.end() <= call.end() + kSlack ? &launched : nullptr);
            } else {
                host_until(call.start, call.entry);
                wait(call, last_ended_by(call.end() + kSlack));
            }
        }
        for (; unlaunched < devices_.size(); ++unlaunched)
            if (devices_[unlaunched].launch < 0) add_device(devices_[unlaunched], false);
        host_until(std::min(end_, host_end()), count_);
    }

    double host_end() const {
        double end = now_;
        for (const Call& call : calls_) end = std::max(end, call.end());
        return end;
    }

    // Of what has been launched, the last to end, by `time`.
    const DeviceEvent* last_ended_by(double time) const {
        const DeviceEvent* last = nullptr;
        for (const auto& [stream, events] : launched_) {
            for (auto it = events.rbegin(); it != events.rend(); ++it) {
                if ((*it)->end() > time) continue;
                if (last == nullptr || (*it)->end() > last->end()) last = *it;
                break;
            }
        }
        return last;
    }

    // A call that may have blocked until `of` had ended: what it took beyond.
    void wait(const Call& call, const DeviceEvent* of) {
        const double waited =
            of != nullptr ? std::clamp(of->end(), call.start, call.end()) : call.start;
        TraceNode node;
        node.kind = TraceKind::compute;
        node.on_host = true;
        node.stream = 0;
        node.name = wait_name_;
        node.start = (call.start - begin_) * 1e-6;
        node.duration = (call.end() - waited) * 1e-6;
        std::vector<std::uint64_t> before{static_cast<std::uint64_t>(last_host_)};
        if (of != nullptr && waited > call.start) before.push_back(of->node);
        last_host_ = add(node, before, call.entry);
        now_ = std::max(now_, call.end());
    }

    void add_device(DeviceEvent& event, bool joins_streams) {
        TraceNode node;
        node.kind = TraceKind::compute;
        node.name = event.name;
        node.stream = static_cast<std::int32_t>(event.thread);
        node.start = (event.start - begin_) * 1e-6;
        node.duration = event.length * 1e-6;
        node.bytes = event.bytes;
        if (event.collective && event.has_payload) {
            node.kind = TraceKind::collective;
            node.collective = event.type;
            node.payload = event.payload;
            if (!event.group.empty()) node.group = builder_.group(event.group);
        } else if (event.collective) {
            ++untold_;
        }
        std::vector<std::uint64_t> before;
        if (event.launch >= 0 && last_host_ >= 0)
            before.push_back(static_cast<std::uint64_t>(last_host_));
        for (const auto& [stream, events] : launched_) {
            if (stream == event.thread) {
                before.push_back(events.back()->node);
                continue;
            }
            if (!joins_streams) continue;
            const auto ended = std::find_if(events.rbegin(), events.rend(), [&](const auto* other) {
                return other->end() <= event.start + kSlack;
            });
            if (ended != events.rend()) before.push_back((*ended)->node);
        }
        event.node = add(node, before, event.entry);
        launched_[event.thread].push_back(&event);
    }

    RankFile& file_;
    RankBuilder builder_;
    std::uint64_t count_ = 0, next_ = 0;
    double begin_ = std::numeric_limits<double>::infinity(), end_ = 0;
    std::vector<DeviceEvent> devices_;
    std::vector<Call> calls_;
    std::vector<Annotation> annotations_;
    long untold_ = 0, unlaunched_ = 0;
    // While the graph is built.
    std::uint32_t host_name_ = 0, wait_name_ = 0;
    std::int64_t last_host_ = -1;
    double now_ = 0;
    std::map<std::int64_t, bool> awaited_;
    std::map<std::int64_t, std::vector<const DeviceEvent*>> launched_;

  public:
    double begin() const { return begin_ * 1e-6; }
};

}  // namespace

JsonElements kineto_elements(RankFile& file) {
    const auto reader = std::make_shared<Kineto>(file);
    return {[reader](const Json& json) { reader->element(json); },
            [reader, &file](const Json& root) {
                reader->finish(root);
                file.rank.metadata["begin_us"] = fmt::format("{:.3f}", reader->begin() * 1e6);
            },
            [reader] { return reader->where(); }};
}

}  // namespace podsim

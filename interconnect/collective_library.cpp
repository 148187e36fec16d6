#include "interconnect/collective_library.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <type_traits>

#include "base/form.hpp"

namespace podsim {

namespace {

bool protocols_can(TransferType type, const TransferHabits& habits) {
    return std::all_of(habits.protocols.begin(), habits.protocols.end(), [&](const auto& one) {
        return (type == TransferType::all_reduce || !one.in_switch) &&
               (type == TransferType::all_to_all || one.peer_bandwidth == BytesPerSecond(0.0));
    });
}

}  // namespace

template <class Form>
void describe(Form& form, TransferProtocol& protocol) {
    form.required("name", protocol.name, "its name");
    form.required("base", protocol.base, "software latency, the fabric's own apart",
                  non_negative());
    form.optional("per_peer", protocol.per_peer, "added for each other rank of the group",
                  non_negative());
    form.required("scale_up_efficiency", protocol.scale_up_efficiency,
                  "share of the scale-up port a long transfer reaches", share_above_zero());
    form.optional("scale_out_efficiency", protocol.scale_out_efficiency,
                  "share of the scale-out port a long transfer reaches", share_above_zero());
    form.optional("peer_bandwidth", protocol.peer_bandwidth,
                  "all_to_all: of the channel to each peer; 0: the port decides", non_negative());
    form.optional("per_chunk", protocol.per_chunk,
                  "of each chunk that a message is cut into, beside its bytes: 2 sqrt(wire x "
                  "per_chunk) more at the best size of chunks",
                  non_negative());
    form.optional("copy_bandwidth", protocol.copy_bandwidth,
                  "at which a rank copies the part that it keeps; 0: it is there already",
                  non_negative());
    form.optional("in_switch", protocol.in_switch,
                  "all_reduce: added up in the switches, where a system's can");
}

template <class Form>
void describe(Form& form, TransferHabits& habits) {
    form.optional("protocols", habits.protocols,
                  "ways of moving the bytes, of which the fastest is taken; instead of base, "
                  "per_peer, per_doubling and the efficiencies");
    const bool several = form.has("protocols");  // a schema cannot say: either this or those
    form.field(!several && !std::is_same_v<Form, SchemaForm>, "base", habits.base,
               "software latency, the fabric's own apart", {non_negative()});
    form.optional("per_peer", habits.per_peer, "added for each other rank of the group",
                  non_negative());
    form.optional("per_doubling", habits.per_doubling,
                  "added for each doubling of the group beyond 8", non_negative());
    form.optional("scale_up_efficiency", habits.scale_up_efficiency,
                  "share of the scale-up port a long transfer reaches", share_above_zero());
    form.optional("scale_out_efficiency", habits.scale_out_efficiency,
                  "share of the scale-out port a long transfer reaches", share_above_zero());
    form.optional("message_alignment", habits.message_alignment,
                  "each token is padded to a multiple of it", non_negative());
    form.optional("local_over_scale_out", habits.local_over_scale_out,
                  "peers of the same scale-up domain are reached over the network too");
    form.optional("per_expert", habits.per_expert,
                  "dispatch, combine: added for each expert of the group", non_negative());
    form.optional("per_message", habits.per_message,
                  "dispatch, combine: of a port for each token it carries, beside its bytes",
                  non_negative());
    form.optional("per_token", habits.per_token,
                  "dispatch, combine: of a core that sends, for each token it works on",
                  non_negative());
    form.optional("least", habits.least,
                  "what the smallest transfer takes, the wire's latency included", non_negative());
    form.optional("senders", habits.senders,
                  "cores that send, at most one for each expert; 0: the rank works as one",
                  non_negative());
    form.optional("merges_copies", habits.merges_copies,
                  "dispatch, combine: copies of a token for one domain cross the network once, "
                  "those for one rank the domain's links once");
    form.optional("ranges", habits.ranges,
                  "what was fitted on, one for each table; a transfer outside is warned about");
    form.required("record", habits.record, "where the parameters come from");
    if (!several) return;
    if (form.ok() && habits.protocols.empty()) form.problem("protocols", "names no protocol");
    for (const char* key :
         {"base", "per_peer", "per_doubling", "scale_up_efficiency", "scale_out_efficiency"}) {
        if (form.has(key)) form.problem(key, "stands beside `protocols`, which say it each");
    }
    std::set<std::string> names;
    for (const auto& protocol : habits.protocols) {
        if (!names.insert(protocol.name).second)
            form.problem("protocols", "two are called " + protocol.name);
    }
}

// What only some types of transfer can have.
template <class Form>
void check_types(Form& form, const CollectiveLibrarySpec& library) {
    for (const auto& [type, habits] : library.transfers) {
        const std::string key = "transfers." + to_string(type);
        const bool experts = type == TransferType::dispatch || type == TransferType::combine;
        if (!experts && (habits.merges_copies || habits.per_expert > Seconds(0.0) ||
                         habits.per_message > Seconds(0.0) || habits.per_token > Seconds(0.0))) {
            form.problem(key,
                         "per_expert, per_message, per_token and merges_copies are of "
                         "dispatch and combine");
        }
        if (habits.merges_copies && habits.local_over_scale_out) {
            form.problem(key,
                         "merges_copies goes through a domain's own links, "
                         "local_over_scale_out around them");
        }
        if (!protocols_can(type, habits)) {
            form.problem(key, "in_switch is of all_reduce, peer_bandwidth of all_to_all");
        }
    }
}

template <class Form>
void describe(Form& form, CollectiveLibrarySpec& library) {
    form.required("title", library.title, "name in words");
    form.optional("system", library.system, "system it was measured on");
    form.optional("calibration", library.calibration,
                  "tables it is fitted on, for podsim calibrate");
    form.required("transfers", library.transfers, "habits by type of collective");
    if (form.ok() && library.transfers.empty()) form.problem("transfers", "names no collective");
    if (form.ok()) check_types(form, library);
}

CollectiveLibrarySpec read_collective_library(const Node& document, const std::string& name) {
    CollectiveLibrarySpec library = read<CollectiveLibrarySpec>(document, "");
    library.name = name;
    return library;
}

std::vector<TransferProtocol> protocols_of(const TransferHabits& habits) {
    if (!habits.protocols.empty()) return habits.protocols;
    return {{"", habits.base, habits.per_peer, habits.scale_up_efficiency,
             habits.scale_out_efficiency}};
}

const TransferHabits& transfer_habits(const CollectiveLibrarySpec& library, TransferType type) {
    const auto found = library.transfers.find(type);
    if (found != library.transfers.end()) return found->second;
    // A broadcast is passed on round the ring as an all-gather's parts are.
    const auto like = library.transfers.find(TransferType::all_gather);
    if (type == TransferType::broadcast && like != library.transfers.end()) return like->second;
    std::string known;
    for (const auto& [has, habits] : library.transfers)
        known += (known.empty() ? "" : ", ") + to_string(has);
    throw std::invalid_argument(fmt::format("collective library {} has no {} (it has {})",
                                            library.name, to_string(type), known));
}

nlohmann::ordered_json collective_library_schema() {
    return schema<CollectiveLibrarySpec>("podsim collective library").json();
}

}  // namespace podsim

#include "interconnect/collective_library.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/form.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, TransferHabits& habits) {
    form.required("base", habits.base, "software latency, the fabric's own apart", non_negative());
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
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, CollectiveLibrarySpec& library) {
    form.required("title", library.title, "name in words");
    form.required("transfers", library.transfers, "habits by type of collective");
    if (form.ok() && library.transfers.empty()) form.problem("transfers", "names no collective");
}

CollectiveLibrarySpec read_collective_library(const Node& document, const std::string& name) {
    CollectiveLibrarySpec library = read<CollectiveLibrarySpec>(document, "");
    library.name = name;
    return library;
}

const TransferHabits& transfer_habits(const CollectiveLibrarySpec& library, TransferType type) {
    const auto found = library.transfers.find(type);
    if (found != library.transfers.end()) return found->second;
    std::string known;
    for (const auto& [has, habits] : library.transfers)
        known += (known.empty() ? "" : ", ") + to_string(has);
    throw std::invalid_argument(fmt::format("collective library {} has no {} (it has {})",
                                            library.name, to_string(type), known));
}

nlohmann::ordered_json collective_library_schema() {
    return schema<CollectiveLibrarySpec>("podsim collective library");
}

}  // namespace podsim

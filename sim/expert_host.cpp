#include "sim/expert_host.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/host_charge.hpp"
#include "workloads/expert_offload.hpp"

namespace podsim {

namespace {

// Packages at work on one host.
double sharing(const ResolvedAlternative& alternative) {
    const double all = static_cast<double>(alternative.packages) * alternative.pool.replicas;
    return std::max(1.0, std::min(all, static_cast<double>(alternative.system.host->chips.value)));
}

double hosts_of(const ResolvedAlternative& alternative) {
    const double all = static_cast<double>(alternative.packages) * alternative.pool.replicas;
    return std::ceil(all / static_cast<double>(alternative.system.host->chips.value));
}

bool on_drives(const ResolvedAlternative& alternative) {
    return alternative.pool.experts.offload.to == OffloadPlace::ssd;
}

}  // namespace

void fill_offload(ResolvedAlternative& alternative, Problems& problems) {
    ExpertOffload& offload = alternative.pool.experts.offload;
    if (!offload.is_used()) return;
    const PoolSpec& pool = alternative.pool;
    const auto refuse = [&](const char* key, std::string what, std::string hint) {
        problems.push_back(at_key(pool, key, std::move(what), std::move(hint)));
    };
    const auto& host = alternative.system.host;
    if (pool.role == "attention" || pool.role == "ffn")
        return refuse("experts.offload",
                      "is not modelled where attention and feed-forward blocks are apart",
                      "pools of role decode or serve");
    if (!host)
        return refuse("experts.offload",
                      fmt::format("the record of system {} says nothing of its host",
                                  alternative.system.name),
                      "host: {chips: ..., memory: ..., bandwidth: ...} in it, or --set "
                      "system:NAME.host={...}");
    if (!alternative.chip.host_link)
        refuse("experts.offload",
               fmt::format("the record of chip {} has no host_link", alternative.chip.name),
               "host_link of technology, bandwidth and latency");
    if (on_drives(alternative) && !host->storage)
        refuse(
            "experts.offload.to",
            fmt::format("ssd: the host of {} has no drives in its record", alternative.system.name),
            "host.storage and host.storage_bandwidth");
    if (offload.compute == OffloadCompute::host && !host->peak)
        refuse("experts.offload.compute",
               fmt::format("host: the record of {} does not say what its processors do",
                           alternative.system.name),
               "host.peak");
    if (const auto note = unpaid_hosts(alternative)) alternative.warnings.push_back(*note);
    const double ranks = sharing(alternative) * alternative.chip.ranks;
    const double attained = host->attained.value;
    offload.host_memory = attained * host->bandwidth.value / ranks;
    if (host->peak) offload.host_peak = attained * host->peak->value / ranks;
}

BytesPerSecond host_rate(const ResolvedAlternative& alternative, BytesPerSecond link) {
    const auto& host = alternative.system.host;
    if (!host) return link;
    const double ranks = sharing(alternative) * alternative.chip.ranks;
    BytesPerSecond rate = min(link, host->bandwidth.value / ranks);
    if (on_drives(alternative) && host->storage_bandwidth)
        rate = min(rate, host->storage_bandwidth->value / ranks);
    return rate;
}

std::optional<MemoryUse> host_memory(const ResolvedAlternative& alternative, const StepSpec& spec) {
    if (!spec.experts.offload.is_used() || !alternative.system.host) return {};
    const HostSpec& host = *alternative.system.host;
    const ExpertLayout layout = expert_layout(spec);
    const double hosts = hosts_of(alternative);
    const double sets = static_cast<double>(layout.groups) * alternative.pool.replicas;
    const Bytes one = all_experts(spec, layout) / layout.groups;
    MemoryUse use;
    use.rank_class = on_drives(alternative) ? kHostDrives : kHostMemory;
    use.ranks = static_cast<int>(hosts);
    use.parts = {{"routed experts", (one * std::min(1.0, sets / hosts)).value()}};
    use.total = use.parts.front().bytes;
    use.capacity = (on_drives(alternative) ? host.storage->value : host.memory.value).value();
    return use;
}

void require_host_memory(const ResolvedAlternative& alternative, const StepSpec& spec) {
    const auto use = host_memory(alternative, spec);
    if (!use || use->total <= use->capacity) return;
    const double now = bytes_of(alternative.pool.precision.experts);
    const double bits = 8 * now * use->capacity / use->total;
    std::string hint = bits >= 1 ? fmt::format("experts of at most {:.3g} bits fit; ", bits) : "";
    hint +=
        on_drives(alternative) ? "a host with larger drives" : "a host with more memory, or ssd";
    throw InputError({at_key(
        alternative.pool, "experts.offload.to",
        fmt::format("{} of {} has {} for {} of routed experts, {} too little", use->rank_class,
                    alternative.system.name, to_string(Bytes(use->capacity)),
                    to_string(Bytes(use->total)), to_string(Bytes(use->total - use->capacity))),
        hint)});
}

}  // namespace podsim

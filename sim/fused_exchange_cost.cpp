#include "sim/fused_exchange_cost.hpp"

#include <algorithm>

#include "base/at.hpp"
#include "chips/fused_cost.hpp"
#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

const CoflowShare& share_of(const Coflow& coflow, std::size_t part) {
    return coflow.shares[std::min(part, coflow.shares.size() - 1)];
}

// What the links need, beside the kernel.
struct Links {
    Seconds dispatch{0.0}, combine{0.0}, busiest{0.0};  // alone; of one port for both
};

// Tokens are read where they are and written where they land; results are written by the products
// that make them, as many here for others as there for this rank.
Links add_links(const CoflowShare& dispatch, const CoflowShare& combine, BytesPerSecond memory,
                FusedPartCost& cost) {
    Links links{dispatch.wire, combine.wire, max(dispatch.wire, combine.wire)};
    Bytes landed(0.0);
    for (int port = 0; port < kPorts; ++port) {
        const auto i = static_cast<std::size_t>(port);
        const Seconds both = dispatch.port_time[port] + combine.port_time[port];
        cost.ports[i] = both.value();
        cost.bytes[i] = (dispatch.bytes[port] + combine.bytes[port]).value();
        links.busiest = max(links.busiest, both);
        landed += dispatch.bytes[port];
    }
    for (const CoflowShare* share : {&dispatch, &combine}) {
        for (const LinkTime& link : share->links) {
            const auto known =
                std::find_if(cost.links.begin(), cost.links.end(),
                             [&](const LinkTime& one) { return one.link == link.link; });
            if (known == cost.links.end()) {
                cost.links.push_back(link);
            } else {
                known->time += link.time;
            }
        }
    }
    for (const LinkTime& link : cost.links) links.busiest = max(links.busiest, link.time);
    cost.kernel.hbm += landed;
    cost.kernel.hbm_time += landed / memory;
    return links;
}

Seconds join(const std::vector<Seconds>& demands, Fidelity fidelity, double p) {
    Seconds joined(0.0);
    for (const Seconds demand : demands) {
        joined = fidelity == Fidelity::analytic ? max(joined, demand)
                                                : smooth_maximum(joined, demand, p);
    }
    return joined;
}

FusedPartCost part_cost(const Program& program, const FusedPart& part, const CoflowShare& dispatch,
                        const CoflowShare& combine, const CostCache& cache, double core_share) {
    const Fidelity fidelity = cache.fidelity();
    FusedStages stages{{}, part.on_chip, part.row_deviation};
    for (const int op : part.operators) stages.bodies.push_back(at(program.operators, op).body);
    Bytes closing(0.0);
    Flops closing_work(0.0);
    if (part.closes) {
        closing = compulsory_bytes_of(stages.bodies.back());
        closing_work = work_of(stages.bodies.back());
        stages.bodies.pop_back();
    }
    const FusedKernelCost chip =
        fused_kernel_cost(stages, cache.hardware(), cache.library(), fidelity, core_share);
    FusedPartCost cost;
    cost.kernel = chip.kernel;
    const Links links = add_links(dispatch, combine, chip.memory, cost);
    Seconds ends(0.0);
    Seconds ports = links.busiest;
    if (fidelity == Fidelity::tile) {
        ends = (links.dispatch + links.combine) / chip.chunks;
        ports *= 1 - 1 / chip.chunks;
    }
    const Seconds body = join({chip.cores, cost.kernel.hbm_time, chip.vector_units, ports},
                              fidelity, cache.library().smooth_maximum);
    cost.closing = closing / chip.memory;
    cost.kernel.hbm += closing;
    cost.kernel.hbm_time += cost.closing;
    cost.kernel.vector += closing_work / cache.hardware().peak_vector;
    cost.kernel.time = cost.kernel.launch + ends + body + cost.closing;
    cost.cores = chip.cores.value();
    cost.memory = cost.kernel.hbm_time.value();
    return cost;
}

}  // namespace

FusedCost fused_exchange_cost(const Program& program, const FusedExchange& fused,
                              const std::vector<Coflow>& coflows, const CostCache& cache,
                              double core_share) {
    const Coflow& dispatch = at(coflows, fused.dispatch);
    const Coflow& combine = at(coflows, fused.combine);
    FusedCost cost;
    cost.latency = dispatch.latency + combine.latency;
    Seconds longest(0.0);
    for (std::size_t i = 0; i < fused.parts.size(); ++i) {
        cost.parts.push_back(part_cost(program, fused.parts[i], share_of(dispatch, i),
                                       share_of(combine, i), cache, core_share));
        longest = max(longest, cost.parts.back().kernel.time);
    }
    for (FusedPartCost& part : cost.parts) {
        part.kernel.time = part.kernel.sustained = longest;
        for (const Coflow* coflow : {&dispatch, &combine})
            part.kernel.basis = std::max(part.kernel.basis, basis_of(*coflow));
    }
    return cost;
}

}  // namespace podsim

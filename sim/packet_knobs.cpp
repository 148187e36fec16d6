#include "sim/packet_knobs.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <type_traits>
#include <utility>

#include "sim/resolve.hpp"

namespace podsim {

namespace {

bool gives_an_order(const PacketsForm& packets) {
    return packets.order || packets.walks || packets.lookahead;
}

}  // namespace

PacketKnobs packet_knobs(const std::optional<PacketsForm>& workload,
                         const std::optional<PacketsForm>& pool) {
    PacketKnobs knobs;
    const auto turn = [](const auto& setting, auto& knob) {
        using Knob = std::decay_t<decltype(knob)>;
        if (setting) knob = static_cast<Knob>(*setting);
    };
    // Orders are of messages that follow each other; without one, queue pairs take turns.
    PacketEndpointSpec& sender = knobs.settings.endpoint;
    sender.queues = SourceQueues::per_destination;
    for (const std::optional<PacketsForm>* form : {&workload, &pool})
        if (*form && gives_an_order(**form)) sender.queues = SourceQueues::one;
    for (const std::optional<PacketsForm>* form : {&workload, &pool}) {
        if (!*form) continue;
        const PacketsForm& its = **form;
        PacketEndpointSpec& ends = knobs.settings.endpoint;
        PacketSwitchSpec& switches = knobs.fabric.switches;
        turn(its.payload, knobs.settings.packet_payload);
        turn(its.header, knobs.settings.packet_header);
        turn(its.order, knobs.order);
        turn(its.walks, knobs.walks);
        turn(its.entry_spread, knobs.entry_spread);
        turn(its.loads, knobs.loads);
        turn(its.placement, knobs.placement);
        turn(its.credits, ends.pool);
        turn(its.credit_return, ends.pool_return);
        turn(its.lookahead, ends.lookahead);
        turn(its.source_queues, ends.queues);
        turn(its.input_buffer, switches.input_buffer);
        turn(its.queues, switches.queues);
        turn(its.arbitration, switches.arbitration);
        turn(its.forwarding, switches.forwarding);
        turn(its.bit_error_rate, knobs.fabric.bit_error_rate);
        if (its.path_choice) knobs.fabric.path_choice = its.path_choice;
        if (its.congestion) {
            switches.mark_above = its.congestion->mark_above;
            ends.congestion = its.congestion->control;
        }
    }
    return knobs;
}

void check_packets(const WorkloadSpec& workload, const PoolSpec& pool,
                   std::vector<Diagnostic>& problems) {
    if (workload.kind != WorkloadKind::collective) return;
    const PacketKnobs knobs = packet_knobs(workload.packets, pool.packets);
    const auto problem = [&](const std::string& key, std::string what, std::string hint) {
        const std::string path = "packets." + key;
        problems.push_back(pool.places.has(path)
                               ? at_key(pool, path, std::move(what), std::move(hint))
                               : at_key(workload, path, std::move(what), std::move(hint)));
    };
    const double wire =
        knobs.settings.packet_payload.value() + knobs.settings.packet_header.value();
    const auto holds_packet = [&](const char* key, Bytes room, const char* what) {
        if (room <= Bytes(0.0) || room.value() >= wire) return;
        problem(key,
                fmt::format("{} of {:.0f} B is smaller than a packet of {:.0f} B, which would "
                            "never leave",
                            what, room.value(), wire),
                fmt::format("at least {:.0f} B; what keeps a link busy is its bandwidth times the "
                            "way there and back; 0 for no end",
                            wire));
    };
    holds_packet("credits", knobs.settings.endpoint.pool, "a pool");
    holds_packet("input_buffer", knobs.fabric.switches.input_buffer, "a buffer");
    if (knobs.settings.packet_payload.value() != std::floor(knobs.settings.packet_payload.value()))
        problem("payload", "is no whole number of bytes", "4096 B");
    if (knobs.settings.packet_header.value() != std::floor(knobs.settings.packet_header.value()))
        problem("header", "is no whole number of bytes", "24 B");
    if (knobs.settings.endpoint.queues == SourceQueues::per_destination &&
        knobs.settings.endpoint.lookahead > 1) {
        problem("lookahead", "is of a sender's one queue, and there is one for each destination",
                "source_queues: one");
    }
    const bool drawn = knobs.loads == PacketLoads::drawn;
    if (drawn && !workload.collective) {
        problem("loads", "drawn is of one collective by itself", "expected");
    } else if (drawn && workload.collective->copies == 0) {
        problem("loads", "drawn is of tokens, and this collective has none",
                "a dispatch or combine, or expected");
    } else if (drawn && pool.experts.popularity == Popularity::histogram) {
        problem("loads", "tokens are drawn by uniform or zipf popularity, and a histogram is given",
                "expected, or experts: {popularity: zipf, zipf_exponent: 0.6}");
    } else if (drawn && workload.collective->experts == 0 &&
               workload.collective->copies > workload.collective->group_ranks) {
        problem("loads",
                "a token goes to more experts than there are ranks, and how many experts "
                "there are is not said",
                "collective.experts");
    }
    const bool placed =
        pool.places.has("packets.placement") || workload.places.has("packets.placement");
    if (placed && !drawn) problem("placement", "is of drawn loads alone", "loads: drawn");
}

}  // namespace podsim

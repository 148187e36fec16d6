#include "sim/packets_form.hpp"

#include "sim/form_variants.hpp"

namespace podsim {

const std::vector<std::pair<const char*, SendOrder>>& names_of(const SendOrder*) {
    static const std::vector<std::pair<const char*, SendOrder>> names = {
        {"rotated", SendOrder::rotated},
        {"same", SendOrder::same_for_all},
        {"random", SendOrder::random}};
    return names;
}

const std::vector<std::pair<const char*, SourceQueues>>& names_of(const SourceQueues*) {
    static const std::vector<std::pair<const char*, SourceQueues>> names = {
        {"one", SourceQueues::one}, {"per-destination", SourceQueues::per_destination}};
    return names;
}

const std::vector<std::pair<const char*, SwitchQueues>>& names_of(const SwitchQueues*) {
    static const std::vector<std::pair<const char*, SwitchQueues>> names = {
        {"shared-memory", SwitchQueues::shared_memory},
        {"virtual-output", SwitchQueues::virtual_output_queued},
        {"input", SwitchQueues::input_queued}};
    return names;
}

const std::vector<std::pair<const char*, SwitchArbitration>>& names_of(const SwitchArbitration*) {
    static const std::vector<std::pair<const char*, SwitchArbitration>> names = {
        {"round-robin", SwitchArbitration::round_robin},
        {"oldest-first", SwitchArbitration::oldest_first}};
    return names;
}

const std::vector<std::pair<const char*, PacketForwarding>>& names_of(const PacketForwarding*) {
    static const std::vector<std::pair<const char*, PacketForwarding>> names = {
        {"store-and-forward", PacketForwarding::store_and_forward},
        {"cut-through", PacketForwarding::cut_through}};
    return names;
}

const std::vector<std::pair<const char*, PathChoice>>& names_of(const PathChoice*) {
    static const std::vector<std::pair<const char*, PathChoice>> names = {
        {"hash", PathChoice::hash_message},
        {"round-robin", PathChoice::round_robin},
        {"least-queued", PathChoice::least_queued}};
    return names;
}

const std::vector<std::pair<const char*, PacketLoads>>& names_of(const PacketLoads*) {
    static const std::vector<std::pair<const char*, PacketLoads>> names = {
        {"expected", PacketLoads::expected}, {"drawn", PacketLoads::drawn}};
    return names;
}

template <class Form>
void describe(Form& form, CongestionForm& congestion) {
    form.required("mark_above", congestion.mark_above,
                  "switches mark packets that find more waiting for their output", positive());
    form.required("cut", congestion.control.cut,
                  "share of its rate to that destination that a mark costs a sender",
                  Check{0, 0.99, true, "a value above 0, at most 0.99"});
    form.optional("growth", congestion.control.growth,
                  "of its rate, back in each interval without a mark", share_above_zero());
    form.optional("lowest", congestion.control.lowest, "rate that is left at least, of the port's",
                  share_above_zero());
    form.optional("interval", congestion.control.interval, "at most one cut in it", positive());
    form.optional("acknowledge", congestion.control.acknowledge,
                  "from delivery to the sender's knowledge of the mark", non_negative());
}

template <class Form>
void describe(Form& form, PacketsForm& packets) {
    const Check few{1, 65536, false, "a whole number of 1 to 65,536"};
    form.optional("payload", packets.payload, "of a packet (4,096 B)",
                  Check{1, 1e8, false, "a value of 1 B to 100 MB"});
    form.optional("header", packets.header, "of a packet (24 B)",
                  Check{0, 1e6, false, "a value of 0 to 1 MB"});
    form.optional(
        "source_queues", packets.source_queues,
        "of a sender: one (a message after the other, in its order), or per-destination "
        "(all at a time, in proportion to their bytes); one if absent where order, walks or "
        "lookahead are given, else per-destination");
    form.optional("order", packets.order,
                  "in which a sender walks its destinations: rotated (from the one after itself "
                  "on), same (all from the first on), random");
    form.optional("walks", packets.walks,
                  "over the destinations, with a part of the bytes each (1)", few);
    form.optional("loads", packets.loads,
                  "dispatch, combine: expected (each rank's part), or drawn (tokens one by one, by "
                  "the seed of the run)");
    form.optional("placement", packets.placement,
                  "of drawn loads: which of the random places of experts on ranks (1)", count());
    form.optional("entry_spread", packets.entry_spread,
                  "time over which ranks enter one after the other, in an order drawn by the seed; "
                  "the collective's time counts from the last (0)",
                  non_negative());
    form.optional("credits", packets.credits,
                  "pool for packets on their way to a rank, of all its senders; 0: without end",
                  non_negative());
    form.optional("credit_return", packets.credit_return,
                  "from delivery to the credit's return to its sender", non_negative());
    form.optional("input_buffer", packets.input_buffer,
                  "of each port and virtual channel of a switch; 0: without end, no credits",
                  non_negative());
    form.optional("queues", packets.queues,
                  "of switches: shared-memory, virtual-output or input (an input gives one packet "
                  "at a time)");
    form.optional("arbitration", packets.arbitration,
                  "round-robin (a chip's own router: oldest-first), oldest-first, or transit-first "
                  "(what comes from other switches before what endpoints begin)");
    form.optional("forwarding", packets.forwarding, "store-and-forward or cut-through");
    form.optional("path_choice", packets.path_choice,
                  "among equal ways: hash (each message), round-robin or least-queued; as the "
                  "topology's routing has it if absent");
    form.optional("lookahead", packets.lookahead,
                  "messages that a sender looks at for one that may go (1: the head holds up the "
                  "rest)",
                  few);
    form.optional("bit_error_rate", packets.bit_error_rate, "of each link, with replay (0)",
                  Check{0, 1e-3, false, "a value of 0 to 0.001"});
    form.optional("congestion", packets.congestion, "marks, and rates that they cut");
}

template void describe(ReadForm&, CongestionForm&);
template void describe(SchemaForm&, CongestionForm&);
template void describe(ReadForm&, PacketsForm&);
template void describe(SchemaForm&, PacketsForm&);

}  // namespace podsim

#include "chips/memory_device.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "base/form.hpp"
#include "chips/address_map.hpp"

namespace podsim {

const std::vector<std::pair<const char*, RefreshMode>>& names_of(const RefreshMode*) {
    static const std::vector<std::pair<const char*, RefreshMode>> names = {
        {"all_bank", RefreshMode::all_bank},
        {"per_bank", RefreshMode::per_bank},
        {"none", RefreshMode::none}};
    return names;
}

const std::vector<std::pair<const char*, RowPolicy>>& names_of(const RowPolicy*) {
    static const std::vector<std::pair<const char*, RowPolicy>> names = {
        {"open", RowPolicy::open}, {"closed", RowPolicy::closed}};
    return names;
}

template <class Form>
void describe(Form& form, MemoryOrganisation& organisation) {
    form.required("channels", organisation.channels, "per stack", at_least(1));
    form.required("pseudo_channels", organisation.pseudo_channels, "per channel", at_least(1));
    form.required("width", organisation.width, "data pins of a pseudo-channel", at_least(1));
    form.required("burst_length", organisation.burst_length, "beats of one column command",
                  at_least(1));
    form.required("beats_per_cycle", organisation.beats_per_cycle,
                  "bits a pin moves in one cycle of the command clock", at_least(1));
    form.required("stack_ids", organisation.stack_ids, "ranks of banks behind a pseudo-channel",
                  at_least(1));
    form.required("bank_groups", organisation.bank_groups, "per rank", at_least(1));
    form.required("banks", organisation.banks, "per bank group", at_least(1));
    form.required("page", organisation.page, "open row of a bank, in a pseudo-channel", positive());
    form.required("capacities", organisation.capacities, "of a stack, as sold", positive());
}

template <class Form>
void describe(Form& form, MemoryTiming& timing) {
    const auto time = [&](const char* key, Sourced<Seconds>& field, const char* help) {
        form.required(key, field, help, non_negative());
    };
    time("tRCD_read", timing.tRCD_read, "activate to read");
    time("tRCD_write", timing.tRCD_write, "activate to write");
    time("tRP", timing.tRP, "precharge");
    time("tRAS", timing.tRAS, "activate to precharge");
    time("tRC", timing.tRC, "activate to activate of a bank");
    time("tCCD_S", timing.tCCD_S, "column to column, another bank group");
    time("tCCD_L", timing.tCCD_L, "column to column, same bank group");
    time("tCCD_R", timing.tCCD_R, "column to column, another stack id");
    time("tRRD_S", timing.tRRD_S, "activate to activate, another bank group");
    time("tRRD_L", timing.tRRD_L, "activate to activate, same bank group");
    time("tFAW", timing.tFAW, "in which at most four activates fall");
    time("tWR", timing.tWR, "last data written to precharge");
    time("tRTP", timing.tRTP, "read to precharge");
    time("tWTR_S", timing.tWTR_S, "last data written to read, another bank group");
    time("tWTR_L", timing.tWTR_L, "last data written to read, same bank group");
    time("tRTW", timing.tRTW, "read to write command");
    time("tCL", timing.tCL, "read to first data");
    time("tCWL", timing.tCWL, "write to first data");
    time("tREFI", timing.tREFI, "mean interval of refreshes, 0: none are needed");
    time("tRFC", timing.tRFC, "refresh of all banks");
    time("tRFC_bank", timing.tRFC_bank, "refresh of one bank");
}

template <class Form>
void describe(Form& form, MemoryController& controller) {
    form.optional("access", controller.access, "bytes of one access in the window", at_least(1));
    form.optional("read_window", controller.read_window, "reads to choose among", at_least(1));
    form.optional("write_window", controller.write_window, "writes that gather", at_least(1));
    form.optional("drain_above", controller.drain_above, "writes waiting that start a drain",
                  at_least(1));
    form.optional("drain_to", controller.drain_to, "writes at which reads go on", at_least(0));
    form.optional("row_hit_cap", controller.row_hit_cap,
                  "column commands to a row while an older access wants another", at_least(1));
    form.optional("entry", controller.entry, "accesses before the window until senders wait",
                  at_least(1));
    form.optional("refresh", controller.refresh, "of all banks at once, or of one after another");
    form.optional("row_policy", controller.row_policy, "whether rows stay open");
    form.optional("address", controller.address,
                  "parts of an address from its lowest bits up: column:4 takes so many");
    form.optional("hash_banks", controller.hash_banks, "banks are xored with the row");
    form.optional("hash_channels", controller.hash_channels,
                  "the channel is turned by what stands above it");
}

namespace {

// Rules between the numbers of one device.
void require_sense(ReadForm& form, const MemoryDevice& device) {
    const MemoryOrganisation& o = device.organisation;
    const MemoryTiming& t = device.timing;
    const MemoryController& c = device.controller;
    if (const long all = o.stack_ids.value * o.bank_groups.value * o.banks.value; all > 64) {
        form.problem("organisation.banks",
                     fmt::format("{} stack ids x {} groups x {} banks are {}, at most 64 can be",
                                 o.stack_ids.value, o.bank_groups.value, o.banks.value, all));
    }
    const double bursts = o.page.value / burst_bytes(device);
    if (bursts < 1 || std::abs(bursts - std::round(bursts)) > 1e-9) {
        form.problem("organisation.page",
                     fmt::format("{} is no whole number of column commands of {}",
                                 to_string(o.page.value), to_string(burst_bytes(device))),
                     "width x burst_length / 8 is one command's worth");
    }
    const double per_access = static_cast<double>(c.access) / burst_bytes(device).value();
    if (std::abs(per_access - std::round(per_access)) > 1e-9 || per_access < 1) {
        form.problem("controller.access",
                     fmt::format("{} B is no whole number of column commands of {}", c.access,
                                 to_string(burst_bytes(device))));
    } else if (bursts < per_access) {
        form.problem("controller.access", fmt::format("{} B is more than a row", c.access));
    }
    // Tables are rounded to cycles: half a nanosecond is none of our business.
    const Seconds open_and_close = t.tRAS.value + t.tRP.value;
    if (t.tRC.value.value() > 0 && t.tRC.value < open_and_close - Seconds(1e-9)) {
        form.problem("timing.tRC", fmt::format("{} is below tRAS + tRP, {}", to_string(t.tRC.value),
                                               to_string(open_and_close)));
    }
    if (c.drain_to >= c.drain_above) {
        form.problem("controller.drain_to", "is not below drain_above, so no drain would end",
                     fmt::format("write less than {}", c.drain_above));
    }
    if (c.drain_above > c.write_window) {
        form.problem("controller.drain_above", fmt::format("{} writes never wait in a window of {}",
                                                           c.drain_above, c.write_window));
    }
    if (c.refresh != RefreshMode::none && t.tREFI.value.value() > 0) {
        const bool all = c.refresh == RefreshMode::all_bank;
        const Seconds busy = all ? t.tRFC.value : t.tRFC_bank.value;
        if (busy >= t.tREFI.value) {
            form.problem(all ? "timing.tRFC" : "timing.tRFC_bank",
                         fmt::format("{} is not below tREFI, {}: nothing but refreshes",
                                     to_string(busy), to_string(t.tREFI.value)));
        }
    }
    for (const std::string& what : problems_of_address(c.address))
        form.problem("controller.address", what,
                     "parts: column, channel, group, bank, stack; each once without a count");
}

void require_sense(SchemaForm&, const MemoryDevice&) {}

}  // namespace

template <class Form>
void describe(Form& form, MemoryDevice& device) {
    form.required("title", device.title, "name in words");
    form.required("pin_rate", device.pin_rate, "of one data pin", positive());
    form.required("organisation", device.organisation, "channels, banks and rows of one stack");
    form.required("timing", device.timing, "what has to lie between commands");
    form.optional("controller", device.controller, "what schedules the commands");
    form.required("energy", device.energy, "to move data, device and both ends of the wires",
                  non_negative());
    if (form.ok()) require_sense(form, device);
}

MemoryDevice read_memory(const Node& document, const std::string& name) {
    MemoryDevice device = read<MemoryDevice>(document, "");
    device.name = name;
    return device;
}

Bytes burst_bytes(const MemoryDevice& device) {
    const MemoryOrganisation& o = device.organisation;
    return Bytes(static_cast<double>(o.width.value * o.burst_length.value) / 8);
}

BytesPerSecond pseudo_channel_bandwidth(const MemoryDevice& device) {
    return static_cast<double>(device.organisation.width.value) * device.pin_rate.value;
}

BytesPerSecond stack_bandwidth(const MemoryDevice& device) {
    const MemoryOrganisation& o = device.organisation;
    return static_cast<double>(o.channels.value * o.pseudo_channels.value) *
           pseudo_channel_bandwidth(device);
}

nlohmann::ordered_json memory_schema() {
    return schema<MemoryDevice>("podsim memory").json();
}

}  // namespace podsim

// What each maker's table counts, in our transfers. Sizes as nccl-tests count them.
#include "sim/collective_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <tuple>

#include "base/names.hpp"

namespace podsim {

namespace {

constexpr double us = 1e-6, ms = 1e-3;

int ranks_of(const TableFields& f, const char* column) {
    const long ranks = f.count(column);
    if (ranks < 2 || ranks > 1'000'000) f.fail(column, "2 to 1,000,000 ranks were expected");
    return static_cast<int>(ranks);
}

Transfer of_size(TransferType type, int ranks, Bytes size) {
    Transfer t;
    t.name = to_string(type);
    t.type = type;
    t.group_ranks = ranks;
    t.size = size;
    return t;
}

struct Tokens {
    long count, copies, experts;
};

Transfer of_tokens(TransferType type, int ranks, const Tokens& tokens, Bytes token) {
    const double count = static_cast<double>(tokens.count),
                 copies = static_cast<double>(tokens.copies);
    Transfer t = of_size(type, ranks, expert_payload(count, copies, token));
    t.messages_per_rank = count * copies;
    t.copies = tokens.copies;
    t.experts = tokens.experts;
    return t;
}

double element_bytes_of(const TableFields& f, const char* column) {
    return f.text(column) == "int8" ? 1.0 : bytes_of(f.dtype(column));
}

// `message_size` counts elements: of the result of an all-gather, of what every rank puts in
// elsewhere. Switches add up floating point alone (NVLink SHARP), so that one-byte integers go in
// rings.
void aiconfigurator_nccl(const TableFields& f, std::vector<CollectiveRow>& rows) {
    static const std::map<std::string, TransferType> types = {
        {"all_reduce", TransferType::all_reduce},
        {"all_gather", TransferType::all_gather},
        {"reduce_scatter", TransferType::reduce_scatter},
        {"alltoall", TransferType::all_to_all}};
    const auto type = types.find(f.text("op_name"));
    if (type == types.end()) f.fail("op_name", "no collective that we know");
    const double elements = static_cast<double>(f.count("message_size"));
    Transfer transfer = of_size(type->second, ranks_of(f, "num_gpus"),
                                Bytes(elements * element_bytes_of(f, "nccl_dtype")));
    if (transfer.type == TransferType::all_reduce && f.text("nccl_dtype") == "int8")
        transfer.algorithm = "ring";
    rows.push_back({0, std::move(transfer), Seconds(f.number("latency") * ms)});
}

constexpr int node_ranks = 8;

Tokens tokens_of(const TableFields& f) {
    if (f.count("node_num") != 1) f.fail("node_num", "one node of eight was expected");
    return {f.count("num_token"), f.count("num_topk"), f.count("num_experts")};
}

// Low latency, one node of eight: dispatch in FP8 with a 4-byte scale for each 128 elements and 16
// bytes of header, combine in BF16. The table's own bandwidths are these bytes over its times.
void aiconfigurator_deepep_ll(const TableFields& f, std::vector<CollectiveRow>& rows) {
    const long hidden = f.count("hidden_size");
    const Tokens tokens = tokens_of(f);
    rows.push_back({0,
                    of_tokens(TransferType::dispatch, node_ranks, tokens,
                              token_bytes(hidden, 1, 128) + Bytes(16)),
                    Seconds(f.number("dispatch_avg_t_us") * us)});
    rows.push_back({0,
                    of_tokens(TransferType::combine, node_ranks, tokens, token_bytes(hidden, 2, 0)),
                    Seconds(f.number("combine_avg_t_us") * us)});
}

// Normal mode, one node of eight, layout known: FP8 with scales out, BF16 back.
void aiconfigurator_deepep_normal(const TableFields& f, std::vector<CollectiveRow>& rows) {
    const long hidden = f.count("hidden_size");
    const Tokens tokens = tokens_of(f);
    rows.push_back(
        {0, of_tokens(TransferType::dispatch, node_ranks, tokens, token_bytes(hidden, 1, 128)),
         Seconds(f.number("dispatch_transmit_us") * us)});
    rows.push_back({0,
                    of_tokens(TransferType::combine, node_ranks, tokens, token_bytes(hidden, 2, 0)),
                    Seconds(f.number("combine_transmit_us") * us)});
}

// A user's own table: `type`, `ranks`; `bytes`, or for dispatch and combine `tokens`, `top_k`,
// `experts` and `token_bytes`; `latency_us`.
void own_table(const TableFields& f, std::vector<CollectiveRow>& rows) {
    const auto type = value_named<TransferType>(f.text("type"));
    if (!type) f.fail("type", "not one of the known names");
    const int ranks = ranks_of(f, "ranks");
    const Seconds time(f.number("latency_us") * us);
    if (*type == TransferType::dispatch || *type == TransferType::combine) {
        const Tokens tokens{f.count("tokens"), f.count("top_k"), f.count("experts")};
        rows.push_back({0, of_tokens(*type, ranks, tokens, Bytes(f.number("token_bytes"))), time});
    } else {
        rows.push_back({0, of_size(*type, ranks, Bytes(f.number("bytes"))), time});
    }
}

}  // namespace

void register_collective_adapters(Registry<CollectiveAdapter>& adapters) {
    adapters.add("aiconfigurator_nccl", "NVIDIA aiconfigurator's NCCL collectives within a node",
                 aiconfigurator_nccl);
    adapters.add("aiconfigurator_deepep_ll",
                 "NVIDIA aiconfigurator's DeepEP on one node, low latency, two collectives a row",
                 aiconfigurator_deepep_ll);
    adapters.add("aiconfigurator_deepep_normal",
                 "NVIDIA aiconfigurator's DeepEP on one node, normal mode, two collectives a row",
                 aiconfigurator_deepep_normal);
    adapters.add("podsim",
                 "a table of your own: type, ranks, bytes or tokens, latency_us "
                 "(docs/calibration.md)",
                 own_table);
}

std::vector<CollectiveRow> read_collective_table(const TableSource& source,
                                                 const std::string& folder, const Place& asked_at,
                                                 std::optional<TransferType> type) {
    Registry<CollectiveAdapter> adapters("table adapter");
    register_collective_adapters(adapters);
    const CollectiveAdapter& adapter = adapters.find(source.adapter, asked_at, "adapter");
    std::vector<CollectiveRow> rows;
    const auto use = [&](const TableFields& fields) {
        std::vector<CollectiveRow> here;
        adapter(fields, here);
        for (CollectiveRow& row : here) {
            if (type && row.transfer.type != *type) continue;
            row.line = fields.line();
            const bool sane = row.measured > Seconds(0.0);
            if (!sane) throw InputError(fields.place(), "", "a time that is not above 0");
            try {
                require_valid(row.transfer);
            } catch (const std::invalid_argument& error) {
                throw InputError(fields.place(), "", error.what());
            }
            rows.push_back(std::move(row));
        }
    };
    const std::string path = for_each_row(source, folder, asked_at, use);
    if (rows.empty()) throw InputError({path, 0, 0}, "", "no row passes the filter");
    const auto key = [](const CollectiveRow& row) {
        const Transfer& t = row.transfer;
        const double token = t.messages_per_rank > 0 ? t.size.value() / t.messages_per_rank : 0;
        return std::make_tuple(t.type, t.group_ranks, t.experts, t.copies, token, t.size.value(),
                               row.line);
    };
    std::sort(rows.begin(), rows.end(),
              [&](const auto& a, const auto& b) { return key(a) < key(b); });
    return rows;
}

std::string shape_of(const Transfer& t) {
    std::string text = fmt::format("{} of {} ranks, {:.4g} MB", to_string(t.type), t.group_ranks,
                                   t.size.value() / 1e6);
    if (t.copies > 0) {
        text += fmt::format(", {} tokens to {} of {} experts",
                            std::lround(t.messages_per_rank / static_cast<double>(t.copies)),
                            t.copies, t.experts);
    }
    return text;
}

Seconds simulated_time(const CollectiveRow& row, const RankFabric& fabric,
                       const CollectiveLibrarySpec& library) {
    const Coflow coflow =
        make_coflow(row.transfer, fabric, library, static_cast<long>(row.transfer.group_ranks));
    return completion_times(coflow, {Seconds(0.0)}).front();
}

TableErrors compare_rows(const std::vector<CollectiveRow>& rows, const RankFabric& fabric,
                         const CollectiveLibrarySpec& library) {
    std::vector<ComparedRow> compared;
    compared.reserve(rows.size());
    for (const CollectiveRow& row : rows) {
        compared.push_back(
            {row.line, shape_of(row.transfer), row.measured, simulated_time(row, fabric, library)});
    }
    return errors_of(compared);
}

}  // namespace podsim

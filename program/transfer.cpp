#include "program/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/names.hpp"

namespace podsim {

const std::vector<std::pair<const char*, TransferType>>& names_of(const TransferType*) {
    static const std::vector<std::pair<const char*, TransferType>> names = {
        {"dispatch", TransferType::dispatch},     {"combine", TransferType::combine},
        {"all_to_all", TransferType::all_to_all}, {"all_reduce", TransferType::all_reduce},
        {"all_gather", TransferType::all_gather}, {"reduce_scatter", TransferType::reduce_scatter},
        {"broadcast", TransferType::broadcast},   {"send_recv", TransferType::send_recv}};
    return names;
}

std::string to_string(TransferType type) {
    return name_of(type);
}

Bytes expert_payload(double tokens, double copies, Bytes bytes_per_token) {
    return tokens * copies * bytes_per_token;
}

double distinct_places(double places, double experts, long copies) {
    double missed = 1;  // the share of tokens of which no copy goes to a given place
    const double elsewhere = experts - experts / places;
    for (long i = 0; i < copies; ++i) {
        const double drawn = static_cast<double>(i);
        missed *= std::max(0.0, elsewhere - drawn) / (experts - drawn);
    }
    return places * (1 - missed);
}

Bytes token_bytes(long hidden, double element_bytes, long scale_block) {
    const double scales =
        scale_block > 0
            ? 4.0 * std::ceil(static_cast<double>(hidden) / static_cast<double>(scale_block))
            : 0.0;
    return Bytes(static_cast<double>(hidden) * element_bytes + scales);
}

double bus_factor(TransferType type, int ranks) {
    const double n = ranks;
    switch (type) {
        case TransferType::all_reduce:
            return 2.0 * (n - 1.0) / n;
        case TransferType::all_gather:
        case TransferType::reduce_scatter:
        case TransferType::all_to_all:
        case TransferType::dispatch:
        case TransferType::combine:
            return (n - 1.0) / n;
        case TransferType::broadcast:
        case TransferType::send_recv:
            return 1.0;
    }
    return 1.0;
}

namespace {

bool is_amount(double value) {
    return value >= 0 && std::isfinite(value);
}

void require_shares_add_up(const Transfer& t) {
    int members = 0;
    double sent = 0, received = 0;
    for (const auto& share : t.shares) {
        if (share.ranks < 1) throw std::invalid_argument(t.name + ": a share without ranks");
        if (!is_amount(share.send.value()) || !is_amount(share.receive.value())) {
            throw std::invalid_argument(t.name + ": a share with negative or infinite bytes");
        }
        members += share.ranks;
        sent += share.ranks * share.send.value();
        received += share.ranks * share.receive.value();
    }
    if (members != t.group_ranks) {
        throw std::invalid_argument(fmt::format("{}: shares hold {} ranks, the group has {}",
                                                t.name, members, t.group_ranks));
    }
    if (std::abs(sent - received) > 1e-9 * (sent + received)) {
        throw std::invalid_argument(
            fmt::format("{}: {} bytes sent but {} received", t.name, sent, received));
    }
}

}  // namespace

void require_valid(const Transfer& t) {
    if (t.group_ranks < 1 || t.stride < 1) {
        throw std::invalid_argument(
            fmt::format("{}: a group of {} ranks with stride {}", t.name, t.group_ranks, t.stride));
    }
    if (!is_amount(t.size.value())) {
        throw std::invalid_argument(t.name + ": negative or infinite size");
    }
    if (!is_amount(t.messages_per_rank)) {
        throw std::invalid_argument(t.name + ": negative or infinite number of messages");
    }
    if (t.copies < 0 || t.experts < 0 || t.domain_limit < 0) {
        throw std::invalid_argument(t.name + ": a negative number of copies, experts or domains");
    }
    if (t.experts > 0 && t.copies > t.experts) {
        throw std::invalid_argument(
            fmt::format("{}: {} copies of a token for {} experts", t.name, t.copies, t.experts));
    }
    if (!t.shares.empty()) require_shares_add_up(t);
}

}  // namespace podsim

#include "workloads/trace/trace_index.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/names.hpp"
#include "workloads/trace/readers.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndexVersion = 1;
constexpr std::size_t kMostIndex = std::size_t{256} << 20;

Json to_json(const Transfer& transfer) {
    Json json;
    json["name"] = transfer.name;
    json["type"] = name_of(transfer.type);
    json["group_ranks"] = transfer.group_ranks;
    json["stride"] = transfer.stride;
    json["bytes"] = transfer.size.value();
    json["messages_per_rank"] = transfer.messages_per_rank;
    json["copies"] = transfer.copies;
    json["experts"] = transfer.experts;
    json["domain_limit"] = transfer.domain_limit;
    json["shares"] = Json::array();
    for (const TransferShare& share : transfer.shares)
        json["shares"].push_back(Json{{"ranks", share.ranks},
                                      {"send", share.send.value()},
                                      {"receive", share.receive.value()}});
    return json;
}

Transfer transfer_from(const Json& json) {
    Transfer transfer;
    transfer.name = json.at("name").get<std::string>();
    const auto type = value_named<TransferType>(json.at("type").get<std::string>());
    if (!type) throw std::invalid_argument(json.at("type").get<std::string>() + " is no transfer");
    transfer.type = *type;
    transfer.group_ranks = json.at("group_ranks").get<int>();
    transfer.stride = json.at("stride").get<int>();
    transfer.size = Bytes(json.at("bytes").get<double>());
    transfer.messages_per_rank = json.at("messages_per_rank").get<double>();
    transfer.copies = json.at("copies").get<long>();
    transfer.experts = json.at("experts").get<long>();
    transfer.domain_limit = json.at("domain_limit").get<long>();
    for (const Json& share : json.at("shares"))
        transfer.shares.push_back({share.at("ranks").get<int>(),
                                   Bytes(share.at("send").get<double>()),
                                   Bytes(share.at("receive").get<double>())});
    require_valid(transfer);
    return transfer;
}

void require_numbers(const RankTrace& rank, const ExecutionTrace& trace) {
    const std::size_t known = trace.transfers.size();
    for (const TraceNode& node : rank.nodes) {
        if (node.stream < 0 || static_cast<std::size_t>(node.stream) >= trace.streams.size())
            throw InputError(
                {rank.file, 0, 0}, fmt::format("node {}", node.id),
                fmt::format("is on stream {} of {}", node.stream, trace.streams.size()),
                "the index is of another trace; remove it to read the files as they are");
        if (!node.communicates()) continue;
        if (node.transfer >= 0 && static_cast<std::size_t>(node.transfer) < known &&
            node.instance >= 0)
            continue;
        throw InputError({rank.file, 0, 0}, fmt::format("node {}", node.id),
                         "is no transfer of podsim_trace.json",
                         "the index is of another trace; remove it to read the files as they are");
    }
}

}  // namespace

ExecutionTrace read_indexed_trace(const std::string& index_path) {
    const auto folder = std::filesystem::path(index_path).parent_path();
    ExecutionTrace trace;
    try {
        TraceBytes bytes(index_path);
        const Json json = Json::parse(bytes.rest(kMostIndex));
        const int version = json.at("podsim_trace").get<int>();
        if (version != kIndexVersion)
            throw std::invalid_argument(
                fmt::format("version {}, {} is read", version, kIndexVersion));
        trace.rank_skew = json.value("rank_skew", 0.0);
        if (!(trace.rank_skew >= 0 && trace.rank_skew <= 1))
            throw std::invalid_argument(
                fmt::format("rank_skew {}, expected 0 to 1", trace.rank_skew));
        for (const Json& stream : json.at("streams"))
            trace.streams.push_back(
                {stream.at("name").get<std::string>(), stream.at("core_share").get<double>()});
        for (const Json& transfer : json.at("transfers"))
            trace.transfers.push_back(transfer_from(transfer));
        for (const Json& file : json.at("files")) {
            TraceBytes part((folder / file.at("file").get<std::string>()).string());
            RankTrace rank = read_chakra(part).rank;
            rank.label = file.at("class").get<std::string>();
            rank.rank = file.at("first").get<int>();
            rank.count = file.at("count").get<int>();
            if (rank.count < 1 || rank.rank < 0)
                throw std::invalid_argument("a file without ranks");
            require_numbers(rank, trace);
            trace.ranks.push_back(std::move(rank));
        }
        if (trace.ranks.empty()) throw std::invalid_argument("no files");
    } catch (const Json::exception& error) {
        throw InputError({index_path, 0, 0}, "", error.what(),
                         "podsim trace --write makes this file");
    } catch (const std::invalid_argument& error) {
        throw InputError({index_path, 0, 0}, "", error.what(),
                         "podsim trace --write makes this file");
    }
    return trace;
}

std::string file_of_class(const ExecutionTrace& trace, std::size_t rank_class) {
    return fmt::format("trace.{}.et", trace.ranks[rank_class].rank);
}

std::string index_text(const ExecutionTrace& trace, const std::string& title) {
    Json json;
    json["podsim_trace"] = kIndexVersion;
    json["program"] = title;
    json["ranks"] = trace.rank_count();
    json["rank_skew"] = trace.rank_skew;
    json["files"] = Json::array();
    for (std::size_t i = 0; i < trace.ranks.size(); ++i) {
        const RankTrace& rank = trace.ranks[i];
        json["files"].push_back(Json{{"file", file_of_class(trace, i)},
                                     {"class", rank.label},
                                     {"first", rank.rank},
                                     {"count", rank.count}});
    }
    json["streams"] = Json::array();
    for (const Stream& stream : trace.streams)
        json["streams"].push_back(Json{{"name", stream.name}, {"core_share", stream.core_share}});
    json["transfers"] = Json::array();
    for (const Transfer& transfer : trace.transfers) json["transfers"].push_back(to_json(transfer));
    return json.dump(2) + "\n";
}

}  // namespace podsim

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>

#include "workloads/trace/chakra_fields.hpp"
#include "workloads/trace/trace_index.hpp"
#include "workloads/trace_files.hpp"
#include "workloads/trace_writing.hpp"

namespace podsim {

namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

// One message, appended to a string.
class Message {
  public:
    Message() : stream_(&bytes_), out_(std::make_unique<CodedOutputStream>(&stream_)) {}

    void number(int field, std::uint64_t value) {
        out_->WriteTag(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_VARINT));
        out_->WriteVarint64(value);
    }
    void text(int field, const std::string& value) {
        out_->WriteTag(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
        out_->WriteVarint64(value.size());
        out_->WriteString(value);
    }
    void packed(int field, const std::vector<std::uint64_t>& values) {
        if (values.empty()) return;
        Message inner;
        for (const std::uint64_t value : values) inner.out_->WriteVarint64(value);
        text(field, inner.take());
    }
    void whole(const char* name, int field, std::int64_t value) {
        Message inner;
        inner.text(chakra::kAttributeName, name);
        inner.number(field, static_cast<std::uint64_t>(value));
        text(chakra::kAttribute, inner.take());
    }
    void words(const char* name, const std::string& value) {
        Message inner;
        inner.text(chakra::kAttributeName, name);
        inner.text(chakra::kString, value);
        text(chakra::kAttribute, inner.take());
    }
    std::string take() {
        out_.reset();  // it writes what it holds back
        return std::move(bytes_);
    }

  private:
    std::string bytes_;
    google::protobuf::io::StringOutputStream stream_;
    std::unique_ptr<CodedOutputStream> out_;
};

void append(std::string& file, const std::string& message) {
    google::protobuf::io::StringOutputStream stream(&file);
    CodedOutputStream out(&stream);
    out.WriteVarint64(message.size());
    out.WriteString(message);
}

std::uint64_t type_of(const TraceNode& node) {
    switch (node.kind) {
        case TraceKind::metadata:
            return chakra::metadata;
        case TraceKind::compute:
            return chakra::compute;
        case TraceKind::memory_load:
            return chakra::memory_load;
        case TraceKind::memory_store:
            return chakra::memory_store;
        case TraceKind::send:
            return chakra::send;
        case TraceKind::receive:
            return chakra::receive;
        case TraceKind::collective:
            return chakra::collective;
    }
    return chakra::invalid;
}

// A process group is named by its shape: "8x1" are eight neighbours, "4x8" four ranks 8 apart.
std::string group_name_of(const Transfer& transfer) {
    return fmt::format("{}x{}", transfer.group_ranks, transfer.stride);
}

void write_transfer(Message& message, const RankTrace& rank, const TraceNode& node,
                    const std::vector<Transfer>& transfers) {
    message.whole("comm_size", chakra::kInt64, std::llround(node.payload));
    const bool collective = node.kind == TraceKind::collective;
    if (collective)
        message.whole("comm_type", chakra::kInt64, static_cast<std::int64_t>(node.collective));
    if (node.peer >= 0)
        message.whole(node.kind == TraceKind::send ? "comm_dst" : "comm_src", chakra::kInt32,
                      node.peer);
    if (node.tag != 0) message.whole("comm_tag", chakra::kInt32, node.tag);
    if (node.transfer >= 0) {
        message.whole("podsim_transfer", chakra::kInt32, node.transfer);
        message.whole("podsim_instance", chakra::kInt32, node.instance);
        if (collective)
            message.words("pg_name",
                          group_name_of(transfers[static_cast<std::size_t>(node.transfer)]));
    } else if (node.group >= 0) {
        message.words("pg_name", rank.group_name(node));
    }
}

std::string node_message(const RankTrace& rank, const TraceNode& node,
                         const std::vector<Transfer>& transfers) {
    Message message;
    if (node.id != 0) message.number(chakra::kId, node.id);
    message.text(chakra::kName, rank.name_of_node(node));
    message.number(chakra::kType, type_of(node));
    std::vector<std::uint64_t> before;
    for (const std::uint32_t one : rank.dependencies_of(node)) before.push_back(rank.nodes[one].id);
    message.packed(chakra::kDataDependencies, before);
    if (node.start >= 0)
        message.number(chakra::kStartMicros,
                       static_cast<std::uint64_t>(std::llround(node.start * 1e6)));
    if (node.duration >= 0) {
        const auto micros = static_cast<std::uint64_t>(std::llround(node.duration * 1e6));
        if (micros > 0) message.number(chakra::kDurationMicros, micros);
        // Kernels are shorter than Chakra's microseconds tell.
        message.whole("podsim_picoseconds", chakra::kInt64, std::llround(node.duration * 1e12));
    }
    message.whole("is_cpu_op", chakra::kBool, node.on_host ? 1 : 0);
    if (node.stream >= 0) message.whole("stream", chakra::kInt64, node.stream);
    if (node.priority != 0) message.whole("comm_priority", chakra::kInt32, node.priority);
    if (node.micro_batch > 0) message.whole("podsim_micro_batch", chakra::kInt32, node.micro_batch);
    if (node.continues) message.whole("podsim_continues", chakra::kBool, 1);
    if (node.flops > 0) message.whole("num_ops", chakra::kInt64, std::llround(node.flops));
    if (node.bytes > 0) message.whole("tensor_size", chakra::kUint64, std::llround(node.bytes));
    if (node.communicates()) write_transfer(message, rank, node, transfers);
    return message.take();
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file)
        throw InputError({path.string(), 0, 0}, "", "cannot be written", "choose another folder");
}

}  // namespace

std::string chakra_bytes(const RankTrace& rank, const std::vector<Transfer>& transfers) {
    Message metadata;
    metadata.text(chakra::kVersion, "0.0.4");
    std::string file;
    append(file, metadata.take());
    for (const TraceNode& node : rank.nodes) append(file, node_message(rank, node, transfers));
    return file;
}

std::vector<std::string> write_trace(const ExecutionTrace& trace, const std::string& folder,
                                     const std::string& title) {
    const std::filesystem::path root(folder);
    std::error_code problem;
    std::filesystem::create_directories(root, problem);
    if (problem)
        throw InputError({folder, 0, 0}, "", "cannot be made: " + problem.message(),
                         "choose another folder");
    std::vector<std::string> files;
    for (std::size_t i = 0; i < trace.ranks.size(); ++i) {
        files.push_back(file_of_class(trace, i));
        write_file(root / files.back(), chakra_bytes(trace.ranks[i], trace.transfers));
    }
    files.emplace_back(kTraceIndex);
    write_file(root / files.back(), index_text(trace, title));
    return files;
}

}  // namespace podsim

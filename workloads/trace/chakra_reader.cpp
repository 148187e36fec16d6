// Chakra execution traces (ChakraProtoMsg, proto3): messages with their length in front as a
// varint, GlobalMetadata first, then a Node each. Protobuf's own stream reader does the wire
// format; fields are few enough to be read by their numbers, which keeps a byte's place for errors
// and makes no object per attribute.
//
// comm_size is taken as nccl-tests count a buffer, as the synthetic writers do. Where the file says
// that PyTorch wrote it (a `schema` among its metadata) control dependencies are the operations
// that contain a node, which end after it: those give no order and are left out.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <exception>
#include <optional>

#include "workloads/trace/chakra_fields.hpp"
#include "workloads/trace/readers.hpp"

namespace podsim {

namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// No node is so long: a longer one is a length that was misread.
constexpr std::uint64_t kMostMessage = std::uint64_t{256} << 20;

// Errors wait here while protobuf's frames are on the stack.
class ByteSource : public google::protobuf::io::CopyingInputStream {
  public:
    explicit ByteSource(TraceBytes& bytes) : bytes_(bytes) {}
    int Read(void* buffer, int size) override {
        try {
            return bytes_.read(static_cast<char*>(buffer), size);
        } catch (const InputError&) {
            error_ = std::current_exception();
            return -1;
        }
    }
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    TraceBytes& bytes_;
    std::exception_ptr error_;
};

struct Attribute {
    std::string name, text;
    double number = 0;
    std::int64_t whole = 0;
};

class ChakraReader {
  public:
    explicit ChakraReader(TraceBytes& bytes)
        : source_(bytes), stream_(&source_, 1 << 18), builder_(result_.rank) {
        result_.rank.file = bytes.path();
    }

    RankFile read() {
        while (read_message()) {
        }
        if (messages_ == 0) fail("holds no message", "is it a Chakra trace?");
        const bool pytorch = result_.rank.metadata.count("schema") != 0;
        builder_.finish(pytorch, "byte");
        if (pytorch && control_ > 0) {
            result_.warnings.push_back(fmt::format(
                "{}: {} control dependencies name the operations that contain a node (PyTorch): "
                "they give no order and are left out",
                result_.rank.file, control_));
        } else if (result_.rank.dangling_control_edges > 0) {
            result_.warnings.push_back(
                fmt::format("{}: {} control dependencies name nodes that are not there: left out",
                            result_.rank.file, result_.rank.dangling_control_edges));
        }
        return std::move(result_);
    }

  private:
    [[noreturn]] void fail(const std::string& what, const std::string& hint) const {
        source_.rethrow();
        throw InputError({result_.rank.file, 0, 0}, fmt::format("byte {}", begin_), what, hint);
    }
    [[noreturn]] void fail_cut() const {
        fail(fmt::format("message {} is cut off or is no protobuf", messages_),
             "the file ends too early, or is of another format");
    }

    bool read_message() {
        begin_ = stream_.ByteCount();
        // One for each message: its own limit of 2 GiB is then never met.
        CodedInputStream in(&stream_);
        const void* data = nullptr;
        int size = 0;
        if (!in.GetDirectBufferPointer(&data, &size)) {
            source_.rethrow();
            return false;
        }
        std::uint64_t length = 0;
        if (!in.ReadVarint64(&length)) fail("the length of a message is cut off", "copy it again");
        if (length > kMostMessage) {
            fail(fmt::format("a message of {} bytes, at most {} are read", length, kMostMessage),
                 "the file is broken, or is of another format");
        }
        const auto limit = in.PushLimit(static_cast<int>(length));
        const bool read = messages_ == 0 ? read_metadata(in) : read_node(in);
        if (!read || in.BytesUntilLimit() != 0) fail_cut();
        in.PopLimit(limit);
        ++messages_;
        return true;
    }

    static int field_of(std::uint32_t tag) { return WireFormatLite::GetTagFieldNumber(tag); }
    static bool is(std::uint32_t tag, WireFormatLite::WireType type) {
        return WireFormatLite::GetTagWireType(tag) == type;
    }

    bool read_metadata(CodedInputStream& in) {
        while (const std::uint32_t tag = in.ReadTag()) {
            if (field_of(tag) == chakra::kVersion &&
                is(tag, WireFormatLite::WIRETYPE_LENGTH_DELIMITED)) {
                if (!read_text(in, text_)) return false;
                result_.rank.metadata["version"] = text_;
            } else if (field_of(tag) == chakra::kMetadataAttribute &&
                       is(tag, WireFormatLite::WIRETYPE_LENGTH_DELIMITED)) {
                if (!read_attribute(in)) return false;
                result_.rank.metadata[attribute_.name] =
                    attribute_.text.empty() ? fmt::format("{}", attribute_.whole) : attribute_.text;
            } else if (!WireFormatLite::SkipField(&in, tag)) {
                return false;
            }
        }
        return true;
    }

    bool read_node(CodedInputStream& in) {
        node_ = {};
        type_ = chakra::invalid;
        data_ids_.clear();
        control_ids_.clear();
        thread_ = source_rank_ = target_rank_ = -1;
        collective_ = -1;
        has_payload_ = false;
        while (const std::uint32_t tag = in.ReadTag()) {
            if (!read_field(in, tag)) return false;
        }
        settle_kind();
        if (node_.stream < 0) node_.stream = thread_;
        control_ += static_cast<long>(control_ids_.size());
        builder_.add(node_, data_ids_, control_ids_, static_cast<std::uint64_t>(begin_));
        return true;
    }

    bool read_field(CodedInputStream& in, std::uint32_t tag) {
        std::uint64_t value = 0;
        if (is(tag, WireFormatLite::WIRETYPE_VARINT)) {
            if (!in.ReadVarint64(&value)) return false;
            switch (field_of(tag)) {
                case chakra::kId:
                    node_.id = value;
                    break;
                case chakra::kType:
                    type_ = value;
                    break;
                case chakra::kControlDependencies:
                    control_ids_.push_back(value);
                    break;
                case chakra::kDataDependencies:
                    data_ids_.push_back(value);
                    break;
                case chakra::kStartMicros:
                    node_.start = static_cast<double>(value) * 1e-6;
                    break;
                case chakra::kDurationMicros:
                    node_.duration = static_cast<double>(value) * 1e-6;
                    break;
                default:
                    break;
            }
            return true;
        }
        if (!is(tag, WireFormatLite::WIRETYPE_LENGTH_DELIMITED))
            return WireFormatLite::SkipField(&in, tag);
        switch (field_of(tag)) {
            case chakra::kName:
                if (!read_text(in, text_)) return false;
                node_.name = builder_.name(text_);
                named_ = true;
                return true;
            case chakra::kControlDependencies:
                return read_packed(in, control_ids_);
            case chakra::kDataDependencies:
                return read_packed(in, data_ids_);
            case chakra::kAttribute:
                if (!read_attribute(in)) return false;
                take_attribute();
                return true;
            default:
                return WireFormatLite::SkipField(&in, tag);
        }
    }

    // A length within the message that is being read.
    static bool read_length(CodedInputStream& in, int& length) {
        std::uint64_t value = 0;
        if (!in.ReadVarint64(&value)) return false;
        const int left = in.BytesUntilLimit();
        if (left < 0 || value > static_cast<std::uint64_t>(left)) return false;
        length = static_cast<int>(value);
        return true;
    }

    static bool read_text(CodedInputStream& in, std::string& text) {
        int length = 0;
        return read_length(in, length) && in.ReadString(&text, length);
    }

    static bool read_packed(CodedInputStream& in, std::vector<std::uint64_t>& ids) {
        int length = 0;
        if (!read_length(in, length)) return false;
        const auto limit = in.PushLimit(length);
        while (in.BytesUntilLimit() > 0) {
            std::uint64_t id = 0;
            if (!in.ReadVarint64(&id)) return false;
            ids.push_back(id);
        }
        in.PopLimit(limit);
        return true;
    }

    // Into attribute_. Lists have no meaning here and are passed over.
    bool read_attribute(CodedInputStream& in) {
        int length = 0;
        if (!read_length(in, length)) return false;
        const auto limit = in.PushLimit(length);
        attribute_.name.clear();
        attribute_.text.clear();
        attribute_.whole = 0;
        attribute_.number = 0;
        while (const std::uint32_t tag = in.ReadTag()) {
            if (!read_attribute_field(in, tag)) return false;
        }
        if (in.BytesUntilLimit() != 0) return false;
        in.PopLimit(limit);
        return true;
    }

    bool read_attribute_field(CodedInputStream& in, std::uint32_t tag) {
        const int field = field_of(tag);
        std::uint64_t wide = 0;
        std::uint32_t narrow = 0;
        const auto whole = [&](std::int64_t value) {
            attribute_.whole = value;
            attribute_.number = static_cast<double>(value);
        };
        switch (WireFormatLite::GetTagWireType(tag)) {
            case WireFormatLite::WIRETYPE_VARINT:
                if (!in.ReadVarint64(&wide)) return false;
                if (field == chakra::kSint32 || field == chakra::kSint64) {
                    whole(WireFormatLite::ZigZagDecode64(wide));
                } else {
                    whole(static_cast<std::int64_t>(wide));
                    if (field == chakra::kUint64) attribute_.number = static_cast<double>(wide);
                }
                return true;
            case WireFormatLite::WIRETYPE_FIXED64:
                if (!in.ReadLittleEndian64(&wide)) return false;
                if (field == chakra::kDouble) {
                    attribute_.number = WireFormatLite::DecodeDouble(wide);
                } else {
                    whole(static_cast<std::int64_t>(wide));
                }
                return true;
            case WireFormatLite::WIRETYPE_FIXED32:
                if (!in.ReadLittleEndian32(&narrow)) return false;
                if (field == chakra::kFloat) {
                    attribute_.number = static_cast<double>(WireFormatLite::DecodeFloat(narrow));
                } else {
                    whole(static_cast<std::int32_t>(narrow));
                }
                return true;
            case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
                if (field == chakra::kAttributeName) return read_text(in, attribute_.name);
                if (field == chakra::kString) return read_text(in, attribute_.text);
                return WireFormatLite::SkipField(&in, tag);
            default:
                return WireFormatLite::SkipField(&in, tag);
        }
    }

    [[noreturn]] void fail_node(const std::string& what, const std::string& hint) const {
        throw InputError({result_.rank.file, 0, 0},
                         fmt::format("byte {}, node {}", begin_, node_.id), what, hint);
    }

    double size_of_attribute() const {
        if (!(attribute_.number >= 0 && attribute_.number < 1e18))
            fail_node(fmt::format("{} is {}", attribute_.name, attribute_.number),
                      "expected a size of at least 0");
        return attribute_.number;
    }

    std::int32_t small_number() const {
        if (attribute_.whole < -1 || attribute_.whole > std::numeric_limits<std::int32_t>::max())
            fail_node(fmt::format("{} is {}", attribute_.name, attribute_.whole),
                      "expected a whole number of at least 0");
        return static_cast<std::int32_t>(attribute_.whole);
    }

    void take_attribute() {
        const std::string& name = attribute_.name;
        if (name == "is_cpu_op") {
            node_.on_host = attribute_.whole != 0;
        } else if (name == "comm_type") {
            collective_ = attribute_.whole;
        } else if (name == "comm_size") {
            node_.payload = size_of_attribute();
            has_payload_ = true;
        } else if (name == "comm_src") {
            source_rank_ = small_number();
        } else if (name == "comm_dst") {
            target_rank_ = small_number();
        } else if (name == "comm_tag") {
            node_.tag = static_cast<std::int32_t>(attribute_.whole);
        } else if (name == "comm_priority") {
            node_.priority = static_cast<std::int32_t>(attribute_.whole);
        } else if (name == "pg_name") {
            if (!attribute_.text.empty()) node_.group = builder_.group(attribute_.text);
        } else if (name == "num_ops") {
            node_.flops = size_of_attribute();
        } else if (name == "tensor_size") {
            node_.bytes = size_of_attribute();
        } else if (name == "stream") {
            node_.stream = small_number();
        } else if (name == "tid") {
            thread_ = small_number();
        } else if (name == "podsim_picoseconds") {
            node_.duration = size_of_attribute() * 1e-12;
        } else if (name == "podsim_continues") {
            node_.continues = attribute_.whole != 0;
        } else if (name == "podsim_micro_batch") {
            node_.micro_batch = std::clamp(small_number(), 0, 65535);
        } else if (name == "podsim_transfer") {
            node_.transfer = small_number();
        } else if (name == "podsim_instance") {
            node_.instance = small_number();
        }
    }

    // An operation of the host that starts a collective takes the host's time and moves nothing.
    void settle_kind() {
        switch (type_) {
            case chakra::metadata:
                node_.kind = TraceKind::metadata;
                break;
            case chakra::memory_load:
                node_.kind = TraceKind::memory_load;
                break;
            case chakra::memory_store:
                node_.kind = TraceKind::memory_store;
                break;
            case chakra::compute:
                node_.kind = TraceKind::compute;
                break;
            case chakra::send:
                node_.kind = TraceKind::send;
                node_.peer = target_rank_;
                break;
            case chakra::receive:
                node_.kind = TraceKind::receive;
                node_.peer = source_rank_;
                break;
            case chakra::collective:
                settle_collective();
                break;
            default:
                fail_node(fmt::format("has the type {}", type_), "types of nodes are 1 to 7");
        }
        const bool message = node_.kind == TraceKind::send || node_.kind == TraceKind::receive;
        if (message && node_.peer < 0 && node_.instance < 0) {
            fail_node(
                node_.kind == TraceKind::send ? "is sent to no one" : "is received of no one",
                node_.kind == TraceKind::send ? "comm_dst says to whom" : "comm_src says of whom");
        }
        if (!named_) node_.name = builder_.name("");
        named_ = false;
    }

    void settle_collective() {
        if (node_.on_host && !has_payload_) {
            node_.kind = TraceKind::compute;
            return;
        }
        node_.kind = TraceKind::collective;
        if (collective_ < 0) {
            // proto3 leaves a zero out of the wire, but attributes are a oneof, which says it.
            fail_node("is a collective of no type", "comm_type says which");
        }
        if (collective_ > static_cast<std::int64_t>(TraceCollective::barrier)) {
            fail_node(fmt::format("is a collective of the unknown type {}", collective_),
                      "types are 0 (all-reduce) to 9 (barrier)");
        }
        node_.collective = static_cast<TraceCollective>(collective_);
        if (!has_payload_ && node_.collective != TraceCollective::barrier)
            fail_node("is a collective without a size", "comm_size says how many bytes");
    }

    ByteSource source_;
    google::protobuf::io::CopyingInputStreamAdaptor stream_;
    RankFile result_;
    RankBuilder builder_;
    std::int64_t begin_ = 0;
    long messages_ = 0, control_ = 0;
    // Of the node that is being read.
    TraceNode node_;
    std::uint64_t type_ = 0;
    std::vector<std::uint64_t> data_ids_, control_ids_;
    std::int32_t thread_ = -1, source_rank_ = -1, target_rank_ = -1;
    std::int64_t collective_ = -1;
    bool has_payload_ = false, named_ = false;
    Attribute attribute_;
    std::string text_;
};

}  // namespace

RankFile read_chakra(TraceBytes& bytes) {
    return ChakraReader(bytes).read();
}

}  // namespace podsim

// Field numbers of Chakra's protobuf messages (schema 0.0.4), for reader and writer.
#pragma once

namespace podsim::chakra {

// GlobalMetadata
inline constexpr int kVersion = 1, kMetadataAttribute = 2;

// Node
inline constexpr int kId = 1, kName = 2, kType = 3, kControlDependencies = 4, kDataDependencies = 5,
                     kStartMicros = 6, kDurationMicros = 7, kAttribute = 10;

enum NodeType {
    invalid = 0,
    metadata = 1,
    memory_load = 2,
    memory_store = 3,
    compute = 4,
    send = 5,
    receive = 6,
    collective = 7
};

// AttributeProto: a name and one of these.
inline constexpr int kAttributeName = 1;
inline constexpr int kDouble = 3, kFloat = 5, kInt32 = 7, kInt64 = 9, kUint32 = 11, kUint64 = 13,
                     kSint32 = 15, kSint64 = 17, kFixed32 = 19, kFixed64 = 21, kSfixed32 = 23,
                     kSfixed64 = 25, kBool = 27, kString = 29, kBytes = 31;

}  // namespace podsim::chakra

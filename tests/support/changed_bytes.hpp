// Bytes as a torn or edited file has them, for fuzz tests of readers.
#pragma once

#include <rapidcheck.h>

#include <string>

namespace podsim {

// Some bytes replaced, some left out, some put in, or the end cut off.
inline std::string changed(std::string bytes) {
    const int changes = *rc::gen::inRange(1, 4);
    for (int i = 0; i < changes && !bytes.empty(); ++i) {
        const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
        const char byte = *rc::gen::arbitrary<char>();
        switch (*rc::gen::inRange(0, 4)) {
            case 0:
                bytes[at] = byte;
                break;
            case 1:
                bytes.erase(at, 1);
                break;
            case 2:
                bytes.insert(at, 1, byte);
                break;
            default:
                bytes.resize(at);
        }
    }
    return bytes;
}

}  // namespace podsim

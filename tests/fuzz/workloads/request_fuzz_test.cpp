// Request traces with some of their bytes changed, cut off or put in: every row is handed on,
// skipped with a reason or said by the trace to have failed, and what is skipped is what is
// refused.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/workloads/request_cases.hpp"

namespace podsim {
namespace {

void read_and_count(const std::string& bytes) {
    const RequestFolder folder;
    const std::string path = folder.write("trace", bytes);
    RequestTraceOptions options;
    options.only_lengths = true;
    options.bad_rows = BadRows::skip;
    long skipped = 0;
    try {
        const RequestStream stream = open_request_trace(path, options);
        const auto requests = all_of(stream);
        Seconds last(0.0);
        for (const Request& one : requests) {
            RC_ASSERT(one.arrival >= last);
            last = one.arrival;
            RC_ASSERT(one.input_tokens >= 1 && one.output_tokens >= 1);
            RC_ASSERT(one.input_tokens <= kMostRequestTokens);
            RC_ASSERT(one.output_tokens <= kMostRequestTokens);
        }
        const RequestCounts& counts = *stream.counts;
        RC_ASSERT(counts.requests == static_cast<long>(requests.size()));
        RC_ASSERT(counts.rows == counts.requests + counts.skipped + counts.failed);
        RC_ASSERT((counts.skipped > 0) == !counts.problems.empty());
        for (const Diagnostic& one : counts.problems) {
            RC_ASSERT(!one.what.empty());
            RC_ASSERT(one.place.line > 0);
        }
        skipped = counts.skipped;
    } catch (const InputError& error) {
        RC_ASSERT(!error.diagnostics().front().what.empty());
        return;
    }
    options.bad_rows = BadRows::refuse;
    bool refused = false;
    try {
        const RequestStream stream = open_request_trace(path, options);
        (void)all_of(stream);
    } catch (const InputError& error) {
        refused = true;
        RC_ASSERT(!error.diagnostics().front().what.empty());
    }
    // Unknown columns are refused too, and only noted where rows may be skipped.
    RC_ASSERT(refused || skipped == 0);
}

std::string changed(std::string bytes) {
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

RC_GTEST_PROP(RequestFuzz, AnyBytes, (const std::string& bytes)) {
    read_and_count(bytes);
    read_and_count("TIMESTAMP,ContextTokens,GeneratedTokens\n" + bytes);
    read_and_count("\x1f\x8b\x08" + bytes);
}

RC_GTEST_PROP(RequestFuzz, ChangedTables, ()) {
    read_and_count(changed(kAzureText));
    read_and_count(changed(kBurstText));
}

RC_GTEST_PROP(RequestFuzz, ChangedLines, ()) {
    read_and_count(changed(kMooncakeText));
    read_and_count(changed(kBailianText));
}

RC_GTEST_PROP(RequestFuzz, ChangedGzip, ()) {
    read_and_count(changed(gzipped(kMooncakeText + kMooncakeText)));
    read_and_count(changed(gzipped(kAzureText)));
}

}  // namespace
}  // namespace podsim

// Request traces with some of their bytes changed, cut off or put in: every row is handed on,
// skipped with a reason or said by the trace to have failed, and what is skipped is what is
// refused.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/support/changed_bytes.hpp"
#include "tests/unit/workloads/request_cases.hpp"
#include "workloads/traffic.hpp"

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

// Laws of clients: drawn from or refused, and what is drawn is in order.
RC_GTEST_PROP(RequestFuzz, ChangedClients, ()) {
    const std::string clients =
        "client,window_start_s,rate_req_per_s,interarrival_cv,pattern,arg1,arg2\n"
        "3,0,5,1,Gamma,1.0,0.02\n3,600,10,0.5,Gamma,4.0,0.0025\n9,600,10,1,Weibull,0.7,0.1\n";
    const std::string lengths =
        R"({"3": {"0": {"input_tokens": {"10": 0.25, "20": 0.75}, "output_tokens": {"5": 1.0},
            "reason_ratio": {"0.5": 1.0}}}})";
    const bool first = *rc::gen::arbitrary<bool>();
    const RequestFolder folder;
    StreamSpec spec;
    spec.trace = folder.write("c", first ? changed(clients) : clients);
    spec.lengths = folder.write("l", first ? lengths : changed(lengths));
    try {
        const RequestStream stream = make_stream(spec, 1);
        Request request;
        Seconds last(0.0);
        for (int i = 0; i < 2000 && stream.next(request); ++i) {
            RC_ASSERT(request.arrival >= last);
            RC_ASSERT(request.input_tokens >= 1 && request.output_tokens >= 1);
            last = request.arrival;
        }
    } catch (const InputError& error) {
        RC_ASSERT(!error.diagnostics().front().what.empty());
    }
}

}  // namespace
}  // namespace podsim

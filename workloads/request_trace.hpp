// Request traces that others wrote: told apart by what they hold, read a row at a time, plain or
// gzip. What a row says wrongly is refused with its line, or skipped and counted, as was chosen.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "workloads/request.hpp"

namespace podsim {

enum class RequestFormat {
    azure,              // TIMESTAMP (wall clock), ContextTokens, GeneratedTokens
    burstgpt,           // Timestamp (s), Request tokens, Response tokens
    mooncake,           // JSON lines: ms, lengths, names of blocks of 512 tokens
    bailian,            // JSON lines: s, lengths, chats, names of blocks of 16 tokens
    vidur,              // arrived_at (s), num_prefill_tokens, num_decode_tokens
    vidur_lengths,      // the same without times
    llmservingsim,      // arrival_time_ns, input and output tokens
    llmservingsim_run,  // a measured run: arrival_s and its times
    servegen            // laws of clients by windows: `traffic` draws from them
};
const std::vector<std::pair<const char*, RequestFormat>>& names_of(const RequestFormat*);

enum class BadRows { refuse, skip };
const std::vector<std::pair<const char*, BadRows>>& names_of(const BadRows*);

// Of requests that a trace gives one time to because its clock is coarse (more than a tenth of its
// first gaps are zero and its steps are 10 ms or more): drawn uniformly in the step, as a Poisson
// process of that many would have them; spread evenly over it; or left together.
enum class Timestamps { even, uniform, as_is };
const std::vector<std::pair<const char*, Timestamps>>& names_of(const Timestamps*);

struct RequestTraceOptions {
    BadRows bad_rows = BadRows::refuse;
    Timestamps timestamps = Timestamps::uniform;
    std::uint64_t seed = 1;     // of uniform times
    bool only_lengths = false;  // times are not needed: a trace without them will do
};

// Whether the file begins as one of the formats does; false where it cannot be read.
bool is_request_trace(const std::string& path);
// Throws InputError: not readable, no format that is known.
RequestFormat request_format(const std::string& path);

// Times run from the trace's own zero, of a wall clock from its first row. Throws InputError:
// what is_request_trace() does not take, columns that nobody knows (unless rows may be skipped),
// no times where they are needed. next() throws with all wrong rows (the first 20) in one go.
RequestStream open_request_trace(const std::string& path, const RequestTraceOptions& options);

// A request longer than this on either side is no request.
inline constexpr long kMostRequestTokens = 10'000'000;

}  // namespace podsim

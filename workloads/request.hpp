// Requests as an engine sees them come, whatever wrote them down or drew them: one at a time, so
// that an hour or a week of traffic never stands in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/units.hpp"

namespace podsim {

struct Request {
    Seconds arrival{0.0};
    long input_tokens = 0, output_tokens = 0;  // the whole prompt, what caches hold included
    // Names of the prompt's blocks of RequestStream::block_tokens, in order: equal leading names
    // are equal leading tokens. The last block may be a part of one. Empty: no names are known.
    std::vector<std::uint64_t> prefix_blocks;
    // Of the blocks that the reply fills after those, where they are known: what the next turn of
    // the session finds if they are kept.
    std::vector<std::uint64_t> reply_blocks;
    int service_class = 0;    // index into RequestStream::classes
    long session = -1;        // -1: none
    int turn = 0;             // of the session, from 0
    Seconds think_time{0.0};  // between the end of the turn before and this arrival
    std::uint64_t place = 0;  // line of the trace, or number of the draw: for messages
    bool continues = false;   // a follow() is to be asked for the next turn
};

// What a kind of request is promised, and which of them goes first.
struct ServiceClass {
    std::string name = "default";
    int priority = 0;  // the higher goes first
    std::optional<Seconds> time_to_first_token, time_per_output_token, timeout;
};

// Grows while a stream is read.
struct RequestCounts {
    long rows = 0;                     // of the files, as far as they are read
    long requests = 0;                 // read or drawn, before any slice
    long skipped = 0;                  // rows with something wrong
    long failed = 0;                   // rows that the trace itself marks as failed
    long too_long = 0;                 // left out: longer than engines take
    std::string first_too_long;        // where the first of them stands, and how long it is
    std::vector<Diagnostic> problems;  // of skipped rows, the first kMostProblems
    static constexpr std::size_t kMostProblems = 20;
};

struct RequestStream {
    // The next request by arrival, which never runs backwards; false at the end. Fields of an
    // earlier one are overwritten, the memory of its lists is used again. Throws InputError: a
    // file's rows that are wrong and may not be skipped.
    std::function<bool(Request&)> next;
    // Closed loops and sessions: what follows a request that `continues` and has ended (finished,
    // rejected or timed out) at that time; its arrival is the end and a think time. False: nothing.
    // Empty where every arrival is known before.
    std::function<bool(const Request& ended, Seconds end, Request& following)> follow;

    std::string format;     // "azure", "mooncake", "poisson" ...
    long block_tokens = 0;  // of prefix_blocks, 0: there are none
    std::vector<ServiceClass> classes{ServiceClass{}};
    std::vector<std::string> notes;  // what a reader of the result should know
    std::shared_ptr<RequestCounts> counts = std::make_shared<RequestCounts>();
};

}  // namespace podsim

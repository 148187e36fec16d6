// What traffic is asked for, from a trace or from laws, and the stream of requests that it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "workloads/request.hpp"
#include "workloads/request_trace.hpp"

namespace podsim {

// Of the gaps between arrivals; closed: as many users as `concurrency` says, each of whom sends
// the next request a think time after the end of the one before.
enum class ArrivalLaw { poisson, gamma, weibull, constant, closed };
const std::vector<std::pair<const char*, ArrivalLaw>>& names_of(const ArrivalLaw*);

enum class LengthLaw { constant, uniform, exponential, lognormal, empirical };
const std::vector<std::pair<const char*, LengthLaw>>& names_of(const LengthLaw*);

// What becomes of a request longer than engines take, prompt and answer together: it is answered
// with an error; ends the run; or is left out and counted.
enum class LongPrompts { reject, refuse, skip };
const std::vector<std::pair<const char*, LongPrompts>>& names_of(const LongPrompts*);

enum class WaitLaw { constant, exponential, gamma, lognormal };
const std::vector<std::pair<const char*, WaitLaw>>& names_of(const WaitLaw*);

struct WaitSpec {
    WaitLaw law = WaitLaw::exponential;
    Seconds mean{0.0};
    double cv = 1;  // of gamma and lognormal
};

// Tokens; what a law gives outside of minimum and maximum is moved there.
struct LengthSpec {
    LengthLaw law = LengthLaw::constant;
    Tokens mean{0.0};  // before it is held within the bounds
    double cv = 1;     // of lognormal
    Tokens minimum{1.0}, maximum{static_cast<double>(kMostRequestTokens)};
    std::string trace;  // empirical: the lengths of this file's requests, drawn evenly
    Place trace_place;
};

// How the rate goes up and down with mean 1: r(t) = rate (1 + amplitude cos(2 pi (t - peak) /
// period)), or the values of `profile`, each for an equal part of the period, over their mean.
struct DiurnalSpec {
    Seconds period{86400.0}, peak{43200.0};
    double amplitude = 0;
    std::vector<double> profile;
};

struct ArrivalSpec {
    ArrivalLaw law = ArrivalLaw::poisson;
    Hertz rate{0.0};  // of requests, or of sessions
    double cv = 1;    // of gamma and weibull gaps
    std::optional<DiurnalSpec> diurnal;
    long concurrency = 0;  // closed
    Seconds ramp{0.0};     // closed: the time in which the users come, evenly
    WaitSpec think_time;   // closed
};

// Calls of a model's tools: within a turn the model answers, a tool runs, and the request after it
// carries the tool's result.
struct ToolSpec {
    double calls = 1;  // mean of a turn, drawn geometrically from 0
    WaitSpec wait;
    LengthSpec result;
};

// Requests of one user that each carry all that came before.
struct SessionSpec {
    double turns = 1;       // mean
    bool geometric = true;  // else always as many
    WaitSpec think_time;    // between the end of a turn and the next
    Tokens context{static_cast<double>(kMostRequestTokens)};  // a session ends before it is longer
    std::optional<ToolSpec> tools;
};

// The leading part of prompts that is one of `prompts` texts, drawn evenly.
struct PrefixSpec {
    Tokens tokens{0.0};
    double share = 0;  // of each prompt, instead of tokens
    long prompts = 1;
};

struct StreamSpec {
    std::string name = "default";
    // From a trace ...
    std::string trace, lengths;  // lengths: a file of them, for laws and for ServeGen's clients
    Place trace_place, lengths_place;
    BadRows bad_rows = BadRows::refuse;
    Timestamps timestamps = Timestamps::uniform;
    Seconds from{0.0};
    std::optional<Seconds> until;
    // ... or from laws.
    std::optional<ArrivalSpec> arrivals;
    std::optional<LengthSpec> input, output;
    std::optional<SessionSpec> sessions;
    // Of both.
    LongPrompts long_prompts = LongPrompts::reject;
    long longest = 0;  // tokens that engines take, 0: any; a run says so, not the traffic
    std::optional<PrefixSpec> prefix;
    long block_tokens = 16;           // of names that are made
    double rate_scale = 1;            // gaps between arrivals are divided by it
    long requests = 0;                // at most; 0: as many as there are
    std::optional<Seconds> duration;  // arrivals before it
    ServiceClass service_class;
    Place place;
};

struct TrafficSpec {
    std::vector<StreamSpec> streams;  // merged by arrival
    std::uint64_t seed = 1;
    Place place;
};

// Throws InputError: a file that is missing or no trace, names of blocks of two sizes.
RequestStream make_stream(const StreamSpec& spec, std::uint64_t seed);
RequestStream make_stream(const TrafficSpec& spec, std::uint64_t seed);

}  // namespace podsim

// How a document says what traffic there is: `traffic:` as keys of one stream, or as a list of
// `streams` that are merged.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "sim/form_variants.hpp"
#include "workloads/traffic.hpp"

namespace podsim {

// Beyond these a law is no longer one of traffic, and its numbers leave their range.
inline Check variation() {
    return {0.02, 50.0, false, "a coefficient of variation of 0.02 to 50"};
}
inline Check request_tokens() {
    return {1.0, static_cast<double>(kMostRequestTokens), false, "1 to 10,000,000 tokens"};
}

// Where a key stands, for files that only show to be missing when they are read.
template <class Form>
Place place_of(const Form& form, [[maybe_unused]] const char* key) {
    if constexpr (std::is_same_v<Form, ReadForm>) {
        const Node* value = form.node().find(key);
        return value != nullptr ? value->place : form.place();
    } else {
        return {};
    }
}

template <class Form>
void describe(Form& form, WaitSpec& spec) {
    form.optional("law", spec.law, "constant, exponential, gamma or lognormal");
    form.required("mean", spec.mean, "mean of the wait", non_negative());
    optional_of_variant(form, spec.law == WaitLaw::gamma || spec.law == WaitLaw::lognormal, "cv",
                        spec.cv, "gamma, lognormal: standard deviation over mean", variation());
}

template <class Form>
void describe(Form& form, LengthSpec& spec) {
    form.optional(
        "law", spec.law,
        "constant, uniform (minimum to maximum), exponential, lognormal, or empirical (of "
        "a trace)");
    const bool empirical = spec.law == LengthLaw::empirical;
    const bool uniform = spec.law == LengthLaw::uniform;
    of_variant(form, !empirical && !uniform, "mean", spec.mean,
               "mean, before it is held within the bounds", request_tokens());
    optional_of_variant(form, spec.law == LengthLaw::lognormal, "cv", spec.cv,
                        "lognormal: standard deviation over mean", variation());
    form.optional("minimum", spec.minimum, "what is shorter is this long", request_tokens());
    form.optional("maximum", spec.maximum, "what is longer is this long", request_tokens());
    of_variant(form, empirical, "trace", spec.trace,
               "empirical: the file of a trace, or of lengths alone");
    if (!form.ok()) return;
    spec.trace_place = place_of(form, "trace");
    if (spec.minimum > spec.maximum) form.problem("minimum", "is above the maximum");
}

template <class Form>
void describe(Form& form, DiurnalSpec& spec) {
    form.optional("period", spec.period, "after which it is all the same again", positive());
    form.optional("amplitude", spec.amplitude,
                  "how far the rate goes from its mean, up and down, as a cosine", share());
    form.optional("peak", spec.peak, "when the cosine is highest", non_negative());
    form.optional("profile", spec.profile,
                  "instead: rates, in proportion, of equal parts of the period",
                  Check{0, 1e9, false, "a value of 0 to 1,000,000,000"});
    if (!form.ok()) return;
    double sum = 0;
    for (const double one : spec.profile) sum += one;
    if (!spec.profile.empty() && sum <= 0) form.problem("profile", "has no rate above 0");
    if (!spec.profile.empty() && spec.amplitude > 0)
        form.problem("profile", "stands instead of an amplitude", "leave one of them out");
}

template <class Form>
void describe(Form& form, ArrivalSpec& spec) {
    form.required("law", spec.law,
                  "of the gaps: poisson, gamma, weibull or constant; or closed: users who wait for "
                  "their answer");
    const bool closed = spec.law == ArrivalLaw::closed;
    of_variant(form, !closed, "rate", spec.rate, "requests, or sessions, a unit of time: 10 req/s",
               positive());
    optional_of_variant(form, spec.law == ArrivalLaw::gamma || spec.law == ArrivalLaw::weibull,
                        "cv", spec.cv, "gamma, weibull: standard deviation over mean of the gaps",
                        variation());
    optional_of_variant(form, !closed, "diurnal", spec.diurnal,
                        "how the rate goes up and down around its mean");
    of_variant(form, closed, "concurrency", spec.concurrency, "closed: users", count());
    optional_of_variant(form, closed, "ramp", spec.ramp,
                        "closed: the time in which the users come, evenly", non_negative());
    optional_of_variant(form, closed, "think_time", spec.think_time,
                        "closed: from the end of a request (of a session) to the user's next");
}

template <class Form>
void describe(Form& form, ToolSpec& spec) {
    form.optional("calls", spec.calls, "of tools, mean of a turn, drawn geometrically from 0",
                  Check{0, 10000, false, "a value of 0 to 10,000"});
    form.optional("wait", spec.wait, "how long a tool runs");
    form.required("result", spec.result, "tokens that a tool's result adds to the prompt");
}

template <class Form>
void describe(Form& form, SessionSpec& spec) {
    form.optional("turns", spec.turns, "of a session, mean",
                  Check{1, 100000, false, "a value of 1 to 100,000"});
    form.optional("geometric", spec.geometric, "whether turns are drawn, or always as many");
    form.optional("think_time", spec.think_time, "from the end of a turn to the next");
    form.optional("context", spec.context, "tokens that end a session", request_tokens());
    form.optional("tools", spec.tools, "an agent: turns in which tools are called");
}

template <class Form>
void describe(Form& form, PrefixSpec& spec) {
    form.optional("tokens", spec.tokens, "of the shared beginning", request_tokens());
    form.optional("share", spec.share, "instead of tokens: of each prompt", share_above_zero());
    form.optional("prompts", spec.prompts, "different shared beginnings, drawn evenly", count());
    if (!form.ok()) return;
    if ((spec.tokens.value() > 0) == (spec.share > 0))
        form.problem("tokens", "either tokens or a share is expected");
}

// Its name is the stream's.
template <class Form>
void describe(Form& form, ServiceClass& spec) {
    form.optional("priority", spec.priority, "the higher goes first");
    form.optional("time_to_first_token", spec.time_to_first_token, "that is promised", positive());
    form.optional("time_per_output_token", spec.time_per_output_token, "that is promised",
                  positive());
    form.optional("timeout", spec.timeout, "after which the user gives up", positive());
}

template <class Form>
void describe(Form& form, StreamSpec& spec) {
    form.optional("name", spec.name, "of the stream and its class");
    form.optional(
        "trace", spec.trace,
        "file of a trace (Azure, BurstGPT, Mooncake, Qwen-Bailian, vidur, LLMServingSim) or "
        "of ServeGen's clients");
    form.optional("arrivals", spec.arrivals, "instead of a trace: arrivals by a law");
    const bool drawn = spec.arrivals.has_value();
    optional_of_variant(form, !drawn, "bad_rows", spec.bad_rows,
                        "trace: refuse rows with something wrong, or skip and count them");
    optional_of_variant(form, !drawn, "timestamps", spec.timestamps,
                        "trace: requests of one tick of a coarse clock are drawn uniformly in it, "
                        "spread evenly over it, or left as-is");
    optional_of_variant(form, !drawn, "from", spec.from, "trace: where the slice begins",
                        non_negative());
    optional_of_variant(form, !drawn, "until", spec.until, "trace: where it ends", positive());
    form.optional("long_prompts", spec.long_prompts,
                  "requests longer than max_model_len, prompt and answer together: reject answers "
                  "them with an error as engines do, refuse ends the run, skip leaves them out and "
                  "counts them (reject)");
    form.optional("lengths", spec.lengths,
                  "a file whose requests' lengths, in and out together, are drawn; of ServeGen's "
                  "clients their probabilities of lengths");
    optional_of_variant(form, drawn, "input", spec.input, "arrivals: tokens that a request adds");
    optional_of_variant(form, drawn, "output", spec.output, "arrivals: tokens of its answer");
    optional_of_variant(form, drawn, "sessions", spec.sessions,
                        "arrivals: requests in turns that carry what came before");
    form.optional("prefix", spec.prefix, "a beginning that prompts share");
    form.optional("block_tokens", spec.block_tokens,
                  "of the blocks that prompts without names have",
                  Check{1, 65536, false, "1 to 65,536 tokens"});
    form.optional("rate_scale", spec.rate_scale, "multiplies the rate of arrivals",
                  Check{1e-6, 1e6, false, "a value of 0.000001 to 1,000,000"});
    form.optional("requests", spec.requests, "at most so many, 0: all", non_negative());
    form.optional("duration", spec.duration, "arrivals before it alone", positive());
    form.optional("class", spec.service_class, "what these requests are promised");
    if (!form.ok()) return;
    spec.place = place_of(form, "");
    spec.trace_place = place_of(form, "trace");
    spec.lengths_place = place_of(form, "lengths");
    spec.service_class.name = spec.name;
    if (drawn == !spec.trace.empty())
        form.problem(drawn ? "trace" : "arrivals", "either a trace or arrivals are expected");
    if (spec.until && *spec.until <= spec.from) form.problem("until", "is not after from");
    if (!drawn) return;
    const bool apart = spec.input && spec.output;
    if (!apart && spec.lengths.empty())
        form.problem(spec.input ? "output" : "input", "is missing",
                     "input and output, or a file of lengths");
    if ((spec.input || spec.output) && !spec.lengths.empty())
        form.problem("lengths", "stands instead of input and output", "leave one of them out");
    if (spec.requests == 0 && !spec.duration)
        form.problem("duration", "is missing", "laws do not end: give requests or duration");
    if (spec.arrivals->law == ArrivalLaw::closed && spec.rate_scale != 1)
        form.problem("rate_scale", "a closed loop has no rate", "concurrency sets its load");
}

template <class Form>
void describe(Form& form, TrafficSpec& spec) {
    form.optional("seed", spec.seed, "of everything that is drawn", non_negative());
    const bool many = form.has("streams");
    optional_of_variant(form, many, "streams", spec.streams,
                        "streams that are merged, each of a class, instead of the keys of one");
    if (many && form.ok()) {
        spec.place = place_of(form, "streams");
        if (spec.streams.empty()) form.problem("streams", "is empty", "at least one stream");
    }
    if (many) return;
    StreamSpec one;
    describe(form, one);
    spec.place = one.place;
    spec.streams = {std::move(one)};
}

// Finds the files that the traffic names, beside the document that names them, from the working
// directory, or in one of `folders`, and puts their paths there. Throws InputError with all that
// are missing.
void find_traffic_files(TrafficSpec& spec, const std::vector<std::string>& folders = {});

// The same traffic at so many times the rate; closed loops: with so many times the users.
TrafficSpec scaled(TrafficSpec traffic, double scale);

}  // namespace podsim

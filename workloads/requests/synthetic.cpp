// Requests by laws: their arrivals, their lengths, and the sessions that they are turns of. Every
// draw is named by its session and its place in it, so that what a session asks does not depend on
// when the others end.
#include <algorithm>
#include <cmath>
#include <memory>

#include "base/names.hpp"
#include "workloads/requests/block_names.hpp"
#include "workloads/requests/generators.hpp"
#include "workloads/requests/laws.hpp"

namespace podsim {

namespace {

// What is drawn, so that no two draws have one name.
constexpr int a_gap = 1, a_length = 2, a_session = 3, a_call = 4, a_wait = 5, a_think = 6,
              a_prompt = 7;

// Input and output of one request, where a file has them together.
struct LengthPair {
    int input = 0, output = 0;
};

std::vector<LengthPair> read_pairs(const std::string& path, const StreamSpec& spec) {
    RequestTraceOptions options;
    options.bad_rows = spec.bad_rows;
    options.timestamps = Timestamps::as_is;
    options.only_lengths = true;
    const RequestStream stream = open_request_trace(path, options);
    std::vector<LengthPair> pairs;
    Request request;
    while (stream.next(request))
        pairs.push_back(
            {static_cast<int>(request.input_tokens), static_cast<int>(request.output_tokens)});
    if (pairs.empty()) throw InputError({path}, "", "has no requests to take lengths from");
    return pairs;
}

LengthSampler sampler(const LengthSpec& spec, const StreamSpec& stream, bool input) {
    std::vector<long> measured;
    if (spec.law == LengthLaw::empirical)
        for (const LengthPair& one : read_pairs(spec.trace, stream))
            measured.push_back(input ? one.input : one.output);
    return LengthSampler(spec, std::move(measured));
}

class Synthetic {
  public:
    Synthetic(const StreamSpec& spec, std::uint64_t seed)
        : spec_(spec),
          arrivals_(*spec.arrivals),
          seed_(seed),
          gaps_(arrivals_.law, arrivals_.cv),
          clock_(arrivals_.rate.value() > 0 ? arrivals_.rate.value() : 1, arrivals_.diurnal),
          think_(arrivals_.think_time),
          input_(sampler(spec.input.value_or(LengthSpec{}), spec, true)),
          output_(sampler(spec.output.value_or(LengthSpec{}), spec, false)),
          tool_result_(LengthSpec{}) {
        if (!spec.lengths.empty()) pairs_ = read_pairs(spec.lengths, spec);
        if (!spec.sessions) return;
        turn_think_ = WaitSampler(spec.sessions->think_time);
        if (!spec.sessions->tools) return;
        tool_wait_ = WaitSampler(spec.sessions->tools->wait);
        tool_result_ = sampler(spec.sessions->tools->result, spec, true);
    }

    bool next(Request& request) {
        const bool closed = arrivals_.law == ArrivalLaw::closed;
        if (exhausted() || (closed && users_ == arrivals_.concurrency)) return false;
        double time = 0;
        if (closed) {
            time = arrivals_.ramp.value() * static_cast<double>(users_++) /
                   static_cast<double>(arrivals_.concurrency);
        } else {
            Draws draws(random_bits(seed_, a_gap, sessions_));
            time = clock_.advance(gaps_(draws));
        }
        if (spec_.duration && time >= spec_.duration->value()) return false;
        begin(request, Seconds(time));
        return true;
    }

    bool follow(const Request& ended, Seconds end, Request& request) {
        if (exhausted()) return false;
        // By value: both may be the same request.
        const long session = ended.session, context = ended.input_tokens + ended.output_tokens;
        const int turn = ended.turn;
        if (in_session(session, turn + 1)) {
            const Seconds wait = wait_before(session, turn + 1);
            fill(request, session, turn + 1, context);
            const bool fits = static_cast<double>(request.input_tokens + request.output_tokens) <=
                              spec_.sessions->context.value();
            if (fits) return issue(request, end + wait, wait);
        }
        if (arrivals_.law != ArrivalLaw::closed) return false;
        Draws draws(random_bits(seed_, a_think, sessions_));
        const Seconds wait = think_(draws);
        if (too_late(end + wait)) return false;
        begin(request, end + wait);
        request.think_time = wait;
        return true;
    }

  private:
    bool exhausted() const { return spec_.requests > 0 && issued_ >= spec_.requests; }
    bool too_late(Seconds time) const { return spec_.duration && time >= *spec_.duration; }

    void begin(Request& request, Seconds arrival) {
        fill(request, sessions_++, 0, 0);
        issue(request, arrival, Seconds(0.0));
    }

    bool issue(Request& request, Seconds arrival, Seconds wait) {
        if (too_late(arrival)) return false;
        request.arrival = arrival;
        request.think_time = wait;
        request.place = static_cast<std::uint64_t>(++issued_);
        return true;
    }

    // Whether the session has a request of that number, and whether it brings a tool's result.
    struct Position {
        bool there = true, of_tool = false;
    };
    Position position(long session, int request) const {
        if (!spec_.sessions) return {request == 0, false};
        const SessionSpec& sessions = *spec_.sessions;
        Draws draws(random_bits(seed_, a_session, session));
        const long turns = sessions.geometric ? 1 + draw_geometric(sessions.turns - 1, draws)
                                              : std::lround(sessions.turns);
        if (!sessions.tools) return {request < turns, false};
        long first = 0;
        for (long turn = 0; turn < turns; ++turn) {
            Draws calls(random_bits(seed_, a_call, session, turn));
            const long after = first + 1 + draw_geometric(sessions.tools->calls, calls);
            if (request < after) return {true, request > first};
            first = after;
        }
        return {false, false};
    }
    bool in_session(long session, int request) const { return position(session, request).there; }

    Seconds wait_before(long session, int turn) const {
        Draws draws(random_bits(seed_, a_wait, session, turn));
        return position(session, turn).of_tool ? tool_wait_(draws) : turn_think_(draws);
    }

    void fill(Request& request, long session, int turn, long context) const {
        Draws draws(random_bits(seed_, a_length, session, turn));
        long added = 0;
        if (pairs_.empty()) {
            added = input_(draws);
            request.output_tokens = output_(draws);
        } else {
            const double at = static_cast<double>(pairs_.size()) * draws.next();
            const LengthPair& pair = pairs_[static_cast<std::size_t>(at)];
            added = pair.input;
            request.output_tokens = pair.output;
        }
        if (position(session, turn).of_tool) added = tool_result_(draws);
        request.input_tokens = context + added;
        request.service_class = 0;
        request.session = session;
        request.turn = turn;
        request.continues = arrivals_.law == ArrivalLaw::closed || in_session(session, turn + 1);
        request.prefix_blocks.clear();
        request.reply_blocks.clear();
        if (!spec_.prefix && !spec_.sessions) return;
        text(session).name(request);
    }

    SessionText text(long session) const {
        SessionText text;
        text.seed = seed_;
        text.session = static_cast<std::uint64_t>(session);
        text.block_tokens = spec_.block_tokens;
        if (!spec_.prefix) return text;
        const double tokens = spec_.prefix->tokens.value();
        Draws draws(random_bits(seed_, a_prompt, session));
        text.prompt =
            static_cast<std::uint64_t>(static_cast<double>(spec_.prefix->prompts) * draws.next());
        // Of the session's first prompt: what comes after it is its own.
        text.shared = static_cast<long>(
            tokens > 0 ? tokens : std::floor(spec_.prefix->share * first_input(session)));
        return text;
    }
    double first_input(long session) const {
        Draws draws(random_bits(seed_, a_length, session, 0));
        if (pairs_.empty()) return static_cast<double>(input_(draws));
        const double at = static_cast<double>(pairs_.size()) * draws.next();
        return pairs_[static_cast<std::size_t>(at)].input;
    }

    StreamSpec spec_;
    ArrivalSpec arrivals_;
    std::uint64_t seed_;
    GapSampler gaps_;
    RateClock clock_;
    WaitSampler think_, turn_think_, tool_wait_;
    LengthSampler input_, output_, tool_result_;
    std::vector<LengthPair> pairs_;
    long sessions_ = 0, issued_ = 0, users_ = 0;
};

}  // namespace

RequestStream synthetic_stream(const StreamSpec& spec, std::uint64_t seed) {
    const auto made = std::make_shared<Synthetic>(spec, seed);
    RequestStream stream;
    stream.next = [made, counts = stream.counts](Request& request) {
        if (!made->next(request)) return false;
        ++counts->requests;
        return true;
    };
    if (spec.sessions || spec.arrivals->law == ArrivalLaw::closed) {
        stream.follow = [made, counts = stream.counts](const Request& ended, Seconds end,
                                                       Request& request) {
            if (!made->follow(ended, end, request)) return false;
            ++counts->requests;
            return true;
        };
    }
    stream.format = name_of(spec.arrivals->law);
    if (spec.prefix || spec.sessions) stream.block_tokens = spec.block_tokens;
    return stream;
}

}  // namespace podsim

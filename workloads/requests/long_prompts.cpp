#include "workloads/requests/long_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <queue>
#include <utility>

namespace podsim {

const std::vector<std::pair<const char*, LongPrompts>>& names_of(const LongPrompts*) {
    static const std::vector<std::pair<const char*, LongPrompts>> names = {
        {"reject", LongPrompts::reject},
        {"refuse", LongPrompts::refuse},
        {"skip", LongPrompts::skip}};
    return names;
}

namespace {

// A closed loop without think time would draw for ever at one time.
constexpr long kMostAtOneTime = 1'000'000;

struct Later {
    bool operator()(const Request& a, const Request& b) const { return a.arrival > b.arrival; }
};

class Held {
  public:
    Held(RequestStream stream, const StreamSpec& spec) : stream_(std::move(stream)), spec_(spec) {}

    bool next(Request& request) {
        while (pull(request)) {
            if (fits(request)) return true;
            leave_out(request);
            Request following;
            if (request.continues && stream_.follow &&
                stream_.follow(request, request.arrival, following))
                following_.push(std::move(following));
        }
        return false;
    }

    bool follow(const Request& ended, Seconds end, Request& request) {
        if (!stream_.follow(ended, end, request)) return false;
        while (!fits(request)) {
            leave_out(request);
            const Request before = request;
            if (!before.continues || !stream_.follow(before, before.arrival, request)) return false;
        }
        return true;
    }

  private:
    bool fits(const Request& request) const {
        return request.input_tokens + request.output_tokens <= spec_.longest;
    }

    // By arrival: the stream's own, and those that follow one left out.
    bool pull(Request& request) {
        if (following_.empty() && !ahead_) return stream_.next(request);
        if (!ahead_ && !over_) ahead_ = !(over_ = !stream_.next(head_));
        if (!following_.empty() && (!ahead_ || following_.top().arrival <= head_.arrival)) {
            request = following_.top();
            following_.pop();
            return true;
        }
        if (!ahead_) return false;
        ahead_ = false;
        std::swap(request, head_);
        return true;
    }

    std::string text(const Request& request) const {
        const std::string lengths =
            fmt::format("prompt of {} and answer of {} tokens, {} together", request.input_tokens,
                        request.output_tokens, request.input_tokens + request.output_tokens);
        return is_trace() ? lengths : fmt::format("draw {}: {}", request.place, lengths);
    }
    Diagnostic problem(const Request& request) const {
        Place place = spec_.place;
        if (is_trace()) place = {spec_.trace, static_cast<int>(request.place), 0};
        return {place, is_trace() ? "" : "traffic.long_prompts",
                fmt::format("{}; max_model_len is {}", text(request), spec_.longest), ""};
    }
    bool is_trace() const { return !spec_.arrivals && !spec_.trace.empty(); }

    void leave_out(const Request& request) {
        RequestCounts& counts = *stream_.counts;
        if (spec_.long_prompts == LongPrompts::refuse) refuse(request);
        at_one_time_ = request.arrival == last_ ? at_one_time_ + 1 : 0;
        last_ = request.arrival;
        if (at_one_time_ > kMostAtOneTime)
            throw InputError(spec_.place, "traffic.long_prompts",
                             fmt::format("skip leaves out {} requests at one time: all that users "
                                         "without a think time ask is longer than {} tokens",
                                         kMostAtOneTime, spec_.longest),
                             "shorter prompts, a larger max_model_len");
        if (counts.too_long++ > 0) return;
        counts.first_too_long =
            is_trace() ? fmt::format("{}:{}: {}", spec_.trace, request.place, text(request))
                       : text(request);
    }

    // All in one go, as far as they do not depend on when others end.
    [[noreturn]] void refuse(const Request& first) {
        std::vector<Diagnostic> problems = {problem(first)};
        long all = 1, longest = first.input_tokens + first.output_tokens;
        Request request;
        while (stream_.next(request)) {
            if (fits(request)) continue;
            ++all;
            longest = std::max(longest, request.input_tokens + request.output_tokens);
            if (problems.size() < RequestCounts::kMostProblems)
                problems.push_back(problem(request));
        }
        problems.push_back(
            {spec_.place, "traffic.long_prompts",
             fmt::format("refuse: {} of the requests {} longer than max_model_len, {} tokens", all,
                         all == 1 ? "is" : "are", spec_.longest),
             fmt::format("max_model_len: {}, if the model can; long_prompts: reject answers them "
                         "with an error, skip leaves them out",
                         longest)});
        throw InputError(std::move(problems));
    }

    RequestStream stream_;
    StreamSpec spec_;
    std::priority_queue<Request, std::vector<Request>, Later> following_;
    Request head_;
    bool ahead_ = false, over_ = false;
    Seconds last_{-1.0};
    long at_one_time_ = 0;
};

}  // namespace

RequestStream without_long_prompts(RequestStream stream, const StreamSpec& spec) {
    if (spec.longest == 0 || spec.long_prompts == LongPrompts::reject) return stream;
    RequestStream held = stream;
    const auto one = std::make_shared<Held>(std::move(stream), spec);
    held.next = [one](Request& request) { return one->next(request); };
    if (held.follow) {
        held.follow = [one](const Request& ended, Seconds end, Request& request) {
            return one->follow(ended, end, request);
        };
    }
    return held;
}

}  // namespace podsim

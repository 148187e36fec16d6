#include "workloads/request_streams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/random.hpp"

namespace podsim {

RequestStream slice(RequestStream stream, Seconds from, Seconds until) {
    stream.next = [next = std::move(stream.next), from, until,
                   over = false](Request& request) mutable {
        while (!over && next(request)) {
            over = request.arrival >= until;
            if (over || request.arrival < from) continue;
            request.arrival -= from;
            return true;
        }
        return false;
    };
    return stream;
}

RequestStream first_requests(RequestStream stream, long count) {
    const auto left = std::make_shared<long>(count);
    stream.next = [next = std::move(stream.next), left](Request& request) {
        if (*left <= 0 || !next(request)) return false;
        --*left;
        return true;
    };
    if (!stream.follow) return stream;
    stream.follow = [follow = std::move(stream.follow), left](const Request& ended, Seconds end,
                                                              Request& request) {
        if (*left <= 0 || !follow(ended, end, request)) return false;
        --*left;
        return true;
    };
    return stream;
}

RequestStream scale_rate(RequestStream stream, double factor) {
    if (factor == 1) return stream;
    stream.next = [next = std::move(stream.next), factor](Request& request) {
        if (!next(request)) return false;
        request.arrival /= factor;
        return true;
    };
    return stream;
}

namespace {

class Merge {
  public:
    Merge(std::vector<RequestStream> streams, std::shared_ptr<RequestCounts> counts)
        : streams_(std::move(streams)), counts_(std::move(counts)) {
        heads_.resize(streams_.size());
        counted_.resize(streams_.size());
        int classes = 0;
        for (const RequestStream& stream : streams_) {
            first_class_.push_back(classes);
            classes += static_cast<int>(stream.classes.size());
        }
    }

    bool next(Request& request) {
        if (!begun_) {
            begun_ = true;
            for (std::size_t i = 0; i < streams_.size(); ++i) pull(i);
        }
        const auto first =
            std::min_element(heads_.begin(), heads_.end(), [](const Head& a, const Head& b) {
                if (a.there != b.there) return a.there;
                return a.there && a.request.arrival < b.request.arrival;
            });
        if (first == heads_.end() || !first->there) return false;
        std::swap(request, first->request);
        const auto which = static_cast<std::size_t>(first - heads_.begin());
        pull(which);
        rename(request, which);
        return true;
    }

    bool follow(const Request& ended, Seconds end, Request& request) {
        const auto after =
            std::upper_bound(first_class_.begin(), first_class_.end(), ended.service_class);
        const auto which = static_cast<std::size_t>(after - first_class_.begin()) - 1;
        if (!streams_[which].follow) return false;
        Request own = ended;
        own.service_class -= first_class_[which];
        if (own.session >= 0) own.session /= static_cast<long>(streams_.size());
        const bool there = streams_[which].follow(own, end, request);
        count(which);
        if (!there) return false;
        rename(request, which);
        return true;
    }

  private:
    struct Head {
        Request request;
        bool there = false;
    };
    void pull(std::size_t which) {
        heads_[which].there = streams_[which].next(heads_[which].request);
        count(which);
    }
    // What the part has met since it was last asked.
    void count(std::size_t which) {
        const RequestCounts& now = *streams_[which].counts;
        Counted& before = counted_[which];
        counts_->rows += now.rows - before.rows;
        counts_->requests += now.requests - before.requests;
        counts_->skipped += now.skipped - before.skipped;
        counts_->failed += now.failed - before.failed;
        counts_->too_long += now.too_long - before.too_long;
        if (counts_->first_too_long.empty()) counts_->first_too_long = now.first_too_long;
        for (std::size_t i = before.problems; i < now.problems.size(); ++i)
            if (counts_->problems.size() < RequestCounts::kMostProblems)
                counts_->problems.push_back(now.problems[i]);
        before = {now.rows,   now.requests, now.skipped,
                  now.failed, now.too_long, now.problems.size()};
    }
    void rename(Request& request, std::size_t which) const {
        request.service_class += first_class_[which];
        if (request.session >= 0)
            request.session =
                request.session * static_cast<long>(streams_.size()) + static_cast<long>(which);
        if (streams_.size() == 1) return;
        for (auto* names : {&request.prefix_blocks, &request.reply_blocks})
            for (std::uint64_t& name : *names) name = random_bits(name, which);
    }

    struct Counted {
        long rows = 0, requests = 0, skipped = 0, failed = 0, too_long = 0;
        std::size_t problems = 0;
    };

    std::vector<RequestStream> streams_;
    std::shared_ptr<RequestCounts> counts_;
    std::vector<Counted> counted_;
    std::vector<Head> heads_;
    std::vector<int> first_class_;
    bool begun_ = false;
};

}  // namespace

RequestStream merge(std::vector<RequestStream> streams) {
    RequestStream merged;
    merged.classes.clear();
    bool follows = false;
    for (const RequestStream& stream : streams) {
        merged.format += (merged.format.empty() ? "" : " + ") + stream.format;
        merged.classes.insert(merged.classes.end(), stream.classes.begin(), stream.classes.end());
        merged.notes.insert(merged.notes.end(), stream.notes.begin(), stream.notes.end());
        follows = follows || stream.follow;
        if (stream.block_tokens == 0) continue;
        if (merged.block_tokens != 0 && merged.block_tokens != stream.block_tokens)
            throw InputError({}, "traffic.streams",
                             fmt::format("blocks of {} and of {} tokens in one store",
                                         merged.block_tokens, stream.block_tokens),
                             "block_tokens sets those of drawn prompts");
        merged.block_tokens = stream.block_tokens;
    }
    const auto all = std::make_shared<Merge>(std::move(streams), merged.counts);
    merged.next = [all](Request& request) { return all->next(request); };
    if (follows) {
        merged.follow = [all](const Request& ended, Seconds end, Request& request) {
            return all->follow(ended, end, request);
        };
    }
    return merged;
}

}  // namespace podsim

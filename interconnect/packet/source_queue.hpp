// Messages of one class that a source has for one set of its ports, in the order in which their
// packets leave: one message after the other, or a queue for each destination and piece, served
// packet by packet in proportion to their messages' bytes (start-time fair queueing, Goyal, Vin and
// Cheng, SIGCOMM 1996): what a kernel makes that sends token by token, or queue pairs in turn whose
// messages are as long.
//
// Kept in one vector of nodes: a source may have a queue for each of hundreds of destinations, and
// most are empty most of the time. Where messages are as long, who has sent is the last in turn: a
// row of turns, and a heap beside it for those that come between.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <unordered_map>
#include <vector>

#include "interconnect/packet_run.hpp"

namespace podsim {

class SourceQueue {
  public:
    SourceQueue(SourceQueues kind, int lookahead)
        : kind_(kind), lookahead_(static_cast<std::size_t>(lookahead)) {}

    bool empty() const { return waiting_ == 0; }
    std::uint64_t messages() const { return waiting_; }

    // When the next packet is due by the queues' time, which a message takes one unit of; 0 of one
    // queue, infinite of none. Queues of other sets of the same ports run by the same time.
    double due() const {
        if (waiting_ == 0) return std::numeric_limits<double>::infinity();
        if (kind_ == SourceQueues::one) return 0;
        if (first_ == row_of_turns_.size()) return turns_.front().at;
        const double in_row = row_of_turns_[first_].at;
        return turns_.empty() ? in_row : std::min(in_row, turns_.front().at);
    }

    // `line`: whose messages stay in their order; `now`: the queues' time.
    void put(std::uint64_t line, std::uint32_t message, std::uint32_t bytes, double now) {
        ++waiting_;
        if (kind_ == SourceQueues::one) {
            row_.push_back({message, bytes});
            return;
        }
        const auto [known, is_new] =
            known_.try_emplace(line, static_cast<std::uint32_t>(lines_.size()));
        if (is_new) lines_.emplace_back();
        const std::uint32_t node = take_node();
        nodes_[node] = {{message, bytes}, bytes, kNone};
        Line& its = lines_[known->second];
        if (its.first == kNone) {
            its.first = node;
            push({std::max(now, its.end), order_++, known->second});
        } else {
            nodes_[its.last].next = node;
        }
        its.last = node;
    }

    // Takes the next packet, of `full` bytes at most, of the first message in turn that
    // `may_go(message, bytes)`; the queues' time is then when it was due. False: of those that are
    // looked at, none.
    template <class MayGo>
    bool take(std::uint32_t full, const MayGo& may_go, std::uint32_t& message, std::uint32_t& bytes,
              double& now) {
        if (kind_ == SourceQueues::one) {
            const std::size_t look = std::min(row_.size(), lookahead_);
            for (std::size_t i = 0; i < look; ++i) {
                if (!cut(row_[i], full, may_go, message, bytes)) continue;
                if (row_[i].remaining == 0) {
                    row_.erase(row_.begin() + static_cast<std::ptrdiff_t>(i));
                    --waiting_;
                }
                return true;
            }
            return false;
        }
        held_.clear();
        bool goes = false;
        while (!goes && (!turns_.empty() || first_ < row_of_turns_.size())) {
            const Turn turn = pop();
            Line& its = lines_[turn.line];
            Node& node = nodes_[its.first];
            goes = cut(node.part, full, may_go, message, bytes);
            if (!goes) {
                held_.push_back(turn);
                continue;
            }
            now = turn.at;
            its.end = turn.at + static_cast<double>(bytes) / node.size;
            if (node.part.remaining == 0) {
                const std::uint32_t done = its.first;
                its.first = node.next;
                node.next = free_;
                free_ = done;
                --waiting_;
            }
            if (its.first != kNone) push({its.end, order_++, turn.line});
        }
        for (const Turn& turn : held_) push(turn);
        return goes;
    }

  private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    struct Part {
        std::uint32_t message = 0, remaining = 0;
    };
    struct Node {
        Part part;
        std::uint32_t size = 0;  // of the message
        std::uint32_t next = kNone;
    };
    // A message takes one unit of the queues' time, whatever its size.
    struct Line {
        std::uint32_t first = kNone, last = kNone;
        double end = 0;  // of its last packet
    };
    struct Turn {
        double at;
        std::uint64_t order;
        std::uint32_t line;
        bool operator<(const Turn& o) const {  // std::push_heap puts the greatest first
            return at != o.at ? at > o.at : order > o.order;
        }
    };
    void push(const Turn& turn) {
        if (first_ == row_of_turns_.size()) {
            row_of_turns_.clear();
            first_ = 0;
        }
        if (row_of_turns_.empty() || turn < row_of_turns_.back()) {
            if (first_ > 1024 && 2 * first_ > row_of_turns_.size()) {
                row_of_turns_.erase(row_of_turns_.begin(),
                                    row_of_turns_.begin() + static_cast<std::ptrdiff_t>(first_));
                first_ = 0;
            }
            row_of_turns_.push_back(turn);
            return;
        }
        turns_.push_back(turn);
        std::push_heap(turns_.begin(), turns_.end());
    }
    Turn pop() {
        const bool has_row = first_ < row_of_turns_.size();
        if (turns_.empty() || (has_row && turns_.front() < row_of_turns_[first_]))
            return row_of_turns_[first_++];
        std::pop_heap(turns_.begin(), turns_.end());
        const Turn first = turns_.back();
        turns_.pop_back();
        return first;
    }

    template <class MayGo>
    static bool cut(Part& part, std::uint32_t full, const MayGo& may_go, std::uint32_t& message,
                    std::uint32_t& bytes) {
        const std::uint32_t payload = std::min(part.remaining, full);
        if (!may_go(part.message, payload)) return false;
        message = part.message;
        bytes = payload;
        part.remaining -= payload;
        return true;
    }

    std::uint32_t take_node() {
        if (free_ == kNone) {
            nodes_.emplace_back();
            return static_cast<std::uint32_t>(nodes_.size() - 1);
        }
        const std::uint32_t node = free_;
        free_ = nodes_[node].next;
        return node;
    }

    SourceQueues kind_;
    std::size_t lookahead_;
    std::uint64_t waiting_ = 0;
    std::deque<Part> row_;  // of one queue
    std::vector<Node> nodes_;
    std::uint32_t free_ = kNone;
    std::vector<Line> lines_;
    std::unordered_map<std::uint64_t, std::uint32_t> known_;  // lines
    std::vector<Turn> row_of_turns_;  // of lines that have messages, from first_ on in order
    std::size_t first_ = 0;
    std::vector<Turn> turns_, held_;  // those that are not in the row; that may not go
    std::uint64_t order_ = 0;
};

}  // namespace podsim

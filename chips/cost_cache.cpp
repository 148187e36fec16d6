#include "chips/cost_cache.hpp"

#include <gnu/libc-version.h>

#include <stdexcept>
#include <utility>

#include "base/plain_bytes.hpp"
#include "chips/model_code.hpp"
#include "chips/structural_cost.hpp"
#include "chips/sustained_clock.hpp"

namespace podsim {

OperatorCost CostCache::fresh_cost(const OperatorBody& body, double core_share) const {
    OperatorCost cost = operator_cost(body, hardware_, library_, fidelity_, core_share);
    cost.time = state_ == RankState::busy
                    ? cost.sustained
                    : repeated_time(cost.time, cost.sustained, hardware_, Repeats{});
    return cost;
}

OperatorCost CostCache::cost(const OperatorBody& body, double core_share) {
    if (!enabled_) {
        ++misses_;
        return fresh_cost(body, core_share);
    }
    ByteWriter writer;
    writer.add(body);
    writer.add(core_share);
    const std::string& key = writer.bytes();
    for (const auto* known : {&fresh_, &known_}) {
        const auto found = known->find(key);
        if (found == known->end()) continue;
        ++hits_;
        return found->second;
    }
    ++misses_;
    // A product takes 3 us at `tile` and 0.5 us from a file, anything else 0.1 us or less; the
    // structure of a core takes milliseconds.
    const bool worth_a_file =
        stored_ && (std::holds_alternative<Gemm>(body) || is_structural(body, library_, fidelity_));
    if (auto stored = worth_a_file ? stored_->find(key) : std::nullopt) {
        ++stored_hits_;
        return known_.emplace(key, *std::move(stored)).first->second;
    }
    auto& costs = worth_a_file ? fresh_ : known_;
    return costs.emplace(key, fresh_cost(body, core_share)).first->second;
}

std::string CostCache::setting() const {
    ByteWriter writer;
    writer.add(std::string(model_code_hash()));
    // Its exponentials and powers are not rounded alike in every version.
    writer.add(std::string(gnu_get_libc_version()));
    writer.add(hardware_);
    writer.add(library_);
    writer.add(fidelity_);
    writer.add(state_);
    return writer.take();
}

void CostCache::recall(StoredCosts stored) {
    if (stored.setting() != setting())
        throw std::invalid_argument("costs of another setting are recalled");
    stored_ = std::move(stored);
}

std::string CostCache::file(std::size_t limit) const {
    return fresh_.empty() || !stored_ ? "" : stored_->file_with(fresh_, limit);
}

}  // namespace podsim

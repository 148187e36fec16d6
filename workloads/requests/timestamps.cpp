#include "workloads/requests/timestamps.hpp"

#include <algorithm>
#include <memory>

#include "base/random.hpp"

namespace podsim {

namespace {

constexpr int kProbedRows = 2000;
constexpr std::size_t kMostOfOneTime = 1'000'000;

class Spread {
  public:
    Spread(RowFunction rows, std::int64_t step, Timestamps how, std::uint64_t seed,
           std::string path)
        : rows_(std::move(rows)), step_(step), how_(how), seed_(seed), path_(std::move(path)) {}

    bool next(TraceRow& row) {
        if (given_ == count_ && !gather()) return false;
        std::swap(row, bucket_[given_++]);
        return true;
    }

  private:
    // All rows of the next time; ahead_ is then the first of the one after.
    bool gather() {
        given_ = count_ = 0;
        if (!begun_) {
            begun_ = true;
            more_ = rows_(ahead_);
        }
        if (!more_) return false;
        const std::int64_t time = ahead_.time;
        while (more_ && ahead_.time == time) {
            if (count_ == kMostOfOneTime)
                throw InputError({path_, static_cast<int>(ahead_.line), 0}, "",
                                 "more than a million rows of one time", "timestamps: as-is");
            if (count_ == bucket_.size()) bucket_.emplace_back();
            std::swap(bucket_[count_++], ahead_);
            more_ = rows_(ahead_);
        }
        const std::int64_t width = more_ ? std::min(step_, ahead_.time - time) : step_;
        offsets_.clear();
        const auto rows = static_cast<std::int64_t>(count_);
        for (std::int64_t i = 0; i < rows; ++i) {
            offsets_.push_back(how_ == Timestamps::uniform
                                   ? static_cast<std::int64_t>(uniform(seed_, 0x7117, draws_++) *
                                                               static_cast<double>(width))
                                   : width / rows * i + width % rows * i / rows);
        }
        std::sort(offsets_.begin(), offsets_.end());
        for (std::size_t i = 0; i < count_; ++i) bucket_[i].time += offsets_[i];
        return true;
    }

    RowFunction rows_;
    std::int64_t step_;
    Timestamps how_;
    std::uint64_t seed_;
    std::string path_;
    std::vector<TraceRow> bucket_;
    std::vector<std::int64_t> offsets_;
    std::size_t count_ = 0, given_ = 0;
    TraceRow ahead_;
    bool begun_ = false, more_ = false;
    std::uint64_t draws_ = 0;
};

}  // namespace

ClockStep clock_step(const RowFunction& rows) {
    ClockStep clock;
    TraceRow row;
    std::int64_t last = 0;
    int read = 0, zero = 0;
    for (; read < kProbedRows && rows(row); ++read) {
        if (read > 0) {
            const std::int64_t gap = row.time - last;
            if (gap == 0) ++zero;
            if (gap > 0 && (clock.step == 0 || gap < clock.step)) clock.step = gap;
        }
        last = row.time;
    }
    if (read > 1) clock.zero_gaps = static_cast<double>(zero) / (read - 1);
    return clock;
}

RowFunction spread_times(RowFunction rows, std::int64_t step, Timestamps how, std::uint64_t seed,
                         const std::string& path) {
    auto spread = std::make_shared<Spread>(std::move(rows), step, how, seed, path);
    return [spread](TraceRow& row) { return spread->next(row); };
}

}  // namespace podsim

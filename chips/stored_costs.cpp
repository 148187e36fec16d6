#include "chips/stored_costs.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/plain_bytes.hpp"

namespace podsim {

namespace {

constexpr std::string_view kMagic = "podsim operator costs, form 1\n";

struct IndexEntry {
    std::uint64_t key = 0, start = 0;
};

std::string_view from(const std::string& file, std::uint64_t start) {
    return start < file.size() ? std::string_view(file).substr(start) : std::string_view();
}

IndexEntry index_entry(const std::string& file, std::size_t index, std::uint64_t i) {
    IndexEntry entry;
    ByteReader(from(file, index + i * sizeof entry)).take(entry);
    return entry;
}

}  // namespace

StoredCosts::StoredCosts(std::string setting, std::string file)
    : setting_(std::move(setting)), file_(std::move(file)), seed_(fingerprint(setting_)) {
    ByteReader reader(file_);
    std::string_view magic, of;
    std::uint64_t entries = 0;
    if (!reader.take(magic, kMagic.size()) || magic != kMagic) return;
    if (!reader.take(of) || of != setting_ || !reader.take(entries)) return;
    index_ = kMagic.size() + 2 * sizeof entries + setting_.size();
    if (entries <= (file_.size() - index_) / sizeof(IndexEntry)) entries_ = entries;
}

std::string_view StoredCosts::entry_at(std::uint64_t start) const {
    std::uint64_t checksum = 0;
    std::string_view entry;
    ByteReader reader(from(file_, start));
    const bool sound =
        reader.take(checksum) && reader.take(entry) && fingerprint(entry, seed_) == checksum;
    return sound ? entry : std::string_view();
}

std::optional<OperatorCost> StoredCosts::find(std::string_view key) const {
    const std::uint64_t wanted = fingerprint(key);
    std::uint64_t low = 0, high = entries_;
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        index_entry(file_, index_, middle).key < wanted ? low = middle + 1 : high = middle;
    }
    for (; low < entries_; ++low) {
        const IndexEntry at = index_entry(file_, index_, low);
        if (at.key != wanted) break;
        ByteReader reader(entry_at(at.start));
        std::string_view of;
        OperatorCost cost;
        if (reader.take(of) && of == key && reader.take(cost) && reader.at_end()) return cost;
    }
    return std::nullopt;
}

std::string StoredCosts::file_with(const std::map<std::string, OperatorCost>& fresh,
                                   std::size_t limit) const {
    std::vector<std::uint64_t> starts;
    for (std::uint64_t i = 0; i < entries_; ++i)
        starts.push_back(index_entry(file_, index_, i).start);
    std::sort(starts.begin(), starts.end());

    std::vector<std::pair<std::uint64_t, std::string>> entries;  // fingerprint of the key, bytes
    const auto add = [&](std::string_view key, std::string_view bytes) {
        ByteWriter entry;
        entry.add(fingerprint(bytes, seed_));
        entry.add(std::string(bytes));
        entries.emplace_back(fingerprint(key), entry.take());
    };
    for (const std::uint64_t start : starts) {
        const std::string_view bytes = entry_at(start);
        std::string_view key;
        if (ByteReader(bytes).take(key) && fresh.count(std::string(key)) == 0) add(key, bytes);
    }
    for (const auto& [key, cost] : fresh) {
        ByteWriter bytes;
        bytes.add(key);
        bytes.add(cost);
        add(key, bytes.bytes());
    }

    std::size_t size = kMagic.size() + 2 * sizeof(std::uint64_t) + setting_.size();
    std::size_t first = entries.size();
    while (first > 0) {
        size += sizeof(IndexEntry) + entries[first - 1].second.size();
        if (size > limit) break;
        --first;
    }
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(first));

    ByteWriter head;
    head.add(setting_);
    head.add(std::uint64_t{entries.size()});
    std::uint64_t start = kMagic.size() + head.bytes().size() + entries.size() * sizeof(IndexEntry);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> index;
    std::string body;
    for (const auto& [key, bytes] : entries) {
        index.emplace_back(key, start);
        start += bytes.size();
        body += bytes;
    }
    std::sort(index.begin(), index.end());
    for (const auto& [key, at] : index) head.add(IndexEntry{key, at});
    return std::string(kMagic) + head.bytes() + body;
}

}  // namespace podsim

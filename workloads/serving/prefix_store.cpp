#include "workloads/serving/prefix_store.hpp"

#include <algorithm>

namespace podsim {

PrefixStore::PrefixStore(long block_tokens, long page_tokens)
    : block_tokens_(block_tokens),
      pages_each_(block_tokens > 0 ? (block_tokens + page_tokens - 1) / page_tokens : 1) {}

long PrefixStore::whole_blocks(const Request& request) const {
    if (!works()) return 0;
    return std::min(static_cast<long>(request.prefix_blocks.size()),
                    request.input_tokens / block_tokens_);
}

long PrefixStore::found(const Request& request) const {
    const long whole = whole_blocks(request);
    long count = 0;
    while (count < whole &&
           blocks_.count(request.prefix_blocks[static_cast<std::size_t>(count)]) != 0)
        ++count;
    return count;
}

void PrefixStore::pin(const Request& request, long count) {
    for (long i = 0; i < count; ++i) {
        Block& block = blocks_.at(request.prefix_blocks[static_cast<std::size_t>(i)]);
        if (block.holders++ > 0) continue;
        unpinned_.erase(block.place);
        ++pinned_;
    }
}

void PrefixStore::unpin(const Request& request, long count) {
    // The end of a prefix is of less use than its beginning: it becomes the older one.
    for (long i = count; i-- > 0;) {
        const std::uint64_t name = request.prefix_blocks[static_cast<std::size_t>(i)];
        Block& block = blocks_.at(name);
        if (--block.holders > 0) continue;
        block.place = unpinned_.insert(unpinned_.end(), name);
        --pinned_;
    }
}

void PrefixStore::keep(const Request& request, long from, bool with_reply) {
    if (!works()) return;
    const auto keep_one = [&](std::uint64_t name) {
        const auto [found, is_new] = blocks_.try_emplace(name);
        Block& block = found->second;
        if (!is_new && block.holders > 0) return;
        if (!is_new) unpinned_.erase(block.place);
        block.place = unpinned_.insert(unpinned_.end(), name);
    };
    if (with_reply) {
        for (std::size_t i = request.reply_blocks.size(); i-- > 0;)
            keep_one(request.reply_blocks[i]);
    }
    for (long i = whole_blocks(request); i-- > from;)
        keep_one(request.prefix_blocks[static_cast<std::size_t>(i)]);
}

void PrefixStore::shrink_to(long pages) {
    while (this->pages() > pages && !unpinned_.empty()) {
        blocks_.erase(unpinned_.front());
        unpinned_.pop_front();
    }
}

}  // namespace podsim

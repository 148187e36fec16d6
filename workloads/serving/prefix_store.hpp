// Blocks of prompts that a replica keeps for whoever asks for the same prefix, within the memory
// that running sequences leave: what nobody holds gives way to them, longest unused first.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "workloads/request.hpp"

namespace podsim {

class PrefixStore {
  public:
    // Blocks of `block_tokens` tokens, each as large as `pages` blocks of the engine. block_tokens
    // 0: prefixes have no names, nothing is kept.
    PrefixStore(long block_tokens, long page_tokens);

    bool works() const { return block_tokens_ > 0; }
    long block_tokens() const { return block_tokens_; }
    long pinned_pages() const { return pinned_ * pages_each_; }
    long pages() const { return static_cast<long>(blocks_.size()) * pages_each_; }

    // Leading whole blocks of the prompt that are here.
    long found(const Request& request) const;
    // Holds on to the leading `count` blocks of the prompt, those that are here.
    void pin(const Request& request, long count);
    void unpin(const Request& request, long count);
    // Keeps whole blocks of the prompt, and of the reply, from the block `from` on, unpinned.
    void keep(const Request& request, long from, bool with_reply);
    // Gives way until not more than so many pages are taken; pinned blocks stay.
    void shrink_to(long pages);
    // Whole blocks of the prompt alone.
    long whole_blocks(const Request& request) const;

  private:
    struct Block {
        long holders = 0;
        std::list<std::uint64_t>::iterator place;  // among the unpinned, oldest first
    };
    long block_tokens_, pages_each_;
    long pinned_ = 0;
    std::unordered_map<std::uint64_t, Block> blocks_;
    std::list<std::uint64_t> unpinned_;
};

}  // namespace podsim

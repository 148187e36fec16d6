// Names of blocks for requests whose text nobody knows, by what their tokens have in common.
#pragma once

#include "base/random.hpp"
#include "workloads/request.hpp"

namespace podsim {

// The text of one session (or request): its first `shared` tokens are those of a text that other
// sessions have too.
struct SessionText {
    std::uint64_t seed = 0;
    std::uint64_t session = 0;
    std::uint64_t prompt = 0;  // which shared text
    long shared = 0;
    long block_tokens = 16;

    std::uint64_t block(long index) const {
        const bool common = (index + 1) * block_tokens <= shared;
        return common ? random_bits(seed, 0, prompt, index) : random_bits(seed, 1, session, index);
    }
    // The whole blocks of the prompt, and those that end in the reply.
    void name(Request& request) const {
        request.prefix_blocks.clear();
        request.reply_blocks.clear();
        const long of_prompt = request.input_tokens / block_tokens;
        const long all = (request.input_tokens + request.output_tokens) / block_tokens;
        for (long i = 0; i < of_prompt; ++i) request.prefix_blocks.push_back(block(i));
        for (long i = of_prompt; i < all; ++i) request.reply_blocks.push_back(block(i));
    }
};

}  // namespace podsim

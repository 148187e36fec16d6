// Public request traces, where they lie beside the repository: figures counted in them apart from
// these readers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "workloads/kv_cache.hpp"
#include "workloads/request_trace.hpp"

namespace podsim {
namespace {

namespace fs = std::filesystem;

class RequestData : public testing::Test {
  protected:
    void SetUp() override {
        const char* set = std::getenv("PODSIM_DATA");
        root_ = set != nullptr ? fs::path(set) : fs::path(PODSIM_SOURCE_DIR) / "../shared/data";
        if (!fs::exists(root_ / "requests"))
            GTEST_SKIP() << "no third-party data beside the repository";
    }
    RequestStream open(const std::string& name, bool only_lengths = false) const {
        RequestTraceOptions options;
        options.only_lengths = only_lengths;
        return open_request_trace((root_ / "requests" / name).string(), options);
    }
    fs::path root_;
};

struct Sum {
    long requests = 0, input = 0, output = 0;
    double last = 0;
};

Sum sum_of(const RequestStream& stream) {
    Sum sum;
    Request request;
    while (stream.next(request)) {
        ++sum.requests;
        sum.input += request.input_tokens;
        sum.output += request.output_tokens;
        sum.last = request.arrival.value();
    }
    return sum;
}

TEST_F(RequestData, AzureCodeHour) {
    const Sum sum = sum_of(open("azure_llm_2023_code.csv"));
    EXPECT_EQ(sum.requests, 8819);
    EXPECT_EQ(sum.input, 18059974);
    EXPECT_EQ(sum.output, 245896);
    EXPECT_NEAR(sum.last, 3435.9, 0.05);
}

TEST_F(RequestData, LengthsOfPapers) {
    const Sum sum = sum_of(open("vidur_arxiv_summarization_lengths.csv.gz", true));
    EXPECT_EQ(sum.requests, 28257);
    EXPECT_NEAR(static_cast<double>(sum.input) / 28257, 2588.1, 0.05);
    EXPECT_NEAR(static_cast<double>(sum.output) / 28257, 291.4, 0.05);
}

TEST_F(RequestData, MeasuredRunsAndTheirWorkloads) {
    EXPECT_EQ(sum_of(open("measured_vllm_rtxpro6000_llama31_8b.csv")).output,
              sum_of(open("sharegpt_llama31_8b_300.csv")).output);
    EXPECT_EQ(sum_of(open("sharegpt_qwen3_30b_a3b_300.csv")).requests, 300);
}

// Blocks of 512 tokens: 288,500 looked up, 182,790 of them new, and what stores of three sizes hit.
TEST_F(RequestData, MooncakeConversation) {
    std::vector<BlockCache> caches;
    for (const long blocks : {1000L, 10000L, 50000L, kUnlimitedBlocks}) {
        BlockCacheSpec spec;
        spec.tiers.resize(1);
        spec.tiers[0].blocks = blocks;
        caches.emplace_back(spec);
    }
    const RequestStream stream = open("mooncake_conversation.jsonl.gz");
    Request request;
    long requests = 0, hit_tokens = 0, input = 0;
    while (stream.next(request)) {
        ++requests;
        input += request.input_tokens;
        for (BlockCache& cache : caches) {
            const PrefixHit hit = cache.refer(request.prefix_blocks, request.arrival);
            if (&cache == &caches.back())
                hit_tokens += std::min(request.input_tokens, hit.blocks * stream.block_tokens);
        }
    }
    EXPECT_EQ(requests, 12031);
    const CacheCounts& infinite = caches[3].counts();
    EXPECT_EQ(infinite.looked_up, 288500);
    EXPECT_EQ(infinite.looked_up - infinite.hits, 182790);
    EXPECT_EQ(infinite.hits, 105710);  // 36.6 %
    EXPECT_EQ(caches[3].held(0), 182790);
    EXPECT_NEAR(100.0 * static_cast<double>(hit_tokens) / static_cast<double>(input), 37.36, 0.005);
    EXPECT_NEAR(100 * caches[0].counts().hit_rate(), 4.45, 0.05);
    EXPECT_NEAR(100 * caches[1].counts().hit_rate(), 21.12, 0.05);
    EXPECT_NEAR(100 * caches[2].counts().hit_rate(), 35.46, 0.05);
}

}  // namespace
}  // namespace podsim

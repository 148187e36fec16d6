// Collective libraries against what was published of them: an anchor of the parameters in
// configs/collectives, not a fit. All tables: 128 tokens a rank, hidden 7168, top-8.
#include <gtest/gtest.h>

#include "base/catalog.hpp"
#include "interconnect/coflow.hpp"

namespace podsim {
namespace {

// The published kernels quantise what they dispatch and sum what they combine; the libraries hold
// the exchange alone. Microseconds of those operators at 128 tokens, as podsim costs them (suite
// `ep` runs both together).
struct FusedWork {
    double quantise, sum;
};
const FusedWork on_910c{5.2, 15.9}, on_h800{3.0, 8.2};

struct Row {
    int group;
    double dispatch, combine;  // microseconds
};

class Bench {
  public:
    // The token of dispatch; combine's is 7,168 BF16 values.
    Bench(const std::string& system, int ranks_per_chip, const std::string& library, Bytes token,
          FusedWork fused)
        : token_(token), fused_(fused) {
        Catalog catalog(std::string(PODSIM_SOURCE_DIR) + "/configs");
        fabric_ = rank_fabric(read_system(catalog.load("system", system, {}, ""), system),
                              ranks_per_chip);
        library_ = read_collective_library(catalog.load("collectives", library, {}, ""), library);
    }

    double dispatch(int group) const { return time(TransferType::dispatch, group, token_); }
    double combine(int group) const {
        return time(TransferType::combine, group, token_bytes(7168, 2.0, 0));
    }

    void expect_near(const Row& row, double tolerance) const {
        EXPECT_NEAR((fused_.quantise + dispatch(row.group)) / row.dispatch, 1, tolerance)
            << "EP" << row.group;
        EXPECT_NEAR((combine(row.group) + fused_.sum) / row.combine, 1, tolerance)
            << "EP" << row.group;
    }

  private:
    double time(TransferType type, int group, Bytes token) const {
        Transfer t;
        t.name = to_string(type);
        t.type = type;
        t.group_ranks = group;
        t.messages_per_rank = 128 * 8;
        t.size = expert_payload(128, 8, token);
        const Coflow c = make_coflow(t, fabric_, library_, group);
        return completion_times(c, {Seconds(0)}).front().value() * 1e6;
    }

    RankFabric fabric_;
    CollectiveLibrarySpec library_;
    Bytes token_;
    FusedWork fused_;
};

const Bytes fp8_token = token_bytes(7168, 1.0, 128);    // 7,392 B
const Bytes int8_token = token_bytes(7168, 1.0, 7168);  // 7,172 B

// CANN FusedDispatch (INT8) and FusedCombine (BF16) on the dies of CloudMatrix384 (arXiv
// 2506.12708).
TEST(Published, CannOnCloudMatrix) {
    const Bench cann("cloudmatrix384", 2, "cann", int8_token, on_910c);
    cann.expect_near({8, 116, 118}, 0.06);
    cann.expect_near({256, 152, 149}, 0.06);
}

// DeepEP README, June 2025, low-latency kernels, H800 with 400 Gb/s InfiniBand; FP8 dispatch, BF16
// combine. The last two rows repeat February's pure-network table and were not fitted.
TEST(Published, DeepEpOfJune) {
    const Bench deepep("h800-ib", 1, "deepep-2025-06", fp8_token, on_h800);
    for (const Row& row :
         {Row{8, 77, 114}, Row{16, 118, 195}, Row{32, 155, 273}, Row{64, 173, 314}})
        deepep.expect_near(row, 0.03);
    for (const Row& row : {Row{128, 192, 369}, Row{256, 194, 360}}) deepep.expect_near(row, 0.10);
}

// The kernels of February 2025 reach all peers over InfiniBand: 163 / 318 us on one node of eight.
TEST(Published, DeepEpOfFebruary) {
    const Bench deepep("h800-ib", 1, "deepep-2025-02", fp8_token, on_h800);
    for (const Row& row : {Row{8, 163, 318}, Row{128, 192, 369}, Row{256, 194, 360}})
        deepep.expect_near(row, 0.03);
}

// By hand: 128 x 8 x 7,392 B x 7/8 over 0.931 x 200 GB/s is 35.57 us, behind 34.9 us of software,
// 3.33 us of NVLink and 3.0 us of quantising. 76.8 us; 77 were measured.
TEST(Published, DeepEpFormula) {
    const Bench deepep("h800-ib", 1, "deepep-2025-06", fp8_token, on_h800);
    EXPECT_NEAR(deepep.dispatch(8), 34.9 + 3.33 + 7569408 * 0.875 / (0.931 * 200e9) * 1e6, 1e-6);
    // Sixteen ranks: half of it leaves the node at 50 GB/s. 34.9 + 3.7 + 75.69.
    EXPECT_NEAR(deepep.dispatch(16), 34.9 + 3.7 + 7569408 * 0.5 / 50e9 * 1e6, 1e-6);
    // Combine, 64 ranks: 33.1 + 3 doublings of 3.93 + 3.7 + 14,680,064 B x 7/8 at 50 GB/s.
    EXPECT_NEAR(deepep.combine(64), 33.1 + 3 * 3.93 + 3.7 + 14680064 * 0.875 / 50e9 * 1e6, 1e-6);
}

}  // namespace
}  // namespace podsim

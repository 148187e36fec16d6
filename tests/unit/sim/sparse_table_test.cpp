// Tables of sparse, compressed and linear attention: what their columns mean, what a module is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "chips/chip.hpp"
#include "sim/fit_parameters.hpp"
#include "sim/kernel_table.hpp"
#include "sim/table_errors.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

class SparseTable : public testing::Test {
  protected:
    SparseTable() : folder_(testing::TempDir() + "podsim_sparse_table" + std::to_string(getpid())) {
        std::filesystem::create_directories(folder_);
    }
    ~SparseTable() override { std::filesystem::remove_all(folder_); }

    std::vector<KernelRow> read(const std::string& adapter, const std::string& header,
                                const std::string& row) {
        std::ofstream(folder_ + "/t.csv") << header << '\n' << row << '\n';
        return read_kernel_table({adapter, "t.csv", {}, {}}, folder_, {"suite.yaml", 7, 1});
    }
    std::string error(const std::string& adapter, const std::string& header,
                      const std::string& row) {
        try {
            read(adapter, header, row);
        } catch (const InputError& error) {
            return error.what();
        }
        return "no error";
    }
    std::string folder_;
};

constexpr const char* kV4 =
    "op_name,model,kv_cache_dtype,gemm_type,num_heads,batch_size,isl,tp_size,step,compress_ratio,"
    "latency";

// 3 sequences of one token behind 1,000 in the decode kernel; four tokens in that of prompts.
TEST_F(SparseTable, CoreOfCompressedAttention) {
    const auto core = [&](const char* row) {
        const auto rows = read("aiconfigurator_v4_attention", kV4, row);
        EXPECT_EQ(rows.at(0).operators.size(), 1u);
        EXPECT_EQ(rows.at(0).module, "");
        EXPECT_NEAR(rows.at(0).measured.value(), 14e-6, 1e-15);
        return std::get<Attention>(rows.at(0).operators.at(0));
    };
    const Attention hca = core("x,x/DeepSeek-V4-Flash-FP8,fp8,fp8_block,64,3,1,1,1000,128,0.014");
    EXPECT_EQ(shape_of(hca),
              "attention mla decode b3 q1 s1001 c128 w128 h64/1 d512+512 bf16 kv "
              "fp8");
    const Attention csa = core("x,x/DeepSeek-V4-Pro-FP8,fp8,fp8_block,128,3,4,1,1000,4,0.014");
    EXPECT_EQ(shape_of(csa),
              "attention mla prefill b3 q4 s1004 c4 top1024 w128 h128/1 d512+512 bf16 kv fp8");
    EXPECT_THAT(error("aiconfigurator_v4_attention", kV4, "x,Other,fp8,fp8,64,3,1,1,1000,128,0.01"),
                HasSubstr("DeepSeek-V4-Flash or -Pro was expected"));
}

// Queries of all sequences stand behind one another in one.
TEST_F(SparseTable, PagedScoresArePackedIntoOneSequence) {
    const auto rows = read("aiconfigurator_paged_mqa_logits", kV4, "x,x,fp8,x,64,3,4,1,1000,4,0.1");
    EXPECT_EQ(shape_of(rows.at(0).operators.at(0)),
              "index_scores prefill b1 q12 s1012 c4 h64 d128 fp8 keys fp8");
}

TEST_F(SparseTable, HyperConnectionsOfAllSites) {
    const char* const header =
        "op_name,num_tokens,num_sites,hc_mult,hidden_size,sinkhorn_iters,latency";
    const auto in = read("aiconfigurator_mhc", header, "pre,64,2,4,7168,20,0.02");
    ASSERT_EQ(in.at(0).operators.size(), 2u);
    EXPECT_EQ(shape_of(in.at(0).operators.at(1)), "stream_mix in t64 n4 d7168 i20 bf16");
    const auto out = read("aiconfigurator_mhc", header, "post,64,1,4,7168,20,0.02");
    EXPECT_EQ(shape_of(out.at(0).operators.at(0)), "stream_mix out t64 n4 d7168 i0 bf16");
    EXPECT_THAT(error("aiconfigurator_mhc", header, "mid,64,1,4,7168,20,0.02"),
                HasSubstr("pre or post was expected"));
}

TEST_F(SparseTable, GatedDeltaNets) {
    const char* const header =
        "kernel_source,phase,batch_size,seq_len,d_conv,num_k_heads,head_k_dim,num_v_heads,"
        "head_v_dim,latency";
    const auto shape = [&](const char* row) {
        return shape_of(read("aiconfigurator_gdn", header, row).at(0).operators.at(0));
    };
    EXPECT_EQ(shape("chunk_gated_delta_rule,context,2,100,4,16,128,32,128,0.1"),
              "delta_rule prefill b2 q100 h32/16 d128+128 bf16 state 0+0");
    EXPECT_EQ(shape("fused_recurrent_gated_delta_rule,generation,2,1,4,16,128,32,128,0.1"),
              "delta_rule decode b2 q1 h32/16 d128+128 bf16 state 2+4");
    // 2 x 100 tokens of 2,048 channels and three more of each sequence, in and out: 206 x 2,048 x 2
    // B; the work of 512 tokens of each.
    EXPECT_EQ(shape("causal_conv1d_fn,context,2,100,4,16,128,32,128,0.1"),
              "vector causal_conv1d e2097152 f8 r843776 w843776");
    EXPECT_EQ(shape("causal_conv1d_update,generation,2,1,4,16,128,32,128,0.1"),
              "vector causal_conv1d_update e4096 f8 r32768 w32768");
}

bool has(const KernelRow& row, const std::string& shape) {
    return std::any_of(row.operators.begin(), row.operators.end(),
                       [&](const OperatorBody& body) { return shape_of(body) == shape; });
}

// DeepSeek-V4-Flash on two ranks: 32 heads, 4 groups of the output. Five tokens behind 1,000.
TEST_F(SparseTable, ABlockOfDeepSeekV4) {
    const auto rows = read("aiconfigurator_v4_context", kV4,
                           "csa,x/DeepSeek-V4-Flash-FP8,fp8,fp8_block,32,1,5,2,1000,4,0.1");
    const KernelRow& row = rows.at(0);
    EXPECT_EQ(row.module, "csa");
    EXPECT_TRUE(has(row, "gemm g1 m5 n1536 k4096 fp8xfp8->bf16"));    // down
    EXPECT_TRUE(has(row, "gemm g1 m5 n2048 k4096 bf16xbf16->bf16"));  // compressor, overlapping
    EXPECT_TRUE(has(row, "gemm g1 m5 n8192 k1024 fp8xfp8->bf16"));    // the indexer's queries
    EXPECT_TRUE(has(row, "index_scores prefill b1 q5 s1005 c4 h64 d128 fp8 keys fp8"));
    EXPECT_TRUE(has(row, "gemm g1 m5 n16384 k1024 fp8xfp8->bf16"));  // up
    EXPECT_TRUE(has(row, "gemm g4 m5 n1024 k4096 fp8xfp8->bf16"));   // grouped output
    EXPECT_TRUE(has(row, "gemm g1 m5 n4096 k4096 fp8xfp8->bf16"));
    EXPECT_EQ(shape_of(row.operators.back()),
              "attention mla prefill b1 q5 s1005 c4 top512 w128 h32/1 d512+512 bf16 kv fp8");
    // Without an indexer, with half of the compressor; `step` are tokens before the new one.
    const auto hca = read("aiconfigurator_v4_generation", kV4,
                          "hca,x/DeepSeek-V4-Pro-FP8,fp8,fp8_block,128,6,1,1,1000,128,0.1");
    EXPECT_TRUE(has(hca.at(0), "gemm g1 m6 n1024 k7168 bf16xbf16->bf16"));
    EXPECT_TRUE(has(hca.at(0), "gemm g16 m6 n1024 k4096 fp8xfp8->bf16"));
    EXPECT_EQ(std::count_if(hca.at(0).operators.begin(), hca.at(0).operators.end(),
                            [](const auto& body) { return kind_of(body) == "index_scores"; }),
              0);
    EXPECT_EQ(std::get<Attention>(hca.at(0).operators.back()).context, 1001);
}

// Few heads over an FP8 cache take the kernel of decode for prompts too.
TEST_F(SparseTable, ABlockOfSparseLatentAttention) {
    const char* const header =
        "op_name,model,kv_cache_dtype,gemm_type,num_heads,batch_size,isl,tp_size,step,latency";
    const auto core = [&](const char* adapter, const char* row) {
        return shape_of(read(adapter, header, row).at(0).operators.back());
    };
    EXPECT_EQ(core("aiconfigurator_dsa_context", "m,x/DeepSeek-V3.2,fp8,bfloat16,64,2,9,1,128,1"),
              "attention mla prefill b2 q9 s137 top2048 h64/1 d576+512 bf16 kv fp8");
    EXPECT_EQ(core("aiconfigurator_dsa_context", "m,x/DeepSeek-V3.2,fp8,bfloat16,16,2,9,1,128,1"),
              "attention mla decode b2 q9 s137 top2048 h16/1 d576+512 bf16 kv fp8");
    const KernelRow row = read("aiconfigurator_dsa_generation", header,
                               "m,zai-org/GLM-5,bfloat16,fp8_block,64,2,1,1,128,1")
                              .at(0);
    EXPECT_TRUE(has(row, "gemm g1 m2 n2624 k6144 fp8xfp8->bf16"));
    EXPECT_TRUE(has(row, "gemm g64 m2 n512 k192 bf16xbf16->bf16"));
    EXPECT_TRUE(has(row, "index_scores decode b2 q1 s129 c1 h32 d128 fp8 keys fp8"));
    EXPECT_THAT(error("aiconfigurator_dsa_generation", header, "m,R1,fp8,fp8,64,2,1,1,128,1"),
                HasSubstr("DeepSeek-V3.2 or GLM-5 was expected"));
}

TEST_F(SparseTable, InferSim) {
    const auto shape = [&](const char* adapter, const char* header, const char* row) {
        return shape_of(read(adapter, header, row).at(0).operators.at(0));
    };
    EXPECT_EQ(shape("infersim_dsa_decode", "dtype,kv_dtype,batch_size,kv_len,latency_us",
                    "bf16,fp8,64,4096,96"),
              "attention mla decode b64 q1 s4096 top2048 h128/1 d576+512 bf16 kv fp8");
    EXPECT_EQ(shape("infersim_dsa_prefill", "dtype,s_q,s_kv,latency_us", "bf16,4096,8192,3600"),
              "attention mla prefill b1 q4096 s8192 top2048 h128/1 d576+512 bf16 kv bf16");
    EXPECT_EQ(shape("infersim_index_decode", "batchsize,next_n,s_kv,latency_us", "64,2,1024,9.6"),
              "index_scores decode b64 q2 s1024 c1 h64 d128 fp8 keys fp8");
    EXPECT_EQ(shape("infersim_index_prefill", "s_q,s_kv,latency_us", "2048,4096,101"),
              "index_scores prefill b1 q2048 s4096 c1 h64 d128 fp8 keys fp8");
}

// A top-k reads every visible score and writes its choice: 4 x (10 + 11) B and 4 x 2 x 2,048 B.
TEST_F(SparseTable, TopK) {
    const auto rows = read("aiconfigurator_top_k", kV4, "x,GLM-5,fp8,x,64,1,2,1,9,1,0.01");
    EXPECT_EQ(shape_of(rows.at(0).operators.at(0)), "vector top_k e21 f1 r84 w16384 in 2 rows");
}

// max(host, operators + overhead): the operator is a launch of 3 us.
TEST(Modules, AreNeverDoneBeforeTheirHost) {
    RankHardware hardware;
    hardware.peak_vector = FlopsPerSecond(1e30);
    hardware.hbm_bandwidth = BytesPerSecond(1e30);
    KernelLibrarySpec library;
    library.vector.launch = microseconds(3);
    KernelRow row;
    row.operators = {VectorWork{"any", 1, 1, 1, 1}};
    row.module = "block";
    const auto time = [&] { return simulated_time(row, hardware, library).value() * 1e6; };
    EXPECT_NEAR(time(), 3, 1e-9);  // a library without it
    library.modules["block"].overhead = microseconds(20);
    EXPECT_NEAR(time(), 23, 1e-9);
    library.modules["block"].host = microseconds(100);
    EXPECT_NEAR(time(), 100, 1e-9);
    EXPECT_EQ(part_of(library, row), "modules.block");
    row.module = "";
    EXPECT_EQ(part_of(library, row), "vector");
    EXPECT_NEAR(time(), 3, 1e-9);
    RowTime others;
    others.full = others.sustained = microseconds(7);
    EXPECT_NEAR(simulated_time(row, hardware, library, others).value() * 1e6, 10, 1e-9);
}

// What decides, or stands in.
TEST(Parts, OfNewKinds) {
    KernelLibrarySpec library;
    IndexScores s;
    DeltaRule d;
    const StreamMix m;
    EXPECT_EQ(part_of(library, s), "attention_decode");
    EXPECT_EQ(part_of(library, d), "vector");
    EXPECT_EQ(part_of(library, m), "vector");
    library.index_scores[Phase::prefill] = {};
    library.delta_rule[Phase::decode] = {};
    library.stream_mix[StreamSide::mix_in] = {};
    library.vector_kernels["top_k"] = {};
    EXPECT_EQ(part_of(library, s), "index_scores.prefill");
    EXPECT_EQ(part_of(library, d), "delta_rule.decode");
    EXPECT_EQ(part_of(library, m), "stream_mix.in");
    EXPECT_EQ(part_of(library, VectorWork{"top_k", 1, 1, 1, 1}), "vector_kernels.top_k");
    const auto parts = parts_of(library);
    for (const char* part : {"index_scores.prefill", "delta_rule.decode", "stream_mix.in"}) {
        EXPECT_EQ(std::count(parts.begin(), parts.end(), part), 1) << part;
        for (const FitParameter& one : fit_parameters(part)) {
            set_parameter(library, part, one.name, one.high);
            EXPECT_EQ(get_parameter(library, part, one.name), one.high) << part << one.name;
        }
    }
    EXPECT_EQ(fit_parameters("modules.any").size(), 2u);
    EXPECT_EQ(fit_parameters("vector_kernels.any").size(), 4u);
    EXPECT_THROW(fit_parameters("modules"), std::invalid_argument);
    EXPECT_THROW(fit_parameters("index_scores.sideways"), std::invalid_argument);
}

}  // namespace
}  // namespace podsim

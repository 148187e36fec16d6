// Tables of measured kernels: which rows are meant, what each maker's columns mean.
#include "sim/kernel_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sim/moe_operator.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

class KernelTable : public testing::Test {
  protected:
    KernelTable() : folder_(testing::TempDir() + "podsim_kernel_table" + std::to_string(getpid())) {
        std::filesystem::create_directories(folder_);
    }
    ~KernelTable() override { std::filesystem::remove_all(folder_); }

    std::vector<KernelRow> read(TableSource source, const std::string& text) {
        source.file = "t.csv";
        std::ofstream(folder_ + "/t.csv") << text;
        return read_kernel_table(source, folder_, {"suite.yaml", 7, 1});
    }
    std::string error(const TableSource& source, const std::string& text) {
        try {
            read(source, text);
        } catch (const InputError& error) {
            return error.what();
        }
        return "no error";
    }
    std::string folder_;
};

constexpr const char* kGemms =
    "gemm_dtype,m,n,k,latency\n"
    "bfloat16,8,64,32,0.004\n"
    "fp8,8,64,32,0.003\n"
    "bfloat16,2,64,32,0.002\n"
    "bfloat16,16,64,32,0.005\n";

TEST_F(KernelTable, FilterAndOrderOfShapes) {
    const auto rows = read({"aiconfigurator_gemm", "", {{"gemm_dtype", "bfloat16"}}, {}}, kGemms);
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(std::get<Gemm>(rows[0].operators[0]), (Gemm{2, 64, 32, 1}));
    EXPECT_EQ(rows[0].line, 4);
    EXPECT_EQ(rows[1].line, 2);
    EXPECT_EQ(rows[2].line, 5);
    EXPECT_NEAR(rows[0].measured.value(), 2e-6, 1e-15);  // milliseconds in the table
}

TEST_F(KernelTable, RangesAlternativesAndQuotients) {
    const auto lines = [&](const std::map<std::string, std::string>& filter) {
        std::vector<int> found;
        for (const auto& row : read({"aiconfigurator_gemm", "", filter, {}}, kGemms)) {
            found.push_back(row.line);
        }
        return found;
    };
    using Lines = std::vector<int>;
    EXPECT_EQ(lines({{"m", "3..8"}, {"gemm_dtype", "bfloat16"}}), (Lines{2}));
    EXPECT_EQ(lines({{"m", "8.."}, {"gemm_dtype", "bfloat16"}}), (Lines{2, 5}));
    EXPECT_EQ(lines({{"m", "2|16"}}), (Lines{4, 5}));
    EXPECT_EQ(lines({{"n/m", "4..4"}}), (Lines{5}));
    EXPECT_EQ(lines({{"n/m", "32|4"}}), (Lines{4, 5}));
}

// Its FP8 operation narrows the activations first: 8 x 32 elements, 2 bytes in and 1 out.
TEST_F(KernelTable, AConfiguratorFp8QuantisesFirst) {
    const auto rows = read({"aiconfigurator_gemm", "", {{"gemm_dtype", "fp8"}}, {}}, kGemms);
    ASSERT_EQ(rows.size(), 1u);
    ASSERT_EQ(rows[0].operators.size(), 2u);
    const auto& quantise = std::get<VectorWork>(rows[0].operators[0]);
    EXPECT_EQ(quantise.read, 512);
    EXPECT_EQ(quantise.write, 256);
    EXPECT_EQ(compute_dtype_of(rows[0].operators[1]), DType::fp8);
}

// What a harness repeats is busy for longer: aiconfigurator's 18 and 30 executions, a user's own.
TEST_F(KernelTable, SaysHowOftenAKernelRan) {
    const auto theirs = read({"aiconfigurator_gemm", "", {}, {}}, kGemms);
    EXPECT_EQ(theirs[0].repeats.before, 18);
    EXPECT_EQ(theirs[0].repeats.timed, 30);
    const char* const own =
        "kind,m,n,k,a,b,c,before,timed,latency_us\n"
        "gemm,2,8,8,bf16,bf16,bf16,0,1,5\n"
        "gemm,4,8,8,bf16,bf16,bf16,10,100,5\n";
    const auto rows = read({"podsim", "", {}, {}}, own);
    EXPECT_EQ(rows[0].repeats.before, 0);
    EXPECT_EQ(rows[0].repeats.timed, 1);
    EXPECT_EQ(rows[1].repeats.before, 10);
    EXPECT_EQ(rows[1].repeats.timed, 100);
    EXPECT_THAT(error({"podsim", "", {}, {}},
                      "kind,m,n,k,a,b,c,timed,latency_us\ngemm,2,8,8,bf16,bf16,bf16,0,5\n"),
                HasSubstr("t.csv:2: timed: \"0\""));
}

// The table's expert layer and the operator of an experiment ask for the same products.
TEST_F(KernelTable, ExpertLayersAreThoseOfTheOperator) {
    for (const long tokens : {16L, 512L}) {  // fewer assignments than experts of the rank, and more
        const auto rows = read({"aiconfigurator_moe", "", {}, {}},
                               "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,"
                               "moe_tp_size,moe_ep_size,distribution,latency\nfp8_block," +
                                   std::to_string(tokens) + ",7168,2048,8,256,1,8,balanced,1\n");
        MoeForm form;
        form.tokens = tokens;
        form.hidden = 7168;
        form.inter = 2048;
        form.experts = 256;
        form.top_k = 8;
        form.ranks = 8;
        std::vector<Gemm> table, ours;
        const auto add = [](const OperatorBody& body, std::vector<Gemm>& gemms) {
            if (const auto* gemm = std::get_if<Gemm>(&body)) gemms.push_back(*gemm);
        };
        for (const auto& body : rows.at(0).operators) add(body, table);
        for (const auto& op : moe_operators(form, {{"weights", DType::fp8}})) add(op.body, ours);
        ASSERT_EQ(table.size(), 2);
        for (Gemm& gemm : table) gemm.idle_groups = 0;  // told by tables alone
        EXPECT_EQ(table, ours) << tokens;
    }
}

TEST_F(KernelTable, ErrorsNameTheLine) {
    const TableSource source{"aiconfigurator_gemm", "", {}, {}};
    EXPECT_THAT(error(source, "gemm_dtype,m,n,k,latency\nbfloat16,0,1,1,1\n"),
                HasSubstr("t.csv:2: m: \"0\": a whole number of at least 1 was expected"));
    EXPECT_THAT(error(source, "gemm_dtype,m,n,k,latency\nbfloat16,1.5,1,1,1\n"), HasSubstr("1.5"));
    EXPECT_THAT(error(source, "gemm_dtype,m,n,k,latency\nint9,1,1,1,1\n"), HasSubstr("int9"));
    EXPECT_THAT(error(source, "gemm_dtype,m,n,k,latency\nbfloat16,1,1,1,0\n"),
                HasSubstr("t.csv:2: a time that is not above 0"));
    EXPECT_THAT(error(source, "gemm_dtype,m,n,k,latency\nbfloat16,1,1,1,nan\n"),
                HasSubstr("a number was expected"));
    EXPECT_THAT(error(source, "gemm_dtype,m,n,kk,latency\nbfloat16,1,1,1,1\n"),
                HasSubstr("unknown column k"));
    EXPECT_THAT(error({"aiconfigurator_gem", "", {}, {}}, kGemms),
                HasSubstr("suite.yaml:7:1: adapter: unknown table adapter"));
    EXPECT_THAT(error({"aiconfigurator_gemm", "", {{"m", "a..b"}}, {}}, kGemms),
                HasSubstr("filter.m"));
    EXPECT_THAT(error({"aiconfigurator_gemm", "", {{"m", "99"}}, {}}, kGemms),
                HasSubstr("no row passes the filter"));
    EXPECT_THROW(read_kernel_table({"aiconfigurator_gemm", "no.csv", {}, {}}, folder_, {}),
                 InputError);
}

TEST_F(KernelTable, AFileMayLieBesideWhatNamesIt) {
    std::ofstream(folder_ + "/own.csv") << kGemms;
    const TableSource source{"aiconfigurator_gemm", "./own.csv", {}, {}};
    EXPECT_TRUE(find_table(source, "/nowhere", {folder_ + "/suite.yaml", 1, 1}));
    EXPECT_FALSE(find_table(source, folder_, {"/nowhere/suite.yaml", 1, 1}));
}

// One new token over 100 cached ones, 8 heads on 2 KV heads.
TEST_F(KernelTable, AttentionInDecode) {
    const auto rows =
        read({"aiconfigurator_generation_attention", "", {}, {}},
             "batch_size,isl,num_heads,num_key_value_heads,head_dim,attn_dtype,kv_cache_dtype,step,"
             "latency\n4,1,8,2,128,bfloat16,fp8,100,0.01\n");
    const auto& a = std::get<Attention>(rows[0].operators[0]);
    EXPECT_EQ(a.phase, Phase::decode);
    EXPECT_EQ(a.context, 101);
    EXPECT_EQ(a.batch, 4);
    EXPECT_EQ(a.kv_heads, 2);
    EXPECT_EQ(a.kv, DType::fp8);
}

// A prompt of 16 tokens: queries 16 x 8 x 128 elements, keys and values 2 x 16 x 2 x 128; all are
// read and written in 16 bits.
TEST_F(KernelTable, PromptsTurnAndWriteTheCacheFirst) {
    const auto rows =
        read({"aiconfigurator_context_attention", "", {}, {}},
             "batch_size,isl,num_heads,num_key_value_heads,head_dim,attn_dtype,kv_cache_dtype,step,"
             "latency\n1,16,8,2,128,bfloat16,bfloat16,0,0.01\n");
    ASSERT_EQ(rows[0].operators.size(), 2u);
    const auto& turn = std::get<VectorWork>(rows[0].operators[0]);
    EXPECT_EQ(turn.read, 2.0 * (16 * 8 * 128 + 2 * 16 * 2 * 128));
    EXPECT_EQ(turn.write, turn.read);
    EXPECT_EQ(std::get<Attention>(rows[0].operators[1]).query, 16);
}

constexpr const char* kMoeHeader =
    "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,"
    "distribution,latency\n";

const Gemm& last_product(const KernelRow& row) {
    return std::get<Gemm>(row.operators.back());
}

// 64 tokens to 8 of 256 experts each, laid out with the stride of 32: token t takes t, t + 32 ...
// All 256 experts get 2 tokens; the first of four ranks has 64 of them.
TEST_F(KernelTable, BalancedExpertsOfARank) {
    const auto rows =
        read({"aiconfigurator_moe", "", {}, {}},
             std::string(kMoeHeader) + "fp8_block,64,7168,2048,8,256,2,4,balanced,1\n");
    const Gemm& down = last_product(rows[0]);
    EXPECT_EQ(down.groups, 64);
    EXPECT_EQ(down.idle_groups, 0);
    EXPECT_EQ(down.m, 2);
    EXPECT_EQ(down.n, 7168);
    EXPECT_EQ(down.k, 1024);  // half of the width
    // Sort, quantise, product, activate, quantise, product, sum.
    EXPECT_EQ(rows[0].operators.size(), 7u);
}

// One token: experts 0, 32, 64 ... of which the first of eight ranks, with 32, has one.
TEST_F(KernelTable, OneTokenLeavesExpertsIdle) {
    const auto rows = read({"aiconfigurator_moe", "", {}, {}},
                           std::string(kMoeHeader) + "bfloat16,1,64,64,8,256,1,8,balanced,1\n");
    const Gemm& down = last_product(rows[0]);
    EXPECT_EQ(down.groups, 1);
    EXPECT_EQ(down.idle_groups, 31);
    EXPECT_EQ(down.m, 1);
    EXPECT_EQ(rows[0].operators.size(), 5u);  // nothing to quantise
}

// 16-bit activations beside weights in FP4: nothing to quantise, and launches of a module.
TEST_F(KernelTable, WeightsAloneMayBeNarrow) {
    const auto rows =
        read({"aiconfigurator_moe", "", {}, {}},
             std::string(kMoeHeader) + "w4a16_mxfp4,32,2880,2880,4,128,1,1,balanced,1\n");
    const Gemm& down = last_product(rows[0]);
    EXPECT_EQ(down.a, DType::bf16);
    EXPECT_EQ(down.b, DType::fp4);
    EXPECT_EQ(down.groups, 128);
    EXPECT_EQ(rows[0].operators.size(), 5u);
    EXPECT_EQ(rows[0].module, "fp4_experts");
}

// The rank with the most tokens is the one that is timed: more than its even share.
TEST_F(KernelTable, PowerLawTakesTheFullestRank) {
    const auto pairs = [&](const std::string& distribution) {
        const auto rows =
            read({"aiconfigurator_moe", "", {}, {}},
                 kMoeHeader + ("bfloat16,1024,64,64,8,256,1,8," + distribution + ",1\n"));
        return last_product(rows[0]).m * last_product(rows[0]).groups;
    };
    EXPECT_EQ(pairs("balanced"), 1024);
    EXPECT_GT(pairs("power_law_1.2"), 1100);
    EXPECT_THAT(error({"aiconfigurator_moe", "", {}, {}},
                      kMoeHeader + std::string("bfloat16,1,64,64,8,256,1,8,zipf,1\n")),
                HasSubstr("zipf"));
}

TEST_F(KernelTable, ARowOfVidurIsFourProducts) {
    const auto rows = read(
        {"vidur_layers", "", {}, {}},
        "time_stats.attn_pre_proj.median,time_stats.attn_post_proj.median,"
        "time_stats.mlp_up_proj.median,time_stats.mlp_down_proj.median,n_head,n_kv_head,n_embd,"
        "n_expanded_embd,use_gated_mlp,num_tokens,num_tensor_parallel_workers\n"
        "1,2,3,4,32,8,4096,14336,True,100,2\n");
    ASSERT_EQ(rows.size(), 4u);
    std::map<std::pair<long, long>, double> times;
    for (const auto& row : rows) {
        const Gemm& g = last_product(row);
        EXPECT_EQ(g.m, 100);
        times[{g.n, g.k}] = row.measured.value() * 1e3;
    }
    EXPECT_NEAR((times[{(32 + 16) * 128 / 2, 4096}]), 1, 1e-12);
    EXPECT_NEAR((times[{4096, 2048}]), 2, 1e-12);
    EXPECT_NEAR((times[{14336, 4096}]), 3, 1e-12);  // gate and up, half each
    EXPECT_NEAR((times[{4096, 7168}]), 4, 1e-12);
}

TEST_F(KernelTable, ATableOfYourOwn) {
    const auto rows = read({"podsim", "", {}, {{"kind", "gemm"}}},
                           "m,n,k,groups,a,b,c,latency_us\n1,2,3,4,fp8,fp4,bf16,5\n");
    EXPECT_EQ(last_product(rows[0]), (Gemm{1, 2, 3, 4, DType::fp8, DType::fp4, DType::bf16}));
    EXPECT_NEAR(rows[0].measured.value(), 5e-6, 1e-15);
    const auto attention =
        read({"podsim", "", {}, {}},
             "kind,form,phase,batch,query,context,heads,kv_heads,head_dim_qk,head_dim_v,a,b,"
             "latency_us\nattention,mla_absorbed,decode,2,1,64,128,1,576,512,bf16,bf16,7\n");
    EXPECT_EQ(std::get<Attention>(attention[0].operators[0]).form, AttentionForm::mla_absorbed);
    EXPECT_THAT(error({"podsim", "", {}, {}}, "kind,latency_us\nsoftmax,1\n"),
                HasSubstr("gemm or attention was expected"));
}

}  // namespace
}  // namespace podsim

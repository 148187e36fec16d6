// What each maker's table counts, in our operators. Columns and units as in the makers' own
// descriptions; times are of single kernels on an idle chip, launch included.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "base/random.hpp"
#include "sim/kernel_table.hpp"

namespace podsim {

namespace {

constexpr double us = 1e-6, ms = 1e-3;
constexpr long latent_rank = 512, latent_rope = 64;  // DeepSeek-V2, V3 and their relatives

Seconds time_of(const TableFields& fields, const char* column, double unit) {
    return Seconds(fields.number(column) * unit);
}

// How aiconfigurator's collector times kernels without measuring power (its helper, 2026): three
// eager calls, a graph of five replayed three times, then six times for the clock.
constexpr Repeats aiconfigurator_repeats{18, 30};

// TensorRT-LLM's FP8 operation quantises its activations first.
void aiconfigurator_gemm(const TableFields& f, std::vector<KernelRow>& rows) {
    const DType dtype = f.dtype("gemm_dtype");
    const long m = f.count("m"), n = f.count("n"), k = f.count("k");
    KernelRow row;
    if (dtype != DType::bf16 && dtype != DType::fp16) {
        const double elements = static_cast<double>(m * k);
        row.operators.emplace_back(
            VectorWork{"quantise", elements, 4, 2 * elements, bytes_of(dtype) * elements});
    }
    const DType out = dtype == DType::fp16 ? DType::fp16 : DType::bf16;
    row.operators.emplace_back(Gemm{m, n, k, 1, dtype, dtype, out});
    row.measured = time_of(f, "latency", ms);
    row.repeats = aiconfigurator_repeats;
    rows.push_back(std::move(row));
}

Attention attention_of(const TableFields& f, Phase phase) {
    Attention a;
    a.form = AttentionForm::gqa;
    a.phase = phase;
    a.batch = f.count("batch_size");
    a.heads = f.count("num_heads");
    a.kv_heads = f.count("num_key_value_heads");
    a.head_dim_qk = a.head_dim_v = f.count("head_dim");
    a.compute = f.dtype("attn_dtype");
    a.kv = f.dtype("kv_cache_dtype");
    return a;
}

// `step` tokens are in the cache already. The operation turns queries and keys by their position
// and writes the cache before it attends: one kernel more, which reads and writes all of them.
void aiconfigurator_context_attention(const TableFields& f, std::vector<KernelRow>& rows) {
    Attention a = attention_of(f, Phase::prefill);
    a.query = f.count("isl");
    a.context = a.query + std::lround(f.number("step"));
    const double tokens = static_cast<double>(a.batch * a.query);
    const double query = tokens * static_cast<double>(a.heads * a.head_dim_qk);
    const double cache = tokens * static_cast<double>(2 * a.kv_heads * a.head_dim_qk);
    const double wide = bytes_of(a.compute);
    const VectorWork turn{"rotary_and_cache", query + cache, 4, wide * (query + cache),
                          wide * query + bytes_of(a.kv) * cache};
    rows.push_back({0, {turn, a}, time_of(f, "latency", ms)});
}

void aiconfigurator_generation_attention(const TableFields& f, std::vector<KernelRow>& rows) {
    Attention a = attention_of(f, Phase::decode);
    a.query = f.count("isl");
    a.context = a.query + std::lround(f.number("step"));
    rows.push_back({0, {a}, time_of(f, "latency", ms)});
}

Attention latent_attention(long batch, long heads, long query, long context, DType compute,
                           DType kv) {
    Attention a;
    a.form = AttentionForm::mla_absorbed;
    a.phase = Phase::decode;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = heads;
    a.kv_heads = 1;
    a.head_dim_qk = latent_rank + latent_rope;
    a.head_dim_v = latent_rank;
    a.compute = compute;
    a.kv = kv;
    return a;
}

void aiconfigurator_generation_mla(const TableFields& f, std::vector<KernelRow>& rows) {
    const long query = f.count("isl");
    rows.push_back({0,
                    {latent_attention(f.count("batch_size"), f.count("num_heads"), query,
                                      query + std::lround(f.number("step")), f.dtype("mla_dtype"),
                                      f.dtype("kv_cache_dtype"))},
                    time_of(f, "latency", ms)});
}

// Tokens of every expert of the first expert-parallel rank, as the benchmark lays them out.
// Balanced: token t takes the experts t + i s, i below top-k, with the stride s = ceil(experts /
// top_k); where there are fewer tokens than s they are spread over it.
std::vector<long> balanced_counts(long tokens, long experts, long top_k, long local) {
    const long stride = (experts + top_k - 1) / top_k;
    std::vector<long> counts(static_cast<std::size_t>(local), 0);
    for (long t = 0; t < tokens; ++t) {
        const long first = tokens >= stride ? t : t * stride / tokens;
        for (long i = 0; i < top_k; ++i) {
            const long expert = (first + i * stride) % experts;
            if (expert < local) ++counts[static_cast<std::size_t>(expert)];
        }
    }
    return counts;
}

// Power law: each expert's load is drawn from x^-alpha between 1 and 0.8 tokens (0.01 and 2 where
// there are fewer pairs than experts), scaled to all pairs; the rank with the most is timed. We
// take the evenly spaced quantiles in a fixed random order: the benchmark's own draw is not
// published.
std::vector<long> power_law_counts(long tokens, long experts, long top_k, long local,
                                   double alpha) {
    const double pairs = static_cast<double>(tokens * top_k);
    const bool few = tokens * top_k <= experts;
    const double low = few ? 0.01 : 1.0, high = few ? 2.0 : 0.8 * static_cast<double>(tokens);
    const double a = std::pow(low, 1 - alpha), b = std::pow(high, 1 - alpha);
    std::vector<std::pair<std::uint64_t, double>> loads;
    double sum = 0;
    for (long i = 0; i < experts; ++i) {
        const double u = (static_cast<double>(i) + 0.5) / static_cast<double>(experts);
        const double load = std::pow((b - a) * u + a, 1 / (1 - alpha));
        loads.emplace_back(random_bits(1, experts, i), load);
        sum += load;
    }
    std::sort(loads.begin(), loads.end());
    std::vector<long> best;
    long most = -1;
    for (long rank = 0; rank < experts / local; ++rank) {
        std::vector<long> counts;
        long total = 0;
        for (long i = rank * local; i < (rank + 1) * local; ++i) {
            const double share = loads[static_cast<std::size_t>(i)].second / sum;
            counts.push_back(std::min(tokens, std::lround(share * pairs)));
            total += counts.back();
        }
        if (total > most) {
            most = total;
            best = std::move(counts);
        }
    }
    return best;
}

// TensorRT-LLM's whole expert layer of a rank: tokens sorted by expert, two grouped products with
// the gated activation between them, results summed per token. FP8 products quantise their input
// in kernels of their own. Groups count as equally full, which costs 0.5 points on power laws.
void aiconfigurator_moe(const TableFields& f, std::vector<KernelRow>& rows) {
    const long tokens = f.count("num_tokens"), hidden = f.count("hidden_size");
    const long width = f.count("inter_size") / f.count("moe_tp_size");
    const long experts = f.count("num_experts"), top_k = f.count("topk");
    const long local = experts / f.count("moe_ep_size");
    const std::string& distribution = f.text("distribution");
    if (local < 1 || width < 1) f.fail("num_experts", "the ranks do not divide it");
    std::vector<long> counts;
    if (distribution == "balanced") {
        counts = balanced_counts(tokens, experts, top_k, local);
    } else if (distribution.rfind("power_law_", 0) == 0) {
        const double alpha = std::strtod(distribution.c_str() + 10, nullptr);
        if (!(alpha > 1 && alpha < 10)) f.fail("distribution", "no exponent above 1");
        counts = power_law_counts(tokens, experts, top_k, local, alpha);
    } else {
        f.fail("distribution", "balanced or power_law_1.2 was expected");
    }
    long pairs = 0, busy = 0;
    for (const long count : counts) {
        pairs += count;
        busy += count > 0 ? 1 : 0;
    }
    pairs = std::max(pairs, 1L);
    busy = std::max(busy, 1L);
    const long m = (pairs + busy - 1) / busy;

    // Weights alone are narrow in some: they are widened as they are read.
    const bool widened = f.text("moe_dtype") == "w4a16_mxfp4";
    const DType weights = widened ? DType::fp4 : f.dtype("moe_dtype");
    const DType inputs_in = widened ? DType::bf16 : weights;
    const bool narrow = bytes_of(inputs_in) <= 1;
    KernelRow row;
    const auto vector_work = [&](const char* name, double elements, double read, double write) {
        row.operators.emplace_back(VectorWork{name, elements, 4, read, write});
    };
    const auto product = [&](long n, long k) {
        row.operators.emplace_back(
            Gemm{m, n, k, busy, inputs_in, weights, DType::bf16, local - busy});
    };
    const double in = static_cast<double>(tokens * hidden), moved = static_cast<double>(pairs);
    const double inputs = moved * static_cast<double>(hidden);
    const double inner = moved * static_cast<double>(width);
    vector_work("expert_permute", inputs, 2 * in, 2 * inputs);
    if (narrow) vector_work("expert_quantise", inputs, 2 * inputs, inputs);
    product(2 * width, hidden);
    vector_work("expert_swiglu", inner, 4 * inner, 2 * inner);
    if (narrow) vector_work("expert_quantise", inner, 2 * inner, inner);
    product(hidden, width);
    vector_work("expert_finalise", inputs, 2 * inputs, 2 * in);
    // Last, so that it says what the row is about.
    std::rotate(row.operators.end() - 2, row.operators.end() - 1, row.operators.end());
    row.measured = time_of(f, "latency", ms);
    // Triton's kernels, which the host launches one by one.
    if (widened) row.module = "fp4_experts";
    rows.push_back(std::move(row));
}

void infersim_gemm(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back(
        {0,
         {Gemm{f.count("m"), f.count("n"), f.count("k"), 1, DType::fp8, DType::fp8, DType::bf16}},
         time_of(f, "latency_us", us)});
}

// Rows of a group follow from the stated utilisation, work = mfu x peak x time: the benchmark
// drew its tokens at random, and `tokens_per_expert` is only what it aimed at.
void infersim_grouped_gemm(const TableFields& f, std::vector<KernelRow>& rows) {
    constexpr double peak = 1978.9e12;  // H800, FP8: what the column mfu is relative to
    const long groups = f.count("num_local_experts");
    const long hidden = f.count("hidden_size"), width = f.count("intermediate_size");
    if (f.number("tokens_per_expert") < 2) return;  // mostly empty groups
    struct Half {
        const char *time, *utilisation;
        long n, k;
    };
    for (const Half& half : {Half{"up_proj_us", "up_mfu", 2 * width, hidden},
                             Half{"down_proj_us", "down_mfu", hidden, width}}) {
        const Seconds time = time_of(f, half.time, us);
        const double work = f.number(half.utilisation) * peak * time.value();
        const double m = work / (2.0 * static_cast<double>(half.n * half.k * groups));
        rows.push_back({0,
                        {Gemm{std::max(1L, std::lround(m)), half.n, half.k, groups, DType::fp8,
                              DType::fp8, DType::bf16}},
                        time});
    }
}

void infersim_mla_decode(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back({0,
                    {latent_attention(f.count("batch_size"), f.count("heads"), 1, f.count("kv_len"),
                                      f.dtype("dtype"), f.dtype("kv_dtype"))},
                    time_of(f, "latency_us", us)});
}

void infersim_mha_decode(const TableFields& f, std::vector<KernelRow>& rows) {
    Attention a;
    a.phase = Phase::decode;
    a.batch = f.count("batch_size");
    a.context = f.count("kv_len");
    a.heads = f.count("heads");
    a.kv_heads = f.count("kv_heads");
    a.head_dim_qk = a.head_dim_v = f.count("head_dim");
    a.compute = f.dtype("dtype");
    a.kv = f.dtype("kv_dtype");
    rows.push_back({0, {a}, time_of(f, "latency_us", us)});
}

void deepgemm_950dt(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back({0,
                    {Gemm{f.count("m_per_group"), f.count("n"), f.count("k"), f.count("groups"),
                          f.dtype("activation_dtype"), f.dtype("weight_dtype"), DType::bf16}},
                    time_of(f, "latency_us", us)});
}

void llmcompass_matmul(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back(
        {0,
         {Gemm{f.count("m"), f.count("n"), f.count("k"), 1, DType::fp16, DType::fp16, DType::fp16}},
         time_of(f, "latency_us", us)});
}

// The four products of a transformer layer, split over tensor-parallel workers.
void vidur_layers(const TableFields& f, std::vector<KernelRow>& rows) {
    const long m = f.count("num_tokens"), hidden = f.count("n_embd");
    const long workers = f.count("num_tensor_parallel_workers");
    const long heads = f.count("n_head"), kv_heads = f.count("n_kv_head");
    const long head = hidden / heads, width = f.count("n_expanded_embd") / workers;
    const long gate = f.text("use_gated_mlp") == "True" ? 2 : 1;
    const auto add = [&](const char* column, long n, long k) {
        rows.push_back(
            {0, {Gemm{m, n, k, 1, DType::fp16, DType::fp16, DType::fp16}}, time_of(f, column, ms)});
    };
    add("time_stats.attn_pre_proj.median", (heads + 2 * kv_heads) * head / workers, hidden);
    add("time_stats.attn_post_proj.median", hidden, hidden / workers);
    add("time_stats.mlp_up_proj.median", gate * width, hidden);
    add("time_stats.mlp_down_proj.median", hidden, width);
}

// A user's own table: `kind` gemm (m, n, k, groups, a, b, c) or attention (form, phase, batch,
// query, context, heads, kv_heads, head_dim_qk, head_dim_v, a, b); latency_us; before, timed: how
// often the kernel ran just before, and how often it was timed.
void own_table(const TableFields& f, std::vector<KernelRow>& rows) {
    const std::string& kind = f.text("kind");
    const Seconds time = time_of(f, "latency_us", us);
    const auto executions = [&](const char* column, const char* otherwise) {
        return f.text_or(column, otherwise) == otherwise ? std::strtod(otherwise, nullptr)
                                                         : static_cast<double>(f.count(column));
    };
    const Repeats repeats{executions("before", "0"), executions("timed", "1")};
    const auto named = [&](const char* column, const auto& names) {
        for (const auto& [name, value] : names) {
            if (f.text(column) == name) return value;
        }
        f.fail(column, "not one of the known names");
    };
    if (kind == "gemm") {
        const long groups = f.text_or("groups", "1") == "1" ? 1 : f.count("groups");
        rows.push_back({0,
                        {Gemm{f.count("m"), f.count("n"), f.count("k"), groups, f.dtype("a"),
                              f.dtype("b"), f.dtype("c")}},
                        time,
                        repeats});
    } else if (kind == "attention") {
        using Forms = std::vector<std::pair<std::string, AttentionForm>>;
        using Phases = std::vector<std::pair<std::string, Phase>>;
        Attention a;
        a.form = named("form", Forms{{"mla_absorbed", AttentionForm::mla_absorbed},
                                     {"gqa", AttentionForm::gqa}});
        a.phase = named("phase", Phases{{"prefill", Phase::prefill}, {"decode", Phase::decode}});
        a.batch = f.count("batch");
        a.query = f.count("query");
        a.context = f.count("context");
        a.heads = f.count("heads");
        a.kv_heads = f.count("kv_heads");
        a.head_dim_qk = f.count("head_dim_qk");
        a.head_dim_v = f.count("head_dim_v");
        a.compute = f.dtype("a");
        a.kv = f.dtype("b");
        rows.push_back({0, {a}, time, repeats});
    } else {
        f.fail("kind", "gemm or attention was expected");
    }
}

}  // namespace

void register_table_adapters(Registry<TableAdapter>& adapters) {
    adapters.add("aiconfigurator_gemm",
                 "NVIDIA aiconfigurator's dense products; FP8 ones quantise their input first",
                 aiconfigurator_gemm);
    adapters.add("aiconfigurator_context_attention",
                 "NVIDIA aiconfigurator's causal attention of prompts",
                 aiconfigurator_context_attention);
    adapters.add("aiconfigurator_generation_attention",
                 "NVIDIA aiconfigurator's attention of one new token over a cache",
                 aiconfigurator_generation_attention);
    adapters.add("aiconfigurator_generation_mla",
                 "NVIDIA aiconfigurator's latent attention of one new token (rank 512 + 64)",
                 aiconfigurator_generation_mla);
    adapters.add("aiconfigurator_moe",
                 "NVIDIA aiconfigurator's expert layers of a rank, balanced or by a power law",
                 aiconfigurator_moe);
    adapters.add("infersim_gemm", "InferSim's dense FP8 products on H800", infersim_gemm);
    adapters.add("infersim_grouped_gemm",
                 "InferSim's grouped FP8 products on H800, two kernels a row",
                 infersim_grouped_gemm);
    adapters.add("infersim_mla_decode",
                 "InferSim's latent attention in decode; column `heads` to be given",
                 infersim_mla_decode);
    adapters.add("infersim_mha_decode",
                 "InferSim's grouped-query attention in decode; heads, kv_heads and head_dim to be "
                 "given",
                 infersim_mha_decode);
    adapters.add("deepgemm_950dt", "DeepGEMM-Ascend's dense and grouped products on 950DT",
                 deepgemm_950dt);
    adapters.add("llmcompass_matmul", "LLMCompass's FP16 products, launched eagerly",
                 llmcompass_matmul);
    adapters.add("vidur_layers", "vidur's products of a transformer layer, medians, four a row",
                 vidur_layers);
    adapters.add("podsim",
                 "a table of your own: kind, shape columns, formats a b c, latency_us "
                 "(docs/calibration.md)",
                 own_table);
    register_sparse_adapters(adapters);
}

}  // namespace podsim

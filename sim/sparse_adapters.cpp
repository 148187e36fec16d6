// Tables of sparse, compressed and linear attention and of hyper-connections: single kernels, and
// modules of a framework that hold a whole attention block. A module is a list of operators, built
// here from the published layer: what it costs is their sum and the habits of the module.
#include <algorithm>
#include <cmath>

#include "sim/kernel_table.hpp"

namespace podsim {

namespace {

constexpr double us = 1e-6, ms = 1e-3;

double real(long count) {
    return static_cast<double>(count);
}

Seconds time_of(const TableFields& f, const char* column, double unit) {
    return Seconds(f.number(column) * unit);
}

long tokens_before(const TableFields& f) {
    return std::lround(f.number("step"));
}

// Of the layer as published (DeepSeek-V4-Flash and -Pro, config.json): one shared key-value head of
// 512 elements, a window of 128 tokens, an indexer of 64 heads of 128.
struct V4Layer {
    long hidden = 0, query_rank = 0, output_groups = 0, output_rank = 1024, selected = 0;
    static constexpr long head = 512, window = 128, index_heads = 64, index_head = 128;
};

V4Layer v4_layer(const TableFields& f) {
    const std::string& model = f.text("model");
    if (model.find("V4-Flash") != std::string::npos) return {4096, 1024, 8, 1024, 512};
    if (model.find("V4-Pro") != std::string::npos) return {7168, 1536, 16, 1024, 1024};
    f.fail("model", "DeepSeek-V4-Flash or -Pro was expected");
}

Attention v4_attention(const TableFields& f, const V4Layer& layer, Phase phase) {
    Attention a;
    a.form = AttentionForm::mla_absorbed;
    a.phase = phase;
    a.batch = f.count("batch_size");
    a.query = f.count("isl");
    a.context = a.query + tokens_before(f);
    a.heads = f.count("num_heads");
    a.kv_heads = 1;
    a.head_dim_qk = a.head_dim_v = V4Layer::head;
    a.kv = f.dtype("kv_cache_dtype");
    a.compression = f.count("compress_ratio");
    a.selected = a.compression == 4 ? layer.selected : 0;
    a.window = V4Layer::window;
    return a;
}

// The core alone. One new token goes through the decode kernel, more through the one of prompts,
// which gathers each sequence's cache first.
void aiconfigurator_v4_attention(const TableFields& f, std::vector<KernelRow>& rows) {
    const Phase phase = f.count("isl") == 1 ? Phase::decode : Phase::prefill;
    rows.push_back({0, {v4_attention(f, v4_layer(f), phase)}, time_of(f, "latency", ms)});
}

// The collector packs batch x isl queries into one sequence behind `step` tokens (its source,
// 2026): a cache that all of them share, causal, one key in four tokens.
void aiconfigurator_paged_mqa_logits(const TableFields& f, std::vector<KernelRow>& rows) {
    IndexScores s;
    s.phase = Phase::prefill;
    s.batch = 1;
    s.query = f.count("batch_size") * f.count("isl");
    s.context = s.query + tokens_before(f);
    s.compression = f.count("compress_ratio");
    s.heads = V4Layer::index_heads;
    s.head_dim = V4Layer::index_head;
    s.compute = s.keys = DType::fp8;
    rows.push_back({0, {s}, time_of(f, "latency", ms)});
}

// The choice of the best entries of each query: every visible score read once, the chosen written,
// all slots of each query, filled or not. A query is a row.
VectorWork choice(const IndexScores& s, long selected) {
    const double pairs = real(s.batch) * visible_pairs(s), queries = real(s.batch) * real(s.query);
    return {"top_k",   std::max(queries, pairs),     1,
            4 * pairs, 4 * queries * real(selected), s.batch * s.query};
}

void aiconfigurator_top_k(const TableFields& f, std::vector<KernelRow>& rows) {
    IndexScores s;
    s.phase = Phase::prefill;
    s.batch = f.count("batch_size");
    s.query = f.count("isl");
    s.context = s.query + tokens_before(f);
    s.compression = f.count("compress_ratio");
    const long selected = s.compression == 1 ? 2048 : v4_layer(f).selected;
    rows.push_back({0, {choice(s, selected)}, time_of(f, "latency", ms)});
}

// One row times all sites of a layer: around attention, and around the feed-forward.
void aiconfigurator_mhc(const TableFields& f, std::vector<KernelRow>& rows) {
    const bool in = f.text("op_name") == "pre";
    if (!in && f.text("op_name") != "post") f.fail("op_name", "pre or post was expected");
    StreamMix m;
    m.side = in ? StreamSide::mix_in : StreamSide::mix_out;
    m.tokens = f.count("num_tokens");
    m.streams = f.count("hc_mult");
    m.hidden = f.count("hidden_size");
    m.iterations = in ? f.count("sinkhorn_iters") : 0;
    const auto sites = static_cast<std::size_t>(f.count("num_sites"));
    rows.push_back({0, std::vector<OperatorBody>(sites, m), time_of(f, "latency", ms)});
}

// Prompts start from no state and keep none; decode reads a state of 16 bits and writes one of 32
// (the collector's source, 2026). The convolution runs over the channels of the keys alone, its
// work in blocks of 512 tokens of a sequence.
void aiconfigurator_gdn(const TableFields& f, std::vector<KernelRow>& rows) {
    const std::string& kernel = f.text("kernel_source");
    const long batch = f.count("batch_size"), query = f.count("seq_len");
    const Seconds time = time_of(f, "latency", ms);
    const bool prompt = f.text("phase") == "context";
    if (kernel == "chunk_gated_delta_rule" || kernel == "fused_recurrent_gated_delta_rule") {
        DeltaRule d;
        d.phase = prompt ? Phase::prefill : Phase::decode;
        d.batch = batch;
        d.query = query;
        d.key_heads = f.count("num_k_heads");
        d.value_heads = f.count("num_v_heads");
        d.key_dim = f.count("head_k_dim");
        d.value_dim = f.count("head_v_dim");
        d.state_read = prompt ? 0 : 2;
        d.state_written = prompt ? 0 : 4;
        rows.push_back({0, {d}, time});
        return;
    }
    const double channels = real(f.count("num_k_heads") * f.count("head_k_dim"));
    const double taps = real(f.count("d_conv")), kept = real(batch) * channels * (taps - 1);
    const double elements = real(batch * query) * channels;
    constexpr long block = 512;
    const long worked_on = prompt ? (query + block - 1) / block * block : query;
    rows.push_back({0,
                    {VectorWork{prompt ? "causal_conv1d" : "causal_conv1d_update",
                                real(batch * worked_on) * channels, 2 * taps, 2 * (elements + kept),
                                2 * (elements + kept)}},
                    time});
}

Attention v32_attention(long batch, long query, long context, long heads, DType kv, Phase phase) {
    Attention a;
    a.form = AttentionForm::mla_absorbed;
    a.phase = phase;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = heads;
    a.kv_heads = 1;
    a.head_dim_qk = 576;
    a.head_dim_v = 512;
    a.kv = kv;
    a.selected = 2048;
    return a;
}

IndexScores v32_scores(long batch, long query, long context, long heads, Phase phase) {
    IndexScores s;
    s.phase = phase;
    s.batch = batch;
    s.query = query;
    s.context = context;
    s.heads = heads;
    s.head_dim = 128;
    s.compute = s.keys = DType::fp8;
    return s;
}

void infersim_dsa_decode(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back({0,
                    {v32_attention(f.count("batch_size"), 1, f.count("kv_len"), 128,
                                   f.dtype("kv_dtype"), Phase::decode)},
                    time_of(f, "latency_us", us)});
}

void infersim_dsa_prefill(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back(
        {0,
         {v32_attention(1, f.count("s_q"), f.count("s_kv"), 128, f.dtype("dtype"), Phase::prefill)},
         time_of(f, "latency_us", us)});
}

void infersim_index_decode(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back(
        {0,
         {v32_scores(f.count("batchsize"), f.count("next_n"), f.count("s_kv"), 64, Phase::decode)},
         time_of(f, "latency_us", us)});
}

void infersim_index_prefill(const TableFields& f, std::vector<KernelRow>& rows) {
    rows.push_back({0,
                    {v32_scores(1, f.count("s_q"), f.count("s_kv"), 64, Phase::prefill)},
                    time_of(f, "latency_us", us)});
}

// Operators of a module that runs products in `weights` on activations that are BF16 between them.
class Block {
  public:
    Block(long tokens, DType weights) : tokens_(tokens), weights_(weights) {}

    // A product with weights; narrow ones quantise their input first, unless it is quantised.
    void product(long n, long k, bool quantised = false) {
        if (narrow() && !quantised) quantise(k);
        add(Gemm{tokens_, n, k, 1, weights_, weights_, DType::bf16});
    }
    void plain_product(long n, long k) { add(Gemm{tokens_, n, k}); }
    // Of each head or group its own.
    void batched(long groups, long n, long k, DType format) {
        add(Gemm{tokens_, n, k, groups, format, format, DType::bf16});
    }
    void quantise(long elements) { vector("quantise", elements, 4, 2, bytes_of(weights_)); }
    void norm(long elements) { vector("rms_norm", elements, 4, 2, 2); }
    // Turned by position; `written` bytes an element.
    void rotary(long elements, double written = 2) { vector("rotary", elements, 4, 2, written); }
    void add(OperatorBody body) { operators_.push_back(std::move(body)); }
    void vector(const char* op, long width, double flops, double read, double written) {
        const double elements = real(tokens_) * real(width);
        add(VectorWork{op, elements, flops, read * elements, written * elements});
    }
    bool narrow() const { return bytes_of(weights_) <= 1; }
    long tokens() const { return tokens_; }
    DType weights() const { return weights_; }
    std::vector<OperatorBody> take() { return std::move(operators_); }

  private:
    long tokens_;
    DType weights_;
    std::vector<OperatorBody> operators_;
};

// DeepSeek-V4's attention block: down-projections, compressor, indexer (one entry in four tokens),
// query up-projection, core, grouped low-rank output. Heads and groups are those of the rank.
void v4_module(const TableFields& f, std::vector<KernelRow>& rows, bool context) {
    const V4Layer layer = v4_layer(f);
    Attention core = v4_attention(f, layer, f.count("isl") == 1 ? Phase::decode : Phase::prefill);
    if (!context) core.context = tokens_before(f) + 1;
    const long head = V4Layer::head, queries = core.heads * head;
    const long groups = std::max(1L, layer.output_groups / f.count("tp_size"));
    const bool indexed = core.compression == 4;
    const long streams = indexed ? 2 : 1;  // overlapping windows of the compressor
    Block block(core.batch * core.query, f.dtype("gemm_type"));
    block.product(layer.query_rank + head, layer.hidden);
    block.plain_product(2 * streams * head, layer.hidden);  // entry and gate
    block.vector("compress", 2 * streams * head, 4, 2, 0.5);
    if (indexed) {
        IndexScores s;
        s.phase = core.phase;
        s.batch = core.batch;
        s.query = core.query;
        s.context = core.context;
        s.compression = core.compression;
        s.heads = V4Layer::index_heads;
        s.head_dim = V4Layer::index_head;
        s.compute = s.keys = DType::fp8;
        block.plain_product(2 * streams * V4Layer::index_head, layer.hidden);
        block.vector("compress", 2 * streams * V4Layer::index_head, 4, 2, 0.5);
        block.plain_product(s.heads, layer.hidden);
        block.product(s.heads * s.head_dim, layer.query_rank);
        block.rotary(s.heads * s.head_dim, 1);
        block.add(s);
        block.add(choice(s, layer.selected));
    }
    block.norm(layer.query_rank + head);
    block.product(queries, layer.query_rank);
    block.rotary(queries);
    block.rotary(head, 1);
    block.rotary(queries, block.narrow() ? 1 : 2);  // back, and quantised for the output
    block.batched(groups, layer.output_rank, queries / groups, block.weights());
    block.product(layer.hidden, groups * layer.output_rank);
    block.add(core);
    rows.push_back({0, block.take(), time_of(f, "latency", ms), {}, f.text("op_name")});
}

struct LatentLayer {
    long hidden = 0, query_rank = 0, nope = 0, value = 0, index_heads = 0;
    static constexpr long rank = 512, rope = 64, selected = 2048;
};

LatentLayer latent_layer(const TableFields& f) {
    const std::string& model = f.text("model");
    if (model.find("V3.2") != std::string::npos) return {7168, 1536, 128, 128, 64};
    if (model.find("GLM-5") != std::string::npos) return {6144, 2048, 192, 256, 32};
    f.fail("model", "DeepSeek-V3.2 or GLM-5 was expected");
}

// Latent attention with an indexer (DeepSeek-V3.2, GLM-5): absorbed products in BF16 around a core
// that reads 2,048 chosen entries.
void dsa_module(const TableFields& f, std::vector<KernelRow>& rows, bool context) {
    const LatentLayer layer = latent_layer(f);
    const long heads = f.count("num_heads"), query = context ? f.count("isl") : 1;
    const long batch = f.count("batch_size");
    const long seen = tokens_before(f) + (context ? query : 1);
    const Phase phase = context ? Phase::prefill : Phase::decode;
    const long latent = LatentLayer::rank + LatentLayer::rope;
    Block block(batch * query, f.dtype("gemm_type"));
    block.product(layer.query_rank + latent, layer.hidden);
    block.norm(layer.query_rank + LatentLayer::rank);
    block.product(heads * (layer.nope + LatentLayer::rope), layer.query_rank);
    // The indexer.
    const IndexScores s = v32_scores(batch, query, seen, layer.index_heads, phase);
    block.product(s.heads * s.head_dim, layer.query_rank, true);
    block.product(s.head_dim, layer.hidden, true);
    block.plain_product(s.heads, layer.hidden);
    block.norm(s.head_dim);
    block.rotary((s.heads + 1) * s.head_dim, 1);
    block.add(s);
    block.add(choice(s, LatentLayer::selected));
    // The core between its absorbed products.
    block.rotary((heads + 1) * LatentLayer::rope);
    block.batched(heads, LatentLayer::rank, layer.nope, DType::bf16);
    block.vector("concatenate", heads * latent, 0, 2, 2);
    block.batched(heads, layer.value, LatentLayer::rank, DType::bf16);
    block.product(layer.hidden, heads * layer.value);
    // Few heads over an FP8 cache take the kernel of decode for prompts too (vLLM 0.24.0).
    const DType cache = f.dtype("kv_cache_dtype");
    const Phase kernel = bytes_of(cache) <= 1 && heads < 32 ? Phase::decode : phase;
    const Attention core = v32_attention(batch, query, seen, heads, cache, kernel);
    block.add(core);
    rows.push_back({0, block.take(), time_of(f, "latency", ms), {}, f.text("op_name")});
}

}  // namespace

void register_sparse_adapters(Registry<TableAdapter>& adapters) {
    adapters.add("aiconfigurator_v4_attention",
                 "NVIDIA aiconfigurator's compressed attention of DeepSeek-V4, the core alone",
                 aiconfigurator_v4_attention);
    adapters.add("aiconfigurator_paged_mqa_logits",
                 "NVIDIA aiconfigurator's scores of DeepSeek-V4's indexer",
                 aiconfigurator_paged_mqa_logits);
    adapters.add("aiconfigurator_top_k", "NVIDIA aiconfigurator's choice of the best entries",
                 aiconfigurator_top_k);
    adapters.add("aiconfigurator_mhc", "NVIDIA aiconfigurator's hyper-connections, in and out",
                 aiconfigurator_mhc);
    adapters.add("aiconfigurator_gdn",
                 "NVIDIA aiconfigurator's gated delta net: chunks, recurrence, convolution",
                 aiconfigurator_gdn);
    adapters.add("aiconfigurator_v4_context",
                 "NVIDIA aiconfigurator's DeepSeek-V4 block of prompts",
                 [](const TableFields& f, auto& rows) { v4_module(f, rows, true); });
    adapters.add("aiconfigurator_v4_generation",
                 "NVIDIA aiconfigurator's DeepSeek-V4 block of one new token",
                 [](const TableFields& f, auto& rows) { v4_module(f, rows, false); });
    adapters.add("aiconfigurator_dsa_context",
                 "NVIDIA aiconfigurator's block of sparse latent attention, of prompts",
                 [](const TableFields& f, auto& rows) { dsa_module(f, rows, true); });
    adapters.add("aiconfigurator_dsa_generation",
                 "NVIDIA aiconfigurator's block of sparse latent attention, of one new token",
                 [](const TableFields& f, auto& rows) { dsa_module(f, rows, false); });
    adapters.add("infersim_dsa_decode", "InferSim's sparse latent attention in decode, 128 heads",
                 infersim_dsa_decode);
    adapters.add("infersim_dsa_prefill", "InferSim's sparse latent attention of prompts, 128 heads",
                 infersim_dsa_prefill);
    adapters.add("infersim_index_decode", "InferSim's index scores in decode, 64 heads of 128",
                 infersim_index_decode);
    adapters.add("infersim_index_prefill", "InferSim's index scores of prompts, 64 heads of 128",
                 infersim_index_prefill);
}

}  // namespace podsim

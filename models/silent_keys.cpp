#include "models/silent_keys.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace podsim {

bool says_nothing(const std::string& key) {
    static constexpr std::array<std::string_view, 9> ends = {
        "_token_id", "_token_index", "_dropout", "_eps",  "_loss_coef",
        "_dtype",    "_per_image",   "_seq",     "_range"};
    static constexpr std::array<std::string_view, 3> begins = {"rope_", "_", "compress_rope"};
    static constexpr std::array<std::string_view, 60> whole = {"source",
                                                               "published",
                                                               "title",
                                                               "architectures",
                                                               "auto_map",
                                                               "aux_loss_alpha",
                                                               "dtype",
                                                               "ep_size",
                                                               "final_logit_softcapping",
                                                               "hidden_act",
                                                               "hidden_activation",
                                                               "indexer_rope_interleave",
                                                               "initial_context_length",
                                                               "max_window_layers",
                                                               "norm_expert_weight",
                                                               "norm_topk_prob",
                                                               "num_key_value_heads",
                                                               "output_router_logits",
                                                               "pretraining_tp",
                                                               "qk_head_dim",
                                                               "rotary_dim",
                                                               "routed_scaling_factor",
                                                               "scoring_func",
                                                               "seq_aux",
                                                               "swiglu_limit",
                                                               "topk_method",
                                                               "transformers_version",
                                                               "use_bidirectional_attention",
                                                               "use_cache",
                                                               "use_mtp",
                                                               "vision_config",
                                                               "audio_config",
                                                               "text_config",
                                                               "router_aux_loss",
                                                               "bos_token",
                                                               "eos_token",
                                                               "tokenizer_class",
                                                               "torch_dtype",
                                                               "n_ctx",
                                                               "summary_type",
                                                               "gradient_checkpointing",
                                                               "use_return_dict",
                                                               "is_decoder",
                                                               "id2label",
                                                               "label2id",
                                                               "chunk_size_feed_forward",
                                                               "return_dict",
                                                               "output_attentions",
                                                               "output_hidden_states",
                                                               "pruned_heads",
                                                               "name_or_path",
                                                               "max_length",
                                                               "resid_pdrop",
                                                               "embd_pdrop",
                                                               "attn_pdrop",
                                                               "partial_rotary_factor",
                                                               "mamba_ssm_dtype",
                                                               "vocab_size_per_layer_input",
                                                               "quantization_config",
                                                               "model_type"};
    const std::string_view view = key;
    return std::any_of(begins.begin(), begins.end(),
                       [view](std::string_view part) { return view.starts_with(part); }) ||
           std::any_of(ends.begin(), ends.end(),
                       [view](std::string_view part) { return view.ends_with(part); }) ||
           std::find(whole.begin(), whole.end(), view) != whole.end();
}

}  // namespace podsim

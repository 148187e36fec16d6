// Which steps do not work out, and what would.
#include <fmt/format.h>

#include <algorithm>

#include "models/sizes.hpp"
#include "workloads/pipeline.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

void require_stages(const StepSpec& spec) {
    const int stages = spec.mapping.pipeline_parallel;
    if (stages < 1) {
        throw StepError("mapping.pipeline_parallel",
                        fmt::format("is {}, expected at least 1", stages));
    }
    if (stages == 1) return;
    if (stages > layer_count(spec.model)) {
        throw StepError(
            "mapping.pipeline_parallel",
            fmt::format("is {}: {} has {} layers and each stage needs one, expected "
                        "at most {}",
                        stages, spec.model.name, layer_count(spec.model), layer_count(spec.model)));
    }
    if (spec.mapping.micro_batches > 1) {
        throw StepError("mapping.micro_batches",
                        fmt::format("is {}: pipeline_parallel {} already cuts the step into "
                                    "batches, one for each stage; expected 1",
                                    spec.mapping.micro_batches, stages));
    }
    if (spec.sequences_per_group < stages) {
        throw StepError(
            "mapping.pipeline_parallel",
            fmt::format("is {} with {} sequence{} a group: each stage works on a batch of its own, "
                        "expected at most {}, or a batch of {} sequences a group",
                        stages, spec.sequences_per_group, spec.sequences_per_group == 1 ? "" : "s",
                        spec.sequences_per_group, stages));
    }
}

void require_degrees(const StepSpec& spec) {
    const auto& m = spec.mapping;
    const auto at_least_one = [](const char* key, long value) {
        if (value < 1) throw StepError(key, fmt::format("is {}, expected at least 1", value));
    };
    at_least_one("mapping.data_parallel", m.data_parallel);
    at_least_one("mapping.tensor_parallel", m.tensor_parallel);
    at_least_one("mapping.expert_parallel", m.expert_parallel);
    at_least_one("mapping.micro_batches", m.micro_batches);
    at_least_one("mapping.head_parallel", m.head_parallel);
    at_least_one("mapping.pipeline_parallel", m.pipeline_parallel);
    at_least_one("mapping.context_parallel", m.context_parallel());
}

void require_shared_heads(const StepSpec& spec) {
    const auto& m = spec.mapping;
    const int groups = m.data_parallel * m.context_parallel();
    if (groups % m.head_parallel != 0) {
        throw StepError("mapping.head_parallel",
                        fmt::format("{} does not divide the {} {}-parallel groups", m.head_parallel,
                                    groups, m.context_parallel() > 1 ? "tensor" : "data"));
    }
}

void require_expert_groups(const StepSpec& spec) {
    const auto& m = spec.mapping;
    if (m.stage_ranks() % m.expert_parallel != 0) {
        throw StepError(
            "mapping.expert_parallel",
            fmt::format("{} does not divide the {} ranks of data_parallel {} x "
                        "tensor_parallel {}{}{}",
                        m.expert_parallel, m.stage_ranks(), m.data_parallel, m.tensor_parallel,
                        m.context_parallel() > 1
                            ? fmt::format(" x context_parallel {}", m.context_parallel())
                            : "",
                        m.pipeline_parallel > 1 ? ", which are a pipeline stage" : ""));
    }
}

void require_heads_divide(const StepSpec& spec) {
    const std::string problem = division_problem(spec.model, spec.mapping.tensor_parallel);
    if (!problem.empty()) throw StepError("mapping.tensor_parallel", problem);
}

void require_shared_ranks(const StepSpec& spec) {
    const auto& m = spec.mapping;
    if (spec.experts.shared_ranks % m.tensor_parallel != 0) {
        throw StepError(
            "experts.shared_ranks",
            fmt::format("is {}: a tensor-parallel group of {} ranks would hold both "
                        "shared and routed experts, expected a multiple of {}",
                        spec.experts.shared_ranks, m.tensor_parallel, m.tensor_parallel));
    }
    if (spec.experts.shared_ranks > 0 && m.expert_parallel % m.tensor_parallel != 0) {
        throw StepError("mapping.expert_parallel",
                        fmt::format("is {}: with ranks for the shared expert a multiple of "
                                    "tensor_parallel {} is expected",
                                    m.expert_parallel, m.tensor_parallel));
    }
}

void require_gather(const StepSpec& spec) {
    const auto& m = spec.mapping;
    if (spec.experts.exchange == ExpertExchange::fused) {
        throw StepError("experts.exchange",
                        "is fused: that is of one expert layer by itself; a step's engine says "
                        "expert_parts");
    }
    if (spec.experts.exchange == ExpertExchange::gather) {
        if (spec.experts.shared_ranks > 0) {
            throw StepError("experts.shared_ranks",
                            fmt::format("is {}: with exchange gather every rank has all tokens, "
                                        "expected 0",
                                        spec.experts.shared_ranks));
        }
        if (m.tensor_parallel > 1 && m.expert_parallel != m.tensor_parallel) {
            throw StepError("experts.exchange",
                            fmt::format("is gather: with tensor_parallel {} the experts are "
                                        "spread over just that group, but expert_parallel is {}",
                                        m.tensor_parallel, m.expert_parallel));
        }
        if (m.tensor_parallel > 1 && m.attention == AttentionSplit::sp_tp_sp) {
            throw StepError("experts.exchange",
                            "is gather: attention sp-tp-sp divides the tokens of a group, "
                            "expected attention tp or all_to_all");
        }
    }
}

void require_shared_widths(const StepSpec& spec) {
    const int ranks = spec.experts.tensor_parallel;
    const auto refuse = [&](const std::string& why) {
        throw StepError("experts.tensor_parallel", fmt::format("is {}: {}", ranks, why));
    };
    if (ranks < 1) refuse("expected at least 1");
    if (ranks == 1) return;
    if (!has_experts(spec.model)) refuse(spec.model.name + " has no experts");
    if (spec.experts.exchange != ExpertExchange::gather)
        refuse("ranks that share an expert's width all have its tokens, expected exchange gather");
    if (spec.mapping.expert_parallel % ranks != 0)
        refuse(
            fmt::format("expected a divisor of expert_parallel {}", spec.mapping.expert_parallel));
    if (spec.model.expert_intermediate % ranks != 0)
        refuse(fmt::format("the experts of {} are {} wide, expected a divisor of that",
                           spec.model.name, spec.model.expert_intermediate));
}

void require_offload(const StepSpec& spec) {
    const ExpertOffload& offload = spec.experts.offload;
    if (!offload.is_used()) return;
    if (!has_experts(spec.model))
        throw StepError("experts.offload", "of " + spec.model.name + ", which has no experts");
    if (spec.mapping.micro_batches > 1)
        throw StepError("experts.offload",
                        fmt::format("beside {} micro_batches: each would fetch the same experts "
                                    "anew, expected 1",
                                    spec.mapping.micro_batches));
    if (spec.engine.expert_parts > 1)
        throw StepError("experts.offload",
                        fmt::format("with engine {}, whose experts are one kernel with their "
                                    "exchange: expected an engine without expert_parts",
                                    spec.engine.name));
    if (offload.to == OffloadPlace::ssd && !spec.model.engram.layers.empty())
        throw StepError("experts.offload",
                        fmt::format("to ssd: {} reads tables over the same link, expected host",
                                    spec.model.name));
}

void require_micro_batches(const StepSpec& spec) {
    const auto& m = spec.mapping;
    if (m.micro_batches > 2) {
        throw StepError(
            "mapping.micro_batches",
            fmt::format("is {}: engines cut a step into 1 or 2 parts", m.micro_batches));
    }
    if (spec.sequences_per_group < m.micro_batches) {
        throw StepError("mapping.micro_batches",
                        fmt::format("is {} with {} sequence{} a group: each part needs at least "
                                    "one",
                                    m.micro_batches, spec.sequences_per_group,
                                    spec.sequences_per_group == 1 ? "" : "s"));
    }
}

void require_tables(const StepSpec& spec) {
    if (spec.mapping.engram_tables == TablePlace::host || !spec.model.engram.layers.empty()) return;
    throw StepError("mapping.engram_tables",
                    fmt::format("is pool: {} has no conditional memory", spec.model.name));
}

void require_split_attention(const StepSpec& spec) {
    const auto& m = spec.mapping;
    if (m.attention == AttentionSplit::sp_tp_sp && m.tensor_parallel == 1) {
        throw StepError("mapping.attention",
                        "is sp-tp-sp, which divides tokens over a tensor-parallel group: "
                        "tensor_parallel is 1, expected more");
    }
    const auto* latent = sole_attention<LatentAttention>(spec.model);
    if (m.attention == AttentionSplit::sp_tp_sp &&
        (latent == nullptr || latent->indexer.heads > 0)) {
        throw StepError("mapping.attention",
                        fmt::format("is sp-tp-sp: {} has no latent attention over the whole "
                                    "context in all its layers, expected tp",
                                    spec.model.name));
    }
}

void require_shared_sequences(const StepSpec& spec) {
    const auto& m = spec.mapping;
    const int ranks = m.context_parallel();
    if (ranks == 1) return;
    const auto refuse = [&](const std::string& why, const char* expected) {
        throw StepError("mapping.context_parallel",
                        fmt::format("is {}: {}, expected {}", ranks, why, expected));
    };
    if (m.attention == AttentionSplit::sp_tp_sp)
        refuse("attention sp-tp-sp already divides the tokens of a group", "attention tp");
    if (spec.images) refuse("images of a prompt are not divided", "1");
    const bool by_heads = m.context.context_exchange == ContextExchange::all_to_all;
    const auto look = [&](const ModelSpec& model) {
        const auto problem = [&](ContextCut cut) {
            return context_problem(model, spec.phase, m.tensor_parallel, ranks, cut);
        };
        const std::string why = problem(by_heads ? ContextCut::heads : ContextCut::queries);
        if (why.empty()) return;
        refuse(why,
               problem(ContextCut::queries).empty() ? "context_exchange ring or all_gather" : "1");
    };
    look(spec.model);
    if (spec.speculation.draft) look(*spec.speculation.draft);
}

void require_lengths(const StepSpec& spec) {
    if (spec.phase == Phase::prefill) {
        if (spec.prompt < 1 || spec.prompt > spec.context) {
            throw StepError("prompt", fmt::format("{} of {} tokens are to be computed, expected "
                                                  "at least one and at most all",
                                                  spec.prompt, spec.context));
        }
    } else if (spec.context < 1 + spec.speculation.draft_tokens) {
        throw StepError("context",
                        fmt::format("of {} tokens is shorter than the {} query tokens of a step",
                                    spec.context, 1 + spec.speculation.draft_tokens));
    }
}

void require_drafts(const StepSpec& spec) {
    if (const ModelSpec* draft = spec.speculation.draft.get()) {
        if (has_experts(*draft) || !draft->engram.layers.empty()) {
            throw StepError("speculation.draft_model",
                            fmt::format("{} has experts or conditional memory: a draft model is "
                                        "dense",
                                        draft->name));
        }
        if (spec.mapping.attention == AttentionSplit::sp_tp_sp) {
            throw StepError("speculation.draft_model",
                            "beside attention sp-tp-sp, expected attention tp");
        }
        return;
    }
    if (spec.speculation.draft_tokens > 0 && spec.model.draft_layers == 0) {
        throw StepError("speculation.draft_tokens",
                        fmt::format("is {}: {} has no draft (multi-token-prediction) module",
                                    spec.speculation.draft_tokens, spec.model.name));
    }
}

void require_layout(const StepSpec& spec) {
    (void)expert_layout(spec);
}

// Whether `check` has nothing to say; what it says is kept.
bool passes(const StepSpec& spec, void (*check)(const StepSpec&),
            std::vector<StepError>& problems) {
    try {
        check(spec);
        return true;
    } catch (const StepError& problem) {
        problems.push_back(problem);
        return false;
    }
}

}  // namespace

std::vector<StepError> step_problems(const StepSpec& spec) {
    std::vector<StepError> problems;
    // The others divide by these.
    if (!passes(spec, require_degrees, problems)) return problems;
    for (const auto check :
         {require_shared_heads, require_stages, require_expert_groups, require_heads_divide,
          require_shared_ranks, require_gather, require_shared_widths, require_offload,
          require_micro_batches, require_split_attention, require_shared_sequences, require_lengths,
          require_tables, require_drafts})
        passes(spec, check, problems);
    // Experts are laid over the ranks of a group, which have to be right.
    const bool groups = std::none_of(problems.begin(), problems.end(), [](const auto& problem) {
        return problem.key == "mapping.expert_parallel" || problem.key == "experts.shared_ranks" ||
               problem.key == "experts.tensor_parallel" ||
               problem.key == "mapping.pipeline_parallel";
    });
    if (groups) passes(spec, require_layout, problems);
    return problems;
}

void require_consistent(const StepSpec& spec) {
    const std::vector<StepError> problems = step_problems(spec);
    if (!problems.empty()) throw StepError(problems.front());
}

}  // namespace podsim

#include "app/model_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;
using Models = std::vector<ShownModel>;
using CellOf = std::function<std::string(const ShownModel&)>;

constexpr std::size_t kAbreast = 4;
constexpr std::size_t kLabel = 32;
constexpr const char* kNothing = "";  // a row where no model has anything is left out

// 4096 -> "4K", 1048576 -> "1M".
std::string short_tokens(long tokens) {
    constexpr long kilo = 1L << 10, mega = 1L << 20;
    if (tokens % mega == 0) return fmt::format("{}M", tokens / mega);
    return tokens % kilo == 0 ? fmt::format("{}K", tokens / kilo) : fmt::format("{}", tokens);
}

// 163840 -> "163,840".
std::string grouped(long value) {
    std::string text = std::to_string(value);
    for (auto at = static_cast<int>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<std::size_t>(at), ",");
    return text;
}

std::string billions(double parameters) {
    return parameters == 0 ? kNothing : significant(parameters * 1e-9);
}

// "671 (+0.005 %)": what is published, and by how much our count is more.
std::string beside_published(const std::optional<double>& published, double counted) {
    if (!published) return kNothing;
    return fmt::format("{:.6g} ({:+.1f} %)", *published * 1e-9, (counted / *published - 1) * 100);
}

class Table {
  public:
    explicit Table(const Models& models)
        : models_(models),
          table_(kLabel, std::min<std::size_t>(20, (kTerminalWidth - kLabel) / models.size() - 1)) {
        row("", [](const ShownModel& model) { return model.name; });
    }

    void section(const std::string& title) { title_ = title; }

    void row(const std::string& label, const CellOf& cell_of) {
        std::vector<std::string> cells;
        for (const ShownModel& model : models_) cells.push_back(cell_of(model));
        const auto is_empty = [](const std::string& cell) { return cell.empty(); };
        if (std::all_of(cells.begin(), cells.end(), is_empty)) return;
        for (std::string& cell : cells) {
            if (cell.empty()) cell = "-";
        }
        if (!title_.empty()) table_.line(title_);
        title_.clear();
        table_.row(label, cells);
    }

    // A row for each context; what no model was made for has none.
    void at_contexts(const std::string& what,
                     const std::function<double(const ContextFigures&)>& value) {
        for (std::size_t i = 0; i < models_.front().figures.contexts.size(); ++i) {
            const long context = models_.front().figures.contexts[i].context;
            row(fmt::format("  {} {}", what, short_tokens(context)), [&](const ShownModel& model) {
                const ContextFigures& figures = model.figures.contexts[i];
                return figures.beyond ? kNothing : significant(value(figures));
            });
        }
    }

    const std::string& text() const { return table_.text(); }

  private:
    const Models& models_;
    TextTable table_;
    std::string title_;
};

void add_parameters(Table& table) {
    table.section("parameters, billion");
    const auto part = [&](const char* label, double ParameterCount::*member) {
        table.row(label, [member](const ShownModel& model) {
            return billions(model.figures.parameters.*member);
        });
    };
    part("  input embedding", &ParameterCount::embedding);
    table.row("  head", [](const ShownModel& model) {
        return model.spec.tied_embedding ? "tied" : billions(model.figures.parameters.head);
    });
    part("  attention", &ParameterCount::attention);
    part("  dense FFN", &ParameterCount::dense_ffn);
    part("  routed experts", &ParameterCount::routed_experts);
    part("  shared experts", &ParameterCount::shared_experts);
    part("  router", &ParameterCount::router);
    part("  norms", &ParameterCount::norms);
    part("  hyper-connections", &ParameterCount::mixers);
    part("  conditional memory", &ParameterCount::engram);
    part("  its tables", &ParameterCount::tables);
    table.row("  total",
              [](const ShownModel& model) { return billions(model.figures.parameters.total()); });
    table.row("  published (difference)", [](const ShownModel& model) {
        return beside_published(model.published.total, model.figures.parameters.total());
    });
    table.row("  active",
              [](const ShownModel& model) { return billions(model.figures.parameters.active()); });
    table.row("  active, less input embedding", [](const ShownModel& model) {
        return billions(model.figures.parameters.active_without_embedding());
    });
    table.row("  published (difference)", [](const ShownModel& model) {
        return beside_published(model.published.active,
                                model.figures.parameters.active_without_embedding());
    });
    part("  MTP modules, apart", &ParameterCount::draft);
}

constexpr ImageSize kShownImage{896, 896};

void add_tower(Table& table) {
    const auto row = [&](const char* label, auto&& value) {
        table.row(label, [&](const ShownModel& model) {
            return model.tower ? value(*model.tower) : std::string(kNothing);
        });
    };
    table.section("vision tower, apart; an image of 896 x 896");
    row("  parameters, billion",
        [](const VisionTower& tower) { return billions(count_parameters(tower).total()); });
    row("  tokens in the prompt",
        [](const VisionTower& tower) { return grouped(image_tokens(tower, kShownImage)); });
    row("  work, GFLOP", [](const VisionTower& tower) {
        return significant(vision_flops(tower, kShownImage).value() * 1e-9);
    });
}

void add_cache(Table& table) {
    table.section("cache of one sequence");
    table.row("  a further token, BF16, B", [](const ShownModel& model) {
        return fmt::format("{:.10g}", model.figures.cache_per_token_bf16.value());
    });
    table.row("  a further token, FP8, B", [](const ShownModel& model) {
        return fmt::format("{:.10g}", model.figures.cache_per_token_fp8.value());
    });
    const double giga = 1e-9;
    table.at_contexts("BF16, GB, at",
                      [=](const ContextFigures& at) { return at.cache_bf16.value() * giga; });
    table.at_contexts("FP8, GB, at",
                      [=](const ContextFigures& at) { return at.cache_fp8.value() * giga; });
}

void add_work(Table& table) {
    const double giga = 1e-9;
    table.section("work of a token, GFLOP");
    table.at_contexts("decode at",
                      [=](const ContextFigures& at) { return at.decode_work.value() * giga; });
    table.at_contexts("prefill, mean over",
                      [=](const ContextFigures& at) { return at.prefill_work.value() * giga; });
    table.row("  training, sequence of",
              [](const ShownModel& model) { return grouped(model.figures.training.sequence); });
    table.row("  training", [=](const ShownModel& model) {
        return significant(model.figures.training.work.value() * giga);
    });
    table.row("  training with MTP", [=](const ShownModel& model) {
        return model.spec.draft_layers == 0
                   ? kNothing
                   : significant(model.figures.training.work_with_drafts.value() * giga);
    });
    table.section("decode, one sequence, FLOP/byte");
    table.at_contexts("at", [](const ContextFigures& at) { return at.intensity(); });
}

// "61 layers: 3 x latent attention + dense FFN, 58 x ..."
std::string layers_text(const ShownModel& model) {
    std::string text = fmt::format("{} layers", layer_count(model.spec));
    for (const LayerFigures& layer : model.figures.layers) {
        text +=
            fmt::format("{} {} x [{} + {}]", &layer == &model.figures.layers.front() ? ":" : ",",
                        layer.count, layer.attention, layer.feed_forward);
    }
    if (model.spec.draft_layers > 0) {
        text += fmt::format("; {} MTP module{}", model.spec.draft_layers,
                            model.spec.draft_layers == 1 ? "" : "s");
    }
    return text;
}

std::string notes(const Models& models) {
    std::string text;
    for (const ShownModel& model : models) {
        const auto& contexts = model.figures.contexts;
        const bool beyond =
            std::any_of(contexts.begin(), contexts.end(), [](const auto& at) { return at.beyond; });
        if (!beyond) continue;
        text += hanging("", fmt::format("-: {} was made for contexts up to {} tokens", model.name,
                                        grouped(model.spec.max_context)));
    }
    text += hanging("",
                    "Weights, activations and, unless said, cache in BF16. Work is that of "
                    "products and attention, routed experts those of one token, MTP apart; FLOP "
                    "per byte of weights and cache read. Training: 3 x forward, routers left out.");
    return text;
}

Json json_of(const ParameterCount& count) {
    return {{"input_embedding", count.embedding},
            {"head", count.head},
            {"attention", count.attention},
            {"dense_ffn", count.dense_ffn},
            {"routed_experts", count.routed_experts},
            {"shared_experts", count.shared_experts},
            {"router", count.router},
            {"norms", count.norms},
            {"hyper_connections", count.mixers},
            {"conditional_memory", count.engram},
            {"conditional_memory_tables", count.tables},
            {"draft_modules", count.draft}};
}

Json json_of(const ContextFigures& at) {
    return {{"tokens", at.context},
            {"beyond_max_context", at.beyond},
            {"cache_bytes_bf16", at.cache_bf16.value()},
            {"cache_bytes_fp8", at.cache_fp8.value()},
            {"decode_flop_per_token", at.decode_work.value()},
            {"decode_bytes_per_token", at.decode_bytes.value()},
            {"decode_flop_per_byte", at.intensity()},
            {"prefill_flop_per_token", at.prefill_work.value()}};
}

Json json_of(const LayerFigures& layer) {
    Json operators = Json::array();
    for (const OperatorFigures& op : layer.operators) {
        operators.push_back({{"name", op.name},
                             {"kind", op.kind},
                             {"shape", op.shape},
                             {"flop", op.work.value()},
                             {"bytes", op.bytes.value()}});
    }
    return {{"count", layer.count},
            {"attention", layer.attention},
            {"feed_forward", layer.feed_forward},
            {"operators", std::move(operators)}};
}

Json json_of(const PublishedSize& published, const ParameterCount& count) {
    Json json = Json::object();
    const auto add = [&](const char* name, const std::optional<double>& value, double counted) {
        if (value) json[name] = {{"parameters", *value}, {"difference", counted / *value - 1}};
    };
    add("total", published.total, count.total());
    add("active", published.active, count.active_without_embedding());
    return json;
}

}  // namespace

ShownModel shown_model(const Node& config, const std::string& name, const ModelSpec& spec) {
    ShownModel model{name, spec, figures_of(spec, usual_contexts()), read_published(config), {}};
    try {
        model.tower = read_vision_tower(config, spec);
    } catch (const InputError&) {
        // A tower of another family says nothing of the language model, which is what is shown.
        model.tower = std::nullopt;
    }
    return model;
}

std::string model_table(const std::vector<ShownModel>& models) {
    std::string text;
    for (const ShownModel& model : models) {
        const std::string name = models.size() == 1 ? "" : model.name + ": ";
        text += hanging("", name + model.spec.family + ", " + layers_text(model));
    }
    for (std::size_t begin = 0; begin < models.size(); begin += kAbreast) {
        const auto first = models.begin() + static_cast<std::ptrdiff_t>(begin);
        const auto count = std::min(kAbreast, models.size() - begin);
        const Models abreast(first, first + static_cast<std::ptrdiff_t>(count));
        Table table(abreast);
        table.row("layers",
                  [](const ShownModel& model) { return std::to_string(layer_count(model.spec)); });
        table.row("longest context, tokens", [](const ShownModel& model) {
            return model.spec.max_context > 0 ? grouped(model.spec.max_context) : kNothing;
        });
        add_parameters(table);
        add_tower(table);
        add_cache(table);
        add_work(table);
        text += "\n" + table.text();
    }
    return text + "\n" + notes(models);
}

std::string layer_lists(const ShownModel& model) {
    constexpr std::size_t name_width = 27, shape_width = 34, number_width = 9;
    std::string text = hanging(
        "", fmt::format("One layer in decode, one token that sees {} tokens, BF16; vector work "
                        "(norms, rotary, sums) counted too:",
                        grouped(model.figures.layer_context)));
    for (const LayerFigures& layer : model.figures.layers) {
        text += "\n" + hanging("", fmt::format("{} x [{} + {}]", layer.count, layer.attention,
                                               layer.feed_forward));
        const auto line = [&](const std::string& name, const std::string& shape,
                              const std::string& work, const std::string& bytes) {
            const std::vector<std::string> names = wrap(name, name_width - 1);
            const std::vector<std::string> shapes = wrap(shape, shape_width);
            for (std::size_t i = 0; i < std::max(names.size(), shapes.size()); ++i) {
                std::string one = "  " + pad_right(i < names.size() ? names[i] : "", name_width) +
                                  pad_right(i < shapes.size() ? shapes[i] : "", shape_width);
                if (i == 0) one += pad_left(work, number_width) + pad_left(bytes, number_width - 1);
                one.erase(one.find_last_not_of(' ') + 1);
                text += one + "\n";
            }
        };
        line("operator", "shape", "MFLOP", "MB");
        double work = 0, bytes = 0;
        for (const OperatorFigures& op : layer.operators) {
            line(op.name, op.shape, significant(op.work.value() * 1e-6, 3),
                 significant(op.bytes.value() * 1e-6, 3));
            work += op.work.value();
            bytes += op.bytes.value();
        }
        line("sum", "", significant(work * 1e-6), significant(bytes * 1e-6));
    }
    return text;
}

nlohmann::ordered_json to_json(const ShownModel& model) {
    const ModelFigures& figures = model.figures;
    const ParameterCount& count = figures.parameters;
    Json json = {{"family", model.spec.family},
                 {"layer_count", layer_count(model.spec)},
                 {"max_context", model.spec.max_context},
                 {"parameters", count.total()},
                 {"active_parameters", count.active()},
                 {"active_parameters_without_embedding", count.active_without_embedding()},
                 {"draft_module_parameters", count.draft},
                 {"parameters_by_part", json_of(count)},
                 {"published", json_of(model.published, count)},
                 {"kv_cache_bytes_per_token_bf16", figures.cache_per_token_bf16.value()},
                 {"kv_cache_bytes_per_token_fp8", figures.cache_per_token_fp8.value()},
                 {"format_of_work_and_bytes", "bf16"},
                 {"contexts", Json::array()},
                 {"training",
                  {{"sequence", figures.training.sequence},
                   {"flop_per_token", figures.training.work.value()},
                   {"flop_per_token_with_drafts", figures.training.work_with_drafts.value()}}},
                 {"layer_context", figures.layer_context},
                 {"layers", Json::array()}};
    if (model.tower) {
        json["vision_tower"] = {
            {"parameters", count_parameters(*model.tower).total()},
            {"image", {{"width", kShownImage.width}, {"height", kShownImage.height}}},
            {"image_tokens", image_tokens(*model.tower, kShownImage)},
            {"image_flop", vision_flops(*model.tower, kShownImage).value()}};
    }
    for (const ContextFigures& at : figures.contexts) json["contexts"].push_back(json_of(at));
    for (const LayerFigures& layer : figures.layers) json["layers"].push_back(json_of(layer));
    return json;
}

}  // namespace podsim

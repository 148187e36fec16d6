#include "sim/routing_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/csv.hpp"
#include "base/form.hpp"

namespace podsim {

namespace {

constexpr const char* kByLayer = "counts_by_layer";
constexpr const char* kByStep = "counts_by_step";
constexpr std::size_t kMostExperts = 1000000;
constexpr const char* kFormHint =
    "expected a list of counts by expert, a map of such lists by layer, or a map with `counts`";

std::optional<long> whole_number(const std::string& text) {
    long value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || value < 0) return std::nullopt;
    return value;
}

double count_of(const Node& node, const std::string& path) {
    if (node.kind == Node::Kind::list) {
        double sum = 0;
        for (const Node& item : node.items) sum += count_of(item, path);
        return sum;
    }
    double value = 0;
    Problems problems;
    if (!form_detail::read_number(node, path, {}, {non_negative()}, value, problems))
        throw InputError(std::move(problems));
    return value;
}

Node scalar(double value, const Place& place) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.text = fmt::format("{}", value);
    node.place = place;
    return node;
}

Node counts_of(const Node& list, const std::string& path) {
    Node counts;
    counts.kind = Node::Kind::list;
    counts.place = list.place;
    for (const Node& item : list.items)
        counts.items.push_back(scalar(count_of(item, path), item.place));
    return counts;
}

bool is_by_layer(const Node& node) {
    return node.kind == Node::Kind::map && !node.entries.empty() &&
           std::all_of(node.entries.begin(), node.entries.end(), [](const auto& entry) {
               return whole_number(entry.key) && entry.value.kind == Node::Kind::list;
           });
}

bool holds_counts(const Node& node) {
    const Node* counts = node.find("counts");
    return node.kind == Node::Kind::list || is_by_layer(node) ||
           (counts != nullptr && counts->kind == Node::Kind::list);
}

// Paths below `node` that lead to counts, as many as a message bears.
void find_parts(const Node& node, const std::string& path, std::vector<std::string>& parts) {
    for (const Node::Entry& entry : node.entries) {
        if (parts.size() >= 8) return;
        const std::string below = form_detail::join(path, entry.key);
        if (holds_counts(entry.value) && !whole_number(entry.key)) {
            parts.push_back(below);
        } else {
            find_parts(entry.value, below, parts);
        }
    }
}

// At a dotted path of keys, and of places in lists.
const Node& node_at(const Node& root, const std::string& part) {
    const Node* node = &root;
    for (std::size_t begin = 0; begin < part.size();) {
        const std::size_t end = std::min(part.find('.', begin), part.size());
        const std::string key = part.substr(begin, end - begin);
        const Node* next = node->find(key);
        const auto place = whole_number(key);
        if (node->kind == Node::Kind::list && place && *place >= 0 &&
            static_cast<std::size_t>(*place) < node->items.size())
            next = &node->items[static_cast<std::size_t>(*place)];
        if (next == nullptr) {
            std::vector<std::string> known;
            for (const Node::Entry& entry : node->entries) known.push_back(entry.key);
            throw InputError({unknown_name(node->place, part, "part", key, known)});
        }
        node = next;
        begin = end + 1;
    }
    return *node;
}

const Node& part_of(const Node& root, const std::string& part) {
    const Node* node = &node_at(root, part);
    if (holds_counts(*node)) return *node;
    std::vector<std::string> parts;
    find_parts(*node, part, parts);
    throw InputError(node->place, part, "holds no counts of experts",
                     parts.empty()
                         ? kFormHint
                         : fmt::format("histogram_part: one of {}", fmt::join(parts, ", ")));
}

Node document_of(const std::map<long, Node>& layers, const Place& place) {
    Node by_layer;
    by_layer.kind = Node::Kind::map;
    by_layer.place = place;
    for (const auto& [layer, counts] : layers)
        by_layer.entries.push_back({std::to_string(layer), counts.place, counts});
    Node document;
    document.kind = Node::Kind::map;
    document.place = place;
    document.entries.push_back({kByLayer, place, std::move(by_layer)});
    return document;
}

std::map<long, Node> json_layers(const Node& chosen, const std::string& part) {
    std::map<long, Node> layers;
    if (is_by_layer(chosen)) {
        for (const Node::Entry& entry : chosen.entries) {
            layers[*whole_number(entry.key)] =
                counts_of(entry.value, form_detail::join(part, entry.key));
        }
        return layers;
    }
    const Node* counts = chosen.find("counts");
    layers[0] = counts_of(counts != nullptr ? *counts : chosen, part);
    return layers;
}

std::map<long, Node> read_json_layers(const std::string& file, const std::string& part) {
    const Node root = parse_json(read_table_file(file), file);
    return json_layers(part_of(root, part), part);
}

// By the whole number in a column; all rows as one step where it has no name.
std::map<long, std::map<long, Node>> read_csv_steps(const std::string& file,
                                                    const std::string& step_name) {
    CsvReader reader(read_table_file(file), file);
    const std::size_t expert_column = reader.column("expert");
    const std::size_t count_column = reader.column("count");
    const auto& header = reader.header();
    const bool by_layer = std::find(header.begin(), header.end(), "layer") != header.end();
    const std::size_t layer_column = by_layer ? reader.column("layer") : 0;
    const std::size_t step_column = step_name.empty() ? 0 : reader.column(step_name);
    const bool sums =
        step_name.empty() && std::find(header.begin(), header.end(), "step") != header.end();
    std::map<long, std::map<long, std::map<std::size_t, Node>>> steps;
    std::size_t experts = 0;
    CsvRow row;
    while (reader.next(row)) {
        const Place place{file, row.line, 0};
        const auto whole = [&](std::size_t column) {
            const auto number = whole_number(row.cells[column]);
            if (!number || static_cast<std::size_t>(*number) >= kMostExperts)
                throw InputError(place, header[column], "a whole number from 0 was expected");
            return *number;
        };
        const auto expert = static_cast<std::size_t>(whole(expert_column));
        const long layer = by_layer ? whole(layer_column) : 0;
        Node count;
        count.kind = Node::Kind::scalar;
        count.text = row.cells[count_column];
        count.place = place;
        const double value = count_of(count, "count");
        auto& of_layer = steps[step_name.empty() ? 0 : whole(step_column)][layer];
        const auto [known, fresh] = of_layer.emplace(expert, scalar(value, place));
        if (!fresh && !sums)
            throw InputError(place, "expert", fmt::format("{} stands twice", expert));
        if (!fresh) known->second = scalar(count_of(known->second, "count") + value, place);
        experts = std::max(experts, expert + 1);
    }
    std::map<long, std::map<long, Node>> result;
    for (const auto& [step, rows] : steps) {
        for (const auto& [layer, listed] : rows) {
            Node counts;
            counts.kind = Node::Kind::list;
            counts.place = listed.begin()->second.place;
            for (std::size_t expert = 0; expert < experts; ++expert) {
                const auto found = listed.find(expert);
                counts.items.push_back(found != listed.end() ? found->second
                                                             : scalar(0, counts.place));
            }
            result[step][layer] = std::move(counts);
        }
    }
    return result;
}

std::map<long, Node> read_csv_layers(const std::string& file) {
    auto steps = read_csv_steps(file, "");
    return steps.empty() ? std::map<long, Node>{} : std::move(steps.begin()->second);
}

// The entries of a map or a list at a dotted path, each of which is a step.
std::vector<std::pair<std::string, const Node*>> steps_at(const Node& root,
                                                          const std::string& part) {
    const Node* node = &node_at(root, part);
    std::vector<std::pair<std::string, const Node*>> steps;
    for (const Node::Entry& entry : node->entries) steps.emplace_back(entry.key, &entry.value);
    for (std::size_t i = 0; i < node->items.size(); ++i)
        steps.emplace_back(std::to_string(i), &node->items[i]);
    for (const auto& [name, step] : steps) {
        if (!holds_counts(*step))
            throw InputError(step->place, form_detail::join(part, name),
                             "holds no counts of experts", kFormHint);
    }
    if (steps.empty()) throw InputError(node->place, part, "holds no steps", kFormHint);
    return steps;
}

bool is_csv(const std::string& file) {
    return file.find(".csv") != std::string::npos;
}

}  // namespace

Node read_routing(const std::string& file, const std::string& part) {
    const Place place{file, 0, 0};
    if (is_csv(file) && !part.empty())
        throw InputError(place, part, "a CSV file has no parts", "remove histogram_part");
    const auto layers = is_csv(file) ? read_csv_layers(file) : read_json_layers(file, part);
    if (layers.empty()) throw InputError(place, "", "counts no expert", kFormHint);
    return document_of(layers, place);
}

Node read_routing_steps(const std::string& file, const std::string& part) {
    const Place place{file, 0, 0};
    Node steps;
    steps.kind = Node::Kind::map;
    steps.place = place;
    if (is_csv(file)) {
        for (const auto& [step, layers] : read_csv_steps(file, part))
            steps.entries.push_back({std::to_string(step), place, document_of(layers, place)});
        if (steps.entries.empty()) throw InputError(place, "", "counts no expert", kFormHint);
    } else {
        const Node root = parse_json(read_table_file(file), file);
        for (const auto& [name, step] : steps_at(root, part)) {
            const auto layers = json_layers(*step, form_detail::join(part, name));
            steps.entries.push_back({name, step->place, document_of(layers, step->place)});
        }
    }
    Node document;
    document.kind = Node::Kind::map;
    document.place = place;
    document.entries.push_back({kByStep, place, std::move(steps)});
    return document;
}

std::vector<std::vector<ExpertCounts>> expert_count_steps(const Node& document) {
    const Node* by_step = document.find(kByStep);
    if (by_step == nullptr || by_step->kind != Node::Kind::map)
        throw InputError(document.place, kByStep, "a map of counts by step was expected");
    std::vector<std::vector<ExpertCounts>> steps;
    for (const Node::Entry& entry : by_step->entries) steps.push_back(expert_counts(entry.value));
    return steps;
}

std::vector<ExpertCounts> expert_counts(const Node& document) {
    const Node* by_layer = document.find(kByLayer);
    if (by_layer == nullptr || !is_by_layer(*by_layer))
        throw InputError(document.place, kByLayer, "a map of counts by layer was expected");
    std::map<long, std::vector<double>> layers;
    for (const Node::Entry& entry : by_layer->entries) {
        std::vector<double>& counts = layers[*whole_number(entry.key)];
        for (const Node& item : entry.value.items)
            counts.push_back(count_of(item, std::string(kByLayer) + "." + entry.key));
    }
    std::vector<ExpertCounts> result;
    for (auto& [layer, counts] : layers) result.push_back({layer, std::move(counts)});
    return result;
}

}  // namespace podsim

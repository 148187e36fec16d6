#include "app/diff_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLabel = 29, kCell = 16;

std::string microseconds(Picoseconds time) {
    return fmt::format("{:.3f}", static_cast<double>(time) / 1e6);
}

std::string signed_microseconds(Picoseconds time) {
    return (time > 0 ? "+" : "") + microseconds(time);
}

std::string time_cell(const std::optional<PartTime>& part) {
    return part ? microseconds(part->time) : "-";
}

// "61/122 x 408.4": 61 of 122 executions on the critical path, 408.4 us each alone.
std::string executions_cell(const std::optional<PartTime>& part) {
    if (!part) return "";
    return fmt::format("{}/{} x {}", part->on_path, part->count,
                       significant(part->seconds_each * 1e6));
}

std::string place_of(const PartDifference& part) {
    if (part.rank_class.empty()) return "on other ranks or streams";
    return part.rank_class + ", " + part.stream;
}

// A kernel fused of many operators is called after its first and its last.
std::string short_name(const std::string& name) {
    const std::string joint = " + ";
    const std::size_t first = name.find(joint), last = name.rfind(joint);
    if (first == last) return name;
    long between = 0;
    for (std::size_t at = first; at != last; at = name.find(joint, at + 1)) ++between;
    return fmt::format("{} + {} more{}", name.substr(0, first), between, name.substr(last));
}

void add_part(const PartDifference& part, TextTable& table) {
    table.row(short_name(part.name),
              {time_cell(part.a), time_cell(part.b), signed_microseconds(part.difference)});
    if (part.kind == "wait") return;
    table.row("  " + place_of(part), {executions_cell(part.a), executions_cell(part.b)});
}

// The parts from `first` on as one row.
void add_others(const std::vector<PartDifference>& parts, std::size_t first, TextTable& table) {
    if (first >= parts.size()) return;
    Picoseconds a = 0, b = 0, difference = 0;
    for (std::size_t i = first; i < parts.size(); ++i) {
        a += parts[i].a ? parts[i].a->time : 0;
        b += parts[i].b ? parts[i].b->time : 0;
        difference += parts[i].difference;
    }
    const std::size_t count = parts.size() - first;
    table.row(fmt::format("{} other{}", count, count == 1 ? "" : "s"),
              {microseconds(a), microseconds(b), signed_microseconds(difference)});
}

std::string inputs_text(const std::vector<InputDifference>& inputs) {
    if (inputs.empty()) return "no input differs\n";
    std::string text = "inputs that differ\n";
    const auto stated = [](const std::string& value) { return value.empty() ? "-" : value; };
    for (const InputDifference& input : inputs) {
        text += hanging("  ",
                        fmt::format("{}: {} -> {}", input.path, stated(input.a), stated(input.b)));
    }
    return text;
}

Json to_json(const std::optional<PartTime>& part) {
    if (!part) return nullptr;
    return {{"count", part->count},
            {"on_path", part->on_path},
            {"seconds_each", part->seconds_each},
            {"picoseconds", part->time},
            {"seconds", to_seconds(part->time).value()}};
}

// Of a difference, which may be negative.
double seconds(Picoseconds time) {
    return static_cast<double>(time) / 1e12;
}

Json to_json(const DiffSide& side, Picoseconds step) {
    return {{"file", side.file},
            {"experiment", side.experiment},
            {"alternative", side.alternative},
            {"step_picoseconds", step},
            {"step_seconds", seconds(step)}};
}

}  // namespace

std::string diff_table(const Diff& diff, int top) {
    const StepDifference& step = diff.step;
    std::string text = hanging("A  ", diff.a.alternative + " of " + diff.a.file);
    text += hanging("B  ", diff.b.alternative + " of " + diff.b.file) + "\n";
    TextTable table(kLabel, kCell);
    table.row("us of the critical path", {"A", "B", "B - A"});
    // What is equal stands at the end.
    const auto differ = std::count_if(step.parts.begin(), step.parts.end(),
                                      [](const auto& part) { return part.difference != 0; });
    const auto shown = static_cast<std::size_t>(std::min<std::ptrdiff_t>(top, differ));
    for (std::size_t i = 0; i < shown; ++i) add_part(step.parts[i], table);
    add_others(step.parts, shown, table);
    const Picoseconds difference = step.b - step.a;
    table.row("the whole step",
              {microseconds(step.a), microseconds(step.b), signed_microseconds(difference)});
    text += table.text();
    if (step.a > 0) {
        text += fmt::format("B takes {} % of A's time\n",
                            significant(100.0 * seconds(step.b) / seconds(step.a)));
    }
    text += hanging("",
                    "n/m x t: of m executions on a rank n lie on the critical path; alone each "
                    "takes t us");
    return text + "\n" + inputs_text(diff.inputs) + diff.note;
}

nlohmann::ordered_json to_json(const Diff& diff) {
    Json parts = Json::array(), inputs = Json::array();
    for (const PartDifference& part : diff.step.parts) {
        parts.push_back({{"name", part.name},
                         {"kind", part.kind},
                         {"wait", part.wait},
                         {"rank_class", part.rank_class},
                         {"stream", part.stream},
                         {"a", to_json(part.a)},
                         {"b", to_json(part.b)},
                         {"difference_picoseconds", part.difference},
                         {"difference_seconds", seconds(part.difference)}});
    }
    for (const InputDifference& input : diff.inputs)
        inputs.push_back({{"path", input.path}, {"a", input.a}, {"b", input.b}});
    const Picoseconds difference = diff.step.b - diff.step.a;
    return {{"kind", diff.kind},
            {"a", to_json(diff.a, diff.step.a)},
            {"b", to_json(diff.b, diff.step.b)},
            {"difference_picoseconds", difference},
            {"difference_seconds", seconds(difference)},
            {"parts", parts},
            {"inputs", inputs}};
}

}  // namespace podsim

#include "app/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "app/metric_table.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

constexpr std::size_t kAlternativesAbreast = 3;
constexpr std::size_t kPartsShown = 8;
constexpr std::size_t kBar = 10;

struct Row {
    std::string label;
    std::vector<std::string> cells;  // by alternative; "" where it has no such thing
};

struct Section {
    std::string title;
    std::vector<Row> rows;
};

using Alternatives = std::vector<AlternativeResult>;
using CellOf = std::function<std::string(const AlternativeResult&)>;

// Rows that would be empty for all alternatives are left out.
void add(Section& section, const std::string& label, const Alternatives& alternatives,
         const CellOf& cell_of) {
    Row row{label, {}};
    bool any = false;
    for (const AlternativeResult& alternative : alternatives) {
        row.cells.push_back(cell_of(alternative));
        any = any || !row.cells.back().empty();
    }
    if (any) section.rows.push_back(std::move(row));
}

// A value in the unit of its row; what counts whole things has no decimals.
std::string metric_cell(const AlternativeResult& a, const std::string& name,
                        const std::string& row_unit) {
    const Metric* metric = a.metric(name);
    if (metric == nullptr) return "";
    const PrintUnit unit = print_unit(metric->unit);
    const double value = metric->value * unit.factor;
    const bool rough = unit.text == "%" || unit.text.rfind("USD", 0) == 0;
    const bool counts =
        unit.text == "sequences" || unit.text == "requests" || unit.text == "blocks";
    const bool whole = counts && value == std::round(value);
    const std::string cell =
        whole ? fmt::format("{:.0f}", value) : significant(value, rough ? 3 : 4);
    return unit.text == row_unit ? cell : cell + " " + unit.text;
}

std::string band_cell(const AlternativeResult& a, const std::string& name) {
    const Metric* metric = a.metric(name);
    if (metric == nullptr || (!metric->low && !metric->high)) return "";
    const double factor = print_unit(metric->unit).factor;
    return significant(metric->low.value_or(metric->value) * factor, 3) + " to " +
           significant(metric->high.value_or(metric->value) * factor, 3);
}

// The metrics of a group that any alternative has, in the order of the metric table, then as
// they come.
std::vector<MetricInfo> metrics_of_group(const Alternatives& all, const std::string& group) {
    std::vector<MetricInfo> found;
    const auto known = [&](const std::string& name) {
        return std::any_of(found.begin(), found.end(),
                           [&](const MetricInfo& info) { return info.name == name; });
    };
    for (const AlternativeResult& a : all) {
        for (const Metric& metric : a.metrics) {
            const MetricInfo info = metric_info(metric.name);
            if (info.group == group && !known(metric.name)) found.push_back(info);
        }
    }
    const auto rank = [](const MetricInfo& info) {
        const auto& table = metric_table();
        std::size_t i = 0;
        while (i < table.size() && info.name.rfind(table[i].name, 0) != 0) ++i;
        return i;
    };
    std::stable_sort(found.begin(), found.end(),
                     [&](const MetricInfo& x, const MetricInfo& y) { return rank(x) < rank(y); });
    return found;
}

std::string unit_of_row(const Alternatives& all, const std::string& name) {
    for (const AlternativeResult& a : all) {
        if (const Metric* metric = a.metric(name)) return print_unit(metric->unit).text;
    }
    return "";
}

// "HBM traffic per chip" is said of memory in general where a chip has none.
std::string label_of(const MetricInfo& info, const Alternatives& all) {
    const std::string hbm = "HBM";
    const auto is_sram = [](const ResourceUse& use) { return use.resource == "SRAM"; };
    const bool sram = std::any_of(all.begin(), all.end(), [&](const AlternativeResult& a) {
        return std::any_of(a.resources.begin(), a.resources.end(), is_sram);
    });
    if (!sram || info.label.rfind(hbm, 0) != 0) return info.label;
    return "memory" + info.label.substr(hbm.size());
}

void add_metrics(Section& section, const Alternatives& all, const std::string& group) {
    for (const MetricInfo& info : metrics_of_group(all, group)) {
        const std::string unit = unit_of_row(all, info.name);
        const std::string label = label_of(info, all);
        add(section, unit.empty() ? label : label + ", " + unit, all,
            [&](const AlternativeResult& a) { return metric_cell(a, info.name, unit); });
        add(section, "  from low to high", all,
            [&](const AlternativeResult& a) { return band_cell(a, info.name); });
    }
}

Section what_runs(const Alternatives& all) {
    Section section{"what runs", {}};
    const auto text = [&](const char* label, std::string AlternativeResult::*field) {
        add(section, label, all, [&](const AlternativeResult& a) { return a.*field; });
    };
    text("system", &AlternativeResult::system);
    text("chip", &AlternativeResult::chip);
    add(section, "chips (ranks)", all, [](const AlternativeResult& a) {
        return a.ranks > a.packages ? fmt::format("{} ({})", a.packages, a.ranks)
                                    : std::to_string(a.packages);
    });
    text("fidelity", &AlternativeResult::fidelity);
    text("engine", &AlternativeResult::engine);
    text("kernels", &AlternativeResult::kernels);
    text("collectives", &AlternativeResult::collectives);
    add_metrics(section, all, "what runs");
    return section;
}

// What the fullest rank could hold.
void add_capacity(Section& section, const Alternatives& all) {
    add(section, "of capacity, GB", all, [](const AlternativeResult& a) {
        const auto fuller = [](const MemoryUse& x, const MemoryUse& y) {
            return x.total < y.total;
        };
        const auto fullest = std::max_element(a.memory.begin(), a.memory.end(), fuller);
        return fullest == a.memory.end() ? "" : significant(fullest->capacity * 1e-9);
    });
}

// The index of a basis of cost in an alternative, or nothing.
std::optional<std::size_t> basis_index(const AlternativeResult& a, const std::string& basis) {
    for (std::size_t i = 0; i < a.cost.size(); ++i) {
        if (a.cost[i].name == basis) return i;
    }
    return std::nullopt;
}

std::vector<std::string> bases_of(const Alternatives& all) {
    std::vector<std::string> bases;
    for (const AlternativeResult& a : all) {
        for (const CostBasis& basis : a.cost) {
            if (std::find(bases.begin(), bases.end(), basis.name) == bases.end()) {
                bases.push_back(basis.name);
            }
        }
    }
    return bases;
}

// The figures of cost on one basis. Metrics of an alternative's first basis bear the plain name,
// those of the others end in the basis.
Section cost_section(const Alternatives& all, const std::string& basis) {
    Section section{"cost, " + basis, {}};
    if (basis == "rental") section.title = "cost of renting the chips";
    if (basis == "owned") section.title = "cost of owning the chips";
    if (basis == "silicon") section.title = "cost of owning chips at the price of their silicon";
    for (const MetricInfo& info : metric_table()) {
        if (info.group != "cost") continue;
        const std::string unit = unit_of_row(all, info.name);
        const auto name_in = [&](std::size_t index) {
            return index == 0 ? info.name : info.name + "_" + basis;
        };
        // "USD/Mtok" of "million output tokens" says it twice.
        add(section, info.label + ", " + unit.substr(0, unit.find('/')), all,
            [&](const AlternativeResult& a) {
                const auto index = basis_index(a, basis);
                if (!index) return std::string();
                const std::string cell = metric_cell(a, name_in(*index), unit);
                return !cell.empty() && is_rumour(a.cost[*index]) ? cell + "*" : cell;
            });
        add(section, "  from low to high", all, [&](const AlternativeResult& a) {
            const auto index = basis_index(a, basis);
            return index ? band_cell(a, name_in(*index)) : std::string();
        });
    }
    return section;
}

// roofline <= this result <= serial, as shares of the result's own time.
Section bounds_section(const Alternatives& all) {
    Section section{"bounds, % of the time found", {}};
    const auto bound = [&](const char* label, double Bounds::*field) {
        add(section, label, all, [&](const AlternativeResult& a) {
            const double time = a.iteration_seconds;
            return time > 0 && a.bounds.*field > 0 ? significant(a.bounds.*field / time * 100.0, 3)
                                                   : "";
        });
    };
    bound("roofline: never below", &Bounds::roofline);
    bound("perfect overlap", &Bounds::perfect_overlap);
    bound("critical path alone", &Bounds::critical_path);
    bound("serial: never above", &Bounds::serial);
    const auto neighbour =
        std::find_if(all.begin(), all.end(), [](const auto& a) { return !a.neighbour.empty(); });
    if (neighbour != all.end()) {
        add(section, neighbour->neighbour + " differs by", all, [](const AlternativeResult& a) {
            return a.neighbour.empty() ? "" : signed_significant(a.neighbour_gap * 100.0, 3);
        });
    }
    return section;
}

double share_of(const AlternativeResult& a, const std::string& part) {
    double share = 0;
    for (const BreakdownPart& p : a.breakdown) {
        if (p.part == part) share += p.share;
    }
    return share;
}

Section breakdown_section(const Alternatives& all) {
    Section section{"where the time goes, %", {}};
    std::vector<std::pair<std::string, double>> parts;  // with the largest share anywhere
    for (const AlternativeResult& a : all) {
        for (const BreakdownPart& p : a.breakdown) {
            const auto same = [&](const auto& known) { return known.first == p.part; };
            if (std::none_of(parts.begin(), parts.end(), same)) parts.emplace_back(p.part, 0.0);
        }
    }
    for (auto& [part, largest] : parts) {
        for (const AlternativeResult& a : all) largest = std::max(largest, share_of(a, part));
    }
    // What rounds to nothing everywhere is left out.
    parts.erase(std::remove_if(parts.begin(), parts.end(),
                               [](const auto& part) { return part.second < 0.0005; }),
                parts.end());
    std::stable_sort(parts.begin(), parts.end(),
                     [](const auto& x, const auto& y) { return x.second > y.second; });
    const double longest = parts.empty() ? 1.0 : std::max(parts.front().second, 1e-9);
    const auto cell = [&](double share) {
        const auto length = std::lround(share / longest * static_cast<double>(kBar));
        const auto full = std::min(kBar, static_cast<std::size_t>(std::max(0L, length)));
        return fmt::format("{:.1f} {}{}", share * 100.0, std::string(full, '#'),
                           std::string(kBar - full, '.'));
    };
    const std::size_t shown = parts.size() > kPartsShown + 1 ? kPartsShown : parts.size();
    for (std::size_t i = 0; i < shown; ++i) {
        add(section, parts[i].first, all, [&](const AlternativeResult& a) {
            return a.breakdown.empty() ? "" : cell(share_of(a, parts[i].first));
        });
    }
    if (shown < parts.size()) {
        add(section, fmt::format("{} other parts", parts.size() - shown), all,
            [&](const AlternativeResult& a) {
                double rest = 0;
                for (std::size_t i = shown; i < parts.size(); ++i) {
                    rest += share_of(a, parts[i].first);
                }
                return a.breakdown.empty() ? "" : cell(rest);
            });
    }
    return section;
}

// Parts in the order in which results give them; what rounds to nothing everywhere is left out.
Section energy_section(const Alternatives& all) {
    Section section{"what draws the energy, %", {}};
    const auto share_in = [](const AlternativeResult& a, const std::string& part) {
        for (const EnergyPart& p : a.energy) {
            if (p.part == part) return p.share;
        }
        return 0.0;
    };
    const auto first =
        std::find_if(all.begin(), all.end(), [](const auto& a) { return !a.energy.empty(); });
    if (first == all.end()) return section;
    for (const EnergyPart& p : first->energy) {
        const auto seen = [&](const auto& a) { return share_in(a, p.part) >= 0.0005; };
        if (std::none_of(all.begin(), all.end(), seen)) continue;
        add(section, p.part, all, [&](const AlternativeResult& a) {
            return a.energy.empty() ? "" : fmt::format("{:.1f}", share_in(a, p.part) * 100);
        });
    }
    return section;
}

// Served traffic at other rates: tokens a second of a chip and of a user.
Section load_section(const Alternatives& all) {
    Section section{"over load: tok/s a chip / a user", {}};
    std::vector<double> scales;
    for (const AlternativeResult& a : all) {
        if (!a.served) continue;
        for (const LoadPoint& point : a.served->curve) {
            if (std::find(scales.begin(), scales.end(), point.rate_scale) == scales.end())
                scales.push_back(point.rate_scale);
        }
    }
    std::sort(scales.begin(), scales.end());
    for (const double scale : scales) {
        add(section, "rate x " + significant(scale), all, [&](const AlternativeResult& a) {
            if (!a.served) return std::string();
            for (const LoadPoint& point : a.served->curve) {
                if (point.rate_scale != scale) continue;
                return significant(point.output_tokens_per_second_per_chip, 3) + " / " +
                       significant(point.tokens_per_second_per_user, 3);
            }
            return std::string();
        });
    }
    return section;
}

// Streams of one traffic: whose promises were kept, and how long theirs took.
Section stream_section(const Alternatives& all) {
    Section section{"by stream", {}};
    std::vector<std::string> names;
    for (const AlternativeResult& a : all) {
        if (!a.served) continue;
        for (const ServedClass& own : a.served->classes) {
            if (std::find(names.begin(), names.end(), own.name) == names.end())
                names.push_back(own.name);
        }
    }
    const auto add_row = [&](const std::string& name, const char* what, const auto& value) {
        add(section, name + what, all, [&](const AlternativeResult& a) {
            if (!a.served) return std::string();
            for (const ServedClass& own : a.served->classes)
                if (own.name == name) return significant(value(own), 3);
            return std::string();
        });
    };
    for (const std::string& name : names) {
        add_row(name, ": as promised, %", [](const auto& own) { return own.goodput_share * 100; });
        add_row(name, ": TTFT p99, s", [](const auto& own) { return own.ttft_p99; });
        add_row(name, ": TPOT p99, ms", [](const auto& own) { return own.tpot_p99 * 1e3; });
    }
    return section;
}

// Training and the bills of days like this: what it comes to, and training's share of it.
Section lifecycle_section(const Alternatives& all) {
    Section section{"training and so many such days: MUSD / training, %", {}};
    std::vector<double> days;
    for (const AlternativeResult& a : all) {
        if (!a.served) continue;
        for (const LifecyclePoint& point : a.served->lifecycle) {
            if (std::find(days.begin(), days.end(), point.days) == days.end())
                days.push_back(point.days);
        }
    }
    for (const double day : days) {
        add(section, significant(day) + " days", all, [&](const AlternativeResult& a) {
            if (!a.served) return std::string();
            for (const LifecyclePoint& point : a.served->lifecycle) {
                if (point.days != day) continue;
                return significant(point.usd / 1e6) + " / " +
                       significant(point.training_share * 100, 3);
            }
            return std::string();
        });
    }
    return section;
}

// Jobs that were replayed side by side: what each takes, and how much longer than by itself.
Section jobs_section(const Alternatives& all) {
    Section section{"jobs: ms / longer than alone, %", {}};
    std::vector<std::string> names;
    for (const AlternativeResult& a : all)
        for (const ReplayedJob& job : a.jobs)
            if (std::find(names.begin(), names.end(), job.name) == names.end())
                names.push_back(job.name);
    for (const std::string& name : names) {
        add(section, name, all, [&](const AlternativeResult& a) {
            for (const ReplayedJob& job : a.jobs) {
                if (job.name != name) continue;
                const double longer =
                    job.alone_seconds > 0 ? job.iteration_seconds / job.alone_seconds - 1 : 0;
                return significant(job.iteration_seconds * 1e3) + " / " +
                       significant(longer * 100, 3);
            }
            return std::string();
        });
    }
    return section;
}

std::vector<Section> sections_of(const Alternatives& all) {
    std::vector<Section> sections = {what_runs(all)};
    for (const char* group : {"throughput", "latency", "achieved", "packets", "memory", "energy"}) {
        Section section{group, {}};
        if (section.title == "achieved") section.title += ", and share of the data sheet's peak";
        add_metrics(section, all, group);
        if (section.title == "memory") add_capacity(section, all);
        sections.push_back(std::move(section));
    }
    for (const std::string& basis : bases_of(all)) sections.push_back(cost_section(all, basis));
    Section run{"a run of many steps", {}};
    add_metrics(run, all, "run");
    sections.push_back(std::move(run));
    Section other{"other", {}};
    add_metrics(other, all, "other");
    sections.push_back(std::move(other));
    sections.push_back(jobs_section(all));
    sections.push_back(stream_section(all));
    sections.push_back(load_section(all));
    sections.push_back(lifecycle_section(all));
    sections.push_back(bounds_section(all));
    sections.push_back(breakdown_section(all));
    sections.push_back(energy_section(all));
    return sections;
}

// Alternatives first ... last - 1 as columns.
std::string block(const std::vector<Section>& sections, const Alternatives& all, std::size_t first,
                  std::size_t last) {
    // The same widths however many stand abreast, so that blocks can be held against each other.
    TextTable table(29, 16);
    const auto part = [&](const std::vector<std::string>& cells) {
        return std::vector<std::string>(cells.begin() + static_cast<std::ptrdiff_t>(first),
                                        cells.begin() + static_cast<std::ptrdiff_t>(last));
    };
    std::vector<std::string> names;
    for (const AlternativeResult& a : all) names.push_back(a.name);
    table.row("", part(names));
    for (const Section& section : sections) {
        bool titled = false;
        for (const Row& row : section.rows) {
            const auto cells = part(row.cells);
            const bool empty = std::all_of(cells.begin(), cells.end(),
                                           [](const std::string& cell) { return cell.empty(); });
            if (empty) continue;
            if (!titled) table.line(section.title);
            titled = true;
            std::vector<std::string> shown = cells;
            for (std::string& cell : shown) {
                if (cell.empty()) cell = "-";
            }
            table.row("  " + row.label, shown);
        }
    }
    return table.text();
}

}  // namespace

std::string comparison_text(const Result& result) {
    std::string text = hanging("", result.experiment.empty() ? "experiment" : result.experiment);
    text +=
        fmt::format("{}, seed {}, model code {}\n\n", result.kind, result.seed, kModelCodeVersion);
    const std::vector<Section> sections = sections_of(result.alternatives);
    for (std::size_t i = 0; i < result.alternatives.size(); i += kAlternativesAbreast) {
        const std::size_t end = std::min(i + kAlternativesAbreast, result.alternatives.size());
        text += block(sections, result.alternatives, i, end) + "\n";
    }
    return text + comparison_notes(result);
}

}  // namespace podsim

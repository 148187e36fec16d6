#include "sim/validation_suite.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "base/form.hpp"

namespace podsim {

const std::vector<std::pair<const char*, CaseUse>>& names_of(const CaseUse*) {
    static const std::vector<std::pair<const char*, CaseUse>> names = {
        {"fit", CaseUse::fit}, {"check", CaseUse::check}, {"print", CaseUse::print}};
    return names;
}

namespace {

// What a unit has to be for each metric of a result.
const std::map<std::string, Dimension>& metric_dimensions() {
    constexpr Dimension time = Seconds::dimension, share{}, rate = TokensPerSecond::dimension,
                        work = FlopsPerSecond::dimension, bandwidth = BytesPerSecond::dimension,
                        per_token = UsdPerToken::dimension, per_flop = UsdPerFlop::dimension;
    static const std::map<std::string, Dimension> dimensions = {
        {"operator_time", time},
        {"achieved_flops", work},
        {"achieved_bandwidth", bandwidth},
        {"expert_bandwidth", bandwidth},
        {"logical_link_bandwidth", bandwidth},
        {"link_bandwidth", bandwidth},
        {"collective_time", time},
        {"algorithm_bandwidth", bandwidth},
        {"bus_bandwidth", bandwidth},
        {"iteration_time", time},
        {"layer_time", time},
        {"time_per_output_token", time},
        {"decode_tokens_per_second_per_chip", rate},
        {"tokens_per_second_per_user", rate},
        {"prefill_tokens_per_second_per_chip", rate},
        {"prefill_tokens_per_second_per_chip_with_cached", rate},
        {"time_to_first_token", time},
        {"time_to_first_token_p50", time},
        {"time_to_first_token_p90", time},
        {"time_to_first_token_p99", time},
        {"time_per_output_token_p50", time},
        {"time_per_output_token_p90", time},
        {"time_per_output_token_p99", time},
        {"inter_token_latency", time},
        {"inter_token_latency_p99", time},
        {"end_to_end_latency", time},
        {"end_to_end_latency_p99", time},
        {"output_tokens_per_second_per_chip", rate},
        {"input_tokens_per_second_per_chip", rate},
        {"total_tokens_per_second_per_chip", rate},
        {"requests_per_second", Hertz::dimension},
        {"goodput_requests_per_second", Hertz::dimension},
        {"goodput_share", share},
        {"prefix_hit_rate", share},
        {"usd_per_million_total_tokens", per_token},
        {"step_time", time},
        {"compute_time", time},
        {"communication_time", time},
        {"exposed_communication_time", time},
        {"expert_exchange_time", time},
        {"expert_exchange_hidden", share},
        {"expert_exchange_hidden_in_pairs", share},
        {"waiting_time", time},
        {"training_tokens_per_second_per_chip", rate},
        {"model_flops_per_second_per_chip", work},
        {"model_flops_utilization", share},
        {"hardware_flops_utilization", share},
        {"model_flops_utilization_bf16_peak", share},
        {"model_flops_utilization_whole_attention", share},
        {"bubble_fraction", share},
        {"forward_time", time},
        {"backward_time", time},
        {"weight_gradient_time", time},
        {"overlapped_time", time},
        {"optimizer_time", time},
        {"bubble_time", time},
        {"layer_forward_time", time},
        {"layer_backward_time", time},
        {"memory_states", Bytes::dimension},
        {"memory_activations", Bytes::dimension},
        {"usd_per_trillion_tokens", per_token},
        {"chip_hours_per_trillion_tokens", {1, 0, 0, 0, 0, -1}},
        {"run_tokens", Tokens::dimension},
        {"run_time", time},
        {"run_chip_hours", time},
        {"run_cost", Usd::dimension},
        {"run_cost_per_trillion_tokens", per_token},
        {"goodput", share},
        {"memory_peak", Bytes::dimension},
        {"utilization_matrix", share},
        {"utilization_vector", share},
        {"utilization_hbm", share},
        {"utilization_scale_up", share},
        {"utilization_scale_out", share},
        {"utilization_host", share},
        {"power_per_chip", Watts::dimension},
        {"energy_per_token", {0, 0, 0, 0, 1, -1}},
        {"usd_per_hour_per_chip", UsdPerSecond::dimension},
        {"usd_per_million_input_tokens", per_token},
        {"usd_per_million_cached_input_tokens", per_token},
        {"usd_per_million_output_tokens", per_token},
        {"usd_per_eflop_hour_peak", per_flop},
        {"usd_per_eflop_hour_achieved", per_flop}};
    return dimensions;
}

struct GatesForm {
    std::optional<double> mape, worst, pairs;
};

template <class Form>
void describe(Form& form, GatesForm& gates) {
    form.optional("mape", gates.mape, "largest mean absolute error over the checked cases",
                  positive());
    form.optional("worst", gates.worst, "largest error of a single checked case", positive());
    form.optional("pairs", gates.pairs, "largest error of a checked ratio of two cases",
                  positive());
}

struct DefaultsForm {
    Node workload, alternative, prices;
};

template <class Form>
void describe(Form& form, DefaultsForm& defaults) {
    form.optional("workload", defaults.workload, "under the workload of every case");
    form.optional("alternative", defaults.alternative, "under the one alternative of every case");
    form.optional("prices", defaults.prices, "price list of every case");
}

struct CaseForm {
    std::string id, metric, published, source, note, needs;
    Node experiment;
    CaseUse use = CaseUse::check;
};

template <class Form>
void describe(Form& form, CaseForm& one) {
    form.required("id", one.id, "which published row it is");
    form.optional("experiment", one.experiment,
                  "an experiment with one alternative, or its differences to `defaults`");
    form.required("metric", one.metric, "name of the metric that is compared");
    form.optional(
        "published", one.published,
        "what was published, with its unit; may be absent of a printed case, of which only "
        "a ratio to another was");
    form.required("use", one.use, "fit: fitted on; check: scored; print: shown without a score");
    form.required("source", one.source, "who published it, and where");
    form.optional("note", one.note, "what a reader of the comparison should know");
    form.optional("needs", one.needs, "a file among the data, without which the case is left out");
}

struct PairForm {
    std::string first, second, source, note;
    std::optional<double> published;
    CaseUse use = CaseUse::check;
};

template <class Form>
void describe(Form& form, PairForm& pair) {
    form.required("first", pair.first, "id of the case above the line");
    form.required("second", pair.second, "id of the case below it");
    form.optional("published", pair.published,
                  "the ratio, where it was published as one; else that of the cases' values",
                  positive());
    form.optional("use", pair.use, "check: under the gate of pairs; print: shown without it");
    form.optional("source", pair.source, "who published the ratio, and where");
    form.optional("note", pair.note, "what a reader of the ratio should know");
    if (form.has("published") && !form.has("source"))
        form.problem("source", "is missing: a published ratio needs one");
}

struct SuiteForm {
    std::string suite, title;
    std::vector<SuiteLimit> limits;
    GatesForm gates;
    DefaultsForm defaults;
    std::vector<CaseForm> cases;
    std::vector<PairForm> pairs;
    std::vector<TableCase> tables;
};

template <class Form>
void describe(Form& form, SuiteForm& suite) {
    form.required("suite", suite.suite, "its name");
    form.optional("title", suite.title, "what it holds, in words");
    form.optional("limits", suite.limits, "known limits, in words, for docs/accuracy.md");
    form.optional("gates", suite.gates, "errors above which the suite fails");
    form.optional("defaults", suite.defaults, "what the experiments of all cases share");
    form.optional("cases", suite.cases, "published measurements");
    form.optional("pairs", suite.pairs, "ratios between two cases");
    form.optional("tables", suite.tables, "tables of measured kernels");
    if (!form.has("cases") && !form.has("tables")) {
        form.problem("cases", "is missing, and `tables` too: one of them is needed");
    }
}

Node text_node(const std::string& text, const Place& place) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.text = text;
    node.quoted = true;
    node.place = place;
    return node;
}

Node empty_map(const Place& place) {
    Node node;
    node.kind = Node::Kind::map;
    node.place = place;
    return node;
}

void put(Node& map, const std::string& key, Node value) {
    if (Node* present = map.find(key)) {
        *present = std::move(value);
    } else {
        const Place place = value.place;
        map.entries.push_back({key, place, std::move(value)});
    }
}

Node laid_over(const Node& under, const Node& over) {
    return under.kind == Node::Kind::map ? overlay(under, over) : over;
}

// The case's experiment over the suite's defaults: workload over workload, its one alternative
// over the template.
Node whole_experiment(const DefaultsForm& defaults, const CaseForm& one, const Place& place,
                      const std::string& path, Problems& problems) {
    Node experiment = one.experiment.kind == Node::Kind::null ? empty_map(place) : one.experiment;
    if (experiment.kind != Node::Kind::map) {
        problems.push_back({experiment.place, path + ".experiment", "expected a map", ""});
        return experiment;
    }
    const Place at = experiment.place;
    const Node* workload = experiment.find("workload");
    put(experiment, "workload",
        laid_over(defaults.workload, workload != nullptr ? *workload : empty_map(at)));

    const Node* alternatives = experiment.find("alternatives");
    Node list = alternatives != nullptr ? *alternatives : Node{};
    if (alternatives == nullptr) {
        list.kind = Node::Kind::list;
        list.place = at;
        list.items = {empty_map(at)};
    }
    if (list.kind != Node::Kind::list || list.items.size() != 1) {
        problems.push_back(
            {list.place, path + ".experiment.alternatives",
             fmt::format("{} alternatives, expected a list of exactly one", list.items.size()),
             ""});
        return experiment;
    }
    Node& alternative = list.items.front();
    alternative = laid_over(defaults.alternative, alternative);
    if (alternative.kind == Node::Kind::map && alternative.find("name") == nullptr) {
        put(alternative, "name", text_node(one.id, at));
    }
    put(experiment, "alternatives", std::move(list));
    if (experiment.find("experiment") == nullptr) {
        put(experiment, "experiment", text_node(one.id, at));
    }
    if (experiment.find("prices") == nullptr && defaults.prices.kind != Node::Kind::null) {
        put(experiment, "prices", defaults.prices);
    }
    return experiment;
}

// "1943 tok/s" -> "tok/s"; "" for a plain number.
std::string unit_of(const std::string& quantity) {
    const auto begin = quantity.find_first_not_of(" \t+");
    double number = 0;
    const char* rest =
        std::from_chars(quantity.data() + begin, quantity.data() + quantity.size(), number).ptr;
    while (*rest == ' ' || *rest == '\t') ++rest;
    return rest;
}

void read_published(const CaseForm& one, const Node& node, PreparedCase& prepared,
                    Problems& problems) {
    const auto& dimensions = metric_dimensions();
    const auto known = dimensions.find(one.metric);
    if (known == dimensions.end()) {
        std::vector<std::string> names;
        for (const auto& [name, dimension] : dimensions) names.push_back(name);
        const Node* metric = node.find("metric");
        problems.push_back(
            unknown_name(metric->place, prepared.path + ".metric", "metric", one.metric, names));
        return;
    }
    prepared.dimension = known->second;
    const Node* published = node.find("published");
    if (published == nullptr) {
        prepared.report.published = std::numeric_limits<double>::quiet_NaN();
        if (one.use != CaseUse::print) {
            problems.push_back({node.place, prepared.path + ".published",
                                "is missing; only a case with use: print may leave it out", ""});
        }
        return;
    }
    try {
        const double base = parse_quantity(one.published, prepared.dimension);
        prepared.report.unit = unit_of(one.published);
        prepared.unit = parse_quantity("1 " + prepared.report.unit, prepared.dimension);
        prepared.report.published = base / prepared.unit;
        if (!(prepared.report.published > 0)) {
            throw UnitError{fmt::format("\"{}\" is not above 0", one.published),
                            describe_dimension(prepared.dimension)};
        }
    } catch (const UnitError& error) {
        problems.push_back({published->place, prepared.path + ".published",
                            fmt::format("{}, expected {}", error.what, error.expected), ""});
    }
}

// Diagnostics of an experiment as they look from the suite.
void add_of_case(const InputError& error, const std::string& path, Problems& problems) {
    for (Diagnostic diagnostic : error.diagnostics()) {
        diagnostic.path =
            path + ".experiment" + (diagnostic.path.empty() ? "" : "." + diagnostic.path);
        problems.push_back(std::move(diagnostic));
    }
}

std::vector<PreparedCase> prepare_cases(const Node& document, const SuiteForm& suite,
                                        Problems& problems) {
    std::vector<PreparedCase> cases;
    std::set<std::string> ids;
    for (const TableCase& table : suite.tables) ids.insert(table.id);
    if (suite.cases.empty()) return cases;
    const Node& nodes = *document.find("cases");
    for (std::size_t i = 0; i < suite.cases.size(); ++i) {
        const CaseForm& one = suite.cases[i];
        PreparedCase prepared;
        prepared.place = nodes.items[i].place;
        prepared.path = "cases." + one.id;
        if (!ids.insert(one.id).second) {
            problems.push_back({prepared.place, prepared.path, "there is a case of this id", ""});
        }
        prepared.report.id = one.id;
        prepared.report.metric = one.metric;
        prepared.report.source = one.source;
        prepared.report.note = one.note;
        prepared.report.use = one.use;
        read_published(one, nodes.items[i], prepared, problems);
        prepared.experiment =
            whole_experiment(suite.defaults, one, prepared.place, prepared.path, problems);
        cases.push_back(std::move(prepared));
    }
    return cases;
}

void check_pairs(const Node& document, const SuiteForm& suite,
                 const std::vector<PreparedCase>& cases, Problems& problems) {
    std::vector<std::string> ids;
    for (const auto& one : cases) ids.push_back(one.report.id);
    const auto dimension_of = [&](const std::string& id) {
        for (const auto& one : cases) {
            if (one.report.id == id) return one.dimension;
        }
        return Dimension{};
    };
    for (std::size_t i = 0; i < suite.pairs.size(); ++i) {
        const PairForm& pair = suite.pairs[i];
        const Node& node = document.find("pairs")->items[i];
        const std::string path = fmt::format("pairs.{}", i);
        bool known = true;
        for (const auto& [key, id] :
             {std::pair<const char*, std::string>{"first", pair.first}, {"second", pair.second}}) {
            if (std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
            problems.push_back(
                unknown_name(node.find(key)->place, path + "." + key, "case", id, ids));
            known = false;
        }
        const auto unpublished = [&](const std::string& id) {
            return std::any_of(cases.begin(), cases.end(), [&](const auto& one) {
                return one.report.id == id && std::isnan(one.report.published);
            });
        };
        if (known && !pair.published && (unpublished(pair.first) || unpublished(pair.second))) {
            problems.push_back({node.place, path + ".published",
                                "is missing, and nothing was published of one of its cases", ""});
        }
        if (known && !(dimension_of(pair.first) == dimension_of(pair.second))) {
            problems.push_back({node.place, path, "metrics of different kinds have no ratio", ""});
        }
    }
}

}  // namespace

namespace {

// Cases whose data are not there.
void leave_out(const SuiteForm& form, const std::string& data, std::vector<PreparedCase>& cases) {
    std::vector<PreparedCase> kept;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const std::string& needs = form.cases[i].needs;
        std::error_code none;
        if (needs.empty() || std::filesystem::exists(std::filesystem::path(data) / needs, none))
            kept.push_back(std::move(cases[i]));
    }
    cases = std::move(kept);
}

}  // namespace

PreparedSuite prepare_suite(const Node& document, const Catalog& catalog) {
    const SuiteForm form = read<SuiteForm>(document, "");
    Problems problems;
    PreparedSuite suite;
    suite.report.suite = form.suite;
    suite.report.title = form.title;
    suite.report.limits = form.limits;
    suite.report.gate_mape = form.gates.mape;
    suite.report.gate_worst = form.gates.worst;
    suite.cases = prepare_cases(document, form, problems);
    check_pairs(document, form, suite.cases, problems);
    leave_out(form, catalog.data_folder(), suite.cases);
    suite.report.gate_pairs = form.gates.pairs;
    for (const auto& pair : form.pairs) {
        suite.report.pairs.push_back({pair.first, pair.second, pair.published.value_or(0), 0, 0,
                                      pair.use, pair.source, pair.note});
    }
    suite.tables = form.tables;
    for (std::size_t i = 0; i < form.tables.size(); ++i) {
        suite.table_places.push_back(document.find("tables")->items[i].place);
    }
    const bool scored = std::any_of(form.cases.begin(), form.cases.end(),
                                    [](const auto& one) { return one.use == CaseUse::check; });
    if (!scored && (form.gates.mape || form.gates.worst)) {
        problems.push_back({document.place, "gates", "there is no case with use: check", ""});
    }
    if (problems.empty()) {
        for (const auto& one : suite.cases) {
            try {
                Catalog own = catalog;
                (void)check_experiment(one.experiment, own);
            } catch (const InputError& error) {
                add_of_case(error, one.path, problems);
            }
        }
        for (std::size_t i = 0; i < suite.tables.size(); ++i) {
            try {
                Catalog own = catalog;
                check_table(suite.tables[i], own, suite.table_places[i]);
            } catch (const InputError& error) {
                problems.insert(problems.end(), error.diagnostics().begin(),
                                error.diagnostics().end());
            }
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return suite;
}

nlohmann::ordered_json suite_schema() {
    return schema<SuiteForm>("podsim validation suite").json();
}

}  // namespace podsim

#include "sim/energy_use.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "base/at.hpp"
#include "chips/power.hpp"
#include "sim/task_facts.hpp"

namespace podsim {

namespace {

// Joules of one execution of a task on one rank.
struct TaskEnergy {
    double matrix = 0, vector = 0, on_chip = 0, hbm = 0, scale_up = 0, scale_out = 0;
    double clocked() const { return matrix + vector + on_chip; }
    double all() const { return clocked() + hbm + scale_up + scale_out; }
};

class EnergyOfTasks {
  public:
    EnergyOfTasks(const AssemblyInput& in, const ChipSpec& chip, Energies energies, bool busy)
        : in_(in), chip_(chip), energies_(std::move(energies)), busy_(busy) {}

    TaskEnergy of(int id) const {
        const Task& task = at(in_.program.tasks, id);
        if (task.kind == TaskKind::transfer) return of_transfer(id);
        if (task.kind == TaskKind::host) return {};
        TaskEnergy energy = of_kernel(task);
        if (task.kind == TaskKind::fused) {
            const auto& bytes = fused_cost_of(in_, task).bytes;
            energy.scale_up = bytes[0] * energies_.scale_up.value.value();
            energy.scale_out = bytes[2] * energies_.scale_out.value.value();
        }
        return energy;
    }

  private:
    TaskEnergy of_transfer(int id) const {
        // Ports: scale-up send and receive, scale-out send and receive. A byte crosses once.
        const CoflowShare& share = share_of(in_, id);
        TaskEnergy energy;
        energy.scale_up = (share.bytes[0] * energies_.scale_up.value).value();
        energy.scale_out = (share.bytes[2] * energies_.scale_out.value).value();
        return energy;
    }

    TaskEnergy of_kernel(const Task& task) const {
        const OperatorCost& cost = cost_of(in_, task);
        TaskEnergy energy;
        double loaded = 0;  // bytes from the last-level cache to cores
        for (const int op : operators_of(in_, task)) {
            const OperatorBody& body = at(in_.program.operators, op).body;
            const Flops work = matrix_work_of(body);
            if (!(work > Flops(0.0))) continue;
            const DType format = executed_format(chip_, compute_dtype_of(body));
            energy.matrix += (work * matrix_energy(energies_, chip_, format)).value();
            loaded +=
                work.value() / product_reuse(in_.hardware.accumulator.value(), bytes_of(format));
        }
        energy.vector = (cost.vector * in_.hardware.peak_vector * energies_.vector.value).value();
        // What comes out of the SRAM of a chip without HBM is counted there.
        const double counted = in_.hardware.sram_only ? cost.hbm.value() : 0;
        energy.on_chip =
            (std::max(loaded, cost.hbm.value()) - counted) * energies_.on_chip.value.value();
        energy.hbm = (cost.hbm * energies_.hbm.value).value();
        if (busy_) hold_to_cap(energy, cost.time);
        return energy;
    }

    void hold_to_cap(TaskEnergy& energy, Seconds time) const {
        const double ranks = chip_.ranks;
        const double left =
            ((energies_.cap.value - energies_.static_power.value) / ranks * time).value() -
            energy.hbm;
        if (energy.clocked() <= left) return;
        const double share = std::max(0.0, left) / energy.clocked();
        energy.matrix *= share;
        energy.vector *= share;
        energy.on_chip *= share;
    }

    const AssemblyInput& in_;
    const ChipSpec& chip_;
    Energies energies_;
    bool busy_;
};

// Tasks that draw the same: one of them, and how often its like runs on all ranks.
struct Alike {
    int id = 0;
    double count = 0;
};

// A program repeats few bodies many times: what they draw is worked out once each. A kernel's
// energy is that of its body on its stream, a transfer's that of its share of the coflow.
std::vector<Alike> alike_tasks(const AssemblyInput& in) {
    const auto count_of = [&](int id) {
        return static_cast<double>(
            at(in.program.classes, at(in.program.tasks, id).rank_class).count);
    };
    std::vector<Alike> alike;
    const std::size_t streams = in.program.streams.size();
    std::vector<int> kernels(streams * in.program.operators.size(), -1);
    std::vector<int> pipelines(streams * in.program.pipelines.size(), -1);
    const auto add = [&](std::vector<int>& known, std::size_t key, int id) {
        int& index = known.at(key);
        if (index < 0) {
            index = static_cast<int>(alike.size());
            alike.push_back({id, 0});
        }
        alike[static_cast<std::size_t>(index)].count += count_of(id);
    };
    for (int id = 0; id < static_cast<int>(in.program.tasks.size()); ++id) {
        const Task& task = at(in.program.tasks, id);
        const auto key =
            static_cast<std::size_t>(task.body) * streams + static_cast<std::size_t>(task.stream);
        if (task.kind == TaskKind::compute) add(kernels, key, id);
        if (task.kind == TaskKind::pipeline) add(pipelines, key, id);
        if (task.kind == TaskKind::fused) alike.push_back({id, count_of(id)});
    }
    std::vector<std::vector<int>> shares(in.program.transfers.size());
    for (const auto& instance : in.program.instances) {
        std::vector<int>& known = at(shares, instance.transfer);
        known.resize(at(in.costs.coflows, instance.transfer).shares.size(), -1);
        for (std::size_t part = 0; part < instance.tasks.size(); ++part)
            add(known, std::min(part, known.size() - 1), instance.tasks[part]);
    }
    return alike;
}

// A run as what draws alike in it, worked out once for the ends of all bands.
struct AlikeRun {
    const AssemblyInput* input = nullptr;
    std::vector<Alike> alike;
    double times = 1;
};

std::vector<AlikeRun> alike_runs(const std::vector<EnergyRun>& runs) {
    std::vector<AlikeRun> result;
    result.reserve(runs.size());
    for (const EnergyRun& run : runs)
        result.push_back({run.input, alike_tasks(*run.input), run.times});
    return result;
}

// Adds all ranks' tasks of one execution, so many times.
void add_tasks(const std::vector<Alike>& alike, const EnergyOfTasks& tasks, double times,
               TaskEnergy& sum) {
    for (const Alike& of_them : alike) {
        const TaskEnergy one = tasks.of(of_them.id);
        const double count = times * of_them.count;
        sum.matrix += count * one.matrix;
        sum.vector += count * one.vector;
        sum.on_chip += count * one.on_chip;
        sum.hbm += count * one.hbm;
        sum.scale_up += count * one.scale_up;
        sum.scale_out += count * one.scale_out;
    }
}

std::vector<EnergyPart> parts_of(const std::vector<AlikeRun>& runs, double seconds,
                                 const ResolvedAlternative& alternative, const Energies& energies,
                                 bool busy) {
    TaskEnergy sum;
    for (const AlikeRun& run : runs) {
        const EnergyOfTasks tasks(*run.input, alternative.chip, energies, busy);
        add_tasks(run.alike, tasks, run.times, sum);
    }
    const double machine_seconds = seconds * alternative.packages;
    return {{"matrix units", sum.matrix, 0, true},
            {"vector units", sum.vector, 0, true},
            {"on-chip movement", sum.on_chip, 0, true},
            {main_memory(alternative.chip).name, sum.hbm, 0, true},
            {"scale-up links", sum.scale_up, 0, true},
            {kStaticEnergy, energies.static_power.value.value() * machine_seconds, 0, true},
            {"scale-out links", sum.scale_out, 0, false},
            {kHostEnergy,
             std::max(0.0, alternative.host_power.value() * machine_seconds - sum.scale_out), 0,
             false}};
}

EnergyTotal total_of(const std::vector<EnergyPart>& parts) {
    EnergyTotal total;
    for (const EnergyPart& part : parts) {
        total.whole += part.joules;
        if (part.in_package) total.package += part.joules;
    }
    return total;
}

// What each row's first task, and so each of its executions, draws.
void fill_rows(AlternativeResult& result, const AssemblyInput& in, const EnergyOfTasks& tasks) {
    std::map<std::array<int, 4>, std::size_t> index;
    for (int id = 0; id < static_cast<int>(in.program.tasks.size()); ++id) {
        const Task& task = at(in.program.tasks, id);
        const int body = task.kind == TaskKind::transfer
                             ? at(in.program.instances, task.body).transfer
                             : task.body;
        const auto [it, fresh] = index.try_emplace(
            {task.rank_class, task.stream, static_cast<int>(task.kind), body}, index.size());
        if (fresh) result.operators.at(it->second).energy_each = tasks.of(id).all();
    }
}

}  // namespace

bool is_at_rest(const EnergyPart& part) {
    return part.part == kStaticEnergy || part.part == kHostEnergy;
}

double energy_at_rest(const std::vector<EnergyPart>& parts) {
    double joules = 0;
    for (const EnergyPart& part : parts)
        if (is_at_rest(part)) joules += part.joules;
    return joules;
}

std::vector<EnergyPart> energy_parts(const AssemblyInput& in,
                                     const ResolvedAlternative& alternative, bool busy) {
    return parts_of(alike_runs({{&in, 1.0}}), seconds_of(in.record.end), alternative,
                    energies_of(alternative.chip), busy);
}

EnergyBand add_energy(AlternativeResult& result, const AssemblyInput& in,
                      const ResolvedAlternative& alternative, bool busy) {
    const EnergyOfTasks tasks(in, alternative.chip, energies_of(alternative.chip), busy);
    fill_rows(result, in, tasks);
    return add_energy_of_runs(result, {{&in, 1.0}}, seconds_of(in.record.end), alternative, busy);
}

EnergyBand add_energy_of_runs(AlternativeResult& result, const std::vector<EnergyRun>& runs,
                              double seconds, const ResolvedAlternative& alternative, bool busy) {
    const Energies energies = energies_of(alternative.chip);
    const std::vector<AlikeRun> alike = alike_runs(runs);
    result.energy = parts_of(alike, seconds, alternative, energies, busy);
    const double whole = total_of(result.energy).whole;
    for (EnergyPart& part : result.energy) part.share = whole > 0 ? part.joules / whole : 0;
    const auto end = [&](int which) {
        return total_of(parts_of(alike, seconds, alternative, at_end(energies, which), busy));
    };
    return {end(-1), end(1)};
}

namespace {

void add_site_metrics(AlternativeResult& result, const ResolvedExperiment& experiment,
                      const ResolvedAlternative& alternative) {
    const SystemSpec& system = alternative.system;
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, {{{"specified", 1.0}}, 0}});
    };
    if (system.rack) {
        const long fed = chips_fed(system.rack->power.value, system.power_per_chip.value);
        add("chips_per_rack", static_cast<double>(std::min(system.rack->chips.value, fed)),
            "chips");
        if (fed < system.rack->chips.value) {
            result.warnings.push_back(
                fmt::format("a rack of {} has {} for {} chips of {}: {} of them may run",
                            system.name, to_string(system.rack->power.value),
                            system.rack->chips.value, to_string(system.power_per_chip.value), fed));
        }
    }
    if (experiment.spec.site_power) {
        const double overhead = experiment.prices.power_usage_effectiveness.value;
        const Watts site = *experiment.spec.site_power, each = system.power_per_chip.value;
        add("chips_allowed", static_cast<double>(chips_fed(site / overhead, each)), "chips");
        add("site_power_headroom", (site - each * (overhead * alternative.packages)).value() / 1e3,
            "kW");
    }
}

}  // namespace

void add_power_metrics(AlternativeResult& result, const EnergyBand& band,
                       const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                       double tokens) {
    Provenance provenance;
    provenance.shares["estimated"] = 1;
    const EnergyTotal total = total_of(result.energy);
    // Holding to the cap can turn the ends around.
    const auto add = [&](const char* name, double EnergyTotal::*of, double divisor,
                         const char* unit) {
        const auto [low, high] = std::minmax({total.*of, band.low.*of, band.high.*of});
        result.metrics.push_back(
            {name, total.*of / divisor, unit, low / divisor, high / divisor, provenance});
    };
    const double machine_seconds = result.iteration_seconds * alternative.packages;
    add("power_per_chip", &EnergyTotal::whole, machine_seconds, "W");
    add("power_package", &EnergyTotal::package, machine_seconds, "W");
    result.metrics.push_back({"power_nameplate_per_chip",
                              alternative.system.power_per_chip.value.value(),
                              "W",
                              {},
                              {},
                              {{{"specified", 1.0}}, 0}});
    if (tokens > 0) add("energy_per_token", &EnergyTotal::whole, tokens, "J/tok");
    add_site_metrics(result, experiment, alternative);
}

}  // namespace podsim

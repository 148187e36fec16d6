#include "chips/core_spec.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "base/form.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Dataflow>>& names_of(const Dataflow*) {
    static const std::vector<std::pair<const char*, Dataflow>> names = {
        {"output_stationary", Dataflow::output_stationary},
        {"weight_stationary", Dataflow::weight_stationary}};
    return names;
}

template <class Form>
void describe(Form& form, MatrixUnitSpec& unit) {
    form.required("rows", unit.rows, "rows of a cycle's multiply-accumulates", at_least(1));
    form.required("columns", unit.columns, "columns of them", at_least(1));
    form.required("depth", unit.depth, "products summed in a cycle, in `format`", at_least(1));
    form.optional("arrays", unit.arrays, "such units in one core", at_least(1));
    form.optional("format", unit.format, "format in which the shape is stated");
    form.optional("dataflow", unit.dataflow, "what stays in place while operands stream");
    form.optional("double_buffered_weights", unit.double_buffered_weights,
                  "weight_stationary: the next weights are loaded while rows stream");
    form.optional("weight_rows_per_cycle", unit.weight_rows_per_cycle,
                  "weight_stationary: rows of weights that an array takes a cycle", at_least(1));
    form.required("issue_cycles", unit.issue_cycles, "cycles of each instruction beside its work",
                  non_negative());
}

template <class Form>
void describe(Form& form, AccumulatorSpec& accumulator) {
    form.required("size", accumulator.size, "space for sums, per core", positive());
    form.required("drain_bytes_per_cycle", accumulator.drain_bytes_per_cycle,
                  "rate out of it: FIXPIPE, epilogue", positive());
}

template <class Form>
void describe(Form& form, Level1Spec& level1) {
    form.required("size", level1.size, "operand buffer: L1, shared memory, VMEM", positive());
    form.required("buffers", level1.buffers, "slots of a ring of operand panels, at most",
                  at_least(2));
}

template <class Form>
void describe(Form& form, Level0Spec& level0) {
    form.required("a", level0.a, "buffer of the left operand, two halves", positive());
    form.required("b", level0.b, "buffer of the right operand, two halves", positive());
    form.required("a_bytes_per_cycle", level0.a_bytes_per_cycle, "from level 1 to it", positive());
    form.required("b_bytes_per_cycle", level0.b_bytes_per_cycle, "from level 1 to it", positive());
}

template <class Form>
void describe(Form& form, VectorUnitSpec& vector) {
    form.required("operations_per_cycle", vector.operations_per_cycle,
                  "FP32 operations of one vector core", positive());
    form.required("exponentials_per_cycle", vector.exponentials_per_cycle,
                  "exponentials of one vector core", positive());
    form.required("buffer", vector.buffer, "what it works on: UB, shared memory", positive());
    form.required("bytes_per_cycle", vector.bytes_per_cycle, "into and out of that buffer",
                  positive());
    form.required("handoff_cycles", vector.handoff_cycles,
                  "from the matrix unit to the vector unit or back: flags and way", non_negative());
    form.optional("sums_in_accumulator", vector.sums_in_accumulator,
                  "attention's output is rescaled where it is added up, and does not travel");
}

template <class Form>
void describe(Form& form, DmaSpec& dma) {
    form.required("outstanding", dma.outstanding, "bytes of one core's loads under way, at most",
                  positive());
}

template <class Form>
void describe(Form& form, L2PathSpec& l2) {
    form.required("read_bytes_per_cycle", l2.read_bytes_per_cycle, "from L2 into one core",
                  positive());
    form.required("write_bytes_per_cycle", l2.write_bytes_per_cycle, "from one core to L2",
                  positive());
    form.required("memory_bytes_per_cycle", l2.memory_bytes_per_cycle,
                  "into one core, of what L2 has to fetch from memory", positive());
    form.required("bandwidth", l2.bandwidth, "of L2, of the package, all cores together, each way",
                  positive());
    form.required("latency", l2.latency, "of one read that hits", non_negative());
    form.optional("multicast", l2.multicast, "neighbouring cores that one read serves",
                  at_least(1));
}

template <class Form>
void describe(Form& form, CoreMemorySpec& memory) {
    form.optional("efficiency", memory.efficiency,
                  "share of hbm.bandwidth that refresh, turnarounds and fabric leave, measured or "
                  "published; this or fabric",
                  share_above_zero());
    form.optional("fabric", memory.fabric,
                  "share that the path between cores and memory leaves, beside what the banks of "
                  "memory.device sustain",
                  share_above_zero());
    form.required("latency", memory.latency, "behind L2, of one read of an idle memory",
                  non_negative());
    form.optional("resident", memory.resident,
                  "no DRAM: operands lie in SRAM beside the cores, and must fit");
}

template <class Form>
void describe(Form& form, DieLinkSpec& link) {
    form.required("dies", link.dies, "dies of one rank that share a program", at_least(2));
    form.required("bandwidth", link.bandwidth, "into one die, from all others", positive());
    form.required("latency", link.latency, "that crossing adds to a read", non_negative());
}

template <class Form>
void describe(Form& form, CoreStructureSpec& core) {
    form.required("matrix_unit", core.matrix_unit, "shape and dataflow of the matrix unit");
    form.required("accumulator", core.accumulator, "where sums are kept");
    form.required("level1", core.level1, "where operand panels wait");
    form.optional("level0", core.level0, "buffers between level 1 and the matrix unit");
    form.required("vector", core.vector, "vector unit of one vector core");
    form.required("dma", core.dma, "what moves operands");
    form.required("l2", core.l2, "the way from and to the last-level cache");
    form.required("memory", core.memory, "memory as the cores see it");
    form.optional("die_link", core.die_link, "between dies that share a program");
}

template void describe(ReadForm& form, CoreStructureSpec& core);
template void describe(SchemaForm& form, CoreStructureSpec& core);

namespace {

// Buffers are written in powers of two: 64 KiB, not 65.54 kB. What is no whole KiB is told in
// bytes.
std::string size_text(double bytes) {
    constexpr double kib = 1024;
    if (std::fmod(bytes, kib * kib) == 0) return fmt::format("{} MiB", bytes / kib / kib);
    return std::fmod(bytes, kib) == 0 ? fmt::format("{} KiB", bytes / kib)
                                      : fmt::format("{} B", bytes);
}

// The smallest tile: an instruction's rows and columns, one instruction deep in the widest format,
// two panels in flight.
void check_buffers(const CoreStructureSpec& core, long minimum_rows,
                   std::vector<CoreProblem>& problems) {
    const MatrixUnitSpec& unit = core.matrix_unit;
    const bool systolic = unit.dataflow == Dataflow::weight_stationary;
    const double rows = static_cast<double>(std::max(minimum_rows, systolic ? 1 : *unit.rows));
    const double columns = static_cast<double>(*unit.columns);
    const double deep = static_cast<double>(systolic ? *unit.rows : *unit.depth);
    const double element = bytes_of(unit.format);
    const auto require = [&](const char* key, Bytes has, double needs, const char* what) {
        if (has.value() >= needs) return;
        problems.push_back(
            {key,
             fmt::format("{} cannot hold {} of {}", size_text(has.value()), what, size_text(needs)),
             "make it larger, or the matrix unit smaller"});
    };
    require("accumulator.size", *core.accumulator.size, rows * columns * 4, "the sums of one tile");
    require("level1.size", *core.level1.size, 2 * (rows + columns) * deep * element,
            "two panels of the smallest tile,");
    // A panel travels whole; two halves of what vector units work on, each with a tile's sums.
    require("dma.outstanding", *core.dma.outstanding, (rows + columns) * deep * element,
            "a panel of the smallest tile,");
    require("vector.buffer", *core.vector.buffer, 2 * rows * columns * 4,
            "the sums of one tile, twice,");
    if (!core.level0) return;
    require("level0.a", *core.level0->a, 2 * rows * deep * element, "two left operands");
    require("level0.b", *core.level0->b, 2 * columns * deep * element, "two right operands");
}

}  // namespace

CoreStructure with_memory_share(CoreStructure core, double write_share) {
    MemoryPath& path = core.path;
    if (!path.sustained.shares.empty()) path.memory_rate *= share_at(path.sustained, write_share);
    path.sustained = {};
    if (!(path.memory_rate > 0)) {
        throw std::invalid_argument(
            "core.memory.fabric needs what the banks of the chip's memory sustain, which nobody "
            "measured here; state core.memory.efficiency instead");
    }
    return core;
}

std::vector<CoreProblem> core_problems(const CoreStructureSpec& core,
                                       const std::map<DType, Sourced<long>>& macs_per_cycle,
                                       long minimum_rows) {
    std::vector<CoreProblem> problems;
    const MatrixUnitSpec& unit = core.matrix_unit;
    const auto rate = macs_per_cycle.find(unit.format);
    if (rate == macs_per_cycle.end()) {
        problems.push_back({"matrix_unit.format",
                            fmt::format("the matrix unit has no {}", to_string(unit.format)),
                            "name a format of cores.macs_per_cycle"});
    } else {
        const double shape = static_cast<double>(*unit.rows) * static_cast<double>(*unit.columns) *
                             static_cast<double>(*unit.depth) * static_cast<double>(*unit.arrays);
        if (std::abs(shape / static_cast<double>(*rate->second) - 1) > 0.02) {
            problems.push_back(
                {"matrix_unit",
                 fmt::format("{} x {} x {} x {} arrays are {} multiply-accumulates a cycle, "
                             "cores.macs_per_cycle.{} (and with it peak_matrix) says {}",
                             *unit.rows, *unit.columns, *unit.depth, *unit.arrays, shape,
                             to_string(unit.format), *rate->second),
                 "correct one of them; they may differ by 2 %. A wider unit has more of them in "
                 "every "
                 "format: state cores.macs_per_cycle, and peak_matrix: null follows"});
        }
    }
    check_buffers(core, minimum_rows, problems);
    constexpr Seconds kLongestWay(100e-6);
    const auto check_latency = [&](const char* path, Seconds latency) {
        if (!(latency > kLongestWay)) return;
        problems.push_back({path, fmt::format("no load waits {} on a chip", to_string(latency)),
                            "nanoseconds, as 300 ns"});
    };
    check_latency("l2.latency", *core.l2.latency);
    check_latency("memory.latency", *core.memory.latency);
    if (core.die_link) check_latency("die_link.latency", *core.die_link->latency);
    if (core.memory.efficiency.has_value() == core.memory.fabric.has_value()) {
        problems.push_back(
            {core.memory.fabric ? "memory.fabric" : "memory",
             core.memory.fabric ? "stands beside efficiency, which has fabric and banks in it"
                                : "names neither efficiency nor fabric",
             "efficiency: the share of the whole path, as measured or published; or fabric: that "
             "of the path alone, with memory.device for the banks"});
    }
    return problems;
}

}  // namespace podsim

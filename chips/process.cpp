#include "chips/process.hpp"

#include <nlohmann/json.hpp>

#include "base/form.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, ProcessArea& area) {
    form.required("mac_mm2", area.mac_mm2,
                  "mm2 of a multiply-accumulate a cycle with its operand buffers, by format",
                  positive());
    form.required("vector_mm2", area.vector_mm2, "mm2 of an FP32 lane with its registers",
                  positive());
    form.required("sram_mm2", area.sram_mm2, "mm2 of a MiB of SRAM", positive());
    form.required("hbm_phy_mm2", area.hbm_phy_mm2, "mm2 of the interface of one HBM stack",
                  positive());
    form.required("link_mm2", area.link_mm2, "mm2 of links for a GB/s per direction", positive());
    form.required("uncore", area.uncore, "share of a die that is none of these", share());
    form.required("die_to_die", area.die_to_die, "share of a die that being one of several takes",
                  share());
    if (form.ok() && area.die_to_die.high.value_or(area.die_to_die.value) >= 1)
        form.problem("die_to_die", "leaves nothing for what the die is made for");
    if (form.ok() && area.uncore.high.value_or(area.uncore.value) >= 1)
        form.problem("uncore", "leaves nothing for what the die is made for");
    if (form.ok() && area.mac_mm2.empty()) form.problem("mac_mm2", "names no format");
}

template <class Form>
void describe(Form& form, ProcessEnergy& energy) {
    form.required("matrix", energy.matrix,
                  "of a FLOP of the matrix units with its operands, by format", positive());
    form.required("vector", energy.vector, "of an FP32 FLOP of the vector units", positive());
    form.required("on_chip", energy.on_chip, "of a byte from the last-level cache to a core",
                  positive());
    form.required("leakage_w_per_mm2", energy.leakage_w_per_mm2,
                  "watts a mm2 draws at rest, clocks running", non_negative());
    if (form.ok() && energy.matrix.empty()) form.problem("matrix", "names no format");
}

template <class Form>
void describe(Form& form, ProcessSpec& process) {
    form.required("title", process.title, "name in words");
    form.required("wafer", process.wafer, "price of a processed wafer", positive());
    form.required("wafer_mm", process.wafer_mm, "its diameter in mm", positive());
    form.required("defects_per_cm2", process.defects_per_cm2, "defect density D0", non_negative());
    form.required("clustering", process.clustering,
                  "exponent of the yield law, (1 + A D0 / c)^-c: small where defects cluster",
                  positive());
    form.required("reticle_mm2", process.reticle_mm2, "largest die that can be exposed",
                  positive());
    form.required("design", process.design, "masks and design of one chip", non_negative());
    form.required("area", process.area, "what parts of a chip take");
    form.required("energy", process.energy, "what they draw");
}

ProcessSpec read_process(const Node& document, const std::string& name) {
    ProcessSpec process = read<ProcessSpec>(document, "");
    process.name = name;
    return process;
}

nlohmann::ordered_json process_schema() {
    return schema<ProcessSpec>("podsim process").json();
}

}  // namespace podsim

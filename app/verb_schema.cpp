#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/output_files.hpp"
#include "app/result_schema.hpp"
#include "app/verbs.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "chips/memory_device.hpp"
#include "chips/process.hpp"
#include "interconnect/collective_library.hpp"
#include "interconnect/system.hpp"
#include "sim/api_prices.hpp"
#include "sim/experiment.hpp"
#include "sim/inventory_form.hpp"
#include "sim/price.hpp"
#include "sim/validation.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

namespace {

// A file of these kinds may begin with `base:` and state the differences alone.
nlohmann::ordered_json with_base(nlohmann::ordered_json schema, const std::string& kind) {
    const nlohmann::ordered_json base = {
        {"type", "string"}, {"description", "another " + kind + " that this one starts from"}};
    if (!schema.contains("properties")) return schema;
    schema["properties"]["base"] = base;
    if (schema.contains("required")) {
        const nlohmann::ordered_json required = schema["required"];
        schema.erase("required");
        schema["anyOf"] = {{{"required", {"base"}}}, {{"required", required}}};
    }
    return schema;
}

}  // namespace

ExitCode do_schema(const SchemaCommand& schema, const Surroundings& surroundings, Streams streams) {
    namespace fs = std::filesystem;
    const std::string root = find_configs_root(schema.inputs.configs, surroundings);
    const fs::path folder = schema.out.empty()
                                ? (fs::path(root) / ".." / "docs" / "schemas").lexically_normal()
                                : fs::path(schema.out);
    const std::pair<const char*, nlohmann::ordered_json> schemas[] = {
        {"experiment", with_base(experiment_schema(), "experiment")},
        {"chip", with_base(chip_schema(), "chip")},
        {"memory", with_base(memory_schema(), "memory")},
        {"system", with_base(system_schema(), "system")},
        {"kernels", with_base(kernel_library_schema(), "kernel library")},
        {"collectives", with_base(collective_library_schema(), "collective library")},
        {"engine", with_base(engine_schema(), "engine")},
        {"process", with_base(process_schema(), "process")},
        {"prices", with_base(price_schema(), "price list")},
        {"api_prices", with_base(api_price_schema(), "prices of model APIs")},
        {"parts", with_base(part_list_schema(), "list of parts")},
        {"inventory", with_base(inventory_schema(), "inventory")},
        {"suite", suite_schema()},
        {"result", result_schema()},
    };
    require_writable(folder.string());
    std::vector<OutputFile> files;
    for (const auto& [name, json] : schemas) {
        const fs::path path = folder / (std::string(name) + ".schema.json");
        files.push_back({path.string(), json.dump(2) + "\n"});
    }
    write_files(files);
    for (const OutputFile& file : files) streams.out << file.path << "\n";
    return ExitCode::ok;
}

}  // namespace podsim

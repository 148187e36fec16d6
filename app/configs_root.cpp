#include "app/configs_root.hpp"

#include <filesystem>

namespace podsim {

namespace fs = std::filesystem;

std::string find_configs_root(const std::string& option, const Surroundings& surroundings) {
    if (!option.empty()) return option;
    if (!surroundings.configs.empty()) return surroundings.configs;
    std::error_code ignored;
    // build/release/podsim stands two folders below the root of its tree.
    const fs::path beside =
        fs::path(surroundings.program).parent_path().parent_path().parent_path() / "configs";
    if (!surroundings.program.empty() && fs::is_directory(beside / "chips", ignored)) {
        return fs::proximate(beside, ignored).string();
    }
    return PODSIM_SOURCE_DIR "/configs";
}

std::string find_suites_folder(const std::string& option, const std::string& configs_root) {
    if (!option.empty()) return option;
    return (fs::path(configs_root) / ".." / "bench" / "validation").lexically_normal().string();
}

std::string find_data_folder(const std::string& option, const std::string& configs_root,
                             const Surroundings& surroundings) {
    if (!option.empty()) return option;
    if (!surroundings.data.empty()) return surroundings.data;
    std::error_code ignored;
    const fs::path root = fs::weakly_canonical(configs_root, ignored);
    return (root / ".." / ".." / "shared" / "data").lexically_normal().string();
}

std::string find_cache_folder(const char* xdg_cache_home, const char* home) {
    const auto absolute = [](const char* path) { return path != nullptr && path[0] == '/'; };
    if (absolute(xdg_cache_home)) return (fs::path(xdg_cache_home) / "podsim").string();
    if (absolute(home)) return (fs::path(home) / ".cache" / "podsim").string();
    return "";
}

std::vector<Setting> parse_settings(const std::vector<std::string>& texts) {
    std::vector<Setting> settings;
    std::vector<Diagnostic> problems;
    for (const std::string& text : texts) {
        try {
            settings.push_back(parse_setting(text));
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return settings;
}

Catalog open_catalog(const InputOptions& inputs, const Surroundings& surroundings) {
    const std::string root = find_configs_root(inputs.configs, surroundings);
    Catalog catalog(root, parse_settings(inputs.settings));
    catalog.set_data_folder(find_data_folder("", root, surroundings));
    return catalog;
}

}  // namespace podsim

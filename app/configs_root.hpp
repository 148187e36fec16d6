// Where the shipped configurations lie.
#pragma once

#include <string>
#include <vector>

#include "app/command_line.hpp"
#include "base/catalog.hpp"

namespace podsim {

// What the program finds around itself.
struct Surroundings {
    std::string program;    // path of the running program, "" if unknown
    std::string configs;    // $PODSIM_CONFIGS, "" if unset
    std::string data;       // $PODSIM_DATA, "" if unset
    std::string cache;      // folder of what is kept between runs, "" for none
    bool terminal = false;  // stderr is one: progress is shown
};

// --configs, else $PODSIM_CONFIGS, else configs/ of the tree in which the program was built, else
// that of the tree it was built from.
std::string find_configs_root(const std::string& option, const Surroundings& surroundings);

// bench/validation beside the configurations, or what --suites says.
std::string find_suites_folder(const std::string& option, const std::string& configs_root);

// Where tables of measurements lie: --data, else $PODSIM_DATA, else shared/data beside the tree of
// the configurations. The folder need not exist.
std::string find_data_folder(const std::string& option, const std::string& configs_root,
                             const Surroundings& surroundings);

// podsim/ in $XDG_CACHE_HOME or, where that is no absolute path, in $HOME/.cache (XDG Base
// Directory Specification 0.8); "" without either. Unset variables are nullptr.
std::string find_cache_folder(const char* xdg_cache_home, const char* home);

// A catalog of that root with the settings of --set. Throws InputError with all that is wrong.
Catalog open_catalog(const InputOptions& inputs, const Surroundings& surroundings);

// The settings of --set, with everything wrong in them in one InputError.
std::vector<Setting> parse_settings(const std::vector<std::string>& texts);

}  // namespace podsim

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "app/output_files.hpp"
#include "app/verbs.hpp"

int main(int argc, char** argv) {
    std::error_code unknown;
    podsim::Surroundings surroundings;
    surroundings.program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
    if (const char* configs = std::getenv("PODSIM_CONFIGS")) surroundings.configs = configs;
    if (const char* data = std::getenv("PODSIM_DATA")) surroundings.data = data;
    surroundings.cache =
        podsim::find_cache_folder(std::getenv("XDG_CACHE_HOME"), std::getenv("HOME"));
    surroundings.terminal = isatty(STDERR_FILENO) == 1;
    podsim::exit_on_interrupt();
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    return static_cast<int>(podsim::do_command(arguments, surroundings, {std::cout, std::cerr}));
}

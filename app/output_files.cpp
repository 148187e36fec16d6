#include "app/output_files.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/exit_code.hpp"
#include "base/diagnostic.hpp"
#include "base/signals_held.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, const std::string& what, int error) {
    const std::string why = error != 0 ? std::string(": ") + std::strerror(error) : "";
    throw InputError({path, 0, 0}, "", what + why);
}

// Takes back at its end what was made and not renamed: temporaries and empty folders.
class Leftovers {
  public:
    Leftovers() = default;
    ~Leftovers() {
        std::error_code ignored;
        for (const fs::path& file : files_) fs::remove(file, ignored);
        // Deepest first; a folder that is not empty stays.
        for (auto it = folders_.rbegin(); it != folders_.rend(); ++it) fs::remove(*it, ignored);
    }
    Leftovers(const Leftovers&) = delete;
    Leftovers& operator=(const Leftovers&) = delete;

    void make_folder(const fs::path& folder) {
        if (folder.empty() || fs::exists(folder)) return;
        make_folder(folder.parent_path());
        std::error_code error;
        fs::create_directory(folder, error);
        if (error) fail(folder.string(), "this folder cannot be made", error.value());
        folders_.push_back(folder);
    }
    void file(const fs::path& path) { files_.push_back(path); }

  private:
    std::vector<fs::path> files_, folders_;
};

void write(const fs::path& path, const std::string& content) {
    errno = 0;
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream << content;
    stream.close();
    if (!stream) fail(path.string(), "cannot be written", errno);
}

void on_interrupt(int) {
    _exit(static_cast<int>(ExitCode::interrupted));
}

}  // namespace

void require_writable(const std::string& folder) {
    fs::path there = fs::path(folder).lexically_normal();
    if (there.filename().empty()) there = there.parent_path();
    std::error_code error;
    while (!there.empty() && !fs::exists(there, error)) there = there.parent_path();
    if (there.empty()) there = ".";
    if (!fs::is_directory(there, error)) {
        throw InputError({there.string(), 0, 0}, "", "is not a folder, results cannot go there",
                         "choose another with --out");
    }
    if (access(there.c_str(), W_OK | X_OK) != 0) {
        throw InputError({there.string(), 0, 0}, "", "this folder cannot be written to",
                         "choose another with --out");
    }
}

void write_files(const std::vector<OutputFile>& files) {
    const SignalsHeld held;
    Leftovers leftovers;
    std::vector<std::pair<fs::path, fs::path>> renames;
    for (const OutputFile& file : files) {
        const fs::path path(file.path);
        if (fs::is_directory(path))
            fail(path.string(), "is a folder, it cannot be written over", 0);
        leftovers.make_folder(path.parent_path());
        const fs::path temporary =
            path.parent_path() / fmt::format(".{}.{}.tmp", path.filename().string(), getpid());
        leftovers.file(temporary);
        write(temporary, file.content);
        renames.emplace_back(temporary, path);
    }
    if (SignalsHeld::interrupted()) return;
    for (const auto& [from, to] : renames) {
        std::error_code error;
        fs::rename(from, to, error);
        if (error) fail(to.string(), "cannot be written", error.value());
    }
}

void exit_on_interrupt() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

}  // namespace podsim

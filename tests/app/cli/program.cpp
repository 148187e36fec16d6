#include "tests/app/cli/program.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace podsim {

namespace {

namespace fs = std::filesystem;

std::string content_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::stringstream content;
    content << stream.rdbuf();
    return content.str();
}

[[noreturn]] void become(const std::string& folder, const std::vector<std::string>& arguments,
                         const std::map<std::string, std::string>& environment,
                         const std::string& out, const std::string& err) {
    const auto redirect = [](const std::string& path, int descriptor) {
        const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (file < 0 || dup2(file, descriptor) < 0) _exit(99);
    };
    redirect(out, STDOUT_FILENO);
    redirect(err, STDERR_FILENO);
    if (chdir(folder.c_str()) != 0) _exit(99);
    unsetenv("PODSIM_CONFIGS");
    // Not in the home of whoever runs the tests, and not among the files that they list.
    setenv("XDG_CACHE_HOME", (folder + ".cache").c_str(), 1);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    std::string program = PODSIM_PROGRAM;
    std::vector<std::string> owned = arguments;
    std::vector<char*> argv = {program.data()};
    for (std::string& argument : owned) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    _exit(99);
}

Outcome run(const std::string& folder, const std::vector<std::string>& arguments,
            const std::map<std::string, std::string>& environment, int terminate_after) {
    // Beside the folder, which the tests list.
    const std::string out = folder + ".out", err = folder + ".err";
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) become(folder, arguments, environment, out, err);
    if (terminate_after >= 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(terminate_after));
        kill(child, SIGTERM);
    }
    int status = 0;
    waitpid(child, &status, 0);
    Outcome outcome;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.out = content_of(out);
    outcome.err = content_of(err);
    fs::remove(out);
    fs::remove(err);
    return outcome;
}

}  // namespace

Folder::Folder() {
    std::string pattern = (fs::temp_directory_path() / "podsim-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
}

Folder::~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    fs::remove_all(path_ + ".cache", ignored);
}

void Folder::write(const std::string& name, const std::string& content) const {
    const fs::path path = fs::path(path_) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
}

std::string Folder::read(const std::string& name) const {
    return content_of(path_ + "/" + name);
}

bool Folder::has(const std::string& name) const {
    return fs::exists(fs::path(path_) / name);
}

std::vector<std::string> Folder::files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
        if (!entry.is_directory()) {
            names.push_back(fs::relative(entry.path(), path_).string());
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

Outcome Folder::podsim(const std::vector<std::string>& arguments,
                       const std::map<std::string, std::string>& environment) const {
    return run(path_, arguments, environment, -1);
}

Outcome Folder::podsim_terminated(const std::vector<std::string>& arguments,
                                  int milliseconds) const {
    return run(path_, arguments, {}, milliseconds);
}

const char* const kGemm = R"(experiment: One product
workload:
  kind: operator
  operator: {type: gemm, m: 4096, n: 4096, k: 7168}
alternatives:
  - {name: H800, system: h800-ib, chips: 1}
  - {name: 910C, system: cloudmatrix384, chips: 1}
)";

const char* const kDecode = R"(experiment: Decode on two clusters
workload:
  kind: decode
  model: deepseek-r1
  context: 4096 tokens
  batch_per_chip: 32
alternatives:
  - name: CloudMatrix384
    system: cloudmatrix384
    chips: 160
    precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
    mapping: {data_parallel: 320, expert_parallel: 320, micro_batches: 2}
    experts: {redundant: 32, shared_ranks: 32}
    engine: cloudmatrix-infer
  - name: Custom
    system: custom-supernode
    chips: 64
    precision: {weights: fp8, experts: fp8, activations: fp8, dispatch: fp8}
    mapping: {data_parallel: 64, expert_parallel: 64, micro_batches: 2}
    engine: nominal
)";

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

}  // namespace podsim

#include "app/input_file.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace podsim {

namespace {

namespace fs = std::filesystem;

bool ends_like_ours(const fs::path& path) {
    const std::string ending = path.extension().string();
    return ending == ".yaml" || ending == ".yml" || ending == ".json";
}

// Our files in a folder, sorted.
std::vector<std::string> files_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
        if (ends_like_ours(entry.path())) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t most = 5;
    std::string text;
    for (std::size_t i = 0; i < std::min(most, names.size()); ++i) {
        text += (i > 0 ? ", " : "") + names[i];
    }
    return names.size() > most ? text + ", ..." : text;
}

}  // namespace

bool means_file(const std::string& argument) {
    std::error_code error;
    return argument.find('/') != std::string::npos || ends_like_ours(argument) ||
           fs::exists(argument, error);
}

void require_input_file(const std::string& path) {
    std::error_code error;
    const fs::path file(path);
    const Place place{path, 0, 0};
    if (fs::is_directory(file, error)) {
        const std::vector<std::string> names = files_in(file);
        throw InputError(
            place, "", "is a folder, a file was expected",
            names.empty() ? "there is no .yaml or .json file in it" : "it holds " + listed(names));
    }
    if (fs::exists(file, error)) return;
    const std::vector<std::string> names = files_in(file.parent_path());
    const std::string nearest = nearest_name(file.filename().string(), names);
    if (!nearest.empty()) {
        throw InputError(place, "", "no such file",
                         "did you mean " + (file.parent_path() / nearest).string() + "?");
    }
    throw InputError(place, "", "no such file",
                     names.empty() ? "there is no .yaml or .json file in its folder"
                                   : "its folder holds " + listed(names));
}

}  // namespace podsim

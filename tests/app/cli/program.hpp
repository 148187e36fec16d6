// Runs the built program as a process, in a folder of its own.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace podsim {

struct Outcome {
    int code = -1;  // exit status; 128 + n for a program killed by signal n
    std::string out, err;
};

// A folder that is gone when the test is.
class Folder {
  public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

    // Makes folders on the way.
    void write(const std::string& name, const std::string& content) const;
    std::string read(const std::string& name) const;  // "" when it isn't there
    bool has(const std::string& name) const;
    std::vector<std::string> files() const;  // all below it, sorted, relative

    // podsim ARGS... with this folder as working directory.
    Outcome podsim(const std::vector<std::string>& arguments,
                   const std::map<std::string, std::string>& environment = {}) const;

    // The same, sent SIGTERM after `milliseconds`.
    Outcome podsim_terminated(const std::vector<std::string>& arguments, int milliseconds) const;

  private:
    std::string path_;
};

// Experiments that run in milliseconds.
extern const char* const kGemm;    // one product on two chips
extern const char* const kDecode;  // DeepSeek-R1 decode on two systems

bool contains(const std::string& text, const std::string& part);
std::vector<std::string> lines_of(const std::string& text);

}  // namespace podsim

// What a user is told when an input is wrong: where, what, and what would be right.
// Readers collect diagnostics and throw them all in one InputError.
#pragma once

#include <exception>
#include <string>
#include <vector>

namespace podsim {

// A spot in a file; line and column count from 1, 0 means the file (or option) as a whole.
struct Place {
    std::string file;  // a path as the user wrote it, or "--set"
    int line = 0;
    int column = 0;
};

struct Diagnostic {
    Place place;
    std::string path;  // dotted path of the key, "alternatives.H800.mapping.expert_parallel"
    std::string what;  // what is wrong, what was expected
    std::string hint;  // optional: the nearest known name, how to get out
};

// "file:line:column: dotted.path: what (hint)"
std::string to_string(const Diagnostic& diagnostic);

// Bad input of any kind: the program prints every diagnostic and exits with 2.
class InputError : public std::exception {
  public:
    explicit InputError(std::vector<Diagnostic> diagnostics);
    InputError(Place place, std::string path, std::string what, std::string hint = "");
    const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }
    const char* what() const noexcept override { return text_.c_str(); }  // one line each

  private:
    std::vector<Diagnostic> diagnostics_;
    std::string text_;
};

// The name nearest to `wanted` by edit distance, or "" if none is near enough to be meant.
std::string nearest_name(const std::string& wanted, const std::vector<std::string>& known);

// "unknown chip h80" with the hint "did you mean h800? known: ...".
Diagnostic unknown_name(Place place, std::string path, const std::string& kind,
                        const std::string& wanted, const std::vector<std::string>& known);

}  // namespace podsim

// Reads the sizes of a Hugging Face config.json: each key is asked for by name, every problem is
// collected with its place, and finish() throws them all at once. Keys nobody asks for are
// ignored: such a file also holds token ids, dropout rates and code references.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/document.hpp"

namespace podsim {

class ConfigReader {
  public:
    // Throws InputError when the document is not a map. `config` must outlive the reader. The sizes
    // of a model with other senses stand under its text_config: they are looked for there first.
    explicit ConfigReader(const Node& config);

    // A whole number in [1, limit], or [0, limit] for a count. A key that is missing, null or
    // wrong is noted and reads as 0, so that the reader can go on to the next one. The limits
    // are far above any model: they catch a slipped unit before it becomes a hang.
    long size(const std::string& key, long limit);
    long count(const std::string& key, long limit);

    // The same with a value for a key that is missing or null.
    long size_or(const std::string& key, long limit, long absent);
    long count_or(const std::string& key, long limit, long absent);

    // The same for a key that must be there but may be null, which reads as 0: the config's way
    // to say "without" (q_lora_rank: null).
    long size_or_null(const std::string& key, long limit);

    bool flag_or(const std::string& key, bool absent);

    // Text that must be there; "" when it is not.
    std::string text(const std::string& key);

    // A list of names or of whole numbers in [0, limit]; empty, and noted, when it is missing or
    // something else. One number stands for `length` equal ones, a
    // text of numbers and commas for a list.
    std::vector<std::string> texts(const std::string& key);
    std::vector<long> counts(const std::string& key, long limit, long length);

    bool has(const std::string& key) const;  // there and not null

    // quantization_config.weight_block_size [b, b], or 0 without one.
    long scale_block();

    // Notes a problem of a key unless `holds`, at its value or, without one, at the map.
    void require(bool holds, const std::string& key, const std::string& what);

    // Notes a problem of a key unless it is missing, null or a list without items.
    void require_empty_list(const std::string& key, const std::string& what);

    const Place& place_of(const std::string& key) const;

    // Keys that nobody asked for and that are not known to say nothing about size, with their
    // places. Not those that are null or false.
    std::vector<Diagnostic> unexpected() const;

    // Throws InputError with everything noted. A missing key gets the nearest unused one as hint.
    void finish();

  private:
    const Node* find(const std::string& key) const;  // nullptr when missing
    const Node* present(const std::string& key);     // nullptr when missing or null
    std::string path_of(const std::string& key) const;
    long whole_number(const Node& node, const std::string& path, long least, long limit);
    std::vector<long> listed(const Node& text, const std::string& path, long limit);
    void note_missing(const std::string& key, const std::string& expected);

    const Node& config_;
    const Node* text_ = nullptr;  // text_config
    std::set<std::string> asked_;
    std::vector<Diagnostic> problems_;
    std::vector<std::size_t> missing_;  // which of them are missing keys
};

}  // namespace podsim

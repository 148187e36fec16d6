// Costs that outlive the program: the content of a file, and what is found in it. No files here,
// only their bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "chips/cost.hpp"

namespace podsim {

// The costs of one setting: the bytes of everything they depend on beside the operator, which the
// file carries whole and which are compared byte for byte. Whatever of a file is not as it was
// written is not found.
//
//   magic, setting, number of entries     (lengths before texts)
//   for each entry, by fingerprint        fingerprint of the key, where it starts
//   the entries, oldest first             checksum, length, key, cost
class StoredCosts {
  public:
    explicit StoredCosts(std::string setting, std::string file = "");

    const std::string& setting() const { return setting_; }
    std::optional<OperatorCost> find(std::string_view key) const;

    // The file with `fresh` added, not larger than `limit`: the oldest entries make room.
    std::string file_with(const std::map<std::string, OperatorCost>& fresh,
                          std::size_t limit) const;

  private:
    // An entry without its checksum and length, empty when it is not as it was written.
    std::string_view entry_at(std::uint64_t start) const;

    std::string setting_, file_;
    std::uint64_t seed_ = 0;     // of checksums: an entry of another setting is none of ours
    std::size_t index_ = 0;      // where the index stands in the file
    std::uint64_t entries_ = 0;  // as the file says, all of whose index is there
};

}  // namespace podsim

// Costs of operators kept on disk between runs. Nothing of it can fail: a file that cannot be read
// or is not what was written is as good as none, one that cannot be written is left out.
#pragma once

#include <string>

#include "chips/cost_cache.hpp"

namespace podsim {

// The file of one cache's setting. The folder has a fixed number of places and a setting has one
// of them, so that it is bounded without anybody looking through it; who comes last has the place.
class CostFile {
  public:
    // Reads it into the cache, all at once. `folder` "": no file.
    CostFile(const std::string& folder, CostCache& cache);

    // Writes it where something was worked out since: under another name, then renamed. Of two
    // programs at once the later one's file stands; neither sees half of one.
    void keep(const CostCache& cache) const;

  private:
    std::string path_;
};

}  // namespace podsim

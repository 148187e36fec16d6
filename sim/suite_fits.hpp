// What the simulated values of a suite rest on: the fit records of the kernel libraries, collective
// libraries and engines behind them.
#pragma once

#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "base/fit_record.hpp"
#include "chips/kernel_library.hpp"
#include "sim/alternative_result.hpp"

namespace podsim {

struct FitUse {
    std::string kind, library;  // "kernels", "deepseek-h800"
    std::string part;           // gemm.bf16, dispatch ...; "" for all of it
    FitRecord record;
};

// Unless it is there.
void add_once(const FitUse& fit, std::vector<FitUse>& fits);

// Throws std::invalid_argument for a part that the library lacks.
void add_fit_of_part(const KernelLibrarySpec& library, const std::string& part,
                     std::vector<FitUse>& fits);

// Of a run: its engine where there is one, the kernel library's parts that are of a kind it runs
// (products, attention, vector operators), the collective library's transfers that it runs.
void add_fits_of_run(const AlternativeResult& result, Catalog& catalog, const Place& place,
                     std::vector<FitUse>& fits);

}  // namespace podsim

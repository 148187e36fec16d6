#include "sim/suite_fits.hpp"

#include <algorithm>
#include <set>

#include "base/names.hpp"
#include "interconnect/collective_library.hpp"
#include "sim/fit_parameters.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

namespace {

// The kinds of operator rows that a part of a kernel library decides about.
bool decides(const std::string& part, const std::set<std::string>& kinds) {
    // What a fused kernel holds is not said.
    if (kinds.count("pipeline") > 0) return true;
    const std::string begin = part.substr(0, part.find('.'));
    if (begin == "gemm" || begin == "grouped_gemm" || begin == "widened_gemm") {
        return kinds.count("gemm") > 0 || kinds.count("grouped_gemm") > 0;
    }
    if (begin == "vector" || begin == "expert_vector" || begin == "vector_kernels")
        return kinds.count("vector") > 0;
    if (begin == "index_scores" || begin == "delta_rule" || begin == "stream_mix")
        return kinds.count(begin) > 0;
    if (begin == "modules") return false;  // of tables alone
    return kinds.count("attention") > 0;
}

bool runs_kernels(const std::set<std::string>& kinds) {
    return std::any_of(kinds.begin(), kinds.end(), [](const std::string& kind) {
        return kind != "host" && !value_named<TransferType>(kind);
    });
}

// A result of several pools has the names of all, "a, b".
std::vector<std::string> names_in(const std::string& joined) {
    std::vector<std::string> names;
    for (std::size_t begin = 0; begin < joined.size();) {
        const std::size_t end = std::min(joined.find(", ", begin), joined.size());
        names.push_back(joined.substr(begin, end - begin));
        begin = end + 2;
    }
    return names;
}

}  // namespace

void add_once(const FitUse& fit, std::vector<FitUse>& fits) {
    const auto same = [&](const FitUse& one) {
        return one.kind == fit.kind && one.library == fit.library && one.part == fit.part;
    };
    if (std::none_of(fits.begin(), fits.end(), same)) fits.push_back(fit);
}

void add_fit_of_part(const KernelLibrarySpec& library, const std::string& part,
                     std::vector<FitUse>& fits) {
    add_once({"kernels", library.name, part, record_of(library, part)}, fits);
}

void add_fits_of_run(const AlternativeResult& result, Catalog& catalog, const Place& place,
                     std::vector<FitUse>& fits) {
    std::set<std::string> kinds;
    for (const OperatorRow& row : result.operators) kinds.insert(row.kind);
    if (runs_kernels(kinds)) {
        for (const std::string& name : names_in(result.kernels)) {
            const KernelLibrarySpec library =
                read_kernel_library(catalog.load("kernels", name, place, "kernels"), name);
            for (const std::string& part : parts_of(library)) {
                if (decides(part, kinds)) add_fit_of_part(library, part, fits);
            }
        }
    }
    for (const std::string& name : names_in(result.collectives)) {
        const CollectiveLibrarySpec library =
            read_collective_library(catalog.load("collectives", name, place, "collectives"), name);
        for (const auto& [type, habits] : library.transfers) {
            if (kinds.count(to_string(type)) > 0)
                add_once({"collectives", name, to_string(type), habits.record}, fits);
        }
    }
    if (kinds.count("host") == 0) return;
    for (const std::string& name : names_in(result.engine))
        add_once({"engine", name, "",
                  read_engine(catalog.load("engine", name, place, "engine"), name).record},
                 fits);
}

}  // namespace podsim

// Which fit records stand behind a run.
#include "sim/suite_fits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::vector<std::string> names(const std::vector<FitUse>& fits) {
    std::vector<std::string> names;
    for (const FitUse& fit : fits) names.push_back(fit.kind + " " + fit.library + " " + fit.part);
    return names;
}

std::vector<std::string> of_run(const std::vector<std::string>& kinds) {
    AlternativeResult result;
    result.kernels = "deepseek-h800";
    result.collectives = "cann";
    result.engine = "nominal";
    for (const std::string& kind : kinds) {
        OperatorRow row;
        row.kind = kind;
        result.operators.push_back(row);
    }
    Catalog catalog(std::string(PODSIM_SOURCE_DIR) + "/configs");
    std::vector<FitUse> fits;
    add_fits_of_run(result, catalog, {"test", 0, 0}, fits);
    add_fits_of_run(result, catalog, {"test", 0, 0}, fits);  // each once
    return names(fits);
}

TEST(SuiteFits, OfWhatRanAlone) {
    EXPECT_THAT(of_run({"combine"}), ElementsAre("collectives cann combine"));
    EXPECT_THAT(of_run({"host"}), ElementsAre("engine nominal "));
    EXPECT_THAT(of_run({"attention"}),
                UnorderedElementsAre("kernels deepseek-h800 attention_decode",
                                     "kernels deepseek-h800 attention_prefill"));
}

TEST(SuiteFits, OfAPart) {
    KernelLibrarySpec library;
    library.name = "mine";
    library.gemm[DType::bf16].record = {Confidence::measured, 7, 0.25, "a table", "today", ""};
    std::vector<FitUse> fits;
    add_fit_of_part(library, "gemm.bf16", fits);
    ASSERT_THAT(names(fits), ElementsAre("kernels mine gemm.bf16"));
    EXPECT_EQ(fits[0].record.rows, 7);
    EXPECT_THROW(add_fit_of_part(library, "gemm.fp8", fits), std::invalid_argument);
}

}  // namespace
}  // namespace podsim

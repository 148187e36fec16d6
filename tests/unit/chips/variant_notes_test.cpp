// What is said of a variant: by base:, by --set, or written whole.
#include "chips/variant_notes.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/catalog.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const char* const kConfigs = PODSIM_SOURCE_DIR "/configs";

Node document_of(const std::string& chip, const std::vector<std::string>& settings) {
    std::vector<Setting> parsed;
    for (const std::string& text : settings) parsed.push_back(parse_setting(text));
    return Catalog(kConfigs, parsed).load("chip", chip, {}, "");
}

KernelLibrarySpec library_of(const std::string& name) {
    return read_kernel_library(Catalog(kConfigs).load("kernels", name, {}, ""), name);
}

std::vector<Diagnostic> peaks(const Node& document, const std::string& name = "h100-sxm") {
    return stale_peaks(read_chip(document, name), document);
}

std::vector<Diagnostic> unseen(const Node& document, const std::string& library,
                               const std::string& name = "h100-sxm") {
    return unseen_changes(read_chip(document, name), document, library_of(library));
}

// 66 cores are half the peak; the data sheet's 989.4 TFLOPS are the whole chip's.
TEST(StalePeaks, OfChangedCores) {
    const std::vector<std::string> half = {
        "chip:h100-sxm.cores.matrix=66", "chip:h100-sxm.cores.vector=66",
        "chip:h100-sxm.peak_matrix={bf16: 494.7 TFLOPS, fp16: 494.7 TFLOPS, fp8: 989.4 TFLOPS, "
        "int8: 989.4 TOPS}"};
    const auto found = peaks(document_of("h100-sxm", half));
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].path, "peak_published");
    EXPECT_THAT(found[0].what, AllOf(HasSubstr("bf16 989.4 TFLOPS"), HasSubstr("h100-sxm"),
                                     HasSubstr("cores.matrix was changed")));
    auto stated = half;
    stated.push_back("chip:h100-sxm.peak_published={bf16: 494.7 TFLOPS}");
    EXPECT_THAT(peaks(document_of("h100-sxm", stated)), IsEmpty());
    EXPECT_THAT(peaks(document_of("h100-sxm", {"chip:h100-sxm.hbm.bandwidth=3.4 TB/s"})),
                IsEmpty());
}

std::vector<Diagnostic> contradictions(const Node& document, const std::string& name) {
    return contradicted_core(read_chip(document, name), document);
}

// 950DT: 100 B a cycle at 1.65 GHz are 165 GB/s a core, and 5.28 TB/s over 32 cores as much. With
// 64 cores each has 82.5 GB/s of L2; the accumulator's 256 KiB hold two tiles of 128 KiB.
TEST(ContradictedCore, FeedAndSums) {
    const std::string chip = "ascend-950dt", at = "chip:ascend-950dt.";
    EXPECT_THAT(contradictions(document_of(chip, {}), chip), IsEmpty());
    const auto feed = contradictions(document_of(chip, {at + "cores.feed=330 GB/s"}), chip);
    ASSERT_THAT(feed, SizeIs(1));
    EXPECT_EQ(feed[0].path, "cores.feed");
    EXPECT_THAT(feed[0].what, AllOf(HasSubstr("330 GB/s a core"), HasSubstr("165 GB/s through")));
    const auto share =
        contradictions(document_of(chip, {at + "core.l2.bandwidth=2.64 TB/s"}), chip);
    ASSERT_THAT(share, SizeIs(1));
    EXPECT_THAT(share[0].what, HasSubstr("82.5 GB/s for each of 32 cores"));
    const auto sums =
        contradictions(document_of(chip, {at + "core.accumulator.size=64 KiB"}), chip);
    ASSERT_THAT(sums, SizeIs(1));
    EXPECT_THAT(sums[0].what, AllOf(HasSubstr("131.1 kB"), HasSubstr("65.54 kB in all")));
}

// 128 operations of 64 vector cores at 1.65 GHz are 13.5 tera-operations: 27 TFLOPS are two FLOP
// each, 270 TFLOPS twenty.
TEST(ContradictedCore, VectorPeak) {
    const std::string chip = "ascend-950dt", at = "chip:ascend-950dt.";
    const auto far = contradictions(document_of(chip, {at + "peak_vector=270 TFLOPS"}), chip);
    ASSERT_THAT(far, SizeIs(1));
    EXPECT_THAT(far[0].what, AllOf(HasSubstr("270 TFLOPS are 20 FLOP"), HasSubstr("64 vector")));
    EXPECT_THAT(contradictions(document_of(chip, {at + "peak_vector=13.5 TFLOPS"}), chip),
                IsEmpty());
}

TEST(ContradictedCore, NoShippedChipIs) {
    const Catalog catalog(kConfigs);
    for (const std::string& name : catalog.names("chip"))
        EXPECT_THAT(contradictions(document_of(name, {}), name), IsEmpty()) << name;
}

TEST(StalePeaks, NoShippedVariantHasOne) {
    const Catalog catalog(kConfigs);
    for (const std::string& name : catalog.names("chip")) {
        EXPECT_THAT(peaks(Catalog(kConfigs).load("chip", name, {}, ""), name), IsEmpty()) << name;
    }
}

std::vector<Diagnostic> power(const std::vector<std::string>& settings,
                              const std::string& name = "h100-sxm") {
    const Node document = document_of(name, settings);
    return stale_power(read_chip(document, name), document);
}

// Faster stacks draw more at rest, and an H100 is at its cap as it is.
TEST(StalePower, OfFasterMemoryUnderTheOldCap) {
    const auto found = power({"chip:h100-sxm.hbm.bandwidth=6.7 TB/s"});
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].path, "hbm.bandwidth");
    EXPECT_THAT(found[0].what, AllOf(HasSubstr("700 W"), HasSubstr("can make them slower")));
    EXPECT_THAT(power({"chip:h100-sxm.hbm.bandwidth=6.7 TB/s", "chip:h100-sxm.power=900 W"}),
                IsEmpty());
    EXPECT_THAT(power({"chip:h100-sxm.ranks=1"}), IsEmpty());
}

TEST(StalePower, OfARaisedClock) {
    const std::vector<std::string> faster = {
        "chip:h100-sxm.cores.clock=2 GHz",
        "chip:h100-sxm.peak_matrix={bf16: 1081 TFLOPS, fp16: 1081 TFLOPS, fp8: 2162 TFLOPS, "
        "int8: 2162 TOPS}"};
    const auto found = power(faster);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].path, "cores.clock");
    EXPECT_THAT(found[0].what, HasSubstr("voltage of h100-sxm"));
    auto stated = faster;
    stated.push_back("chip:h100-sxm.energy.matrix.bf16=0.9 pJ/FLOP");
    EXPECT_THAT(power(stated), IsEmpty());
}

TEST(StalePower, NoShippedVariantHasIt) {
    const Catalog catalog(kConfigs);
    for (const std::string& name : catalog.names("chip")) EXPECT_THAT(power({}, name), IsEmpty());
}

// A fitted library stands for the core's insides; the structural one and a chip as it was say
// nothing.
TEST(UnseenChanges, OfACoreUnderAFittedLibrary) {
    const Node small = document_of("h100-sxm", {"chip:h100-sxm.core.level1.size=64 KiB"});
    const auto found = unseen(small, "trtllm-h100");
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found[0].what, AllOf(HasSubstr("core.level1.size changed"),
                                     HasSubstr("kernel library trtllm-h100")));
    EXPECT_THAT(found[0].hint, HasSubstr("kernels: structural"));
    EXPECT_THAT(unseen(small, "structural"), IsEmpty());
    EXPECT_THAT(unseen(document_of("h100-sxm", {"chip:h100-sxm.power=600 W"}), "trtllm-h100"),
                IsEmpty());
    EXPECT_THAT(unseen(document_of("h100-sxm", {}), "trtllm-h100"), IsEmpty());
}

// A controller's window changes operators where a chip's structure goes by its banks, no others.
TEST(UnseenChanges, OfAMemoryDevice) {
    const auto changed = [](const std::string& chip, const std::string& library,
                            const std::vector<Setting>& settings) {
        Catalog catalog(kConfigs, settings);
        const ChipSpec of = read_chip(catalog.load("chip", chip, {}, ""), chip);
        return unseen_changes(catalog.load("memory", of.memory->device, {}, ""), of,
                              library_of(library));
    };
    const std::vector<Setting> hbm3 = {parse_setting("memory:hbm3.controller.read_window=8"),
                                       parse_setting("memory:hbm3.timing.tFAW=16 ns")};
    EXPECT_THAT(changed("h100-sxm", "structural", hbm3), IsEmpty());
    // Of a chip whose path is known as a whole.
    std::vector<Setting> whole = {parse_setting("chip:h100-sxm.core.memory.fabric=null"),
                                  parse_setting("chip:h100-sxm.core.memory.efficiency=0.9")};
    EXPECT_THAT(changed("h100-sxm", "structural", whole), IsEmpty());
    whole.insert(whole.end(), hbm3.begin(), hbm3.end());
    const auto found = changed("h100-sxm", "structural", whole);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found[0].what, AllOf(HasSubstr("timing.tFAW, controller.read_window of hbm3"),
                                     HasSubstr("no operator")));
    const std::vector<Setting> hbm4 = {parse_setting("memory:hbm4.controller.refresh=all_bank")};
    EXPECT_THAT(changed("custom-npu", "structural", hbm4), IsEmpty());
    const auto fitted = changed("custom-npu", "nominal", hbm4);
    ASSERT_THAT(fitted, SizeIs(1));
    EXPECT_THAT(fitted[0].what, AllOf(HasSubstr("controller.refresh of hbm4"),
                                      HasSubstr("kernel library nominal")));
    EXPECT_THAT(fitted[0].hint, HasSubstr("--fidelity cycle"));
}

// A variant's file that restates the whole core has none of its values from elsewhere.
TEST(UnseenChanges, OfACoreWrittenWhole) {
    const Node parent = document_of("h100-sxm", {});
    Node own;
    own.kind = Node::Kind::map;
    own.place = {"mine.yaml", 1, 1};
    own.entries.push_back(
        {"core", own.place, parse_yaml(to_json(*parent.find("core")).dump(), "mine.yaml")});
    Node variant = overlay(parent, own);
    set_path(variant, "variant_of", "h100-sxm", own.place);
    EXPECT_THAT(unseen(variant, "trtllm-h100", "./mine.yaml"), SizeIs(1));
}

}  // namespace
}  // namespace podsim

#include "base/diagnostic.hpp"

#include <gtest/gtest.h>

#include "base/registry.hpp"

namespace podsim {
namespace {

TEST(Diagnostic, OneLineWithWhatIsKnown) {
    EXPECT_EQ(to_string(Diagnostic{{"a.yaml", 3, 7}, "hbm.capacity", "is wrong", "try 64 GB"}),
              "a.yaml:3:7: hbm.capacity: is wrong (try 64 GB)");
    EXPECT_EQ(to_string(Diagnostic{{"a.yaml", 3, 0}, "", "is wrong", ""}), "a.yaml:3: is wrong");
    EXPECT_EQ(to_string(Diagnostic{{"--set", 0, 0}, "chips", "is wrong", ""}),
              "--set: chips: is wrong");
    EXPECT_EQ(to_string(Diagnostic{{}, "", "is wrong", ""}), "is wrong");
    EXPECT_EQ(to_string(Diagnostic{{"f", 1, 1}, "a\nb\x01", "is wrong", ""}),
              "f:1:1: a\\nb\\x01: is wrong");
}

TEST(Diagnostic, AnErrorPrintsEachOnItsLine) {
    const InputError error({{{"f", 1, 2}, "a", "one", ""}, {{"f", 3, 4}, "b", "two", ""}});
    EXPECT_STREQ(error.what(), "f:1:2: a: one\nf:3:4: b: two");
    EXPECT_EQ(error.diagnostics().size(), 2u);
    EXPECT_STREQ(InputError({"f", 1, 2}, "a", "one", "hint").what(), "f:1:2: a: one (hint)");
}

TEST(NearestName, SlipsAreRecognised) {
    const std::vector<std::string> known{"ascend-910c", "h800", "h20", "gb200"};
    EXPECT_EQ(nearest_name("h80", known), "h800");
    EXPECT_EQ(nearest_name("h8o0", known), "h800");
    EXPECT_EQ(nearest_name("h080", known), "h800");  // neighbours swapped: one edit
    EXPECT_EQ(nearest_name("H800", known), "h800");
    EXPECT_EQ(nearest_name("asend-901c", known), "ascend-910c");
    EXPECT_EQ(nearest_name("910c", known), "ascend-910c");
    EXPECT_EQ(nearest_name("tpu-v7", known), "");
    EXPECT_EQ(nearest_name("x", {"y"}), "");
    EXPECT_EQ(nearest_name("", known), "");
    EXPECT_EQ(nearest_name(std::string(200, 'h'), known), "");
}

TEST(UnknownName, ListsWhatIsKnown) {
    const Diagnostic d = unknown_name({"f", 1, 2}, "chip", "chip", "h80", {"h20", "h800"});
    EXPECT_EQ(to_string(d), "f:1:2: chip: unknown chip h80 (did you mean h800? known: h20, h800)");
    EXPECT_EQ(unknown_name({}, "", "chip", "h80", {}).hint, "none is known");
    std::vector<std::string> many;
    for (int i = 0; i < 30; ++i) many.push_back("name-" + std::to_string(100 + i));
    const std::string hint = unknown_name({}, "", "chip", "zzz", many).hint;
    EXPECT_NE(hint.find("name-119 and 10 more"), std::string::npos) << hint;
}

TEST(Registry, FindsNamesAndHelpsWithUnknownOnes) {
    Registry<int> registry("topology");
    registry.add("fat-tree", "a folded Clos", 1);
    registry.add("torus", "a torus", 2);
    EXPECT_EQ(registry.find("torus", {}, ""), 2);
    EXPECT_THROW(registry.add("torus", "again", 3), std::logic_error);
    EXPECT_EQ(registry.names(), (std::vector<std::string>{"fat-tree", "torus"}));
    try {
        registry.find("tours", {"f", 4, 5}, "topology");
        FAIL();
    } catch (const InputError& error) {
        EXPECT_STREQ(error.what(),
                     "f:4:5: topology: unknown topology tours (did you mean torus? known: "
                     "fat-tree, torus)");
    }
}

}  // namespace
}  // namespace podsim

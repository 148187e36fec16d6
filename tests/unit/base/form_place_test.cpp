// Where an error is said to be: at the key it is about, in the file that the user wrote.
#include <gtest/gtest.h>

#include "base/form.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

struct Cores {
    long count = 0;
    Hertz clock{0.0};
};
struct Part {
    Cores cores;
    FlopsPerSecond peak{0.0};
};

template <class Form>
void describe(Form& form, Cores& cores) {
    form.required("count", cores.count, "how many", at_least(1));
    form.required("clock", cores.clock, "how quick", positive());
}

template <class Form>
void describe(Form& form, Part& part) {
    form.required("cores", part.cores, "what computes");
    form.required("peak", part.peak, "of all");
    if (!form.ok()) return;
    const double of_cores = static_cast<double>(part.cores.count) * part.cores.clock.value();
    if (part.peak.value() != of_cores) form.problem("peak", "does not agree");
    if (part.cores.count % 2 != 0) form.problem("cores.count", "is odd", "make it even");
}

std::string refusal(const Node& document) {
    return refusal_of([&] { read<Part>(document, ""); });
}

const char* const kParent = "cores:\n  count: 2\n  clock: 1 GHz\npeak: 2 GFLOPS\n";

// A rule over dotted keys points at the value itself.
TEST(FormPlace, OfADottedKey) {
    const std::string odd = replaced(replaced(kParent, "count: 2", "count: 3"), "2 GF", "3 GF");
    EXPECT_EQ(refusal(parse_yaml(odd, "p.yaml")),
              "p.yaml:2:10: cores.count: is odd (make it even)");
}

// What a variant inherits cannot be mended where it stands: the variant is the place, and the hint
// has the line of the value.
TEST(FormPlace, OfAVariantIsItsOwnFile) {
    const Node parent = parse_yaml(kParent, "p.yaml");
    EXPECT_EQ(refusal(overlay(parent, parse_yaml("# mine\ncores: {count: 4}\n", "v.yaml"))),
              "v.yaml:2:1: peak: does not agree (the value stands in p.yaml:4)");
    // The nearest key of its own above the value.
    const Node wrong = parse_yaml(replaced(kParent, "1 GHz", "0 GHz"), "p.yaml");
    EXPECT_EQ(refusal(overlay(wrong, parse_yaml("peak: 4 GFLOPS\ncores: {count: 4}\n", "v.yaml"))),
              "v.yaml:2:1: cores.clock: a value above 0 was expected, this is \"0 GHz\" (the value "
              "stands in p.yaml:3)");
    // Its own values keep their places.
    EXPECT_EQ(refusal(overlay(parent, parse_yaml("cores: {count: 0}\n", "v.yaml"))),
              "v.yaml:1:16: cores.count: a value of at least 1 was expected, this is \"0\"");
}

// A setting has no file to go to.
TEST(FormPlace, OfASettingStays) {
    Node document = parse_yaml(kParent, "p.yaml");
    set_path(document, "cores.count", "0", {"--set", 0, 0});
    EXPECT_EQ(refusal(document),
              "--set: cores.count: a value of at least 1 was expected, this is \"0\"");
}

}  // namespace
}  // namespace podsim

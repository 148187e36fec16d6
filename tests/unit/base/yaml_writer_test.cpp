// Trees written and read again are the same trees.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/yaml_writer.hpp"

namespace podsim {
namespace {

// Kind, text and quoting of everything, places left out.
std::string outline(const Node& node) {
    const bool null = node.kind == Node::Kind::null;  // may be written ~ or null
    std::string text = std::to_string(static_cast<int>(node.kind)) + (null ? "" : node.text);
    for (const Node& item : node.items) text += "[" + outline(item) + "]";
    for (const auto& entry : node.entries)
        text += "{" + entry.key + "=" + outline(entry.value) + "}";
    return text;
}

void expect_round_trip(const std::string& yaml) {
    const Node tree = parse_yaml(yaml, "a.yaml");
    const std::string written = to_yaml(tree);
    const Node again = parse_yaml(written, "b.yaml");
    EXPECT_EQ(outline(tree), outline(again)) << written;
    EXPECT_EQ(to_json(tree), to_json(again)) << written;
    EXPECT_EQ(to_yaml(again), written);
}

TEST(YamlWriter, BlockStyleWithQuotesWhereNeeded) {
    const Node tree = parse_yaml(
        "title: A, b\nn: 12\nt: 3.2 TB/s\nq: \"12\"\nyes_text: \"yes\"\nl: [1, 2]\n"
        "m:\n  a: {value: 1, source: \"x: y\"}\n",
        "a.yaml");
    EXPECT_EQ(to_yaml(tree),
              "title: \"A, b\"\nn: 12\nt: 3.2 TB/s\nq: \"12\"\nyes_text: \"yes\"\nl: [1, 2]\n"
              "m:\n  a: {value: 1, source: \"x: y\"}\n");
}

TEST(YamlWriter, ListsOfMaps) {
    const std::string yaml = "c:\n  - part: gemm.bf16\n    free: [launch]\n  - part: other\n";
    EXPECT_EQ(to_yaml(parse_yaml(yaml, "a.yaml")), yaml);
}

TEST(YamlWriter, OddValuesSurvive) {
    expect_round_trip("a: ~\nb: \"\"\nc: {}\nd: []\ne: \"null\"\nf: true\ng: \"true\"\nh: '#x'\n");
    expect_round_trip("a: \"line\\nbreak\"\nb: \"tab\\t\"\nc: \"quote \\\" back \\\\\"\n");
    expect_round_trip("a:\n  - [1, [2, 3]]\n  - x: {y: [1]}\n    z: ''\n  - -5\n");
    expect_round_trip("\"1\": a\n\"a: b\": c\n");
    expect_round_trip("a: >-\n  folded\n  text\nb: -1e-5\nc: .5\n");
}

// Whatever we ship.
TEST(YamlWriter, EveryShippedConfiguration) {
    int files = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(PODSIM_SOURCE_DIR "/configs")) {
        if (entry.path().extension() != ".yaml") continue;
        const Node tree = read_yaml(entry.path().string());
        EXPECT_EQ(outline(tree), outline(parse_yaml(to_yaml(tree), "b.yaml"))) << entry.path();
        ++files;
    }
    EXPECT_GT(files, 10);
}

}  // namespace
}  // namespace podsim

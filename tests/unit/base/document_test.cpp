#include "base/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace podsim {
namespace {

using ::testing::HasSubstr;

std::string yaml_error(const std::string& text) {
    try {
        parse_yaml(text, "f.yaml");
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

std::string json_error(const std::string& text) {
    try {
        parse_json(text, "f.json");
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

std::string at(const Place& place) {
    return std::to_string(place.line) + ":" + std::to_string(place.column);
}

TEST(Yaml, KeepsTextAndPlaces) {
    const Node root = parse_yaml(
        "# a chip\n"
        "name: \u00e4scend\n"
        "hbm: {capacity: 64 GB, stacks: 010}\n"
        "dies:\n"
        "  - one\n"
        "  - 'yes'\n",
        "f.yaml");
    ASSERT_EQ(root.kind, Node::Kind::map);
    ASSERT_EQ(root.entries.size(), 3u);
    EXPECT_EQ(root.entries[1].key, "hbm");
    EXPECT_EQ(at(root.entries[1].place), "3:1");
    const Node* hbm = root.find("hbm");
    ASSERT_NE(hbm, nullptr);
    EXPECT_EQ(hbm->place.file, "f.yaml");
    EXPECT_EQ(at(hbm->find("capacity")->place), "3:17");
    EXPECT_EQ(hbm->find("capacity")->text, "64 GB");
    EXPECT_EQ(hbm->find("stacks")->text, "010");  // not eight
    const Node* dies = root.find("dies");
    ASSERT_EQ(dies->items.size(), 2u);
    EXPECT_EQ(at(dies->items[1].place), "6:5");
    EXPECT_TRUE(dies->items[1].quoted);
    EXPECT_FALSE(dies->items[0].quoted);
    EXPECT_EQ(root.find("nothing"), nullptr);
    EXPECT_EQ(dies->find("name"), nullptr);
}

TEST(Yaml, SpecialWordsStayText) {
    const Node root = parse_yaml("a: .inf\nb: .nan\nc: 0x1F\nd: 1_000\ne: yes\n", "f.yaml");
    EXPECT_EQ(root.find("a")->text, ".inf");
    EXPECT_EQ(root.find("b")->text, ".nan");
    EXPECT_EQ(root.find("c")->text, "0x1F");
    EXPECT_EQ(root.find("d")->text, "1_000");
    EXPECT_EQ(root.find("e")->text, "yes");
}

// yaml-cpp marks an absent value at the next token; we say the key, or the dash of the list.
TEST(Yaml, NothingIsPlacedWhereItIsMissing) {
    const Node root = parse_yaml(
        "a:\nb: ~\nc: null\nnullable: 1\nd: [\u00e4, ~]\ne:\n  -\n  - 1\nf: {g: }\n", "f.yaml");
    EXPECT_EQ(root.find("a")->kind, Node::Kind::null);
    EXPECT_EQ(root.find("a")->text, "");
    EXPECT_EQ(at(root.find("a")->place), "1:1");
    EXPECT_EQ(at(root.find("b")->place), "2:4");
    EXPECT_EQ(root.find("b")->text, "~");
    EXPECT_EQ(root.find("c")->kind, Node::Kind::null);
    EXPECT_EQ(root.find("c")->text, "null");
    EXPECT_EQ(root.find("nullable")->text, "1");
    EXPECT_EQ(at(root.find("d")->items[1].place), "5:9");  // columns count bytes
    EXPECT_EQ(at(root.find("e")->items[0].place), "7:3");
    EXPECT_EQ(at(root.find("f")->find("g")->place), "9:5");
}

TEST(Yaml, EveryProblemOfADocumentIsTold) {
    EXPECT_EQ(yaml_error("a: 1\nb: {a: 1, a: 2}\na: 2\n"),
              "f.yaml:2:11: b: the key a is written twice, first in line 2\n"
              "f.yaml:3:1: the key a is written twice, first in line 1");
    EXPECT_THAT(yaml_error("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n"),
                ::testing::AllOf(HasSubstr("f.yaml:1:4: a: anchors (&) are not supported"),
                                 HasSubstr("f.yaml:2:4: c: aliases (*) are not supported"),
                                 HasSubstr("f.yaml:4:3: d: merge keys (<<) are not supported"),
                                 HasSubstr("use base:")));
    EXPECT_THAT(yaml_error("- a\n- b: !!str 5\n"),
                HasSubstr("f.yaml:2:6: 1.b: tags (!) are not supported"));
    EXPECT_THAT(yaml_error("a: !\nb: ! x\n"),
                ::testing::AllOf(HasSubstr("f.yaml:1:4: a: tags (!) are not supported"),
                                 HasSubstr("f.yaml:2:4: b: tags (!) are not supported")));
    EXPECT_THAT(yaml_error("a: 1\n? [x]\n: 2\n"),
                HasSubstr("f.yaml:2:3: a key is a text, this is none"));
    EXPECT_THAT(yaml_error("\"\": 1\n"), HasSubstr("f.yaml:1:1: a key is a text"));
    // problems before a syntax error are told with it
    EXPECT_THAT(yaml_error("a: 1\na: 2\nb: [1\n"),
                ::testing::AllOf(HasSubstr("f.yaml:2:1: the key a is written twice"),
                                 HasSubstr("f.yaml:4:1: not YAML: end of sequence flow")));
}

TEST(Yaml, SyntaxErrorsSayWhereAndHowToGetOut) {
    EXPECT_THAT(yaml_error("a: b: c\n"),
                ::testing::AllOf(HasSubstr("f.yaml:1:5: not YAML: illegal map value"),
                                 HasSubstr("goes in quotes")));
    EXPECT_THAT(yaml_error("a: %5\n"), HasSubstr("f.yaml:1:4: not YAML: unknown token"));
    EXPECT_THAT(yaml_error("a: 'x\nb: 2\n"),
                HasSubstr("f.yaml:1:4: a: this quote is never closed"));
    EXPECT_THAT(yaml_error("a: \"x\\\"\n"), HasSubstr("f.yaml:1:4: a: this quote is never closed"));
    EXPECT_EQ(yaml_error("a: 'it''s'\nb: \"x\\\"\"\nc: |\n  'text\n"), "");
}

TEST(Yaml, AMissingSpaceBehindAColonIsTold) {
    EXPECT_EQ(yaml_error("a: 1\nchips:3\n"),
              "f.yaml:2:1: chips:3: a key without a value (a key is followed by a colon and a "
              "space)");
    EXPECT_THAT(yaml_error("a: [1, 2\nb: 3\n"), ::testing::StartsWith("f.yaml:2:2: not YAML"));
    EXPECT_THAT(yaml_error("a: {b: 1, chips:3}\n"),
                HasSubstr("f.yaml:1:11: a.chips:3: a key with"));
    EXPECT_THAT(yaml_error("a: {b: 1, c}\n"), HasSubstr("f.yaml:1:11: a.c: a key without a value"));
    EXPECT_EQ(yaml_error("a:\nb : \n\"c\":\nd: {e: , f: 1}\ng:   # nothing\n"), "");
}

TEST(Yaml, TabsAreNamed) {
    EXPECT_EQ(yaml_error("a:\n\tb: 1\n  \tc: 2\n"),
              "f.yaml:2:1: a tab in the indentation (YAML is indented by spaces)\n"
              "f.yaml:3:3: a tab in the indentation (YAML is indented by spaces)");
    EXPECT_EQ(yaml_error("a: 1\t# tab before a comment\n\t\n\t# comment\nb: x\ty\n"), "");
}

TEST(Yaml, OneDocumentWithSomethingInIt) {
    EXPECT_EQ(yaml_error(""), "f.yaml: the file is empty");
    EXPECT_EQ(yaml_error("# nothing\n"), "f.yaml: the file is empty");
    EXPECT_EQ(yaml_error("---\n"), "f.yaml: the file is empty");
    EXPECT_EQ(yaml_error("---\na: 1\n...\n"), "");
    EXPECT_EQ(yaml_error("a: 1\n---\nb: 2\n"),
              "f.yaml:2:1: a second document begins here, one was expected (remove the line ---)");
}

TEST(Yaml, OddBytesAreRefused) {
    EXPECT_THAT(yaml_error(std::string("a: 1\nb: x\x04y\n")),
                HasSubstr("f.yaml:2:5: a control character (0x04)"));
    EXPECT_THAT(yaml_error("a: \xff\n"), HasSubstr("f.yaml:1:4: byte 0xff is not UTF-8 text"));
    EXPECT_THAT(yaml_error("a: \xc0\xaf\n"), HasSubstr("is not UTF-8"));      // overlong
    EXPECT_THAT(yaml_error("a: \xed\xa0\x80\n"), HasSubstr("is not UTF-8"));  // a surrogate
    EXPECT_THAT(yaml_error("a: x\rb: y\n"), HasSubstr("control character (0x0d)"));
    const Node root = parse_yaml(
        "\xef\xbb\xbf"
        "a: 1\r\nb: 2\r\n",
        "f.yaml");
    EXPECT_EQ(at(root.find("a")->place), "1:4");
    EXPECT_EQ(root.find("b")->text, "2");
}

TEST(Yaml, HostileNestingIsAnError) {
    for (const char* unit : {"[", "{a: ", "- ", "? "}) {
        std::string text;
        for (int i = 0; i < 100000; ++i) text += unit;
        EXPECT_THAT(yaml_error(text), HasSubstr("nested more than 64 deep")) << unit;
    }
    std::string fine(64, '[');
    EXPECT_EQ(yaml_error(fine + std::string(64, ']')), "");
    EXPECT_THAT(yaml_error(fine + "[]" + std::string(64, ']')),
                HasSubstr("f.yaml:1:65: lists and maps are nested more than 64 deep"));
}

TEST(Files, MissingUnreadableAndWrongKindsAreTold) {
    const auto error_of = [](const std::string& path) {
        try {
            read_yaml(path);
        } catch (const InputError& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    const std::string folder = ::testing::TempDir();
    EXPECT_EQ(error_of(folder + "no-such.yaml"), folder + "no-such.yaml: no such file");
    EXPECT_EQ(error_of(folder), folder + ": is a directory, a file was expected");
    const std::string file = folder + "podsim-document-test.yaml";
    std::ofstream(file) << "a: 1\na: 2\n";
    EXPECT_EQ(error_of(file), file + ":2:1: the key a is written twice, first in line 1");
    std::ofstream(file) << "a: " << std::string(std::size_t{17} << 20, 'x');
    EXPECT_EQ(error_of(file), file + ": is larger than 16 MiB");
    std::filesystem::remove(file);
}

TEST(Json, KeepsTextAndPlaces) {
    const Node root = parse_json(
        "{\n\t\"layers\": 61,\n\t\"rope\": {\"factor\": 4.0E1, \"type\": null},\n"
        "  \"tie\" : false, \"list\": [ ], \"empty\":{},\n"
        "  \"name\": \"a\\u00e9\\ud83d\\ude00\\/\\\"\", \"x\":[1,\"2\"]}",
        "f.json");
    EXPECT_EQ(root.find("layers")->text, "61");
    EXPECT_EQ(at(root.find("layers")->place), "2:12");
    EXPECT_EQ(root.find("rope")->find("factor")->text, "4.0E1");
    EXPECT_EQ(at(root.find("rope")->find("factor")->place), "3:21");
    EXPECT_EQ(root.find("rope")->find("type")->kind, Node::Kind::null);
    EXPECT_EQ(root.find("rope")->find("type")->text, "null");
    EXPECT_EQ(at(root.entries[2].place), "4:3");
    EXPECT_EQ(root.find("tie")->text, "false");
    EXPECT_FALSE(root.find("tie")->quoted);
    EXPECT_EQ(root.find("list")->kind, Node::Kind::list);
    EXPECT_TRUE(root.find("list")->items.empty());
    EXPECT_EQ(root.find("empty")->kind, Node::Kind::map);
    EXPECT_EQ(root.find("name")->text, "a\u00e9\U0001F600/\"");
    EXPECT_TRUE(root.find("name")->quoted);
    EXPECT_EQ(root.find("x")->items[1].text, "2");
    EXPECT_TRUE(root.find("x")->items[1].quoted);
    EXPECT_EQ(parse_json(" 5 ", "f").text, "5");
}

TEST(Json, ErrorsHaveLineAndColumn) {
    EXPECT_THAT(json_error("{\n  \"a\": 1,\n}"), HasSubstr("f.json:3:1: not JSON: syntax error"));
    EXPECT_THAT(json_error("{\"a\": NaN}"), HasSubstr("f.json:1:7: not JSON"));
    EXPECT_THAT(json_error("{\"a\": 'x'}"), HasSubstr("f.json:1:7: not JSON"));
    EXPECT_THAT(json_error("{\"a\": 010}"), HasSubstr("f.json:1:9: not JSON"));
    EXPECT_THAT(json_error("{\"a\": tru }"), HasSubstr("f.json:1:10: not JSON"));
    EXPECT_THAT(json_error("{\"a\":\n \"x"), HasSubstr("f.json:2:4: not JSON"));
    EXPECT_THAT(json_error("{\"a\":\n 1"), HasSubstr("f.json:2:3: not JSON"));
    EXPECT_THAT(json_error("{} x"), HasSubstr("f.json:1:4: not JSON"));
    EXPECT_THAT(json_error("a: 1\n"), HasSubstr("f.json:1:1: not JSON"));
    EXPECT_THAT(json_error("{\"a\": 1e999}"), HasSubstr("not JSON: number overflow"));
    EXPECT_THAT(json_error("{\"a\": {\n\"b\": 1,\n \"b\": 2}}"),
                HasSubstr("f.json:3:2: b: the key is written twice, first in line 2"));
    EXPECT_EQ(json_error(" \n"), "f.json: the file is empty");
    EXPECT_THAT(json_error(std::string(100000, '[')), HasSubstr("nested more than 64 deep"));
}

std::string json_of(const Node& node) {
    return to_json(node).dump();
}

TEST(Overlay, MapsMergeAndEverythingElseIsReplaced) {
    const Node under = parse_yaml("a: 1\nhbm: {capacity: 64 GB, stacks: 4}\nlist: [1, 2]\n", "u");
    const Node over = parse_yaml("hbm: {stacks: 8, pins: 1024}\nlist: [3]\nb: 2\n", "o");
    const Node both = overlay(under, over);
    EXPECT_EQ(json_of(both),
              "{\"a\":1,\"hbm\":{\"capacity\":\"64 GB\",\"stacks\":8,\"pins\":1024},"
              "\"list\":[3],\"b\":2}");
    EXPECT_EQ(both.find("hbm")->find("stacks")->place.file, "o");
    EXPECT_EQ(both.find("hbm")->find("capacity")->place.file, "u");
}

TEST(Overlay, ASourcedValueIsOneValue) {
    const Node under = parse_yaml("p: {value: 600 W, source: a, low: 500 W}\nq: 3 W\n", "u");
    const Node over = parse_yaml("p: {value: 700 W, source: b}\nq: {value: 4 W, note: x}\n", "o");
    EXPECT_EQ(
        json_of(overlay(under, over)),
        "{\"p\":{\"value\":\"700 W\",\"source\":\"b\"},\"q\":{\"value\":\"4 W\",\"note\":\"x\"}}");
    EXPECT_EQ(json_of(overlay(over, under)),
              "{\"p\":{\"value\":\"600 W\",\"source\":\"a\",\"low\":\"500 W\"},\"q\":\"3 W\"}");
    const Node partial = parse_yaml("p: {low: 1 W}\n", "o");
    EXPECT_EQ(json_of(overlay(under, partial).find("p")[0]), "{\"low\":\"1 W\"}");
}

const Place from_option{"--set", 0, 0};

std::string set_error(const std::string& document, const std::string& path,
                      const std::string& value = "1") {
    Node root = parse_yaml(document, "f.yaml");
    try {
        set_path(root, path, value, from_option);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

TEST(SetPath, ReachesMapsAndLists) {
    Node root = parse_yaml(
        "hbm: {capacity: 64 GB}\nalternatives: [{name: H800, chips: 8}, {name: v3.2, chips: 4}]\n"
        "v3.2: {layers: 1}\nlist: [a, b]\nnothing:\n",
        "f.yaml");
    set_path(root, "hbm.capacity", "4.8 TB", from_option);
    set_path(root, "alternatives.H800.chips", "64", from_option);
    set_path(root, "alternatives.v3.2.chips", "{value: 3, note: 'x'}", from_option);
    set_path(root, "alternatives.0.name", "\"9\"", from_option);
    set_path(root, "v3.2.layers", "61", from_option);
    set_path(root, "list.1", "c", from_option);
    set_path(root, "made.on.the.way", "[1, 2]", from_option);
    set_path(root, "nothing.more", "", from_option);
    EXPECT_EQ(
        json_of(root),
        "{\"hbm\":{\"capacity\":\"4.8 TB\"},\"alternatives\":[{\"name\":\"9\",\"chips\":64},"
        "{\"name\":\"v3.2\",\"chips\":{\"value\":3,\"note\":\"x\"}}],\"v3.2\":{\"layers\":61},"
        "\"list\":[\"a\",\"c\"],\"nothing\":{\"more\":null},"
        "\"made\":{\"on\":{\"the\":{\"way\":[1,2]}}}}");
    EXPECT_EQ(root.find("hbm")->find("capacity")->place.file, "--set");
    EXPECT_EQ(root.find("hbm")->find("capacity")->place.line, 0);
    EXPECT_EQ(root.find("made")->entries[0].place.file, "--set");
}

TEST(SetPath, ErrorsNameTheOption) {
    EXPECT_EQ(set_error("a: 1", ""),
              "--set: an empty path, a key such as hbm.bandwidth was expected");
    EXPECT_EQ(set_error("a: 1", "a.b"),
              "--set: a.b: \"b\" is a step into a single value (the value here is 1)");
    EXPECT_EQ(set_error("l: [{name: H800}, 2]", "l.H80.chips"),
              "--set: l.H80.chips: unknown list element H80 (did you mean H800? known: H800, 1)");
    EXPECT_EQ(set_error("a: {b: 1}", "a..b"), "--set: a..b: an empty step in the path");
    EXPECT_EQ(set_error("a: {b: 1}", "a."), "--set: a.: an empty step in the path");
    EXPECT_THAT(set_error("a: 1", "a", "[1, 2"),
                HasSubstr("--set: a: the value \"[1, 2\": not YAML"));
    EXPECT_THAT(set_error("a: 1", "a", "{b: 1, b: 2}"), HasSubstr("the key b is written twice"));
    EXPECT_THAT(set_error("a: 1", "\xff"), HasSubstr("is not UTF-8"));
    std::string deep = "x";
    for (int i = 0; i < 100000; ++i) deep += ".x";
    EXPECT_THAT(set_error("a: 1", deep), HasSubstr("a path of more than 64 steps"));
}

TEST(JsonOfATree, KeepsMeaningThereAndBack) {
    const Node root = parse_yaml(
        "n: 5\nf: 0.25\ne: 1e3\nz: 010\nt: true\ny: yes\nq: '5'\nd: 1.10\ns: 3.2 TB/s\nnone: ~\n"
        "l: []\nm: {}\nbig: 123456789012345678901234567890\n",
        "f.yaml");
    const auto json = to_json(root);
    EXPECT_EQ(
        json.dump(),
        "{\"n\":5,\"f\":0.25,\"e\":\"1e3\",\"z\":\"010\",\"t\":true,\"y\":\"yes\",\"q\":\"5\","
        "\"d\":\"1.10\",\"s\":\"3.2 TB/s\",\"none\":null,\"l\":[],\"m\":{},"
        "\"big\":\"123456789012345678901234567890\"}");
    const Node again = from_json(json, "result.json");
    EXPECT_EQ(to_json(again), json);
    EXPECT_TRUE(again.find("q")->quoted);   // text stays text
    EXPECT_FALSE(again.find("e")->quoted);  // a number stays a number
    EXPECT_FALSE(again.find("d")->quoted);
    EXPECT_EQ(again.find("none")->kind, Node::Kind::null);
    EXPECT_EQ(again.find("n")->place.file, "result.json");
    EXPECT_EQ(again.find("n")->place.line, 0);
    nlohmann::ordered_json deep = 1;
    for (int i = 0; i < 100; ++i) deep = nlohmann::ordered_json::array({deep});
    EXPECT_THROW(from_json(deep, "f"), InputError);
}

TEST(Origins, NameEveryScalar) {
    Node root = parse_yaml("a: 1\nl:\n  - {name: x, chips: 2}\n  - 3\n", "f.yaml");
    set_path(root, "b", "2", from_option);
    const std::vector<std::pair<std::string, std::string>> expected{{"a", "f.yaml:1"},
                                                                    {"l.x.name", "f.yaml:3"},
                                                                    {"l.x.chips", "f.yaml:3"},
                                                                    {"l.1", "f.yaml:4"},
                                                                    {"b", "--set"}};
    EXPECT_EQ(origins(root), expected);
}

}  // namespace
}  // namespace podsim

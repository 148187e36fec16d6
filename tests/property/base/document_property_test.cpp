#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <nlohmann/json.hpp>

#include "base/document.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

std::string any_text() {
    return *rc::gen::element<std::string>("a", "3.2 TB/s", "5", "0.25", "010", "true", "yes",
                                          "null", "~", "1e3", "", "- x", "{", "a: b", "\"'\\",
                                          "\u00e4 \n", "#", "1.10");
}

Json any_json(int depth) {
    switch (*rc::gen::inRange(0, depth > 0 ? 7 : 5)) {
        case 0:
            return nullptr;
        case 1:
            return *rc::gen::arbitrary<bool>();
        case 2:
            return *rc::gen::arbitrary<int>();
        case 3:
            return *rc::gen::inRange(-100000, 100000) / 1024.0;
        case 4:
            return any_text();
        case 5: {
            Json list = Json::array();
            const int count = *rc::gen::inRange(0, 4);
            for (int i = 0; i < count; ++i) list.push_back(any_json(depth - 1));
            return list;
        }
        default:
            break;
    }
    Json map = Json::object();
    const int count = *rc::gen::inRange(0, 4);
    for (int i = 0; i < count; ++i) {
        map["k" + std::to_string(i) + any_text()] = any_json(depth - 1);
    }
    return map;
}

// JSON -> tree -> JSON loses nothing, by from_json as by the text reader.
TEST(DocumentProperty, JsonComesBackFromATree) {
    EXPECT_TRUE(rc::check([] {
        const Json json = any_json(4);
        RC_ASSERT(to_json(from_json(json, "f")) == json);
        RC_ASSERT(to_json(parse_json(json.dump(2), "f")) == json);
    }));
}

// Laying a tree on itself changes nothing, and what is laid on top is what is found.
TEST(DocumentProperty, OverlayKeepsWhatItIsLaidWith) {
    EXPECT_TRUE(rc::check([] {
        const Node under = from_json(any_json(3), "u");
        const Node over = from_json(any_json(3), "o");
        RC_ASSERT(to_json(overlay(under, under)) == to_json(under));
        const Node both = overlay(under, over);
        for (const Node::Entry& entry : over.entries) {
            RC_ASSERT(both.find(entry.key) != nullptr);
            if (entry.value.kind != Node::Kind::map) {
                RC_ASSERT(to_json(*both.find(entry.key)) == to_json(entry.value));
            }
        }
        RC_ASSERT(to_json(overlay(both, over)) == to_json(both));
    }));
}

// Each origin is a path by which set_path reaches that very value.
TEST(DocumentProperty, OriginsArePathsToSet) {
    EXPECT_TRUE(rc::check([] {
        Json json = Json::object();
        const int count = *rc::gen::inRange(1, 4);
        for (int i = 0; i < count; ++i) {
            Json list = Json::array();
            for (int k = 0; k < count; ++k) {
                list.push_back({{"name", "n" + std::to_string(k) + ".5"}, {"x", any_json(0)}});
            }
            json["key" + std::to_string(i)] = {{"a.b", any_json(0)}, {"list", list}};
        }
        for (const auto& [path, place] : origins(from_json(json, "f"))) {
            Node tree = from_json(json, "f");
            set_path(tree, path, "changed", {"--set"});
            int changed = 0;
            for (const auto& origin : origins(tree)) changed += origin.second == "--set" ? 1 : 0;
            RC_ASSERT(changed == 1);
            RC_ASSERT(to_json(tree).dump().size() > 0u);
            RC_ASSERT(origins(tree).size() == origins(from_json(json, "f")).size());
        }
    }));
}

}  // namespace
}  // namespace podsim

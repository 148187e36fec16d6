// Whatever bytes come in, the readers return a tree or throw InputError: no other exception, no
// crash (run with the sanitizers on), no run away. The inputs are drawn from fixed seeds.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/catalog.hpp"
#include "base/document.hpp"
#include "base/fit_record.hpp"
#include "base/form.hpp"
#include "base/random.hpp"

namespace podsim {
namespace {

const std::string yaml =
    "# a chip\n"
    "base: h100\n"
    "name: \"what-if\"\n"
    "hbm: {capacity: 80 GB, bandwidth: {value: 3.35 TB/s, low: 3 TB/s, source: 'x''y', note: long\n"
    "    text}}\n"
    "text: |\n"
    "  a block\n"
    "peak:\n"
    "  bf16: 989 TFLOPS\n"
    "  fp8: {value: 1979 TFLOPS, confidence: vendor}\n"
    "list:\n"
    "- a\n"
    "- [1, 2.5e3, ~, {b: c}]\n"
    "- >\n"
    "  folded\n"
    "  text\n";
const std::string json =
    "{\"layers\": 61, \"rope\": {\"factor\": 4.0e1, \"type\": null},\n"
    " \"names\": [\"a\\u00e9\", \"\\\"\\\\\"], \"tie\": false, \"x\": -0.5E-3}";

struct AnySpec {
    std::string name;
    double share_of = 0;
    Sourced<BytesPerSecond> bandwidth;
    std::map<std::string, FitRecord> records;
    std::vector<Sourced<long>> counts;
    std::optional<bool> flag;
};
template <class Form>
void describe(Form& form, AnySpec& spec) {
    form.optional("name", spec.name, "a name");
    form.optional("base", spec.share_of, "a share", share());
    form.optional("hbm", spec.bandwidth, "a rate", positive());
    form.optional("peak", spec.records, "records");
    form.optional("list", spec.counts, "counts", at_least(1));
    form.optional("tie", spec.flag, "a flag");
}

// A tree of `text`, through everything that is done with trees; or an InputError that prints.
void read_everything(const std::string& text) {
    for (const auto& parse : {parse_yaml, parse_json}) {
        try {
            const Node node = parse(text, "f");
            const auto as_json = to_json(node);
            EXPECT_EQ(to_json(from_json(as_json, "f")), as_json);
            EXPECT_NO_THROW(as_json.dump());
            EXPECT_EQ(to_json(overlay(node, node)), as_json);
            for (const auto& [path, place] : origins(node)) EXPECT_FALSE(place.empty());
            read<AnySpec>(node, "");
        } catch (const InputError& error) {
            EXPECT_FALSE(error.diagnostics().empty());
            for (const Diagnostic& one : error.diagnostics()) {
                EXPECT_FALSE(one.what.empty());
                EXPECT_EQ(to_string(one).find('\n'), std::string::npos);
            }
        }
    }
}

// The `n`th mutation of `text`: bytes changed, dropped, doubled, or a part moved.
std::string mutate(std::string text, std::uint64_t n) {
    static const std::string signs = "{}[]:,-?&*!|>'\"%@`#~<\n\t \\0159eE.+\x01\x04\x7f\xc3\xff";
    auto below = [&, draw = 0](std::size_t limit) mutable {
        return static_cast<std::size_t>(uniform(n, draw++) * static_cast<double>(limit));
    };
    const std::size_t edits = 1 + below(4);
    for (std::size_t i = 0; i < edits && !text.empty(); ++i) {
        const std::size_t at = below(text.size());
        switch (below(5)) {
            case 0:
                text[at] = signs[below(signs.size())];
                break;
            case 1:
                text.erase(at, 1 + below(8));
                break;
            case 2:
                text.insert(at, 1 + below(3), signs[below(signs.size())]);
                break;
            case 3:
                text.insert(below(text.size()), text.substr(at, below(40)));
                break;
            default:
                text[at] = static_cast<char>(below(256));
        }
    }
    return text;
}

TEST(ReaderFuzz, MutationsOfValidFiles) {
    ASSERT_NO_THROW(parse_yaml(yaml, "f"));
    ASSERT_NO_THROW(parse_json(json, "f"));
    for (std::uint64_t n = 0; n < 15000; ++n) {
        SCOPED_TRACE(n);
        ASSERT_NO_THROW(read_everything(mutate(n % 2 == 0 ? yaml : json, n)));
    }
}

TEST(ReaderFuzz, RandomBytes) {
    static const std::string common = "{}[]:,-?&*!|>'\"%#~ \n  ab01";
    for (std::uint64_t n = 0; n < 10000; ++n) {
        std::string text;
        const auto length = static_cast<std::size_t>(uniform(n, -1) * 200);
        for (std::size_t i = 0; i < length; ++i) {
            const double draw = uniform(n, i);
            text +=
                n % 3 == 0
                    ? static_cast<char>(draw * 256)
                    : common[static_cast<std::size_t>(draw * static_cast<double>(common.size()))];
        }
        SCOPED_TRACE(n);
        ASSERT_NO_THROW(read_everything(text));
    }
}

TEST(ReaderFuzz, PiecesRepeatedMany) {
    for (const std::string piece :
         {"[",     "{",     "- ", "? ", "a: ",  "'",    "\"",      "&a ",   "*a ",
          "!",     "|\n",   "%",  "\t", "a: {", "[{",   "{\"a\":", "a:\n ", "- - ",
          "---\n", "...\n", ", ", "#",  "\\",   "a:\n", "{a: 1}, "}) {
        std::string text;
        while (text.size() < 20000) text += piece;
        SCOPED_TRACE(piece);
        ASSERT_NO_THROW(read_everything(text));
    }
}

TEST(SettingFuzz, AnyTextIsASettingOrAnInputError) {
    static const std::string common = "ab.:=/ [{1\"'-chip\xff";
    const Node tree = parse_yaml(yaml, "f");
    for (std::uint64_t n = 0; n < 10000; ++n) {
        std::string text = n % 2 == 0 ? "hbm.capacity=5 GB" : "";
        if (n % 2 == 0) text = mutate(text, n);
        for (std::size_t i = 0; n % 2 == 1 && i < n % 23; ++i) {
            text += common[static_cast<std::size_t>(uniform(n, i) *
                                                    static_cast<double>(common.size()))];
        }
        SCOPED_TRACE(text);
        try {
            const Setting setting = parse_setting(text);
            Node root = tree;
            set_path(root, setting.path, setting.value, {"--set"});
            to_json(root).dump();
        } catch (const InputError& error) {
            EXPECT_EQ(error.diagnostics().front().place.file, "--set");
        }
    }
}

}  // namespace
}  // namespace podsim

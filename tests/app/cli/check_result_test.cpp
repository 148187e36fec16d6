// `podsim check` of a result: sound as it was written, refused when somebody changed it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

TEST(CheckResult, TamperedResultBreaksALaw) {
    const Folder folder;
    folder.write("experiment.yaml", kDecode);
    ASSERT_EQ(folder.podsim({"run", "experiment.yaml", "--out", "out", "--quiet"}).code, 0);
    const Outcome sound = folder.podsim({"check", "out/result.json"});
    EXPECT_EQ(sound.code, 0) << sound.err;
    EXPECT_EQ(sound.out, "out/result.json: ok\n");

    Json json = Json::parse(folder.read("out/result.json"));
    auto& rate = json["alternatives"][0]["metrics"]["decode_tokens_per_second_per_chip"]["value"];
    rate = 2 * rate.get<double>();
    folder.write("out/faster.json", json.dump());
    const Outcome tampered = folder.podsim({"check", "experiment.yaml", "out/faster.json"});
    EXPECT_EQ(tampered.code, 3);
    EXPECT_EQ(tampered.out, "experiment.yaml: ok\n");
    EXPECT_TRUE(contains(tampered.err, "audit: out/faster.json: ")) << tampered.err;
    EXPECT_TRUE(contains(tampered.err, "\"rates follow from tokens, time and chips\""))
        << tampered.err;

    json["alternatives"][0]["totals"].erase("flops");
    folder.write("out/less.json", json.dump());
    const Outcome less = folder.podsim({"check", "out/less.json"});
    EXPECT_EQ(less.code, 2);
    EXPECT_TRUE(contains(less.err, "alternatives.0.totals.flops: is missing")) << less.err;
}

}  // namespace
}  // namespace podsim

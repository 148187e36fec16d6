// Tables of collectives, and fits that find again what wrote them.
#include "sim/collective_calibration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

const char* const text = R"(title: L
transfers:
  all_reduce:
    protocols:
      - {name: flags, base: 4 us, per_peer: 1 us, scale_up_efficiency: 0.1}
      - {name: ring, base: 40 us, scale_up_efficiency: 0.8}
    record: {basis: assumed, source: a test, date: 2026-01-01}
  dispatch:
    base: 5 us
    record: {basis: assumed, source: a test, date: 2026-01-01}
)";

CollectiveLibrarySpec library_of(const std::string& yaml) {
    return read_collective_library(parse_yaml(yaml, "l.yaml"), "l");
}

RankFabric fabric() {
    RankFabric fabric;
    fabric.scale_up = BytesPerSecond(100e9);
    fabric.domain_ranks = 8;
    return fabric;
}

std::vector<CollectiveRow> written_by(const CollectiveLibrarySpec& library) {
    std::vector<CollectiveRow> rows;
    for (const int ranks : {2, 4, 8}) {
        for (double bytes = 1e3; bytes < 1e9; bytes *= 2) {
            CollectiveRow row;
            row.transfer.name = "all_reduce";
            row.transfer.group_ranks = ranks;
            row.transfer.size = Bytes(bytes);
            row.measured = simulated_time(row, fabric(), library);
            rows.push_back(row);
        }
    }
    return rows;
}

TEST(CollectiveCalibration, FindsTheValuesThatWroteTheTable) {
    const auto rows = written_by(library_of(text));
    CollectiveLibrarySpec other = library_of(replaced(text, "base: 40 us", "base: 20 us"));
    CalibrationPart part;
    part.part = "all_reduce";
    part.free = {"ring.base", "ring.scale_up_efficiency", "flags.base"};
    part.held_out = HeldOut::folds;
    const PartFit fit = fit_part(part, rows, fabric(), other, {});
    EXPECT_NEAR(fit.values.at("ring.base"), 40e-6, 0.1e-6);
    EXPECT_NEAR(fit.values.at("ring.scale_up_efficiency"), 0.8, 0.002);
    EXPECT_NEAR(fit.values.at("flags.base"), 4e-6, 0.02e-6);
    EXPECT_LT(fit.held_out.mape, 0.01);
    const auto& protocols = other.transfers.at(TransferType::all_reduce).protocols;
    EXPECT_DOUBLE_EQ(protocols[1].base.value(), fit.values.at("ring.base"));

    Node document = parse_yaml(text, "l.yaml");
    write_fit(document, fit, other, "2026-02-02");
    const auto written = read_collective_library(document, "l").transfers;
    const TransferHabits& habits = written.at(TransferType::all_reduce);
    EXPECT_NEAR(habits.protocols[1].base.value(), 40e-6, 0.1e-6);
    EXPECT_EQ(habits.record.basis, Confidence::measured);
    EXPECT_EQ(habits.record.date, "2026-02-02");
    EXPECT_EQ(habits.record.rows, static_cast<long>(rows.size()));

    EXPECT_EQ(habits.ranges.at(0).ranks, (std::vector<long>{2, 8}));
    EXPECT_EQ(habits.ranges.at(0).bytes.at(0).value(), 1e3);

    // Values of protocols that the base names have no place to go to.
    Node bare = parse_yaml("base: other\ntitle: L\n", "l.yaml");
    EXPECT_THROW(write_fit(bare, fit, other, "2026-02-02"), InputError);
}

TEST(CollectiveCalibration, FewRowsAreRefused) {
    CollectiveLibrarySpec library = library_of(text);
    auto rows = written_by(library);
    rows.resize(19);
    CalibrationPart part;
    part.part = "all_reduce";
    part.free = {"ring.base"};
    EXPECT_THROW(fit_part(part, rows, fabric(), library, {}), InputError);
}

TEST(CollectiveCalibration, RefusesWhatIsNotThere) {
    const std::string more = std::string(text) +
                             "calibration:\n  - part: all_reduce\n    free: "
                             "[ring.base]\n    tables: [{adapter: podsim, "
                             "file: t.csv}]\n";
    EXPECT_EQ(read_calibration(library_of(more)).size(), 1u);
    const auto refusal = [&](const char* from, const char* to) {
        return refusal_of([&] { read_calibration(library_of(replaced(more, from, to))); });
    };
    EXPECT_THAT(refusal("[ring.base]", "[rings.base]"), HasSubstr("did you mean ring.base?"));
    EXPECT_THAT(refusal("part: all_reduce", "part: all_gather"), HasSubstr("has no all_gather"));
    EXPECT_THAT(refusal("adapter: podsim", "adapter: podsin"), HasSubstr("did you mean podsim?"));
}

class CollectiveTable : public testing::Test {
  protected:
    CollectiveTable()
        : file_(testing::TempDir() + "podsim_collectives" + std::to_string(getpid()) + ".csv") {}
    ~CollectiveTable() override { std::filesystem::remove(file_); }

    std::vector<CollectiveRow> read(const std::string& adapter, const std::string& rows,
                                    std::optional<TransferType> type = {}) {
        std::ofstream(file_) << rows;
        return read_collective_table({adapter, file_, {}, {}}, "", {"here", 1, 0}, type);
    }
    std::string file_;
};

TEST_F(CollectiveTable, Nccl) {
    const auto rows = read("aiconfigurator_nccl",
                           "op_name,nccl_dtype,num_gpus,message_size,latency\n"
                           "alltoall,int8,4,512,0.0065\nall_gather,half,2,512,0.0053\n");
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].transfer.type, TransferType::all_to_all);
    EXPECT_EQ(rows[0].transfer.size.value(), 512);
    EXPECT_EQ(rows[1].transfer.size.value(), 1024);  // two bytes each
    EXPECT_NEAR(rows[1].measured.value(), 5.3e-6, 1e-15);
    EXPECT_EQ(shape_of(rows[1].transfer), "all_gather of 2 ranks, 0.001024 MB");
}

// The table's own bandwidth: 1,024 tokens x 8 x 7,408 B in 224.057 us are 270.85 GB/s.
TEST_F(CollectiveTable, DeepEp) {
    const char* const head =
        "node_num,hidden_size,num_token,num_topk,num_experts,combine_avg_t_us,"
        "dispatch_avg_t_us\n1,7168,1024,8,256,489.434,224.057\n";
    const auto rows = read("aiconfigurator_deepep_ll", head, TransferType::dispatch);
    ASSERT_EQ(rows.size(), 1u);
    const CollectiveRow& row = rows[0];
    EXPECT_NEAR(row.transfer.size.value() / row.measured.value(), 270.8522e9, 1e5);
    EXPECT_EQ(row.transfer.experts, 256);
    EXPECT_EQ(row.transfer.copies, 8);
    EXPECT_EQ(read("aiconfigurator_deepep_ll", head).size(), 2u);
    EXPECT_THAT(
        refusal_of([&] { read("aiconfigurator_deepep_ll", replaced(head, "\n1,", "\n2,")); }),
        HasSubstr("one node of eight was expected"));
}

TEST_F(CollectiveTable, AUsersOwn) {
    const char* const head = "type,ranks,bytes,latency_us\n";
    const auto rows = read("podsim", std::string(head) + "all_reduce,8,4096,20\n");
    EXPECT_EQ(rows[0].transfer.size.value(), 4096);
    EXPECT_THAT(refusal_of([&] { read("podsim", std::string(head) + "all_reduce,8,4096,0\n"); }),
                HasSubstr(":2: a time that is not above 0"));
    EXPECT_THAT(refusal_of([&] { read("podsim", std::string(head) + "all_reduce,1,4096,9\n"); }),
                HasSubstr("2 to 1,000,000 ranks"));
    EXPECT_THAT(refusal_of([&] { read("podsim", std::string(head) + "everything,8,4096,9\n"); }),
                HasSubstr("not one of the known names"));
    const auto tokens = read("podsim",
                             "type,ranks,tokens,top_k,experts,token_bytes,latency_us\n"
                             "dispatch,8,128,8,256,7392,77\n");
    EXPECT_EQ(tokens[0].transfer.size.value(), 128 * 8 * 7392);
}

}  // namespace
}  // namespace podsim

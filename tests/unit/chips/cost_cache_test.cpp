// Costs remembered: the same as worked out anew, and of the same setting only.
#include "chips/cost_cache.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "base/plain_bytes.hpp"
#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

constexpr std::size_t no_limit = 1U << 20;

TEST(CostCache, CountsAndKeepsApart) {
    CostCache cache(tiny_chip(), tiny_library(), Fidelity::tile, true);
    const Gemm one{32, 32, 64, 1}, other{32, 32, 65, 1};
    const OperatorCost first = cache.cost(one, 1.0);
    EXPECT_EQ(cache.misses(), 1);
    EXPECT_EQ(cache.hits(), 0);
    EXPECT_EQ(cache.cost(one, 1.0).time, first.time);
    EXPECT_EQ(cache.hits(), 1);
    EXPECT_NE(cache.cost(other, 1.0).time, first.time);
    // Half of the cores is another question, and so is a share that differs in the last digit.
    EXPECT_NE(cache.cost(one, 0.5).time, first.time);
    (void)cache.cost(one, std::nextafter(0.5, 1.0));
    EXPECT_EQ(cache.misses(), 4);
    EXPECT_EQ(cache.hits(), 1);
}

TEST(CostCache, SwitchedOffItOnlyCounts) {
    CostCache cache(tiny_chip(), tiny_library(), Fidelity::tile, false);
    const Gemm one{32, 32, 64, 1};
    EXPECT_EQ(cache.cost(one, 1.0).time, cache.cost(one, 1.0).time);
    EXPECT_EQ(cache.misses(), 2);
    EXPECT_EQ(cache.hits(), 0);
}

// What could not be costed is not remembered as if it could.
TEST(CostCache, PassesErrorsOn) {
    CostCache cache(tiny_chip(), tiny_library(), Fidelity::tile, true);
    const Gemm wide{1, 1, 1, 1, DType::fp32, DType::fp32, DType::fp32};
    EXPECT_THROW(cache.cost(wide, 1.0), std::invalid_argument);
    EXPECT_THROW(cache.cost(wide, 1.0), std::invalid_argument);
    EXPECT_EQ(cache.hits(), 0);
}

std::string bytes_of(const OperatorCost& cost) {
    ByteWriter writer;
    writer.add(cost);
    return writer.take();
}

std::string setting_of(const RankHardware& hardware, const KernelLibrarySpec& library,
                       Fidelity fidelity = Fidelity::tile, RankState state = RankState::at_rest) {
    return CostCache(hardware, library, fidelity, true, state).setting();
}

// Changes one number or text of a value, the `wanted`th as they stand in it.
class ChangeOne {
  public:
    explicit ChangeOne(int wanted) : left_(wanted) {}
    bool changed() const { return left_ < 0; }

    template <class T>
    void visit(T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            if (here()) value = !value;
        } else if constexpr (std::is_same_v<T, double>) {
            if (here()) value = std::nextafter(value, 1e300);
        } else if constexpr (std::is_enum_v<T>) {
            if (here()) value = static_cast<T>(static_cast<int>(value) + 1);
        } else if constexpr (std::is_integral_v<T>) {
            if (here()) ++value;
        } else {
            plain_bytes_detail::visit_members(
                value, [this](auto&... members) { (this->visit(members), ...); });
        }
    }
    template <int T, int B, int F, int U, int E, int K>
    void visit(Quantity<T, B, F, U, E, K>& quantity) {
        double value = quantity.value();
        visit(value);
        quantity = Quantity<T, B, F, U, E, K>(value);
    }
    void visit(std::string& text) {
        if (here()) text += "x";
    }
    void visit(Place&) {}
    template <class T>
    void visit(std::optional<T>& value) {
        if (here()) value = value ? std::nullopt : std::optional<T>(T{});
        if (value && !changed()) visit(*value);
    }
    template <class T>
    void visit(std::vector<T>& items) {
        if (here()) items.emplace_back();
        for (T& item : items) visit(item);
    }
    template <class Key, class T>
    void visit(std::map<Key, T>& entries) {
        const bool now = here();
        if (now && entries.empty()) {
            entries[Key{}];
        } else if (now) {
            auto node = entries.extract(entries.begin());
            if constexpr (std::is_same_v<Key, std::string>) {
                node.key() += "x";
            } else {
                node.key() = static_cast<Key>(static_cast<int>(node.key()) + 1);
            }
            entries.insert(std::move(node));
        }
        for (auto& [key, value] : entries) visit(value);
    }

  private:
    bool here() { return left_-- == 0; }
    int left_;
};

// The settings that one change each makes of a value.
template <class T, class SettingOf>
std::set<std::string> settings_of_changes(const T& value, const SettingOf& setting, int& changes) {
    std::set<std::string> all;
    for (changes = 0;; ++changes) {
        T other = value;
        ChangeOne change(changes);
        change.visit(other);
        if (!change.changed()) return all;
        all.insert(setting(other));
    }
}

TEST(CostSetting, EachFieldOfTheChip) {
    int changes = 0;
    auto all = settings_of_changes(
        tiny_chip(), [](const RankHardware& h) { return setting_of(h, tiny_library()); }, changes);
    // 17 numbers, the format of the one peak, the peak, a core where there was none.
    EXPECT_EQ(changes, 20);
    all.insert(setting_of(tiny_chip(), tiny_library()));
    EXPECT_EQ(all.size(), 21u);
}

TEST(CostSetting, EachFieldOfTheLibrary) {
    KernelLibrarySpec library = tiny_library();
    library.grouped_gemm = {{DType::bf16, tiny_habits()}};
    library.attention = {{AttentionKind::grouped_decode, AttentionHabits{}}};
    library.expert_vector = VectorHabits{};
    library.calibration = parse_yaml("gemm: [{table: a.csv}]", "library.yaml");
    int changes = 0;
    auto all = settings_of_changes(
        library, [](const KernelLibrarySpec& l) { return setting_of(tiny_chip(), l); }, changes);
    // Name, chip, title, exponent; a record has 6: two products of 12 and a format, three of
    // attention of 8 (one with a kind), two of vector work of 3 (one may be absent).
    const int habits = 4 + 2 * (1 + 12 + 6) + 3 * (8 + 6) + 1 + 2 * (3 + 6) + 1;
    EXPECT_GT(changes, habits);  // and the tables of the fit
    all.insert(setting_of(tiny_chip(), library));
    EXPECT_EQ(static_cast<int>(all.size()), changes + 1);
}

// Written out, in case the walk over members is wrong.
TEST(CostSetting, SomeByHand) {
    RankHardware bandwidth = tiny_chip(), peak = tiny_chip();
    bandwidth.hbm_bandwidth = bandwidth.hbm_bandwidth * 1.001;
    peak.peak_matrix[DType::fp8] = FlopsPerSecond(1);
    KernelLibrarySpec launch = tiny_library(), basis = tiny_library();
    launch.gemm.at(DType::bf16).launch = microseconds(3);
    basis.vector.record.basis = Confidence::assumed;
    const std::set<std::string> all = {
        setting_of(tiny_chip(), tiny_library()),
        setting_of(bandwidth, tiny_library()),
        setting_of(peak, tiny_library()),
        setting_of(tiny_chip(), launch),
        setting_of(tiny_chip(), basis),
        setting_of(tiny_chip(), tiny_library(), Fidelity::analytic),
        setting_of(tiny_chip(), tiny_library(), Fidelity::tile, RankState::busy)};
    EXPECT_EQ(all.size(), 7u);
    EXPECT_EQ(setting_of(tiny_chip(), tiny_library()), setting_of(tiny_chip(), tiny_library()));
}

std::vector<std::pair<OperatorBody, double>> some_operators() {
    Attention attention;
    attention.batch = 3;
    attention.context = 100;
    attention.heads = 16;
    attention.kv_heads = 1;
    attention.head_dim_qk = attention.head_dim_v = 32;
    return {{Gemm{32, 32, 64, 1}, 1.0},
            {Gemm{32, 32, 64, 1}, 0.5},
            {Gemm{64, 32, 32, 3}, 1.0},
            {attention, 1.0},
            {VectorWork{"norm", 1000, 3, 8192, 2048}, 1.0}};
}

TEST(CostCache, RecalledToTheBit) {
    const auto make = [] { return CostCache(tiny_chip(), tiny_library(), Fidelity::tile, true); };
    CostCache first = make();
    first.recall(StoredCosts(first.setting()));
    for (const auto& [body, share] : some_operators()) (void)first.cost(body, share);
    EXPECT_EQ(first.stored_hits(), 0);

    CostCache second = make();
    second.recall(StoredCosts(second.setting(), first.file(no_limit)));
    for (const auto& [body, share] : some_operators()) {
        CostCache off(tiny_chip(), tiny_library(), Fidelity::tile, false);
        EXPECT_EQ(bytes_of(second.cost(body, share)), bytes_of(off.cost(body, share)));
        (void)second.cost(body, share);
    }
    // The three products; attention and vector work are worked out sooner than read.
    EXPECT_EQ(second.misses(), 5);
    EXPECT_EQ(second.stored_hits(), 3);
    EXPECT_EQ(second.hits(), 5);
    // Nothing new, nothing to keep.
    EXPECT_EQ(second.file(no_limit), "");
    (void)second.cost(Gemm{1, 1, 1, 1}, 1.0);
    EXPECT_EQ(second.stored_hits(), 3);
    EXPECT_NE(second.file(no_limit), "");
}

TEST(CostCache, RecallsItsOwnSettingOnly) {
    CostCache cache(tiny_chip(), tiny_library(), Fidelity::tile, true);
    EXPECT_THROW(cache.recall(StoredCosts(
                     setting_of(tiny_chip(), tiny_library(), Fidelity::tile, RankState::busy))),
                 std::invalid_argument);
    (void)cache.cost(Gemm{1, 1, 1, 1}, 1.0);
    EXPECT_EQ(cache.file(no_limit), "");  // nobody said where it belongs
}

TEST(CostCache, KeepsWhatIsSlowerThanReading) {
    EXPECT_TRUE(CostCache(tiny_chip(), tiny_library(), Fidelity::tile, true).keeps());
    EXPECT_FALSE(CostCache(tiny_chip(), tiny_library(), Fidelity::tile, false).keeps());
    EXPECT_FALSE(CostCache(tiny_chip(), tiny_library(), Fidelity::analytic, true).keeps());
}

}  // namespace
}  // namespace podsim

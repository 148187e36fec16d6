// What must hold of yield and cost whatever the chip.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/catalog.hpp"
#include "base/form.hpp"
#include "chips/power.hpp"
#include "chips/silicon_cost.hpp"
#include "chips/silicon_form.hpp"

namespace podsim {
namespace {

double between(int low, int high) {
    return *rc::gen::inRange(low, high + 1);
}

RC_GTEST_PROP(SiliconYield, IsAShareAndSparesNeverLowerIt, ()) {
    const double mm2 = between(10, 850), defects = between(0, 100) / 100, c = between(1, 20);
    const auto needed = static_cast<long>(between(1, 200));
    const auto spare = static_cast<long>(between(0, 20));
    DieArea area;
    area.die_mm2 = mm2;
    area.core_mm2 = mm2 * between(1, 90) / 100 / static_cast<double>(needed + spare);
    const double none = area_yield(mm2, defects, c);
    double before = none;
    for (long more = 0; more <= spare; ++more) {
        const double yield = die_yield(area, needed + more, needed, defects, c);
        RC_ASSERT(yield >= 0 && yield <= 1);
        RC_ASSERT(yield >= none * (1 - 1e-12));
        const double whole = area_yield(area.core_mm2, defects, c);
        RC_ASSERT(spares_yield(needed + spare, needed, whole) >=
                  spares_yield(needed + spare, needed + spare, whole) * (1 - 1e-12));
        before = yield;
    }
    RC_ASSERT(before >= none * (1 - 1e-12));
}

struct Made {
    ChipSpec chip;
    ProcessSpec process;
    SiliconPrices prices;
};

const Made& made() {
    static const Made one = [] {
        Catalog catalog(PODSIM_SOURCE_DIR "/configs");
        Made m;
        m.chip = read_chip(catalog.load("chip", "h100-sxm", {}, ""), "h100-sxm");
        m.process = read_process(catalog.load("process", "tsmc-4n", {}, ""), "tsmc-4n");
        m.prices = read<SiliconPrices>(*catalog.load("prices", "default", {}, "").find("silicon"),
                                       "silicon");
        return m;
    }();
    return one;
}

double price(const Made& m) {
    return silicon_cost(m.chip, *m.chip.silicon, m.process, m.prices, Band::value).price.value();
}

// More area, more defects, more memory, a dearer wafer: never cheaper.
RC_GTEST_PROP(SiliconCost, NeverFallsInWhatItIsMadeOf, ()) {
    Made m = made();
    m.chip.silicon->die_mm2->value = between(50, 700);
    m.chip.silicon->spare_cores->value = static_cast<long>(between(0, 40));
    m.process.defects_per_cm2.value = between(0, 80) / 100;
    const double more = 1 + between(0, 20) / 100;
    const double before = price(m) * (1 - 1e-12);
    Made dearer = m;
    dearer.chip.silicon->die_mm2->value *= more;
    RC_ASSERT(price(dearer) >= before);
    dearer = m;
    dearer.process.defects_per_cm2.value *= more;
    RC_ASSERT(price(dearer) >= before);
    dearer = m;
    dearer.chip.hbm->capacity.value *= more;
    RC_ASSERT(price(dearer) >= before);
    dearer = m;
    dearer.process.wafer.value *= more;
    RC_ASSERT(price(dearer) >= before);
    dearer = m;
    dearer.chip.silicon->spare_cores->value = 0;
    RC_ASSERT(price(dearer) >= before);
}

// A higher cap never slows down, hungrier work never speeds up, and what is drawn at the clock that
// is left meets the cap.
RC_GTEST_PROP(ClockShare, FollowsTheCap, ()) {
    const PowerDraw draw{Watts(between(1, 300)), Watts(between(1, 3000))};
    const Watts cap(between(301, 2000));
    const double alpha = 1 + between(0, 30) / 10;
    const double clock = clock_share(draw, cap, alpha);
    RC_ASSERT(clock > 0 && clock <= 1);
    RC_ASSERT(clock_share(draw, cap * 1.1, alpha) >= clock);
    RC_ASSERT(clock_share({draw.fixed, draw.dynamic * 1.1}, cap, alpha) <= clock);
    const double drawn = draw.fixed.value() + draw.dynamic.value() * std::pow(clock, alpha);
    if (clock > 0.1) RC_ASSERT(drawn <= cap.value() * (1 + 1e-9));
    if (clock > 0.1 && clock < 1) RC_ASSERT(drawn >= cap.value() * (1 - 1e-9));
}

}  // namespace
}  // namespace podsim

// Each module of chips/npu alone, between a source and a sink: times worked out by hand.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "chips/npu/compute_unit.hpp"
#include "chips/npu/die_link.hpp"
#include "chips/npu/dma_engine.hpp"
#include "chips/npu/l2_cache.hpp"
#include "chips/npu/npu_core.hpp"
#include "chips/npu/simple_memory.hpp"

namespace podsim::npu {
namespace {

using sc_core::sc_time;

Picoseconds now() {
    return to_picoseconds(sc_core::sc_time_stamp());
}

// Sends bursts when told and notes when they are answered.
class Source : public sc_core::sc_module {
  public:
    tlm_utils::simple_initiator_socket<Source> out_;
    std::map<std::uint64_t, Picoseconds> answered_;  // by address

    explicit Source(const sc_core::sc_module_name& name) : sc_module(name), out_("out") {
        SC_HAS_PROCESS(Source);
        out_.register_nb_transport_bw(this, &Source::bw);
        SC_METHOD(begin);
        sensitive << event_;
        dont_initialize();
    }
    // When the simulation goes on.
    void send(std::uint64_t address, std::uint64_t bytes, bool write = false) {
        waiting_.push_back(&pool_.take(address, bytes, write));
        event_.notify(sc_core::SC_ZERO_TIME);
    }

  private:
    void begin() {
        for (auto* payload : waiting_) {
            tlm::tlm_phase phase = tlm::BEGIN_REQ;
            sc_time delay = sc_core::SC_ZERO_TIME;
            out_->nb_transport_fw(*payload, phase, delay);
        }
        waiting_.clear();
    }
    tlm::tlm_sync_enum bw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase, sc_time&) {
        if (phase != tlm::BEGIN_RESP) return tlm::TLM_ACCEPTED;
        EXPECT_EQ(payload.get_response_status(), tlm::TLM_OK_RESPONSE);
        answered_[payload.get_address()] = now();
        payload.release();
        return tlm::TLM_COMPLETED;
    }
    BurstPool pool_;
    sc_core::sc_event event_;
    std::vector<tlm::tlm_generic_payload*> waiting_;
};

// 1,000 B at 10 GB/s take 100 ns: two reads end after 100 and 200 ns, each 50 ns of latency later.
TEST(SimpleMemory, OneBurstAfterAnother) {
    const SystemcSession session;
    SimpleMemory memory("memory", 10e9, 50e-9);
    Source source("source");
    source.out_.bind(memory.in_);
    source.send(0, 1000);
    source.send(4096, 1000);
    sc_core::sc_start();
    EXPECT_EQ(source.answered_.at(0), 150'000);
    EXPECT_EQ(source.answered_.at(4096), 250'000);
    EXPECT_EQ(memory.statistics().read, 2000);
    EXPECT_EQ(memory.statistics().busy, 200'000);
}

// A write that waits has its turn after one read, not after all of them.
TEST(SimpleMemory, ReadsAndWritesTakeTurns) {
    const SystemcSession session;
    SimpleMemory memory("memory", 10e9, 0);
    Source source("source");
    source.out_.bind(memory.in_);
    for (std::uint64_t i = 0; i < 3; ++i) source.send(i * 4096, 1000);
    source.send(1 << 20, 1000, true);
    sc_core::sc_start();
    EXPECT_EQ(source.answered_.at(0), 100'000);
    EXPECT_EQ(source.answered_.at(1 << 20), 200'000);
    EXPECT_EQ(source.answered_.at(4096), 300'000);
    EXPECT_EQ(memory.statistics().written, 1000);
}

L2Parameters one_port() {
    L2Parameters l2;
    l2.capacity = 4 * kBlock;
    l2.read = l2.write = l2.memory_read = l2.total = 40.96e9;  // a block in 100 ns
    l2.latency = 50e-9;
    return l2;
}

// A block that is fetched: 400 ns of memory (4,096 B at 10.24 GB/s) and 100 of its latency; it has
// passed the port while it arrived but for its last part, here all of it: 50 + 100 ns more. The
// same block again is there: latency and port alone.
TEST(L2Cache, MissesThenHits) {
    const SystemcSession session;
    SimpleMemory memory("memory", 10.24e9, 100e-9);
    L2Cache l2("l2", one_port());
    Source source("source");
    source.out_.bind(*l2.in_[0]);
    l2.memory_.bind(memory.in_);
    source.send(0, kBlock);
    sc_core::sc_start();
    EXPECT_EQ(source.answered_.at(0), 650'000);
    const Picoseconds before = now();
    source.send(0, kBlock);
    sc_core::sc_start();
    EXPECT_EQ(source.answered_.at(0) - before, 150'000);
    EXPECT_EQ(l2.statistics().missed, kBlock);
    EXPECT_EQ(l2.statistics().hit, kBlock);
    EXPECT_EQ(memory.statistics().read, kBlock);
}

// Who asks for what is on its way waits for it: one fetch. Room for four blocks: the one not used
// longest goes first.
TEST(L2Cache, SharesFetchesAndForgetsTheOldest) {
    const SystemcSession session;
    SimpleMemory memory("memory", 10.24e9, 100e-9);
    L2Cache l2("l2", one_port());
    Source source("source");
    source.out_.bind(*l2.in_[0]);
    l2.memory_.bind(memory.in_);
    source.send(0, kBlock);
    source.send(0, kBlock);
    sc_core::sc_start();
    EXPECT_EQ(memory.statistics().read, kBlock);
    for (std::uint64_t i = 1; i < 4; ++i) source.send(i * kBlock, kBlock);
    sc_core::sc_start();
    source.send(0, kBlock);  // used again: block 1 is the oldest now
    source.send(4 * kBlock, kBlock);
    sc_core::sc_start();
    EXPECT_EQ(l2.statistics().evictions, 1);
    const double read = memory.statistics().read;
    source.send(0, kBlock);
    sc_core::sc_start();
    EXPECT_EQ(memory.statistics().read, read);
    source.send(kBlock, kBlock);
    sc_core::sc_start();
    EXPECT_EQ(memory.statistics().read, read + kBlock);
}

// Address 64 KiB lies on the other die: 4,096 B cross at 4.096 GB/s in 1 us, 200 ns of latency.
TEST(DieLink, FetchesFromTheOtherDie) {
    const SystemcSession session;
    L2Parameters parameters = one_port();
    parameters.dies = 2;
    L2Cache left("left", parameters);
    parameters.die = 1;
    L2Cache right("right", parameters);
    SimpleMemory here("here", 10.24e9, 100e-9), there("there", 10.24e9, 100e-9);
    DieLink link("link", 2, 4.096e9, 200e-9);
    Source source("source"), idle("idle");
    source.out_.bind(*left.in_[0]);
    idle.out_.bind(*right.in_[0]);
    left.memory_.bind(here.in_);
    right.memory_.bind(there.in_);
    left.far_out_.bind(*link.in_[0]);
    right.far_out_.bind(*link.in_[1]);
    link.out_[0]->bind(left.far_in_);
    link.out_[1]->bind(right.far_in_);
    source.send(kInterleave, kBlock);
    sc_core::sc_start();
    // 500 ns until the far cache has it, 50 of its latency, 1,000 + 200 to cross; then the near
    // cache's 50 and its port's last block.
    EXPECT_EQ(source.answered_.at(kInterleave), 1'900'000);
    EXPECT_EQ(here.statistics().read, 0);
    EXPECT_EQ(there.statistics().read, kBlock);
    EXPECT_EQ(link.statistics().bytes, kBlock);
}

InstructionSource list_of(std::vector<Instruction> instructions) {
    return [instructions = std::move(instructions), i = std::size_t{0}](Instruction& out) mutable {
        if (i == instructions.size()) return false;
        out = instructions[i++];
        return true;
    };
}

// Products of 10 ns wait for loads, and the load into a slot waits until it was used.
TEST(Core, LoadsAndProductsWaitForEachOther) {
    const SystemcSession session;
    SimpleMemory memory("memory", 10e9, 0);
    NpuCore core("core", 1e9, 1e12, 1e12);
    SimpleMemory unused("unused", 1e9, 0);
    core.load_.out_.bind(memory.in_);
    core.drain_.out_.bind(unused.in_);
    CoreProgram program;
    std::vector<Instruction> loads(3), products(3);
    for (std::size_t i = 0; i < 3; ++i) {
        const auto index = static_cast<std::int64_t>(i);
        loads[i].transfer = {i * 4096, 1000, false, false, false};  // 100 ns each
        loads[i].waits[0] = {kFreed, index};                        // one slot
        loads[i].signals[0] = kFilled;
        products[i].duration = 10'000;
        products[i].waits[0] = {kFilled, index + 1, 5'000};  // the flag takes 5 ns
        products[i].signals[0] = kFreed;
    }
    program.load = list_of(loads);
    program.matrix = list_of(products);
    core.run(std::move(program));
    sc_core::sc_start();
    EXPECT_EQ(core.matrix_.finished(), 3 * (100'000 + 5'000 + 10'000));
    EXPECT_EQ(core.matrix_.statistics().busy, 30'000);
    EXPECT_EQ(core.load_.statistics().bytes, 3000);
    EXPECT_TRUE(core.idle());
}

// Of three bursts of 1,000 B only two may be under way: the third is asked for when the first is
// answered.
TEST(DmaEngine, LimitsWhatIsUnderWay) {
    const SystemcSession session;
    SimpleMemory memory("memory", 1e12, 100e-9);
    Counters counters(1);
    DmaEngine engine("engine", counters, 2000, 1e15);
    engine.out_.bind(memory.in_);
    std::vector<Instruction> loads(3);
    for (std::size_t i = 0; i < 3; ++i) {
        loads[i].transfer = {i * 4096, 1000, false, false, false};
        loads[i].signals[0] = 0;
    }
    engine.run(list_of(loads));
    sc_core::sc_start();
    EXPECT_EQ(counters.value(0), 3);
    EXPECT_EQ(engine.finished(), 101'000 + 101'000);
}

}  // namespace
}  // namespace podsim::npu

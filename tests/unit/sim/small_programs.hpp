// Programs with costs written by hand, for the machine to run: times in microseconds, one byte of
// memory or port a nanosecond (1 GB/s), so that a microsecond at full rate moves 1000 bytes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/assemble.hpp"
#include "sim/machine.hpp"

namespace podsim {

// What an operator asks for besides its time.
struct Asks {
    double memory = 0;  // share of the memory's rate while it runs alone
    double launch = 0;  // microseconds before the work
    double matrix = 0;  // microseconds of matrix work at peak rate
    bool on_vector_cores = false;
    bool product = false;  // of as much matrix work; else a vector operator of as many bytes
};

class SmallProgram {
  public:
    SmallProgram() {
        fabric.scale_up = fabric.scale_out = BytesPerSecond(1e9);
        hardware.hbm_bandwidth = BytesPerSecond(1e9);
        hardware.peak_matrix[DType::bf16] = FlopsPerSecond(1e12);
        hardware.peak_vector = FlopsPerSecond(1e12);
    }

    int rank_class(int count = 1) {
        program.classes.push_back({"class " + std::to_string(program.classes.size()), count});
        return static_cast<int>(program.classes.size()) - 1;
    }

    int stream(double core_share = 1.0) {
        program.streams.push_back({"stream " + std::to_string(program.streams.size()), core_share});
        costs.operators.emplace_back(operators_);
        costs.pipelines.emplace_back();
        return static_cast<int>(program.streams.size()) - 1;
    }

    // An operator that works for `time` microseconds when alone, wherever it runs.
    int operation(double time, const Asks& asks = {}) {
        OperatorCost cost;
        cost.launch = microseconds(asks.launch);
        cost.time = microseconds(asks.launch + time);
        cost.hbm_time = microseconds(asks.memory * time);
        cost.hbm = cost.hbm_time * hardware.hbm_bandwidth;
        cost.matrix = microseconds(asks.matrix);
        cost.on_vector_cores = asks.on_vector_cores;
        operators_.push_back(cost);
        for (auto& of_stream : costs.operators) of_stream.push_back(cost);
        // At the peak of 1e12 FLOP/s 500,000 multiply-adds are 1 us.
        const auto k = static_cast<long>(asks.matrix * 500000);
        program.operators.push_back(
            {"op " + std::to_string(program.operators.size()),
             asks.product ? OperatorBody(Gemm{1, 1, k})
                          : OperatorBody(VectorWork{"", 1, 0, cost.hbm.value(), 0})});
        return static_cast<int>(program.operators.size()) - 1;
    }

    int task(int of_class, int of_stream, int op, std::vector<int> after = {}) {
        Task t;
        t.kind = TaskKind::compute;
        t.body = op;
        return add(std::move(t), of_class, of_stream, std::move(after));
    }

    // The same in one breath.
    int work(int of_class, int of_stream, double time, std::vector<int> after = {},
             const Asks& asks = {}) {
        return task(of_class, of_stream, operation(time, asks), std::move(after));
    }

    int host(int of_class, int of_stream, double time, std::vector<int> after = {}) {
        Task t;
        t.kind = TaskKind::host;
        t.name = "host";
        t.host_time = microseconds(time);
        return add(std::move(t), of_class, of_stream, std::move(after));
    }

    // A transfer of which part c of `wires` takes that many microseconds on the scale-up port it
    // sends by.
    int transfer(double latency, const std::vector<double>& wires) {
        Coflow coflow;
        coflow.latency = microseconds(latency);
        coflow.record = &record_of_transfers();
        Transfer t;
        t.name = "transfer " + std::to_string(program.transfers.size());
        t.type = TransferType::send_recv;
        t.group_ranks = static_cast<int>(wires.size());
        for (const double wire : wires) {
            CoflowShare share;
            share.wire = share.port_time[0] = microseconds(wire);
            share.bytes[0] = share.wire * fabric.scale_up;
            coflow.shares.push_back(share);
        }
        costs.coflows.push_back(coflow);
        program.transfers.push_back(t);
        return static_cast<int>(program.transfers.size()) - 1;
    }

    // A class's part in the execution `instance` of a transfer; enter() made the instance.
    int enter(int of_transfer) {
        program.instances.push_back({of_transfer, {}});
        return static_cast<int>(program.instances.size()) - 1;
    }
    int part(int instance, int of_class, int of_stream, std::vector<int> after = {}) {
        Task t;
        t.kind = TaskKind::transfer;
        t.body = instance;
        const int id = add(std::move(t), of_class, of_stream, std::move(after));
        program.instances[static_cast<std::size_t>(instance)].tasks.push_back(id);
        return id;
    }

    RunRecord run(Driver driver = Driver::plain) const {
        return run_program(program, costs, hardware, driver);
    }

    AssemblyInput input(const RunRecord& record) const {
        return {program, costs, record, hardware, fabric, 64, {}};
    }

    Task& of(int id) { return program.tasks[static_cast<std::size_t>(id)]; }

    Program program;
    ProgramCosts costs;
    RankHardware hardware;
    RankFabric fabric;

    static const FitRecord& record_of_transfers() {
        static const FitRecord record{Confidence::measured, 4, 0.1, "by hand", "", ""};
        return record;
    }

  private:
    int add(Task t, int of_class, int of_stream, std::vector<int> after) {
        t.rank_class = of_class;
        t.stream = of_stream;
        t.after = std::move(after);
        program.tasks.push_back(std::move(t));
        return static_cast<int>(program.tasks.size()) - 1;
    }

    std::vector<OperatorCost> operators_;
};

inline double in_microseconds(Picoseconds time) {
    return static_cast<double>(time) * 1e-6;
}

}  // namespace podsim

// Tasks of the ranks of one pipeline stage, written one behind the other: kernels, and collectives
// on streams of their own, which what follows waits for or not.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "program/program.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

enum ChainStream { compute_stream, tensor_stream, exchange_stream, data_stream };
inline constexpr std::size_t kChainStreams = 4;

using TaskIds = std::vector<int>;  // a task of each class, or what one waits for

class TaskChain {
  public:
    // The engine must outlive it.
    explicit TaskChain(const EngineSpec& engine);

    // Before any task.
    void set_classes(std::vector<RankClass> classes);
    // Of compute, for all of the program: the rest is the exchange's.
    void share_cores(double of_compute);
    Program take() { return std::move(program_); }

    int classes() const { return static_cast<int>(program_.classes.size()); }

    // Another chain begins.
    void restart(int micro_batch);

    // Operators one after the other, of one class or of all.
    void run(const std::vector<Operator>& operators, int rank_class);
    void run(const std::vector<Operator>& operators);
    // Beside the chain, which does not wait for them, and others go first. Returns what ends them.
    TaskIds run_aside(const std::vector<Operator>& operators, int rank_class);

    // Kernels of all classes on a stream of their own, which what follows waits for or not: what
    // moves over a chip's host link.
    TaskIds run_beside(const char* stream, const Operator& op, const std::vector<TaskIds>& after);
    // Work of the host, on its own stream too.
    TaskIds host_beside(const std::string& name, Seconds time, const std::vector<TaskIds>& after);

    // A collective among ranks of one class. Nothing for a group of one.
    TaskIds transfer(ChainStream stream, const Transfer& transfer, bool aside);
    // Dispatch or combine, in which all classes meet.
    TaskIds exchange(const Transfer& transfer);

    void wait_for(const TaskIds& ids);

    std::vector<TaskIds> front;  // by class: what the next task of the chain waits for
    int layer = -1;              // of the next task

  private:
    int stream_named(const std::string& name);
    int push(Task task, int rank_class);
    int push_transfer(ChainStream stream, int instance, int rank_class);

    const EngineSpec& engine_;
    Program program_;
    int micro_batch_ = 0;
};

}  // namespace podsim

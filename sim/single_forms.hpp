// How an experiment writes one operator or one collective.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "interconnect/collective_algorithms.hpp"
#include "program/operator.hpp"
#include "program/transfer.hpp"
#include "sim/attention_forms.hpp"
#include "sim/moe_operator.hpp"

namespace podsim {

enum class OperatorType { gemm, attention, moe, vector, index_scores, mhc };
const std::vector<std::pair<const char*, OperatorType>>& names_of(const OperatorType*);

// `operator:` as written, before its type decides which keys belong to it.
struct OperatorForm {
    OperatorType type = OperatorType::gemm;
    Gemm gemm;
    AttentionFields attention;  // of index_scores too
    MixFields mix;
    MoeForm moe;
    VectorWork vector;
    std::map<std::string, DType> dtypes;
};
// One after another; several for moe and mhc alone.
std::vector<Operator> to_operators(OperatorForm form);

// `collective:` as written.
struct CollectiveForm {
    TransferType type = TransferType::all_reduce;
    int ranks = 0, stride = 1;
    Bytes bytes{0.0};
    long tokens_per_rank = 0, hidden = 0, top_k = 0, scale_block = 0, experts = 0, domain_limit = 0;
    double element_bytes = 2;
    bool fused_work = false;
    std::optional<Algorithm> algorithm;
    // Dispatch and combine are given as tokens, the others as a buffer.
    bool by_tokens() const {
        return type == TransferType::dispatch || type == TransferType::combine;
    }
};
Transfer to_transfer(const CollectiveForm& form);
// The vector work that expert-parallel kernels hold and their published times count: a dispatch
// quantises its tokens first, a combine sums the copies of each token at its end. None without
// `fused_work`, nor for a dispatch in the format of the stream.
std::optional<Operator> fused_work_of(const CollectiveForm& form);

// For ReadForm and SchemaForm.
template <class Form>
void describe(Form& form, OperatorForm& op);
template <class Form>
void describe(Form& form, CollectiveForm& collective);

}  // namespace podsim

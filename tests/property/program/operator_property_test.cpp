// What holds for operators and transfers of any size.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "program/program.hpp"

namespace podsim {
namespace {

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}

DType any_format() {
    return *rc::gen::element(DType::fp32, DType::bf16, DType::fp16, DType::fp8, DType::int8,
                             DType::fp4);
}

Attention any_attention() {
    Attention a;
    a.form = *rc::gen::element(AttentionForm::gqa, AttentionForm::mla_absorbed);
    a.phase = *rc::gen::element(Phase::prefill, Phase::decode);
    a.batch = any(1, 9);
    a.query = any(1, 40);
    a.context = a.query + any(0, 100);
    a.kv_heads = a.form == AttentionForm::gqa ? any(1, 8) : 1;
    a.heads = a.kv_heads * any(1, 8);
    a.head_dim_qk = any(1, 600);
    a.head_dim_v = any(1, 600);
    a.compute = any_format();
    a.kv = any_format();
    return a;
}

// Attention of any kind: whole, chosen, compressed, windowed.
Attention any_sparse_attention() {
    Attention a = any_attention();
    a.compression = any(0, 9);
    if (a.compression > 0) a.selected = any(0, 1) * any(1, 40);
    if (a.compression == 0 || any(0, 1) == 1) a.window = any(1, 60);
    return a;
}

IndexScores any_scores() {
    const long query = any(1, 40);
    return {*rc::gen::element(Phase::prefill, Phase::decode),
            any(1, 9),
            query,
            query + any(0, 100),
            any(1, 9),
            any(1, 70),
            any(1, 130),
            any_format(),
            any_format()};
}

DeltaRule any_delta() {
    DeltaRule d;
    d.phase = *rc::gen::element(Phase::prefill, Phase::decode);
    d.batch = any(1, 9);
    d.query = any(1, 40);
    d.key_heads = any(1, 4);
    d.value_heads = d.key_heads * any(1, 4);
    d.key_dim = any(1, 130);
    d.value_dim = any(1, 130);
    d.state_read = static_cast<double>(any(0, 4));
    d.state_written = static_cast<double>(any(0, 4));
    return d;
}

StreamMix any_mix() {
    return {*rc::gen::element(StreamSide::mix_in, StreamSide::mix_out),
            any(1, 9),
            any(1, 5),
            any(1, 99),
            any(0, 30),
            any_format()};
}

OperatorBody any_body() {
    switch (any(0, 6)) {
        case 2:
            return any_sparse_attention();
        case 3:
            return any_scores();
        case 4:
            return any_delta();
        case 5:
            return any_mix();
        case 0:
            return Gemm{any(1, 9),    any(1, 9),    any(1, 9),   any(1, 3),
                        any_format(), any_format(), any_format()};
        case 1:
            return any_attention();
        default:
            return VectorWork{*rc::gen::element(std::string("add"), std::string("norm")),
                              static_cast<double>(any(1, 5)),
                              static_cast<double>(any(0, 6)) / 3.0,
                              static_cast<double>(any(0, 3)),
                              static_cast<double>(any(0, 3)),
                              any(0, 1)};
    }
}

// Caches key on the text: it has to tell apart whatever differs, and nothing else.
TEST(OperatorProperty, EqualTextIsEqualShape) {
    EXPECT_TRUE(rc::check([] {
        const OperatorBody one = any_body(), other = any_body();
        RC_ASSERT((shape_of(one) == shape_of(other)) == (one == other));
        RC_ASSERT(shape_of(OperatorBody(one)) == shape_of(one));
    }));
    // Two neighbours that differ in one field only.
    EXPECT_TRUE(rc::check([] {
        const Attention one = any_attention();
        Attention other = one;
        const auto field = *rc::gen::element(
            &Attention::batch, &Attention::query, &Attention::context, &Attention::heads,
            &Attention::kv_heads, &Attention::head_dim_qk, &Attention::head_dim_v,
            &Attention::compression, &Attention::selected, &Attention::window);
        other.*field += any(1, 3);
        RC_ASSERT(shape_of(one) != shape_of(other));
    }));
}

// Query by query and entry by entry: what each sees is counted, not summed up in closed form.
double counted_pairs(Phase phase, long query, long context, long tokens, long selected,
                     long window) {
    double pairs = 0;
    for (long i = 0; i < query; ++i) {
        const long seen = phase == Phase::decode ? context : context - query + i + 1;
        long entries = 0;
        for (long end = tokens; tokens > 0 && end <= seen; end += tokens) ++entries;
        pairs += static_cast<double>((selected > 0 ? std::min(selected, entries) : entries) +
                                     std::min(window, seen));
    }
    return pairs;
}

TEST(OperatorProperty, PairsAreThoseThatEachQuerySees) {
    EXPECT_TRUE(rc::check([] {
        const Attention a = any_sparse_attention();
        RC_ASSERT(visible_pairs(a) ==
                  counted_pairs(a.phase, a.query, a.context, a.compression, a.selected, a.window));
        const IndexScores s = any_scores();
        RC_ASSERT(visible_pairs(s) ==
                  counted_pairs(s.phase, s.query, s.context, s.compression, 0, 0));
    }));
}

// What is read is there, and no query sees more than all of them read.
TEST(OperatorProperty, EntriesReadAreCachedAndSeen) {
    EXPECT_TRUE(rc::check([] {
        const Attention a = any_sparse_attention();
        const long complete = a.compression > 0 ? a.context / a.compression : 0;
        const double cached = static_cast<double>(complete);
        RC_ASSERT(entries_read(a) <= cached + static_cast<double>(a.context));
        RC_ASSERT(visible_pairs(a) <= static_cast<double>(a.query) * entries_read(a));
    }));
}

// A prompt in chunks sees the same pairs of query and key as in one go.
TEST(OperatorProperty, ChunksOfAPrefillAddUp) {
    EXPECT_TRUE(rc::check([] {
        Attention whole = any_sparse_attention();
        whole.phase = Phase::prefill;
        whole.query = any(2, 40);
        whole.context = whole.query + any(0, 100);
        Attention first = whole, second = whole;
        first.query = any(1, whole.query - 1);
        first.context = whole.context - (whole.query - first.query);
        second.query = whole.query - first.query;
        RC_ASSERT((work_of(first) + work_of(second)).value() == work_of(whole).value());
    }));
}

// One new token has no mask: prefill and decode are the same work.
TEST(OperatorProperty, OneNewTokenIsDecode) {
    EXPECT_TRUE(rc::check([] {
        Attention a = any_sparse_attention();
        a.query = 1;
        a.phase = Phase::prefill;
        const Flops prefill = work_of(a);
        a.phase = Phase::decode;
        RC_ASSERT(work_of(a) == prefill);
    }));
}

// `g` groups are g products: in work and in bytes.
TEST(OperatorProperty, GroupsAreSeparateProducts) {
    EXPECT_TRUE(rc::check([] {
        const Gemm one{any(1, 999),  any(1, 999),  any(1, 999), 1,
                       any_format(), any_format(), any_format()};
        Gemm many = one;
        many.groups = any(1, 99);
        const double groups = static_cast<double>(many.groups);
        RC_ASSERT(work_of(many).value() == groups * work_of(one).value());
        RC_ASSERT(compulsory_bytes_of(many).value() == groups * compulsory_bytes_of(one).value());
    }));
}

TEST(OperatorProperty, WhatIsValidHasWorkAndBytes) {
    EXPECT_TRUE(rc::check([] {
        const OperatorBody body = any_body();
        require_valid(Operator{"op", body});
        RC_ASSERT(work_of(body) >= Flops(0));
        RC_ASSERT(matrix_work_of(body) <= work_of(body));
        RC_ASSERT(compulsory_bytes_of(body) >= Bytes(0));
    }));
}

// What one class sends another receives: any split of the same bytes passes, and one more byte on
// one side does not.
TEST(TransferProperty, SharesHaveToAddUp) {
    EXPECT_TRUE(rc::check([] {
        Transfer t;
        t.type = TransferType::combine;
        const long classes = any(1, 5);
        long group = 0, sent = 0;
        for (long c = 0; c < classes; ++c) {
            const long ranks = any(1, 9), bytes = any(0, 1'000'000);
            t.shares.push_back({static_cast<int>(ranks), Bytes(static_cast<double>(bytes)), {}});
            group += ranks;
            sent += ranks * bytes;
        }
        t.group_ranks = static_cast<int>(group);
        for (auto& share : t.shares)
            share.receive = Bytes(static_cast<double>(sent) / static_cast<double>(group));
        require_valid(t);
        t.shares.back().receive += Bytes(1);
        RC_ASSERT_THROWS_AS(require_valid(t), std::invalid_argument);
    }));
}

// Work of a program does not depend on the order in which its classes are listed.
TEST(ProgramProperty, WorkIsTheSumOverClasses) {
    EXPECT_TRUE(rc::check([] {
        Program p;
        p.streams = {{"compute", 1.0}};
        const long classes = any(1, 4);
        double expected = 0;
        for (long c = 0; c < classes; ++c) {
            p.classes.push_back({"class", static_cast<int>(any(1, 99))});
            const long tasks = any(0, 5);
            for (long i = 0; i < tasks; ++i) {
                const Operator op{"op", any_body()};
                Task task;
                task.body = intern(p, op);
                task.rank_class = static_cast<int>(c);
                p.tasks.push_back(task);
                expected += p.classes.back().count * work_of(op.body).value();
            }
        }
        RC_ASSERT(std::abs(total_work(p).value() - expected) <= 1e-12 * expected);
    }));
}

}  // namespace
}  // namespace podsim

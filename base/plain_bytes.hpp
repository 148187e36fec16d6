// Plain data as bytes: every member of every struct in turn, as the compiler finds them, so that
// no member can be forgotten where two values are told apart by their bytes. A struct gets no list
// of its members; a type that is no plain data does not compile. Bytes of this machine: no format
// to carry to another one.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/units.hpp"

namespace podsim {

namespace plain_bytes_detail {

// Stands for an initialiser of any type and is never made.
struct Anything {
    template <class T>
    operator T() const {  // NOLINT(google-explicit-constructor)
        std::abort();
    }
};

// As many as there may be initialisers; visit_members() does not compile with another number.
template <class Struct, class... Initialisers>
constexpr int member_count() {
    if constexpr (requires { Struct{Initialisers{}..., Anything{}}; }) {
        return member_count<Struct, Initialisers..., Anything>();
    } else {
        return sizeof...(Initialisers);
    }
}

// visit(first member, second member, ...)
template <class Struct, class Visit>
void visit_members(Struct& s, const Visit& visit) {
    static_assert(std::is_aggregate_v<Struct>, "not plain data");
    constexpr int count = member_count<std::remove_const_t<Struct>>();
    static_assert(count >= 1 && count <= 14, "write the line for as many members");
    if constexpr (count == 1) {
        auto& [a] = s;
        visit(a);
    } else if constexpr (count == 2) {
        auto& [a, b] = s;
        visit(a, b);
    } else if constexpr (count == 3) {
        auto& [a, b, c] = s;
        visit(a, b, c);
    } else if constexpr (count == 4) {
        auto& [a, b, c, d] = s;
        visit(a, b, c, d);
    } else if constexpr (count == 5) {
        auto& [a, b, c, d, e] = s;
        visit(a, b, c, d, e);
    } else if constexpr (count == 6) {
        auto& [a, b, c, d, e, f] = s;
        visit(a, b, c, d, e, f);
    } else if constexpr (count == 7) {
        auto& [a, b, c, d, e, f, g] = s;
        visit(a, b, c, d, e, f, g);
    } else if constexpr (count == 8) {
        auto& [a, b, c, d, e, f, g, h] = s;
        visit(a, b, c, d, e, f, g, h);
    } else if constexpr (count == 9) {
        auto& [a, b, c, d, e, f, g, h, i] = s;
        visit(a, b, c, d, e, f, g, h, i);
    } else if constexpr (count == 10) {
        auto& [a, b, c, d, e, f, g, h, i, j] = s;
        visit(a, b, c, d, e, f, g, h, i, j);
    } else if constexpr (count == 11) {
        auto& [a, b, c, d, e, f, g, h, i, j, k] = s;
        visit(a, b, c, d, e, f, g, h, i, j, k);
    } else if constexpr (count == 12) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l] = s;
        visit(a, b, c, d, e, f, g, h, i, j, k, l);
    } else if constexpr (count == 13) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = s;
        visit(a, b, c, d, e, f, g, h, i, j, k, l, m);
    } else {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = s;
        visit(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
    }
}

}  // namespace plain_bytes_detail

// Values of one type have the same bytes exactly when they are the same to the bit. Lengths stand
// before what they count, so that no two values run into each other.
class ByteWriter {
  public:
    const std::string& bytes() const { return bytes_; }
    std::string take() { return std::move(bytes_); }

    template <class T>
    void add(const T& value) {
        if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
            bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
        } else {
            plain_bytes_detail::visit_members(
                value, [this](const auto&... members) { (this->add(members), ...); });
        }
    }
    template <int T, int B, int F, int U, int E, int K>
    void add(const Quantity<T, B, F, U, E, K>& quantity) {
        add(quantity.value());
    }
    void add(const std::string& text) {
        add(text.size());
        bytes_ += text;
    }
    // Where something is written is no part of what it is.
    void add(const Place&) {}
    template <class T>
    void add(const std::optional<T>& value) {
        add(value.has_value());
        if (value) add(*value);
    }
    template <class T>
    void add(const std::vector<T>& items) {
        add(items.size());
        for (const T& item : items) add(item);
    }
    template <class Key, class T>
    void add(const std::map<Key, T>& entries) {
        add(entries.size());
        for (const auto& [key, value] : entries) {
            add(key);
            add(value);
        }
    }
    template <class... T>
    void add(const std::variant<T...>& value) {
        add(value.index());
        std::visit([this](const auto& alternative) { this->add(alternative); }, value);
    }

  private:
    std::string bytes_;
};

// Reads numbers, texts and structs of them back. Each take() says whether it was all there.
class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

    bool at_end() const { return rest_.empty(); }

    template <class T>
    bool take(T& value) {
        if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
            static_assert(!std::is_same_v<T, bool>);
            if (rest_.size() < sizeof value) return false;
            std::memcpy(&value, rest_.data(), sizeof value);
            rest_.remove_prefix(sizeof value);
            return true;
        } else {
            bool complete = true;
            plain_bytes_detail::visit_members(
                value, [&](auto&... members) { complete = (this->take(members) && ...); });
            return complete;
        }
    }
    bool take(bool& value) {
        unsigned char byte = 0;
        if (!take(byte)) return false;
        value = byte != 0;
        return true;
    }
    template <int T, int B, int F, int U, int E, int K>
    bool take(Quantity<T, B, F, U, E, K>& quantity) {
        double value = 0;
        if (!take(value)) return false;
        quantity = Quantity<T, B, F, U, E, K>(value);
        return true;
    }
    bool take(std::string& text) {
        std::string_view view;
        if (!take(view)) return false;
        text = view;
        return true;
    }
    // Valid as long as the bytes are.
    bool take(std::string_view& text) {
        std::size_t size = 0;
        return take(size) && take(text, size);
    }
    bool take(std::string_view& part, std::size_t size) {
        if (rest_.size() < size) return false;
        part = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
    }

  private:
    std::string_view rest_;
};

// FNV-1a, 64 bits: one changed byte always changes it.
constexpr std::uint64_t fingerprint(std::string_view bytes,
                                    std::uint64_t start = 0xcbf29ce484222325) {
    std::uint64_t hash = start;
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

}  // namespace podsim

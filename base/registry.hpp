// Names with one sentence each: what exists, for look-ups, lists and error hints. Filled by one
// register function per folder, no static registration.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/diagnostic.hpp"

namespace podsim {

template <class T>
class Registry {
  public:
    struct Entry {
        std::string description;  // what it models and what not, one sentence
        T item;
    };

    explicit Registry(std::string kind) : kind_(std::move(kind)) {}

    // Throws std::logic_error for a name given twice.
    void add(const std::string& name, std::string description, T item) {
        if (!entries_.emplace(name, Entry{std::move(description), std::move(item)}).second) {
            throw std::logic_error(kind_ + " " + name + " registered twice");
        }
    }

    // Throws InputError at `place` with the nearest known name.
    const T& find(const std::string& name, const Place& place, const std::string& path) const {
        const auto it = entries_.find(name);
        if (it == entries_.end()) {
            throw InputError({unknown_name(place, path, kind_, name, names())});
        }
        return it->second.item;
    }

    std::vector<std::string> names() const {
        std::vector<std::string> result;
        for (const auto& [name, entry] : entries_) result.push_back(name);
        return result;
    }
    const std::map<std::string, Entry>& entries() const { return entries_; }

  private:
    std::string kind_;
    std::map<std::string, Entry> entries_;
};

}  // namespace podsim

// One description of a Spec serves three readers: the configuration reader, the JSON Schema
// writer, and whoever lists a Spec's keys. A Spec's file defines
//
//   template <class Form> void describe(Form& form, HbmSpec& spec) {
//       form.required("capacity", spec.capacity, "memory of a package", positive());
//       form.optional("efficiency", spec.efficiency, "share of peak a stream reaches", share());
//   }
//
// and read<HbmSpec>(node, path) fills it. Field types: bool, int, long, double (a plain number or
// "12 %"), std::string, Quantity, Sourced<...>, enums with names_of(const E*), std::vector,
// std::map<std::string, T>, std::optional, and nested described Specs.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/diagnostic.hpp"
#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"

// Assignments counted by expert, as users and publications keep them, made into one document:
// {counts_by_layer: {0: [...], 7: [...]}}.
//
// JSON (plain or in gzip), at the top or at the dotted path `part`:
//   [236, 219, ...]                   by expert, for all layers alike
//   {"0": [...], "7": [...]}          by layer; the others take the nearest counted one
//   {"counts": [...], ...}            the same beside other keys
// A list in place of a count stands for its sum: joint counts with the experts of another layer.
// CSV: columns expert (from 0) and count, and layer where layers are told apart; an expert that is
// not listed counts 0.
#pragma once

#include <string>
#include <vector>

#include "base/document.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

// Throws InputError: what cannot be read, a part that is not there or holds no counts (with those
// that may be meant).
Node read_routing(const std::string& file, const std::string& part);

// Counts of several steps, {counts_by_step: {0: {counts_by_layer: ...}, 100: ...}}. JSON: a map or
// a list at the dotted path `part`, each entry one of the forms above. CSV: a step is what rows
// with the same whole number in the column `part` say; without `part` a CSV file's steps are
// summed.
Node read_routing_steps(const std::string& file, const std::string& part);
std::vector<std::vector<ExpertCounts>> expert_count_steps(const Node& document);

// By layer, ascending. Throws InputError: another document, layers that are no numbers, counts
// below zero.
std::vector<ExpertCounts> expert_counts(const Node& document);

}  // namespace podsim

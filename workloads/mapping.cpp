#include "workloads/mapping.hpp"

#include <algorithm>

namespace podsim {

const std::vector<std::pair<const char*, AttentionSplit>>& names_of(const AttentionSplit*) {
    static const std::vector<std::pair<const char*, AttentionSplit>> names = {
        {"tp", AttentionSplit::heads}, {"sp-tp-sp", AttentionSplit::sp_tp_sp}};
    return names;
}

const std::vector<std::pair<const char*, Popularity>>& names_of(const Popularity*) {
    static const std::vector<std::pair<const char*, Popularity>> names = {
        {"balanced", Popularity::balanced},
        {"uniform", Popularity::uniform},
        {"zipf", Popularity::zipf},
        {"histogram", Popularity::histogram}};
    return names;
}

const std::vector<std::pair<const char*, ExpertPlacement>>& names_of(const ExpertPlacement*) {
    static const std::vector<std::pair<const char*, ExpertPlacement>> names = {
        {"contiguous", ExpertPlacement::contiguous}, {"eplb", ExpertPlacement::eplb}};
    return names;
}

const std::vector<std::pair<const char*, ExpertExchange>>& names_of(const ExpertExchange*) {
    static const std::vector<std::pair<const char*, ExpertExchange>> names = {
        {"all_to_all", ExpertExchange::all_to_all},
        {"gather", ExpertExchange::gather},
        {"fused", ExpertExchange::fused}};
    return names;
}

const std::vector<std::pair<const char*, OffloadPlace>>& names_of(const OffloadPlace*) {
    static const std::vector<std::pair<const char*, OffloadPlace>> names = {
        {"none", OffloadPlace::none}, {"host", OffloadPlace::host}, {"ssd", OffloadPlace::ssd}};
    return names;
}

const std::vector<std::pair<const char*, OffloadCompute>>& names_of(const OffloadCompute*) {
    static const std::vector<std::pair<const char*, OffloadCompute>> names = {
        {"chip", OffloadCompute::chip}, {"host", OffloadCompute::host}};
    return names;
}

const std::vector<std::pair<const char*, Overlap>>& names_of(const Overlap*) {
    static const std::vector<std::pair<const char*, Overlap>> names = {
        {"two_batch", Overlap::two_batch}, {"partitioned", Overlap::partitioned}};
    return names;
}

const std::vector<std::pair<const char*, KernelOrder>>& names_of(const KernelOrder*) {
    static const std::vector<std::pair<const char*, KernelOrder>> names = {
        {"earliest", KernelOrder::earliest}, {"staged", KernelOrder::staged}};
    return names;
}

const std::vector<std::pair<const char*, Fusion>>& names_of(const Fusion*) {
    static const std::vector<std::pair<const char*, Fusion>> names = {
        {"vector_chains", Fusion::vector_chains}, {"mla_prolog", Fusion::mla_prolog}};
    return names;
}

double SpeculationSpec::chance(int position) const {
    const auto i = static_cast<std::size_t>(position);
    return acceptance_by_position.empty() ? acceptance : acceptance_by_position.at(i);
}

double SpeculationSpec::tokens_per_step() const {
    double sum = 1, all = 1;
    for (int i = 0; i < draft_tokens; ++i) {
        all *= chance(i);
        sum += all;
    }
    return sum;
}

bool EngineSpec::fuses(Fusion fusion) const {
    return std::find(fused.begin(), fused.end(), fusion) != fused.end();
}

}  // namespace podsim

#include "sim/audit_tree.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace podsim {

void AuditTree::fail(const std::string& what) const {
    throw std::runtime_error(name + ": " + what);
}

std::optional<AuditTree> AuditTree::find(const std::string& key) const {
    if (!json->is_object()) return {};
    const auto found = json->find(key);
    if (found == json->end() || found->is_null()) return {};
    return AuditTree{&*found, name + "." + key};
}

AuditTree AuditTree::get(const std::string& key) const {
    if (auto found = find(key)) return *found;
    fail("has no " + key);
}

std::string AuditTree::text() const {
    if (!json->is_string()) fail("expected text");
    return json->get<std::string>();
}

double AuditTree::number(Dimension dimension) const {
    if (json->is_object()) return get("value").number(dimension);
    if (json->is_number() && dimension == Dimension{}) return json->get<double>();
    if (!json->is_string()) fail("expected " + describe_dimension(dimension));
    try {
        return parse_quantity(json->get<std::string>(), dimension);
    } catch (const UnitError& error) {
        fail(error.what);
    }
}

double AuditTree::size(const std::string& key) const {
    return get(key).number({});
}

double AuditTree::size_or(const std::string& key, double absent) const {
    const auto found = find(key);
    return found ? found->number({}) : absent;
}

double format_bytes(const std::string& format) {
    static const std::map<std::string, double> bytes = {{"fp32", 4}, {"bf16", 2}, {"fp16", 2},
                                                        {"fp8", 1},  {"int8", 1}, {"fp4", 0.5}};
    const auto known = bytes.find(format);
    if (known == bytes.end()) throw std::runtime_error("unknown number format " + format);
    return known->second;
}

}  // namespace podsim

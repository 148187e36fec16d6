#include "sim/plan_document.hpp"

namespace podsim {

void drop(Node& map, const std::string& key) {
    std::erase_if(map.entries, [&](const Node::Entry& one) { return one.key == key; });
}

Node alone(const Node& document, std::size_t alternative) {
    Node result = document;
    drop(result, "plan");
    Node& list = *result.find("alternatives");
    const Node only = list.items[alternative];
    list.items = {only};
    return result;
}

Node& pool_node(Node& document, std::size_t pool) {
    Node& alternative = document.find("alternatives")->items.front();
    Node* pools = alternative.find("pools");
    return pools != nullptr ? pools->items[pool] : alternative;
}

}  // namespace podsim

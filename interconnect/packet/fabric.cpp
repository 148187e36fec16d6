#include "interconnect/packet/fabric.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace podsim {

namespace {

constexpr double kPicosecond = 1e-12;

std::string named(const char* what, std::size_t number) {
    return fmt::format("{}{}", what, number);
}

}  // namespace

// What stands at a node: its links and, once made, its ports.
struct PacketFabric::NodePlan {
    std::vector<int> out, in;  // links of the network; dead ones of `out` are -1
    int endpoint = -1;
    std::function<TransmitPort&(int)> transmit;
    std::function<ReceivePort&(int)> receive;
};

// A level of the hierarchy: makes what is below it while SystemC takes it for the parent.
class PacketFabric::Group : public sc_core::sc_module {
  public:
    struct Tree {
        std::map<std::string, Tree> below;
        std::function<std::unique_ptr<sc_core::sc_module>(const char*)> make;  // of a leaf
    };
    Group(const sc_core::sc_module_name& name, const Tree& tree) : sc_module(name) {
        for (const auto& [part, inner] : tree.below) {
            if (inner.make) leaves_.push_back(inner.make(part.c_str()));
            if (!inner.below.empty())
                groups_.push_back(std::make_unique<Group>(part.c_str(), inner));
        }
    }

  private:
    Parts<sc_core::sc_module> leaves_;
    Parts<Group> groups_;
};

namespace {

// An endpoint is a module of its own, with its source and sink inside.
class Endpoint : public sc_core::sc_module {
  public:
    Endpoint(const sc_core::sc_module_name& name, const PacketContext& context, int endpoint,
             const std::vector<int>& out, int inputs)
        : sc_module(name), source("source", context, endpoint, out), sink("sink", context, inputs) {
        sink.set_responses_waiting([this] { return source.responses_waiting(); });
        source.on_response_sent([this] { sink.response_sent(); });
    }
    PacketSource source;
    PacketSink sink;
};

void require_valid(const PacketSettings& settings) {
    const auto require = [](bool good, const char* what) {
        if (!good) throw std::invalid_argument(what);
    };
    const PacketEndpointSpec& e = settings.endpoint;
    const double wire = settings.packet_payload.value() + settings.packet_header.value();
    require(
        settings.packet_payload >= Bytes(1.0) && settings.packet_header >= Bytes(0.0) && wire < 1e9,
        "a packet has a payload of 1 B at least and 1 GB at most");
    require(e.lookahead >= 1, "a source looks at one message at least");
    require(e.pool.value() == 0 || e.pool.value() >= wire,
            "a pool of credits smaller than a packet");
    require(e.input_buffer.value() == 0 || e.input_buffer.value() >= wire,
            "an input buffer smaller than a packet");
    require(e.congestion.cut >= 0 && e.congestion.cut < 1 && e.congestion.growth > 0 &&
                e.congestion.lowest > 0 && e.congestion.interval > Seconds(0.0),
            "congestion control wants a cut of 0 to 1, growth, lowest rate and interval above 0");
}

}  // namespace

PacketFabric::PacketFabric(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                           const PacketSettings& settings)
    : network_(network), traffic_(traffic), settings_(settings) {
    podsim::require_valid(network);
    require_valid(settings);
    const std::size_t nodes = network.nodes.size();
    const PacketEndpointSpec& e = settings_.endpoint;
    engine_ = std::make_unique<PacketEngine>("engine", to_picoseconds(settings.quantum));
    routes_ = std::make_unique<PacketRoutes>(network_);
    board_ = std::make_unique<MessageBoard>(*engine_, traffic_, network.endpoints(),
                                            to_picoseconds(e.handling), settings_.seed);
    const bool datelines = std::any_of(network.links.begin(), network.links.end(),
                                       [](const PacketLink& link) { return link.dateline; });
    context_ = std::make_unique<PacketContext>(
        PacketContext{*engine_, packets_, *routes_, *board_, settings_, datelines ? 2 : 1});

    plans_.resize(nodes);
    std::vector<std::pair<std::size_t, std::size_t>> places;  // [link]: its place out, in
    for (std::size_t l = 0; l < network.links.size(); ++l) {
        const PacketLink& link = network.links[l];
        NodePlan &from = plans_[static_cast<std::size_t>(link.from)],
                 &to = plans_[static_cast<std::size_t>(link.to)];
        places.emplace_back(from.out.size(), to.in.size());
        from.out.push_back(link.dead ? -1 : static_cast<int>(l));
        if (!link.dead) to.in.push_back(static_cast<int>(l));
    }

    Group::Tree tree;
    const auto leaf = [&](const std::string& name) -> Group::Tree& {
        Group::Tree* at = &tree;
        for (std::size_t from = 0;;) {
            const std::size_t dot = name.find('.', from);
            at = &at->below[name.substr(from, dot - from)];
            if (dot == std::string::npos) return *at;
            from = dot + 1;
        }
    };
    switches_.resize(nodes);
    int endpoints = 0;
    for (std::size_t n = 0; n < nodes; ++n) {
        NodePlan& plan = plans_[n];
        const PacketNode& node = network.nodes[n];
        if (!node.is_switch) plan.endpoint = endpoints++;
        leaf(node.name).make = [this, n, &plan, &node](const char* name) {
            const auto inputs = static_cast<int>(plan.in.size());
            if (node.is_switch) {
                auto made = std::make_unique<PacketSwitch>(name, *engine_, *routes_,
                                                           node.switch_spec, static_cast<int>(n),
                                                           inputs, plan.out, context_->channels());
                PacketSwitch* it = switches_[n] = made.get();
                plan.transmit = [it](int i) -> TransmitPort& { return it->port(i); };
                plan.receive = [it](int i) -> ReceivePort& { return it->input(i); };
                return std::unique_ptr<sc_core::sc_module>(std::move(made));
            }
            auto made =
                std::make_unique<Endpoint>(name, *context_, plan.endpoint, plan.out, inputs);
            Endpoint* it = made.get();
            sources_[static_cast<std::size_t>(plan.endpoint)] = &it->source;
            sinks_[static_cast<std::size_t>(plan.endpoint)] = &it->sink;
            plan.transmit = [it](int i) -> TransmitPort& { return it->source.port(i); };
            plan.receive = [it](int i) -> ReceivePort& { return it->sink.port(i); };
            return std::unique_ptr<sc_core::sc_module>(std::move(made));
        };
    }
    sources_.resize(static_cast<std::size_t>(endpoints));
    sinks_.resize(static_cast<std::size_t>(endpoints));
    links_.resize(network.links.size());
    for (std::size_t l = 0; l < network.links.size(); ++l) {
        const PacketLink& link = network.links[l];
        if (link.dead) continue;
        LinkParameters parameters;
        parameters.bytes_per_picosecond = link.bandwidth.value() * kPicosecond;
        parameters.latency = to_picoseconds(link.latency);
        parameters.bit_error_rate = link.bit_error_rate;
        const PacketNode& to = network.nodes[static_cast<std::size_t>(link.to)];
        if (to.is_switch && to.switch_spec.forwarding == PacketForwarding::cut_through) {
            parameters.cut_through_header = std::max<std::uint32_t>(
                1, static_cast<std::uint32_t>(settings.packet_header.value()));
            for (const int onward : plans_[static_cast<std::size_t>(link.to)].out) {
                if (onward < 0) continue;
                const double rate =
                    network.links[static_cast<std::size_t>(onward)].bandwidth.value() * kPicosecond;
                parameters.onward_bytes_per_picosecond =
                    std::max(parameters.onward_bytes_per_picosecond, rate);
            }
        }
        parameters.seed = settings.seed;
        parameters.number = l;
        leaf(named("links.link", l)).make = [this, l, parameters](const char* name) {
            auto made = std::make_unique<Link>(name, *engine_, parameters);
            links_[l] = made.get();
            return std::unique_ptr<sc_core::sc_module>(std::move(made));
        };
    }
    for (const auto& [part, inner] : tree.below) {
        if (inner.make) top_.push_back(inner.make(part.c_str()));
        if (!inner.below.empty()) groups_.push_back(std::make_unique<Group>(part.c_str(), inner));
    }

    std::vector<std::size_t> place_in(network.links.size());
    for (const NodePlan& plan : plans_)
        for (std::size_t i = 0; i < plan.in.size(); ++i)
            place_in[static_cast<std::size_t>(plan.in[i])] = i;
    for (std::size_t l = 0; l < network.links.size(); ++l) {
        if (links_[l] == nullptr) continue;
        const PacketLink& link = network.links[l];
        TransmitPort& transmit =
            plans_[static_cast<std::size_t>(link.from)].transmit(static_cast<int>(places[l].first));
        ReceivePort& receive =
            plans_[static_cast<std::size_t>(link.to)].receive(static_cast<int>(place_in[l]));
        transmit.socket.bind(links_[l]->in);
        links_[l]->out.bind(receive.socket);
        transmits_.push_back(&transmit);
        if (switches_[static_cast<std::size_t>(link.from)] != nullptr &&
            switches_[static_cast<std::size_t>(link.to)] != nullptr)
            switches_[static_cast<std::size_t>(link.to)]->set_transit(
                static_cast<int>(place_in[l]));
        transmit.set_ring(context_->lanes, link.ring, link.dateline);
        const PacketNode& to = network.nodes[static_cast<std::size_t>(link.to)];
        const Bytes buffer = to.is_switch ? to.switch_spec.input_buffer : e.input_buffer;
        if (buffer > Bytes(0.0)) {
            transmit.set_credits(
                std::vector<std::int64_t>(static_cast<std::size_t>(context_->channels()),
                                          static_cast<std::int64_t>(buffer.value())));
        }
    }

    std::vector<MessageSender*> senders(sources_.begin(), sources_.end());
    board_->set_senders(std::move(senders));
    for (std::size_t s = 0; s < sources_.size(); ++s) {
        if (e.pool > Bytes(0.0)) {
            pools_.push_back(std::make_unique<CreditPool>(
                *engine_, static_cast<std::int64_t>(e.pool.value()), to_picoseconds(e.pool_return),
                e.grant, std::vector<CreditUser*>(sources_.begin(), sources_.end())));
        }
        sinks_[s]->on_mark([this, s](std::uint32_t source) {
            sources_[source]->marked(static_cast<std::uint32_t>(s));
        });
    }
    for (std::size_t n = 0; n < nodes; ++n) {
        if (plans_[n].endpoint < 0) continue;
        const auto s = static_cast<std::size_t>(plans_[n].endpoint);
        if (!pools_.empty()) {
            sources_[s]->set_pools(&pools_);
            sinks_[s]->set_pool(pools_[s].get());
        }
        double rate = 0;
        for (const int l : plans_[n].out)
            if (l >= 0) rate += network.links[static_cast<std::size_t>(l)].bandwidth.value();
        if (e.congestion.cut > 0)
            sources_[s]->set_rates(RateControl(e.congestion, sources_.size(), rate * kPicosecond));
    }
}

PacketFabric::~PacketFabric() = default;

void PacketFabric::require_delivered() const {
    if (board_->undelivered() == 0) return;
    std::string waits;
    for (const PacketSwitch* each : switches_)
        if (each != nullptr && waits.empty()) waits = each->what_waits();
    for (const PacketSource* each : sources_) {
        if (waits.empty() && each->messages_waiting() > 0)
            waits = fmt::format("{} has {} messages and no credits", each->name(),
                                each->messages_waiting());
    }
    std::uint32_t first = 0;
    while (board_->remaining(first) == 0) ++first;
    const PacketMessage& message = board_->message(first);
    throw PacketStandstill(fmt::format(
        "the network stands still with {} messages undelivered: message {} from endpoint {} to "
        "endpoint {} misses {} of {} bytes; {}",
        board_->undelivered(), first, message.source, message.destination, board_->remaining(first),
        board_->size(first), waits.empty() ? "requests wait for room for their responses" : waits));
}

void PacketFabric::require_conserved() const {
    const auto law = [](bool holds, const std::string& which) {
        if (!holds) throw std::runtime_error("conservation broken: " + which);
    };
    std::uint64_t payload = 0, expected = 0;
    for (std::size_t c = 0; c < static_cast<std::size_t>(context_->classes()); ++c) {
        std::uint64_t in = 0, out = 0;
        for (const PacketSource* source : sources_) in += source->injected()[c];
        for (const PacketSink* sink : sinks_) out += sink->delivered()[c];
        law(in == out,
            fmt::format("{} packets of class {} left their sources, {} arrived", in, c, out));
    }
    for (const PacketSink* sink : sinks_) {
        payload += sink->payload();
        law(sink->empty(), fmt::format("{} still holds packets", sink->name()));
    }
    for (std::uint32_t m = 0; m < board_->messages(); ++m) expected += board_->size(m);
    law(payload == expected, fmt::format("{} bytes of {} arrived", payload, expected));
    for (const PacketSwitch* each : switches_)
        law(each == nullptr || each->empty(), "a switch still holds packets");
    for (const TransmitPort* port : transmits_)
        law(port->credits_complete(), fmt::format("credits missing at {}", port->socket.name()));
    for (std::size_t s = 0; s < pools_.size(); ++s)
        law(pools_[s]->complete(), fmt::format("credits missing in the pool of endpoint {}", s));
    for (const Link* link : links_)
        law(link == nullptr || !link->replaying(), "a link still has packets to replay");
}

PacketLinkUse PacketFabric::use_of(std::size_t link) const {
    PacketLinkUse use;
    if (links_[link] == nullptr) return use;
    const LinkStatistics& its = links_[link]->statistics();
    use.payload = Bytes(static_cast<double>(its.payload));
    use.wire = Bytes(static_cast<double>(its.wire));
    use.replayed = Bytes(static_cast<double>(its.replayed));
    use.packets = its.packets;
    use.retries = its.retries;
    const auto from = static_cast<std::size_t>(network_.links[link].from);
    if (const PacketSwitch* at = switches_[from]) {
        const std::vector<int>& out = plans_[from].out;
        const auto port = std::find(out.begin(), out.end(), static_cast<int>(link)) - out.begin();
        use.deepest_queue = Bytes(static_cast<double>(at->deepest(static_cast<int>(port))));
    }
    return use;
}

PacketResult PacketFabric::finish() const {
    require_delivered();
    require_conserved();
    PacketResult result;
    const std::size_t endpoints = sources_.size();
    result.endpoints.resize(endpoints);
    for (std::uint32_t m = 0; m < board_->messages(); ++m) {
        const PacketMessage& message = board_->message(m);
        const Seconds at = to_seconds(board_->delivery(m));
        result.messages.push_back(at);
        const auto to = static_cast<std::size_t>(message.destination);
        const auto collective = static_cast<std::size_t>(message.collective);
        if (collective >= result.collectives.size()) {
            result.collectives.resize(collective + 1);
            result.collective_endpoints.resize(collective + 1, std::vector<Seconds>(endpoints));
        }
        result.time = max(result.time, at);
        result.endpoints[to] = max(result.endpoints[to], at);
        result.collectives[collective] = max(result.collectives[collective], at);
        Seconds& there = result.collective_endpoints[collective][to];
        there = max(there, at);
    }
    for (std::size_t l = 0; l < links_.size(); ++l) {
        result.links.push_back(use_of(l));
        result.packet_hops += result.links.back().packets;
    }
    const auto classes = static_cast<std::size_t>(context_->classes());
    result.injected.resize(classes);
    result.delivered.resize(classes);
    LatencyHistogram latency;
    for (std::size_t s = 0; s < endpoints; ++s) {
        for (std::size_t c = 0; c < classes; ++c) {
            result.injected[c] += sources_[s]->injected()[c];
            result.delivered[c] += sinks_[s]->delivered()[c];
        }
        result.payload += Bytes(static_cast<double>(sinks_[s]->payload()));
        result.marked += sinks_[s]->marked();
        latency.add(sinks_[s]->latency());
    }
    for (const TransmitPort* port : transmits_)
        result.credits_returned += Bytes(static_cast<double>(port->credits_returned()));
    for (const auto& pool : pools_)
        result.credits_returned += Bytes(static_cast<double>(pool->returned()));
    result.packets = latency.count();
    result.events = engine_->events();
    result.latency = {latency.count(),
                      to_seconds(latency.least()),
                      Seconds(latency.mean() * kPicosecond),
                      to_seconds(latency.percentile(0.5)),
                      to_seconds(latency.percentile(0.99)),
                      to_seconds(latency.most())};
    return result;
}

}  // namespace podsim

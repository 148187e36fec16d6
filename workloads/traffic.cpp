#include "workloads/traffic.hpp"

#include <filesystem>
#include <limits>
#include <memory>

#include "workloads/request_streams.hpp"
#include "workloads/requests/block_names.hpp"
#include "workloads/requests/generators.hpp"
#include "workloads/requests/long_prompts.hpp"

namespace podsim {

namespace {

// ServeGen's two files lie side by side: NAME_clients.csv.gz and NAME_lengths.json.gz.
std::string lengths_beside(const std::string& clients) {
    const std::string word = "_clients.csv";
    const auto at = clients.rfind(word);
    if (at == std::string::npos) return "";
    const std::string path =
        clients.substr(0, at) + "_lengths.json" + clients.substr(at + word.size());
    std::error_code none;
    return std::filesystem::exists(path, none) ? path : "";
}

RequestStream read_stream(const StreamSpec& spec, std::uint64_t seed) {
    if (request_format(spec.trace) == RequestFormat::servegen) {
        StreamSpec clients = spec;
        if (clients.lengths.empty()) clients.lengths = lengths_beside(spec.trace);
        if (clients.lengths.empty())
            throw InputError(spec.trace_place, "lengths", "is missing",
                             "the probabilities of lengths of ServeGen's clients");
        return servegen_stream(clients, seed);
    }
    if (!spec.lengths.empty())
        throw InputError(spec.lengths_place, "lengths", "are in the trace itself",
                         "beside a trace they belong to ServeGen's clients");
    RequestTraceOptions options;
    options.bad_rows = spec.bad_rows;
    options.timestamps = spec.timestamps;
    options.seed = seed;
    return open_request_trace(spec.trace, options);
}

// Names for requests whose trace has none.
RequestStream with_prefix(RequestStream stream, const StreamSpec& spec, std::uint64_t seed) {
    const PrefixSpec prefix = *spec.prefix;
    stream.block_tokens = spec.block_tokens;
    stream.next = [next = std::move(stream.next), prefix, seed, tokens = spec.block_tokens,
                   number = std::uint64_t{0}](Request& request) mutable {
        if (!next(request)) return false;
        SessionText text;
        text.seed = seed;
        text.session = number++;
        text.block_tokens = tokens;
        text.prompt = static_cast<std::uint64_t>(static_cast<double>(prefix.prompts) *
                                                 uniform(seed, 2, text.session));
        text.shared = static_cast<long>(
            prefix.tokens.value() > 0 ? prefix.tokens.value()
                                      : prefix.share * static_cast<double>(request.input_tokens));
        text.name(request);
        return true;
    };
    return stream;
}

}  // namespace

RequestStream make_stream(const StreamSpec& spec, std::uint64_t seed) {
    if (spec.arrivals) {
        StreamSpec scaled = spec;
        scaled.arrivals->rate *= spec.rate_scale;
        RequestStream stream = synthetic_stream(scaled, seed);
        stream.classes = {spec.service_class};
        return without_long_prompts(std::move(stream), spec);
    }
    RequestStream stream = read_stream(spec, seed);
    stream.classes = {spec.service_class};
    const Seconds forever(std::numeric_limits<double>::infinity());
    if (spec.from > Seconds(0.0) || spec.until)
        stream = slice(std::move(stream), spec.from, spec.until.value_or(forever));
    stream = scale_rate(std::move(stream), spec.rate_scale);
    if (spec.duration) stream = slice(std::move(stream), Seconds(0.0), *spec.duration);
    if (spec.requests > 0) stream = first_requests(std::move(stream), spec.requests);
    if (spec.prefix) {
        if (stream.block_tokens > 0)
            throw InputError(spec.place, "prefix", "the trace names its blocks itself",
                             "leave prefix out");
        stream = with_prefix(std::move(stream), spec, seed);
    }
    return without_long_prompts(std::move(stream), spec);
}

RequestStream make_stream(const TrafficSpec& spec, std::uint64_t seed) {
    if (spec.streams.size() == 1) return make_stream(spec.streams.front(), seed);
    std::vector<RequestStream> streams;
    for (std::size_t i = 0; i < spec.streams.size(); ++i)
        streams.push_back(make_stream(spec.streams[i], random_bits(seed, i)));
    return merge(std::move(streams));
}

}  // namespace podsim

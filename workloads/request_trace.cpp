#include "workloads/request_trace.hpp"

#include <fmt/format.h>

#include "base/names.hpp"
#include "workloads/requests/row_source.hpp"
#include "workloads/requests/timestamps.hpp"
#include "workloads/trace/trace_bytes.hpp"

namespace podsim {

const std::vector<std::pair<const char*, RequestFormat>>& names_of(const RequestFormat*) {
    static const std::vector<std::pair<const char*, RequestFormat>> names = {
        {"azure", RequestFormat::azure},
        {"burstgpt", RequestFormat::burstgpt},
        {"mooncake", RequestFormat::mooncake},
        {"bailian", RequestFormat::bailian},
        {"vidur", RequestFormat::vidur},
        {"vidur-lengths", RequestFormat::vidur_lengths},
        {"llmservingsim", RequestFormat::llmservingsim},
        {"llmservingsim-run", RequestFormat::llmservingsim_run},
        {"servegen", RequestFormat::servegen},
    };
    return names;
}

const std::vector<std::pair<const char*, BadRows>>& names_of(const BadRows*) {
    static const std::vector<std::pair<const char*, BadRows>> names = {{"refuse", BadRows::refuse},
                                                                       {"skip", BadRows::skip}};
    return names;
}

const std::vector<std::pair<const char*, Timestamps>>& names_of(const Timestamps*) {
    static const std::vector<std::pair<const char*, Timestamps>> names = {
        {"even", Timestamps::even}, {"uniform", Timestamps::uniform}, {"as-is", Timestamps::as_is}};
    return names;
}

namespace {

// Beyond this a number of seconds counts from 1970 and not from the trace's beginning.
constexpr std::int64_t kEpoch = 100'000'000'000'000'000;

bool is_servegen(std::string_view first) {
    return first.substr(0, 7) == "client," &&
           first.find("interarrival_cv") != std::string_view::npos;
}

ClockStep probe(const std::string& path) {
    RowSource rows(path, BadRows::skip, std::make_shared<RequestCounts>());
    return clock_step([&](TraceRow& row) { return rows.next(row); });
}

}  // namespace

bool is_request_trace(const std::string& path) {
    try {
        // Enough for a first line with the ids of a long prompt; other traces are one line of JSON.
        const std::string begin = first_bytes(path, 1 << 20);
        std::string_view first = std::string_view(begin).substr(0, begin.find('\n'));
        if (first.substr(0, 3) == "\xef\xbb\xbf") first.remove_prefix(3);
        if (!first.empty() && first.back() == '\r') first.remove_suffix(1);
        return is_servegen(first) || rows_of(first, path).has_value();
    } catch (const InputError&) {
        return false;
    }
}

RequestFormat request_format(const std::string& path) {
    LineReader lines(path);
    std::string_view first;
    if (lines.next(first) && is_servegen(first)) return RequestFormat::servegen;
    return RowSource(path, BadRows::skip, std::make_shared<RequestCounts>()).format().format;
}

RequestStream open_request_trace(const std::string& path, const RequestTraceOptions& options) {
    if (request_format(path) == RequestFormat::servegen)
        throw InputError({path, 1, 0}, "", "laws of clients, no requests",
                         "traffic: {trace: FILE, lengths: FILE} draws from them");
    RequestStream stream;
    const auto source = std::make_shared<RowSource>(path, options.bad_rows, stream.counts);
    const RowFormat& format = source->format();
    stream.format = name_of(format.format);
    stream.block_tokens = format.block_tokens;
    stream.notes = source->notes();
    if (!format.timed && !options.only_lengths)
        throw InputError({path, 1, 0}, "", "lengths without times",
                         "give arrivals of a law and take it as their lengths");
    RowFunction rows = [source](TraceRow& row) { return source->next(row); };
    if (format.timed) {
        const ClockStep clock = probe(path);
        if (clock.coarse()) {
            const char* how = options.timestamps == Timestamps::as_is ? "left as they are"
                              : options.timestamps == Timestamps::uniform
                                  ? "drawn within them"
                                  : "spread evenly within them";
            stream.notes.push_back(
                fmt::format("times in steps of {:.6g} s, {:.1f} % of the first gaps are zero: {}",
                            1e-9 * static_cast<double>(clock.step), 100 * clock.zero_gaps, how));
            if (options.timestamps != Timestamps::as_is)
                rows = spread_times(std::move(rows), clock.step, options.timestamps, options.seed,
                                    path);
        }
    }
    // Shared by the copies of next().
    struct Reading {
        TraceRow row;
        std::int64_t zero = 0;
        bool begun = false;
    };
    const auto reading = std::make_shared<Reading>();
    stream.next = [rows = std::move(rows), reading, counts = stream.counts,
                   wall = format.wall_clock](Request& request) {
        TraceRow& row = reading->row;
        if (!rows(row)) return false;
        if (!reading->begun) {
            reading->begun = true;
            // A time below zero cannot be waited for.
            if (wall || row.time > kEpoch || row.time < 0) reading->zero = row.time;
        }
        request.arrival = Seconds(1e-9 * static_cast<double>(row.time - reading->zero));
        request.input_tokens = row.input;
        request.output_tokens = row.output;
        request.prefix_blocks.swap(row.blocks);
        request.reply_blocks.clear();
        request.service_class = 0;
        request.session = row.session;
        request.turn = row.turn;
        request.think_time = Seconds(0.0);
        request.place = static_cast<std::uint64_t>(row.line);
        request.continues = false;
        ++counts->requests;
        return true;
    };
    return stream;
}

}  // namespace podsim

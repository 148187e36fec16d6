// Traffic of ServeGen's clients (Xiang and others, 2025, "ServeGen: workload characterization and
// generation of large language model serving in production"): each client has, by windows, a rate
// and a law of gaps (Gamma or Weibull), and probabilities of lengths.
//
// Here a client is one renewal process: gaps of its window's law with mean 1, on a clock that goes
// at the window's rate and stands still where there is none, so that a window has rate x width
// requests on average (ServeGen draws one window's and stretches them to fill it). Input and output
// are drawn apart: of their correlation nothing is published. A client without lengths has, each
// time, those of one that has them, chosen by its requests.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <queue>

#include "base/csv.hpp"
#include "workloads/requests/generators.hpp"
#include "workloads/requests/laws.hpp"

namespace podsim {

namespace {

struct Window {
    double start = 0, rate = 0;
    GapSampler gaps;
};

// Cumulated, of one client in one window and on from there.
struct LengthTable {
    std::vector<long> tokens;
    std::vector<double> below;

    long draw(Draws& draws) const {
        const double at = draws.next() * below.back();
        const auto found = std::upper_bound(below.begin(), below.end(), at);
        const auto index =
            std::min(static_cast<std::size_t>(found - below.begin()), tokens.size() - 1);
        return tokens[index];
    }
};

struct LengthWindow {
    double start = 0;
    LengthTable input, output;
};

struct Client {
    long name = 0;
    std::vector<Window> windows;
    double requests = 0;  // over all windows
    std::vector<LengthWindow> lengths;
};

double number(const CsvRow& row, std::size_t column, const CsvReader& table) {
    const std::string& text = row.cells[column];
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= 0 && value < 1e12)
        return value;
    throw InputError({table.file(), row.line, 0}, table.header()[column],
                     fmt::format("\"{}\" is no number of 0 or more", text.substr(0, 40)));
}

struct Clients {
    std::vector<Client> list;
    double width = 600;  // of a window, s
};

Clients read_clients(const std::string& path) {
    CsvReader table(read_table_file(path), path);
    const std::size_t name = table.column("client"), start = table.column("window_start_s"),
                      rate = table.column("rate_req_per_s"), pattern = table.column("pattern"),
                      shape = table.column("arg1");
    std::map<long, Client> clients;
    CsvRow row;
    while (table.next(row)) {
        Window window;
        window.start = number(row, start, table);
        window.rate = number(row, rate, table);
        const std::string& law = row.cells[pattern];
        if (law != "Gamma" && law != "Weibull")
            throw InputError({path, row.line, 0}, "pattern", law.substr(0, 40) + " is no law",
                             "Gamma or Weibull");
        const double argument = number(row, shape, table);
        if (argument < 0.01 || argument > 1e4)
            throw InputError({path, row.line, 0}, "arg1",
                             fmt::format("{} is an absurd shape", argument));
        window.gaps = GapSampler::of_shape(law == "Gamma" ? ArrivalLaw::gamma : ArrivalLaw::weibull,
                                           argument);
        Client& client = clients[static_cast<long>(number(row, name, table))];
        if (!client.windows.empty() && window.start <= client.windows.back().start)
            throw InputError({path, row.line, 0}, "window_start_s",
                             "does not come after the client's window before");
        client.windows.push_back(window);
    }
    if (clients.empty()) throw InputError({path}, "", "has no clients");
    Clients all;
    double least = 0;
    for (auto& [id, client] : clients) {
        client.name = id;
        for (std::size_t i = 1; i < client.windows.size(); ++i) {
            const double gap = client.windows[i].start - client.windows[i - 1].start;
            if (least == 0 || gap < least) least = gap;
        }
        all.list.push_back(std::move(client));
    }
    if (least > 0) all.width = least;
    for (Client& client : all.list)
        for (const Window& window : client.windows) client.requests += window.rate * all.width;
    return all;
}

// {client: {window: {"input_tokens": {tokens: probability}, "output_tokens": ...}}}
class LengthHandler : public nlohmann::json_sax<nlohmann::json> {
  public:
    explicit LengthHandler(const std::string& path) : path_(path) {}
    std::map<long, std::map<long, LengthWindow>> lengths;

    bool start_object(std::size_t) override { return ++depth_ <= 4 || wrong("too many levels"); }
    bool end_object() override {
        --depth_;
        return true;
    }
    bool key(string_t& name) override {
        if (depth_ == 3) {
            field_ = name == "input_tokens" ? 0 : name == "output_tokens" ? 1 : 2;
            return true;
        }
        long value = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
        const bool whole = error == std::errc() && end == name.data() + name.size() && value >= 0;
        // Other fields (reason_ratio) have other keys.
        if (depth_ == 4 && field_ == 2) return true;
        if (!whole) return wrong("\"" + name.substr(0, 40) + "\" is no whole number");
        (depth_ == 1 ? client_ : depth_ == 2 ? window_ : tokens_) = value;
        return true;
    }
    bool number_integer(number_integer_t value) override {
        return take(static_cast<double>(value));
    }
    bool number_unsigned(number_unsigned_t value) override {
        return take(static_cast<double>(value));
    }
    bool number_float(number_float_t value, const string_t&) override { return take(value); }
    bool null() override { return wrong("a probability was expected"); }
    bool boolean(bool) override { return wrong("a probability was expected"); }
    bool string(string_t&) override { return wrong("a probability was expected"); }
    bool binary(binary_t&) override { return wrong("a probability was expected"); }
    bool start_array(std::size_t) override { return wrong("a map was expected"); }
    bool end_array() override { return true; }
    bool parse_error(std::size_t at, const std::string&,
                     const nlohmann::detail::exception&) override {
        throw InputError({path_, 0, 0}, fmt::format("byte {}", at), "is no JSON here");
    }

  private:
    bool take(double probability) {
        if (depth_ == 4 && field_ == 2) return true;
        if (depth_ != 4) return wrong("a map was expected");
        if (!(probability >= 0 && probability <= 1.001))
            return wrong(fmt::format("{} is no probability", probability));
        if (tokens_ > kMostRequestTokens)
            return wrong(fmt::format("{} tokens are absurd", tokens_));
        LengthWindow& window = lengths[client_][window_];
        window.start = static_cast<double>(window_);
        LengthTable& table = field_ == 0 ? window.input : window.output;
        table.tokens.push_back(std::max(tokens_, 1L));
        table.below.push_back(probability + (table.below.empty() ? 0 : table.below.back()));
        return true;
    }
    bool wrong(const std::string& what) const {
        throw InputError({path_, 0, 0}, fmt::format("{}.{}", client_, window_), what,
                         "{client: {window: {input_tokens: {tokens: probability}}}} was expected");
    }

    std::string path_;
    int depth_ = 0, field_ = 0;
    long client_ = 0, window_ = 0, tokens_ = 0;
};

void read_lengths(const std::string& path, std::vector<Client>& clients) {
    const std::string text = read_table_file(path);
    LengthHandler handler(path);
    nlohmann::json::sax_parse(text, &handler);
    for (Client& client : clients) {
        const auto found = handler.lengths.find(client.name);
        if (found == handler.lengths.end()) continue;
        for (auto& [start, window] : found->second) {
            const bool whole = !window.input.tokens.empty() && !window.output.tokens.empty() &&
                               window.input.below.back() > 0 && window.output.below.back() > 0;
            if (!whole)
                throw InputError({path}, fmt::format("{}.{}", client.name, start),
                                 "has no lengths of input or output");
            client.lengths.push_back(std::move(window));
        }
    }
}

class ServeGen {
  public:
    ServeGen(const StreamSpec& spec, std::uint64_t seed)
        : seed_(seed), clients_(read_clients(spec.trace)) {
        read_lengths(spec.lengths, clients_.list);
        double sum = 0;
        for (std::size_t i = 0; i < clients_.list.size(); ++i) {
            if (clients_.list[i].lengths.empty()) continue;
            with_lengths_.push_back(i);
            sum += clients_.list[i].requests;
            below_.push_back(sum);
        }
        if (with_lengths_.empty())
            throw InputError({spec.lengths}, "", "has lengths of none of the clients",
                             "of " + spec.trace);
        states_.resize(clients_.list.size());
        for (std::size_t i = 0; i < states_.size(); ++i) {
            states_[i].time = spec.from.value();
            go_on(i);
        }
    }

    std::size_t clients() const { return clients_.list.size(); }
    std::size_t clients_with_lengths() const { return with_lengths_.size(); }

    bool next(Request& request) {
        if (due_.empty()) return false;
        const auto [time, which] = due_.top();
        due_.pop();
        Draws draws(random_bits(seed_, 2, clients_.list[which].name, states_[which].drawn));
        std::size_t of = which;
        if (clients_.list[which].lengths.empty()) {
            const double at = draws.next() * below_.back();
            const auto found = std::upper_bound(below_.begin(), below_.end(), at);
            of = with_lengths_[std::min(static_cast<std::size_t>(found - below_.begin()),
                                        below_.size() - 1)];
        }
        const auto& lengths = clients_.list[of].lengths;
        auto window = std::upper_bound(lengths.begin(), lengths.end(), time,
                                       [](double t, const LengthWindow& w) { return t < w.start; });
        if (window != lengths.begin()) --window;
        request = {};
        request.arrival = Seconds(time);
        request.input_tokens = window->input.draw(draws);
        request.output_tokens = window->output.draw(draws);
        request.place = ++issued_;
        go_on(which);
        return true;
    }

  private:
    struct State {
        double time = 0;
        std::size_t window = 0;
        long drawn = 0;
    };

    // The client's next arrival, if it has one.
    void go_on(std::size_t which) {
        const std::vector<Window>& windows = clients_.list[which].windows;
        State& state = states_[which];
        double left = -1;  // of a gap of mean 1
        for (; state.window < windows.size(); ++state.window) {
            const Window& window = windows[state.window];
            const double end = window.start + clients_.width;
            if (state.time >= end || window.rate <= 0) continue;
            state.time = std::max(state.time, window.start);
            if (left < 0) {
                Draws draws(random_bits(seed_, 1, clients_.list[which].name, state.drawn++));
                left = window.gaps(draws);
            }
            const double room = (end - state.time) * window.rate;
            if (room > left) {
                state.time += left / window.rate;
                due_.emplace(state.time, which);
                return;
            }
            left -= room;
            state.time = end;
        }
    }

    std::uint64_t seed_;
    Clients clients_;
    std::vector<std::size_t> with_lengths_;
    std::vector<double> below_;
    std::vector<State> states_;
    using Due = std::pair<double, std::size_t>;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
    std::uint64_t issued_ = 0;
};

}  // namespace

RequestStream servegen_stream(const StreamSpec& spec, std::uint64_t seed) {
    const auto made = std::make_shared<ServeGen>(spec, seed);
    RequestStream stream;
    stream.format = "servegen";
    if (made->clients_with_lengths() < made->clients())
        stream.notes.push_back(fmt::format("{} of {} clients have lengths, the others take theirs",
                                           made->clients_with_lengths(), made->clients()));
    stream.next = [made, counts = stream.counts](Request& request) {
        if (!made->next(request)) return false;
        ++counts->requests;
        return true;
    };
    return stream;
}

}  // namespace podsim

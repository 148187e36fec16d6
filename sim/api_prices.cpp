#include "sim/api_prices.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/form.hpp"

namespace podsim {

namespace {

// Digits where there are digits in 2026-09-27, as far as it goes.
bool is_date(const std::string& text) {
    constexpr std::string_view shape = "0000-00-00";
    if (text.size() != 4 && text.size() != 7 && text.size() != 10) return false;
    return std::equal(text.begin(), text.end(), shape.begin(), [](char c, char like) {
        return like == '0' ? c >= '0' && c <= '9' : c == like;
    });
}

}  // namespace

template <class Form>
void describe(Form& form, ApiPrice& price) {
    form.required("vendor", price.vendor, "who sells it");
    form.optional("model", price.model, "of configs/models that it belongs to");
    form.required("date", price.date, "2026-09-27, 2026-08 or 2026: read, or held from");
    form.optional("note", price.note, "hours, conditions");
    form.required("input", price.input, "of a token that was not cached", positive());
    form.optional("cached_input", price.cached_input, "of one that was", positive());
    form.required("output", price.output, "of a token that is written", positive());
    if (!form.ok()) return;
    if (!is_date(price.date))
        form.problem("date", "\"" + price.date + "\" is no date", "such as 2026-09-27");
    if (price.cached_input && price.cached_input->value > price.input.value)
        form.problem("cached_input", "is above the price of what was not cached");
}

template <class Form>
void describe(Form& form, ApiPriceList& list) {
    form.required("title", list.title, "name in words");
    form.required("api_prices", list.prices, "by a name of each");
}

Usd ApiPrice::of(Tokens input_tokens, Tokens cached, Tokens output_tokens) const {
    const UsdPerToken held = cached_input ? cached_input->value : input.value;
    return (input_tokens - cached) * input.value + cached * held + output_tokens * output.value;
}

ApiPriceList read_api_prices(const Node& document, const std::string& name) {
    auto list = read<ApiPriceList>(document, "");
    list.name = name;
    return list;
}

nlohmann::ordered_json api_price_schema() {
    return schema<ApiPriceList>("podsim api_prices").json();
}

}  // namespace podsim

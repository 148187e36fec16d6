// What tokens of a public model API cost, to hold simulated costs against.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"

namespace podsim {

struct ApiPrice {
    std::string vendor;
    std::string model;  // of configs/models that it belongs to, "" for none
    std::string date;   // "2026-09-27", "2026-08" or "2026": read, or held from
    std::string note;
    Sourced<UsdPerToken> input, output;
    std::optional<Sourced<UsdPerToken>> cached_input;  // without: as input

    // What so many tokens cost; `cached` of `input` were found in the vendor's store.
    Usd of(Tokens input_tokens, Tokens cached, Tokens output_tokens) const;
};

struct ApiPriceList {
    std::string name, title;
    std::map<std::string, ApiPrice> prices;
};

// Throws InputError with everything that is wrong in the document.
ApiPriceList read_api_prices(const Node& document, const std::string& name);

nlohmann::ordered_json api_price_schema();

}  // namespace podsim

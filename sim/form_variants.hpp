// Maps whose keys depend on a `kind` or `type` in them: a reader takes the keys of the variant at
// hand, a schema shows those of every variant and requires none of them.
#pragma once

#include <type_traits>

#include "base/form.hpp"

namespace podsim {

// A size or a number of things. The upper end keeps products of a few of them in range.
inline Check count() {
    return {1.0, 1e9, false, "a value of at least 1, at most 1,000,000,000"};
}

template <class Form>
constexpr bool kAllVariants = std::is_same_v<Form, SchemaForm>;

// A key that the chosen variant needs.
template <class Form, class T, class... C>
void of_variant(Form& form, bool chosen, const char* key, T& field, const char* help,
                const C&... checks) {
    if (kAllVariants<Form> || chosen)
        form.field(chosen && !kAllVariants<Form>, key, field, help, Checks{checks...});
}

// One that it may have.
template <class Form, class T, class... C>
void optional_of_variant(Form& form, bool chosen, const char* key, T& field, const char* help,
                         const C&... checks) {
    if (kAllVariants<Form> || chosen) form.field(false, key, field, help, Checks{checks...});
}

}  // namespace podsim

// Requests longer than engines take, prompt and answer together.
#pragma once

#include "workloads/traffic.hpp"

namespace podsim {

// Those above `spec.longest` end the reading or are left out and counted, as `spec.long_prompts`
// says; where they are to be rejected the stream stays as it is. Of one left out the next turn
// follows as if it had ended when it came.
RequestStream without_long_prompts(RequestStream stream, const StreamSpec& spec);

}  // namespace podsim

// Requests and streams of them stand at the room's root, where sim/ may see them.
#pragma once

#include "workloads/request.hpp"  // IWYU pragma: export

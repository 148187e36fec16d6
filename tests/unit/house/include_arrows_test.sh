#!/usr/bin/env bash
# Does include_arrows.sh see a wrong arrow, and only a wrong one? Each case is a tree of one file
# with one #include; the last cases are whole trees.
set -euo pipefail

check=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/include_arrows.sh
tree=$(mktemp -d)
trap 'rm -rf -- "$tree"' EXIT
failed=0

# expect STATUS WORDS FILE INCLUDE: the status of the check, and words that its output must hold.
# INCLUDE is what stands behind #include, or the whole line.
expect() {
    local status=$1 words=$2 file=$3 include=$4 got=0 said
    rm -rf -- "${tree:?}"/*
    mkdir -p -- "$tree/$(dirname -- "$file")"
    [[ $include == *'#'* ]] || include="#include $include"
    printf '#pragma once\n%s\n' "$include" >"$tree/$file"
    said=$("$check" "$tree" 2>&1) || got=$?
    if [[ $got != "$status" || $said != *"$words"* ]]; then
        printf 'FAILED: %s with %s\n' "$file" "$include"
        printf '  expected status %s and "%s"\n  got      status %s and "%s"\n' \
            "$status" "$words" "$got" "$said"
        failed=$((failed + 1))
    fi
}

expect 0 '' base/units.hpp '<string>'
expect 0 '' base/units.cpp '"base/units.hpp"'
expect 0 '' base/systemc_driver.cpp '<systemc>'
expect 0 '' program/program.hpp '"base/units.hpp"'
expect 0 '' models/model.hpp '"program/operator.hpp"'
expect 0 '' chips/core/npu.cpp '"chips/core/npu.hpp"'
expect 0 '' chips/chip.hpp '"program/dtype.hpp"'
expect 0 '' interconnect/network.hpp '"program/transfer.hpp"'
expect 0 '' workloads/decode.cpp '"models/model.hpp"'
expect 0 '' workloads/decode.cpp '"program/program.hpp"'
expect 0 '' sim/run.cpp '"chips/chip.hpp"'
expect 0 '' sim/run.cpp '"interconnect/network.hpp"'
expect 0 '' app/main.cpp '"sim/run.hpp"'
expect 0 '' app/main.cpp '<fmt/core.h>'

expect 0 '' chips/npu/core.cpp '"base/systemc.hpp"'
expect 1 'SystemC modules stand in' chips/cost.cpp '"base/systemc.hpp"'

# Up.
expect 1 'base/units.hpp:2:' base/units.hpp '"program/operator.hpp"'
expect 1 'program/ (floor 1) must not know chips/ (floor 2)' program/a.hpp '"chips/chip.hpp"'
expect 1 'must not know workloads/' chips/chip.cpp '"workloads/decode.hpp"'
expect 1 'must not know sim/' workloads/decode.cpp '"sim/run.hpp"'
expect 1 'must not know app/' sim/run.cpp '"app/table.hpp"'
expect 1 'must not know sim/' base/units.cpp '<sim/run.hpp>'
expect 1 'must not know sim/' base/units.cpp '  #  include   "sim/run.hpp"  // why'

# Sideways.
expect 1 'must not know interconnect/' chips/chip.cpp '"interconnect/network.hpp"'
expect 1 'must not know chips/' interconnect/network.cpp '"chips/chip.hpp"'
expect 1 'must not know chips/' models/model.cpp '"chips/chip.hpp"'
expect 1 'must not know models/' chips/chip.cpp '"models/model.hpp"'

# Narrower views.
expect 1 'sees of program/ only' chips/chip.cpp '"program/transfer.hpp"'
expect 1 'sees of program/ only' chips/chip.cpp '"program/program.hpp"'
expect 1 'sees of program/ only' interconnect/network.cpp '"program/operator.hpp"'
expect 1 'sees of program/ only' models/model.cpp '"program/program.hpp"'
expect 1 'knows no hardware' workloads/decode.cpp '"chips/chip.hpp"'
expect 1 'knows no hardware' workloads/decode.cpp '"interconnect/network.hpp"'

# Into another folder's inside, and not from the root.
expect 1 'headers at its root' sim/run.cpp '"chips/core/npu.hpp"'
expect 1 'headers at its root' sim/run.cpp '"chips/chip.cpp"'
expect 1 'repository root' base/units.cpp '"units.hpp"'
expect 1 'repository root' base/units.cpp '"../sim/run.hpp"'
expect 1 'repository root' base/units.cpp '"base/../sim/run.hpp"'
expect 1 'repository root' sim/run.cpp '"tests/unit/sim/world.hpp"'

# SystemC.
expect 1 'SystemC' sim/run.cpp '<systemc>'
expect 1 'SystemC' chips/core/npu.hpp '<systemc.h>'
expect 1 'SystemC' interconnect/router.cpp '<tlm>'
expect 1 'SystemC' interconnect/router.cpp '<tlm_utils/simple_target_socket.h>'

# A walk that finds nothing must not pass as clean.
expect 2 'no room' nothing/here.hpp '<string>'
mkdir -p "$tree/base" && rm -rf "${tree:?}/nothing"
got=0
"$check" "$tree" >/dev/null 2>&1 || got=$?
if ((got != 2)); then
    echo "FAILED: an empty room passed as clean"
    failed=$((failed + 1))
fi

if ((failed > 0)); then
    echo "$failed failed"
    exit 1
fi
echo "all cases as expected"

#!/usr/bin/env bash
# Which folder may include which? Walks every #include of the rooms below ROOT (default: this
# repository) and prints, as file:line: message, each one that
#   - runs up or sideways: a folder includes itself and what stands on a lower floor;
#   - reaches into another folder: of it only the headers at its root may be seen;
#   - is outside the narrower view that chips, interconnect, models and workloads have;
#   - is not written from the repository root;
#   - brings SystemC in anywhere but in base/, whose base/systemc.hpp is for the folders of modules.
# Exit status: 0 clean, 1 wrong arrows, 2 nothing to walk.
set -euo pipefail

root=${1:-$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)}
cd -- "$root"

declare -A floor=([base]=0 [program]=1 [models]=2 [chips]=2 [interconnect]=2 [workloads]=3
                  [sim]=4 [app]=5)

# Headers of program/ that the three rooms of floor 2 see; the other rooms see all of them.
declare -A program_view=(
    [models]='program/operator.hpp program/dtype.hpp'
    [chips]='program/operator.hpp program/dtype.hpp'
    [interconnect]='program/transfer.hpp program/dtype.hpp'
)

# Folders of SystemC modules.
modules='^(base|chips/npu|chips/hbm|interconnect/packet)/'

# Prints why `file` of a room must not include `path`; nothing when it may.
judge() {
    local file=$1 from=${1%%/*} path=$2 to=${2%%/*}
    if [[ $path =~ ^(systemc|tlm)(\.h)?$ || $path == sysc/* || $path == tlm_* ]]; then
        [[ $from == base ]] || echo "SystemC is included in base/ only"
    elif [[ $path == base/systemc.hpp && ! $file =~ $modules ]]; then
        echo "SystemC modules stand in base/, chips/npu, chips/hbm and interconnect/packet"
    elif [[ "/$path/" == */../* || "/$path/" == */./* ]]; then
        echo "write it from the repository root, without . or .."
    elif [[ $path != */* || -z ${floor[$to]:-} ]]; then
        echo "not a header of a room below, written from the repository root"
    elif [[ $to == "$from" ]]; then
        :
    elif ((floor[$to] >= floor[$from])); then
        echo "$from/ (floor ${floor[$from]}) must not know $to/ (floor ${floor[$to]})"
    elif [[ $path == */*/* || $path != *.hpp ]]; then
        echo "of $to/ only the headers at its root may be seen"
    elif [[ $from == workloads && ($to == chips || $to == interconnect) ]]; then
        echo "workloads/ knows no hardware"
    elif [[ $to == program && -n ${program_view[$from]:-} &&
            " ${program_view[$from]} " != *" $path "* ]]; then
        echo "$from/ sees of program/ only: ${program_view[$from]}"
    fi
}

rooms=()
for room in "${!floor[@]}"; do
    [[ -d $room ]] && rooms+=("$room")
done
if ((${#rooms[@]} == 0)); then
    echo "$root: no room of the house here" >&2
    exit 2
fi

walked=0
wrong=0
arrow='#[[:space:]]*include[[:space:]]*(["<])([^">]+)[">]'
while IFS=: read -r file line text; do
    walked=$((walked + 1))
    [[ $text =~ $arrow ]] || continue
    quote=${BASH_REMATCH[1]} path=${BASH_REMATCH[2]}
    # An angle bracket names a library, unless SystemC or one of the rooms is behind it.
    if [[ $quote == '<' && ! $path =~ ^(systemc|sysc/|tlm) && -z ${floor[${path%%/*}]:-} ]]; then
        continue
    fi
    why=$(judge "$file" "$path")
    if [[ -n $why ]]; then
        echo "$file:$line: #include of $path: $why"
        wrong=$((wrong + 1))
    fi
done < <(grep -rnE --include='*.hpp' --include='*.cpp' '^[[:space:]]*#[[:space:]]*include' \
              "${rooms[@]}" | sort -t: -k1,1 -k2,2n)

if ((walked == 0)); then
    echo "$root: no #include in any room" >&2
    exit 2
fi
((wrong == 0)) || exit 1

#!/usr/bin/env bash
# The one command of this repository: sets up a fresh Debian 12, builds, runs, tests. See ./go help.
set -euo pipefail
export LC_ALL=C.UTF-8

cd -P -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

readonly build_packages=(g++ cmake ninja-build pkgconf libsystemc-dev libyaml-cpp-dev libfmt-dev
                         nlohmann-json3-dev libcli11-dev zlib1g-dev libnlopt-dev
                         libprotobuf-dev)
readonly test_packages=(libgtest-dev libgmock-dev librapidcheck-dev)
readonly bench_packages=(libbenchmark-dev)
readonly format_packages=(git clang-format)
readonly lint_packages=("${format_packages[@]}" clang-tidy shellcheck)
readonly tidy_limit=20

usage() {
    cat <<'END'
./go demo                build podsim and compare three clusters on DeepSeek-R1 decode
./go test [CTEST ARG]    build and run all tests, or some: ./go test -R unit/chips
./go build [TARGET]      build build/release/podsim, or the named targets
./go bench [ARG]         build and run the speed benches: ./go bench --benchmark_filter=calendar
./go lint                formatting, include arrows, shellcheck; clang-tidy on recent changes
./go format              format all C++ in place
./go sanitize [ARG]      the tests under the address and undefined-behaviour sanitizers
./go help                this text

Each installs the Debian packages that it misses (root or sudo) and goes on from there.
The program lies at build/release/podsim; results go to results/.
END
}

say() { printf '%s\n' "$*" >&2; }
die() {
    say "go: $*"
    exit 1
}

# need PACKAGE...: installs those that are missing; touches neither network nor root otherwise.
need() {
    local missing=() as_root=() log=build/setup.log
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        die "the set-up knows Debian's packages only (no apt here); podsim needs: $*"
    fi
    mapfile -t missing < <(comm -23 <(printf '%s\n' "$@" | sort -u) <(
        dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u))
    ((${#missing[@]} > 0)) || return 0

    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "neither root nor sudo; let root run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing Debian packages: ${missing[*]}"
    mkdir -p build
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    # A stale or foreign package source may fail to update and still not matter: the install tells.
    "${as_root[@]}" update </dev/null >"$log" 2>&1 || true
    if ! "${as_root[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null \
        >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        die "apt-get could not install: ${missing[*]} (all of its output: $log)"
    fi
}

# As root in somebody else's tree (sudo ./go, a mounted folder), leave nothing there that is root's.
give_back() {
    find . -xdev -user 0 -exec chown -h --reference=. {} + || true
}
if ((EUID == 0)) && [[ $(stat -c %u .) != 0 ]]; then
    trap give_back EXIT
fi

# As many as there are cores, but 1.5 GB of memory for each: what a heavy C++ source may take.
job_count() {
    local cores kib=0 limit=max name value by_memory
    cores=$(nproc)
    if [[ -r /proc/meminfo ]]; then
        while read -r name value _; do
            [[ $name != MemAvailable: ]] || kib=$value
        done </proc/meminfo
    fi
    if [[ -r /sys/fs/cgroup/memory.max ]]; then
        read -r limit </sys/fs/cgroup/memory.max
    fi
    if [[ $limit != max ]] && ((limit / 1024 < kib)); then
        kib=$((limit / 1024))
    fi
    by_memory=$((kib / 1500000))
    ((by_memory >= 1)) || by_memory=1
    echo $((cores < by_memory ? cores : by_memory))
}

# configure FOLDER [-DNAME=ON...]: makes FOLDER ready for ninja; at once when it already is.
# What is not named keeps its value, so that ./go demo does not undo ./go test.
configure() {
    local folder=$1 option name stale=no
    shift
    if [[ ! -f $folder/build.ninja ]] ||
        ! grep -Fqx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$folder/CMakeCache.txt"; then
        # New, broken off, or copied here from another place, whose sources it would build.
        rm -rf -- "$folder"
        set -- -DPODSIM_TESTS=OFF "$@"
        stale=yes
    fi
    for option in "$@"; do
        name=${option#-D}
        [[ $stale == yes ]] || grep -q "^${name%=ON}:.*=ON$" "$folder/CMakeCache.txt" || stale=yes
    done
    [[ $stale == yes ]] || return 0
    say "configuring $folder"
    mkdir -p build
    if ! cmake -G Ninja -S . -B "$folder" "$@" >"$folder.log" 2>&1; then
        cat "$folder.log" >&2
        die "cmake failed (see above)"
    fi
}

# Reads the output of ninja or ctest and shows it on stderr: on a terminal the steps on one line,
# in a log about ten of them; whatever is not a step that went well is shown as it is.
progress() {
    local line tenth last=0 step='^ *\[?([0-9]+)/([0-9]+)(\] | Test .* Passed )'
    while IFS= read -r line || [[ -n $line ]]; do
        case $line in
            '' | '-- '* | 'ninja: no work'* | 'ninja: Entering'* | *'Re-checking globbed'*) continue ;;
            ' '*' Start '*[0-9]': '* | 'Test project '* | 'Internal ctest'*) continue ;;
        esac
        if [[ $line =~ $step ]]; then
            tenth=$((BASH_REMATCH[1] * 10 / BASH_REMATCH[2]))
            if [[ -t 2 ]]; then
                printf '\r\033[K%s' "${line:0:78}" >&2
            elif ((tenth != last)); then
                say "${line:0:100}"
            fi
            last=$tenth
        else
            [[ -t 2 ]] && printf '\r\033[K' >&2
            say "$line"
        fi
    done
    [[ -t 2 ]] && printf '\r\033[K' >&2
    return 0
}

# build FOLDER TARGET...
build() {
    local folder=$1
    shift
    NINJA_STATUS='[%f/%t] ' ninja -C "$folder" -j "$(job_count)" "$@" 2>&1 | progress ||
        die "the build failed (see above)"
}

# run_tests FOLDER [CTEST ARG...]
# The same random cases each time; RC_PARAMS="seed=7 max_success=5000" draws others, and more.
run_tests() {
    local folder=$1
    shift
    export RC_PARAMS=${RC_PARAMS:-seed=1}
    ctest --test-dir "$folder" -j "$(job_count)" --output-on-failure --no-tests=error "$@" 2>&1 |
        progress 2>&1 || die "there are failed tests (see above)"
}

# Root may look at a tree that is another user's.
repository() { git -c safe.directory="$PWD" "$@"; }

# files PATTERN...: the files of the repository, new ones too, that are still there.
files() {
    local file
    repository ls-files --cached --others --exclude-standard -- "$@" | sort -u |
        while IFS= read -r file; do
            [[ -f $file && ! -L $file ]] && printf '%s\n' "$file"
        done || true
}

shell_scripts() {
    local file first
    files | while IFS= read -r file; do
        IFS= read -r -n 80 first 2>/dev/null <"$file" || true
        [[ $first =~ ^#!.*[/\ ](ba|da)?sh( |$) ]] && printf '%s\n' "$file"
    done || true
}

# The sources that clang-tidy looks at: those changed since origin/main, or in the last five
# commits where nothing was, newest first; for a header the source beside it or one that includes
# it. Only what the build knows how to compile.
recent_sources() {
    local range=(-n 5) file source
    if [[ -n $(repository rev-list -n 1 origin/main..HEAD 2>/dev/null) ]]; then
        range=(origin/main..HEAD)
    fi
    {
        repository diff --name-only HEAD
        repository ls-files --others --exclude-standard
        repository log --format= --name-only "${range[@]}"
    } | while IFS= read -r file; do
        source=$file
        if [[ $file == *.hpp ]]; then
            source=${file%.hpp}.cpp
            [[ -f $source ]] ||
                source=$(files '*.cpp' | xargs -r -d '\n' grep -lF "#include \"$file\"" | sed -n 1p)
        fi
        if [[ $source == *.cpp && -f $source ]] &&
            grep -Fq "\"file\": \"$PWD/$source\"" build/release/compile_commands.json; then
            printf '%s\n' "$source"
        fi
    done | awk '!seen[$0]++' | sed -n "1,${tidy_limit}p"
}

lint_formatting() {
    local file status=0
    while IFS= read -r file; do
        if ! clang-format --dry-run -Werror -- "$file" >/dev/null 2>&1; then
            echo "$file: not formatted (./go format)"
            status=1
        fi
    done < <(files '*.cpp' '*.hpp')
    return $status
}

lint_scripts() {
    shell_scripts | xargs -r -d '\n' shellcheck
}

# Each file's findings in one piece, whichever of the parallel runs ends first.
tidy_one() {
    local found
    if ! found=$(clang-tidy -p build/lint --quiet --warnings-as-errors='*' "$1" 2>&1); then
        grep -vE '^[0-9]+ warnings?( treated as errors| generated|.*)?\.?$' <<<"$found"
        return 1
    fi
}
export -f tidy_one

lint_tidy() {
    # clang can neither read what g++ precompiled nor take its warnings' names.
    mkdir -p build/lint
    sed -E 's/ -Winvalid-pch -include [^ ]+//; s/ -Wno-(array-bounds|restrict|stringop-[a-z]+)//g' \
        build/release/compile_commands.json >build/lint/compile_commands.json
    # shellcheck disable=SC2016  # $1 is for the inner shell
    recent_sources | xargs -r -d '\n' -n 1 -P "$(job_count)" bash -c 'tidy_one "$1"' _
}

go_demo() {
    need "${build_packages[@]}"
    configure build/release
    build build/release podsim
    build/release/podsim run configs/experiments/deepseek-r1-decode.yaml \
        --out results/deepseek-r1-decode
}

go_build() {
    need "${build_packages[@]}"
    configure build/release
    build build/release "${@:-podsim}"
}

go_test() {
    need "${build_packages[@]}" "${test_packages[@]}"
    configure build/release -DPODSIM_TESTS=ON
    build build/release all
    run_tests build/release "$@"
}

go_sanitize() {
    need "${build_packages[@]}" "${test_packages[@]}"
    configure build/sanitize -DPODSIM_TESTS=ON -DPODSIM_SANITIZE=ON
    build build/sanitize all
    UBSAN_OPTIONS=print_stacktrace=1 run_tests build/sanitize "$@"
}

go_bench() {
    need "${build_packages[@]}" "${bench_packages[@]}"
    configure build/release -DPODSIM_BENCH=ON
    build build/release podsim_bench
    build/release/podsim_bench "$@"
}

go_format() {
    need "${format_packages[@]}"
    files '*.cpp' '*.hpp' | xargs -r -d '\n' clang-format -i
}

go_lint() {
    local failed=()
    need "${build_packages[@]}" "${test_packages[@]}" "${lint_packages[@]}"
    repository rev-parse --verify --quiet HEAD >/dev/null ||
        die "lint asks git which files there are: this is no clone"
    configure build/release -DPODSIM_TESTS=ON
    build build/release build.ninja
    say "formatting"
    lint_formatting || failed+=(formatting)
    say "include arrows"
    tests/unit/house/include_arrows.sh . || failed+=("include arrows")
    say "shellcheck"
    lint_scripts || failed+=(shellcheck)
    say "clang-tidy on recent changes"
    lint_tidy || failed+=(clang-tidy)
    ((${#failed[@]} == 0)) || die "lint found problems: ${failed[*]}"
    say "lint: no problems"
}

verb=${1:-help}
(($# == 0)) || shift
case $verb in
    demo | build | test | bench | lint | format | sanitize) "go_$verb" "$@" ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        say "go: no such verb: $verb"
        exit 2
        ;;
esac

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: test.sh
#        test.sh --fast [MODULE...]
#
# From a fresh clone: installs missing packages, builds, and runs every test.
#
#   formatting and shellcheck
#   preset dev (ASan, UBSan; Clang, which compiles these faster than GCC):
#                              unit tests and simulation; each fuzz target for ten seconds
#   preset tsan:               tests of code with threads
#   preset release:            simulation, with ten times the seeds
#                              mutations: the simulation finds each of them
#                              instructions for each task, at most 10 % above the recorded count
#                              all other tests: end to end, the scripts, compile-time messages
#
# --fast is for the edit-build-test loop: the formatting of files that differ from the last commit, and, in
# preset quick (neither optimised nor with sanitizers), the unit tests that concern MODULE (broker, worker,
# client, common; default: all) and a few seeds of the simulation.
#
# The last line is "N passed, N failed"; exit code 0 only when something passed and nothing failed.

# shellcheck disable=SC2317 # some functions are called by name
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
passed=0 failed=0 skipped=0 failures=()

# All targets but the unit tests, which run in preset dev only: compiling them took 40 % of this build.
readonly kRelease_targets="common/all broker/all worker/all client/all
  tests/simulation/all tests/e2e/all tests/chaos/all tests/bench/all"
readonly kFast_seeds=40

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/test.sh"; }

headline() { printf '\n== %s (after %d min %02d s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# Runs a command that counts as one test.
check() { # NAME COMMAND...
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    failures+=("$name")
  fi
}

# Runs COMMAND NAME for each name, as many at once as there are cores. Each is one check.
check_each() { # WHAT COMMAND... -- NAME...
  local what=$1 command=() logs name
  shift
  while [[ $1 != -- ]]; do
    command+=("$1")
    shift
  done
  shift
  logs=$(mktemp -d)
  # shellcheck disable=SC2016 # expanded by the inner shells
  printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} \
    bash -c 'log=$1; shift; if "$@" >"$log" 2>&1; then mv "$log" "$log.passed"; fi' _ "$logs/{}.log" "${command[@]}" {}
  for name in "$@"; do
    cat "$logs/$name.log"*
    check "$what: $name" test -e "$logs/$name.log.passed"
  done
  rm -r "$logs"
}

# All files of the project with one of the endings, committed or about to be.
project_files() { git ls-files -z --cached --others --exclude-standard -- "$@" | sort -zu; }

# The files of project_files that differ from the last commit.
changed_files() {
  { git diff -z --name-only --diff-filter=d HEAD -- "$@" && git ls-files -z --others --exclude-standard -- "$@"; } | sort -zu
}

formatted() { "${1:-project}_files" '*.cpp' '*.hpp' | xargs -0 -r clang-format --dry-run -Werror -ferror-limit=1; }

scripts_are_clean() { "${1:-project}_files" '*.sh' .ci/run | xargs -0 -r shellcheck -x -P SCRIPTDIR; }

build() { # PRESET TARGET...
  local preset=$1
  shift
  cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" --target "$@"
}

count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$report" | head -n 1; }

# Builds and runs tests. A build that fails counts as one failed test.
run_tests() { # PRESET "TARGET..." CTEST_ARGUMENTS...
  local preset=$1 targets=$2 report=build/$1/tests.xml all bad left_out name
  shift 2
  headline "$preset: build"
  # shellcheck disable=SC2086 # words
  if ! build "$preset" $targets; then
    failed=$((failed + 1))
    failures+=("$preset: build")
    return
  fi
  headline "$preset: tests"
  rm -f "$report"
  # ctest's exit code is ignored, since failures are counted from the report.
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --output-junit "$source_dir/$report" "$@" || true
  if [[ ! -s $report ]] || (($(count tests) == 0)); then
    failed=$((failed + 1))
    failures+=("$preset: no test ran")
    return
  fi
  all=$(count tests) bad=$(count failures) left_out=$(($(count skipped) + $(count disabled)))
  passed=$((passed + all - bad - left_out)) failed=$((failed + bad)) skipped=$((skipped + left_out))
  while IFS= read -r name; do
    failures+=("$preset: $name")
  done < <(sed -n 's/^[[:space:]]*<testcase name="\([^"]*\)".*status="fail".*/\1/p' "$report")
}

# The files of unit tests that concern a module: those that are named after it, or include a header of it,
# directly or by headers of tests/unit. All unit tests concern common.
unit_tests_of() { # MODULE
  local pattern="\"$1/" known=() found
  [[ $1 != client ]] || pattern+="|weft/weft.hpp"
  [[ $1 != common ]] || pattern=""
  while mapfile -t found < <(grep -lE "$pattern" tests/unit/*.hpp) && ((${#found[@]} > ${#known[@]})); do
    known=("${found[@]}")
    pattern+=$(printf '|"%s"' "${known[@]}")
  done
  { grep -lE "$pattern" tests/unit/test_*.cpp && find tests/unit -name "test_$1*.cpp"; } | sort -u
}

fast() { # MODULE...
  local modules=("$@") filter
  ((${#modules[@]} > 0)) || modules=(common)
  headline "formatting and shellcheck of what has changed"
  check formatting formatted changed
  check shellcheck scripts_are_clean changed
  headline "quick: build"
  if ! build quick weft_tests weft_thread_tests weft_simulation; then
    failed=$((failed + 1))
    failures+=("quick: build")
    return
  fi
  headline "quick: tests of ${modules[*]}"
  filter=$(for module in "${modules[@]}"; do unit_tests_of "$module"; done | sort -u | sed 's/^/*/' | paste -sd,)
  check "unit tests" build/quick/bin/weft_tests -sf="$filter"
  check "unit tests with threads" build/quick/bin/weft_thread_tests -sf="$filter"
  check simulation build/quick/bin/weft_simulation --seeds "$kFast_seeds"
}

everything() {
  local fuzz_targets counted mutations
  headline "formatting"
  check formatting formatted
  headline "shellcheck"
  check shellcheck scripts_are_clean
  run_tests dev 'weft_tests weft_thread_tests weft_simulation weft_fuzz weft_schema' -L '^(unit|simulation)$' -j "$(nproc)"
  headline "fuzz"
  mapfile -t fuzz_targets < <("$source_dir/scripts/fuzz.sh" --list)
  check_each fuzz "$source_dir/scripts/fuzz.sh" --built --seconds 10 -- "${fuzz_targets[@]}"
  run_tests tsan weft_thread_tests -L '^threads$'
  run_tests release "$kRelease_targets" -L '^simulation$' -j "$(nproc)"
  headline "mutations"
  mapfile -t mutations < <("$source_dir/scripts/mutate.sh" --list)
  check_each mutation "$source_dir/scripts/mutate.sh" --built -- "${mutations[@]}"
  headline "instructions"
  mapfile -t counted < <("$source_dir/scripts/instructions.sh" --list)
  check "instructions: something is counted" test "${#counted[@]}" -gt 0
  check_each instructions "$source_dir/scripts/instructions.sh" --built -- "${counted[@]}"
  run_tests release "$kRelease_targets" -L '^compile$' -j "$(nproc)"
  run_tests release "$kRelease_targets" -LE '^(unit|simulation|threads|compile)$'
}

main() {
  local fast=0 modules=()
  while (($# > 0)); do
    case $1 in
      --fast) fast=1 ;;
      broker | worker | client | common) modules+=("$1") ;;
      -h | --help) print_usage && exit ;;
      *) printf 'test.sh: unknown argument %s\n' "$1" >&2 && print_usage >&2 && exit 2 ;;
    esac
    shift
  done
  if ((${#modules[@]} > 0 && !fast)); then
    printf 'test.sh: a module goes with --fast\n' >&2
    exit 2
  fi
  cd "$source_dir"
  "$source_dir/scripts/install_deps.sh" --tests
  if [[ -z ${CMAKE_CXX_COMPILER_LAUNCHER:-} ]] && type -P ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  # Results of tests must not depend on the environment of the caller.
  unset WEFT_BROKER WEFT_BIN_DIR WEFT_STATE_DIR WEFT_SSH
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  export TSAN_OPTIONS=suppressions=$source_dir/tests/tsan.supp

  if ((fast)); then fast "${modules[@]}"; else everything; fi

  headline "the end"
  ((${#failures[@]} == 0)) || printf 'failed: %s\n' "${failures[@]}"
  printf '%d passed, %d failed%s\n' "$passed" "$failed" "$( ((skipped == 0)) || printf ', %d skipped' "$skipped")"
  ((failed == 0 && passed > 0))
}

main "$@" </dev/null
exit

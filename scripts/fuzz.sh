#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: fuzz.sh [--seconds N] [--list | --build | --built] [TARGET...]
#
# Fuzzes the decoders and the pure state machines, with ASan and UBSan: each TARGET (default: all) for N
# seconds (10), from its seeds in tests/fuzz/corpus and the inputs that earlier runs have found. Builds preset
# dev when needed, with clang-16. Stores new inputs in build/fuzz/corpus, and inputs that crash in
# build/fuzz/crashes.
#
#   --list    prints the targets
#   --build   builds the targets and does not run them
#   --built   runs the targets without building them, so that several calls can run at once
#
# To replay a crash with a trace of all events:
#   WEFT_TRACE=1 build/dev/bin/fuzz_TARGET FILE
# Exit code: 0 every target ran and none crashed, 1 otherwise, 2 wrong usage.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/fuzz.sh"; }

usage_error() {
  printf 'fuzz.sh: %s\n' "$1" >&2
  print_usage >&2
  exit 2
}

all_targets() { sed -n 's/^weft_fuzz_target(\([a-z_]*\) .*/\1/p' "$source_dir/tests/fuzz/CMakeLists.txt"; }

build() { # TARGET...
  if ! type -P clang++-16 >/dev/null; then
    printf 'fuzz.sh: clang++-16 is not installed: scripts/install_deps.sh --tests does that\n' >&2
    return 1
  fi
  [[ -f build/dev/build.ninja ]] || cmake --preset dev >/dev/null
  cmake --build --preset dev --target "${@/#/fuzz_}" >&2
}

# Runs one target. Prints one line on success, otherwise the end of its log and the command to replay the
# crash.
fuzz() { # TARGET SECONDS
  local found=build/fuzz/corpus/$1 crashes=build/fuzz/crashes log=build/fuzz/$1.log status=0 executed before after crash
  mkdir -p "$found" "$crashes"
  before=$(find "$found" -type f | wc -l)
  # libFuzzer writes new inputs to the first directory, and only reads the second, with the seeds.
  UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1 build/dev/bin/fuzz_"$1" "$found" "tests/fuzz/corpus/$1" \
    -max_total_time="$2" -max_len=4096 -timeout=30 -rss_limit_mb=2048 -artifact_prefix="$crashes/$1-" -print_final_stats=1 \
    >"$log" 2>&1 || status=$?
  after=$(find "$found" -type f | wc -l)
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  if ((status == 0 && ${executed:-0} > 0)); then
    printf '%s: %d executions, %d new inputs, no crash\n' "$1" "$executed" $((after - before))
    return
  fi
  tail -n 60 "$log"
  crash=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  if [[ -n $crash ]]; then
    printf '%s: CRASHED. To replay it:\n  WEFT_TRACE=1 build/dev/bin/fuzz_%s %s\n' "$1" "$1" "$crash"
  else
    printf '%s: executed nothing, or ended with %d: see %s\n' "$1" "$status" "$log"
  fi
  return 1
}

main() {
  local seconds=10 targets=() build=1 fuzz=1 known target failed=0
  known=" $(all_targets | tr '\n' ' ')"
  while (($# > 0)); do
    case $1 in
      --seconds) [[ ${2:-} =~ ^[1-9][0-9]{0,6}$ ]] || usage_error "--seconds wants a number"; seconds=$2; shift ;;
      --list) all_targets; exit ;;
      --build) fuzz=0 ;;
      --built) build=0 ;;
      -h | --help) print_usage && exit ;;
      *) [[ $known == *" $1 "* ]] || usage_error "no target is called '$1'; there are:${known% }"; targets+=("$1") ;;
    esac
    shift
  done
  cd "$source_dir"
  if ((${#targets[@]} == 0)); then mapfile -t targets < <(all_targets); fi
  if ((build)); then build "${targets[@]}"; fi
  ((fuzz)) || return 0
  for target in "${targets[@]}"; do
    fuzz "$target" "$seconds" || failed=1
  done
  ((failed == 0))
}

main "$@" </dev/null
exit

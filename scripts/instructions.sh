#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: instructions.sh [--update | --built] [--list | NAME...]
#
# Counts the instructions that the pure scheduler, the codec and the cores of client and worker execute for
# each task, under callgrind, and compares the counts with tests/bench/instructions.txt. An increase of more
# than 10 % is a failure; a decrease of more than 10 % is reported, and --update records it. Unlike times,
# these counts are the same on a busy machine, but they depend on compiler and libraries: those of Debian 12.
# --built skips the build, so that several calls can run at once.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly record=$source_dir/tests/bench/instructions.txt
readonly program=$source_dir/build/release/bin/weft_bench_instructions
readonly kTasks=20000 kTolerance_percent=10

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/instructions.sh"; }

build() {
  cd "$source_dir"
  [[ -f build/release/build.ninja ]] || cmake --preset release >/dev/null
  cmake --build --preset release --target weft_bench_instructions >&2
}

# Prints the number of instructions for each task.
count() { # NAME
  local output total
  output=$(mktemp)
  if ! valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file="$output" "$program" "$1" "$kTasks" 2>"$output.log"; then
    cat "$output.log" >&2
    rm -f "$output" "$output.log"
    return 1
  fi
  # The last dump counts the measured part, without its preparation.
  total=$(sed -n 's/^totals: \([0-9]*\).*/\1/p' "$output" | tail -n 1)
  rm -f "$output" "$output.log"
  printf '%d\n' $((${total:-0} / kTasks))
}

recorded() { # NAME
  sed -n "s/^$1 \([0-9]*\)$/\1/p" "$record" 2>/dev/null
}

# False when there are more instructions than recorded, or none were counted.
compare() { # NAME
  local now before percent
  now=$(count "$1")
  before=$(recorded "$1")
  if ((now == 0)); then
    printf '%-16s nothing was counted: valgrind and its headers are needed when this is built\n' "$1"
    return 1
  elif [[ -z $before ]]; then
    printf '%-16s %6d instructions, not recorded: scripts/instructions.sh --update\n' "$1" "$now"
    return 1
  fi
  percent=$(((now - before) * 100 / before))
  if ((percent > kTolerance_percent)); then
    printf '%-16s %6d instructions, %d recorded: %d %% more\n' "$1" "$now" "$before" "$percent"
    return 1
  elif ((percent < -kTolerance_percent)); then
    printf '%-16s %6d instructions, %d recorded: %d %% fewer; scripts/instructions.sh --update records it\n' "$1" "$now" "$before" $((-percent))
    return
  fi
  printf '%-16s %6d instructions, %d recorded\n' "$1" "$now" "$before"
}

update() { # NAME...
  local name now lines=()
  for name in "$@"; do
    now=$(count "$name")
    printf '%-16s %6d instructions\n' "$name" "$now"
    lines+=("$name $now")
  done
  {
    printf '# Instructions for each task, in the release preset: scripts/instructions.sh --update\n'
    printf '%s\n' "${lines[@]}"
  } >"$record"
}

main() {
  local update=0 build=1 list=0 names=() name failed=0
  while (($# > 0)); do
    case $1 in
      --update) update=1 ;;
      --built) build=0 ;;
      --list) list=1 ;;
      -h | --help) print_usage && exit ;;
      -*) printf 'instructions.sh: unknown argument %s\n' "$1" >&2 && print_usage >&2 && exit 2 ;;
      *) names+=("$1") ;;
    esac
    shift
  done
  if ((build)); then (build); fi
  if ((list)); then exec "$program" --list; fi
  if ((update || ${#names[@]} == 0)); then mapfile -t names < <("$program" --list); fi
  if ((update)); then
    update "${names[@]}"
    return
  fi
  for name in "${names[@]}"; do
    compare "$name" || failed=1
  done
  return $failed
}

main "$@"
exit

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: demo.sh [--n CALLS] [--iterations TURNS]
#
# From a fresh clone to a running cluster: installs missing packages, builds, starts a broker and two workers
# on this machine, maps the function of README.md over CALLS inputs (1000), does the same work on a single
# slot to compare, and shuts everything down.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cluster=$source_dir/scripts/cluster.sh
calls=1000 turns=10000000

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/demo.sh"; }

while (($# > 0)); do
  case $1 in
    --n | --iterations)
      [[ ${2:-} =~ ^[1-9][0-9]{0,9}$ ]] || { printf 'demo.sh: %s wants a number\n' "$1" >&2 && exit 2; }
      if [[ $1 == --n ]]; then calls=$2; else turns=$2; fi
      shift
      ;;
    -h | --help) print_usage && exit ;;
    *) printf 'demo.sh: unknown argument %s\n' "$1" >&2 && print_usage >&2 && exit 2 ;;
  esac
  shift
done

headline() { printf '\n== %s\n' "$1"; }

headline "Installing what is missing"
"$source_dir/scripts/install_deps.sh"

headline "Building"
if [[ -z ${CMAKE_CXX_COMPILER_LAUNCHER:-} ]] && type -P ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
cd "$source_dir"
cmake --preset release >/dev/null
cmake --build --preset release --target weft-broker weft-worker weft-runner weft weft_example_inc

export WEFT_BIN_DIR=$source_dir/build/release/bin
work=$(mktemp -d)
export WEFT_STATE_DIR=$work/state
clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  if [[ -d $WEFT_STATE_DIR/run ]]; then "$cluster" down --grace 2s >/dev/null || true; fi
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts a cluster, runs the program on it with its output piped through COMMAND, and shuts the cluster down.
# Sets slots and seconds from the last line of the program, "N calls in S s on C slots: ...".
run_on() { # COMMAND UP_ARGUMENTS...
  local show=$1
  shift
  local address
  "$cluster" up --port 0 "$@"
  address=$("$cluster" status | sed -n 's/^broker .*tcp:\/\/\([^ ,]*\).*/\1/p')
  "$WEFT_BIN_DIR/inc" --broker "$address" --n "$calls" --iterations "$turns" | tee "$work/output" | "$show"
  read -r seconds slots < <(sed -nE 's/^[0-9]+ calls in ([0-9.]+) s on ([0-9]+) slots.*/\1 \2/p' "$work/output")
  "$cluster" down >/dev/null
}

cores=$(nproc)
headline "A broker, two workers, $calls calls of inc with $turns turns each"
run_on cat --workers 2 --nprocs $((cores > 2 ? cores / 2 : 1))
all_slots=$slots all_seconds=$seconds

headline "The same work on a single slot"
last_line() { tail -n 1; }
run_on last_line --workers 1 --nprocs 1

headline "The same $calls calls"
printf '%6s %10s %12s %9s\n' slots seconds "ms a call" speed-up
row() { # SLOTS SECONDS (with three decimals: without the point, an integer of milliseconds)
  local us=$((10#${2/./} * 1000 + 1)) one_us=$((10#${seconds/./} * 1000 + 1))
  printf '%6d %10s %8d.%03d %6d.%02d\n' "$1" "$2" $((us / calls / 1000)) $((us / calls % 1000)) $((one_us / us)) $((one_us * 100 / us % 100))
}
row "$slots" "$seconds"
row "$all_slots" "$all_seconds"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: simulate.sh [SEEDS [FIRST]] [--report]
#
# Simulates whole fabrics (broker, workers, clients, a network, faults) in virtual time, one for each
# seed; 1000 unless told, from seed FIRST (1). Builds the release preset when needed. Ends with the first
# promise that is broken, the end of its trace, and the seed.
#
#   WEFT_SEED=17 scripts/simulate.sh    runs seed 17 alone and prints its whole trace
#   --report                            also prints how often each fault, message and outcome occurred
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
program=$source_dir/build/release/bin/weft_simulation

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/simulate.sh"; }

build() {
  cd "$source_dir"
  [[ -f build/release/build.ninja ]] || cmake --preset release >/dev/null
  cmake --build --preset release --target weft_simulation >&2
}

main() {
  local numbers=() arguments=()
  while (($# > 0)); do
    case $1 in
      --report) arguments+=(--report) ;;
      -h | --help) print_usage && exit ;;
      *[!0-9]* | "") printf 'simulate.sh: unknown argument %s\n' "$1" >&2 && print_usage >&2 && exit 2 ;;
      *) numbers+=("$1") ;;
    esac
    shift
  done
  build
  if [[ -n ${WEFT_SEED:-} ]]; then
    exec "$program" --seed "$WEFT_SEED" --trace "${arguments[@]}"
  fi
  exec "$program" --seeds "${numbers[0]:-1000}" --first "${numbers[1]:-1}" "${arguments[@]}"
}

main "$@"
exit

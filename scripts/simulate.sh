#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: simulate.sh [SEEDS [FIRST]] [--report] [--jobs N]
#
# Simulates whole fabrics (broker, workers, clients, a network, faults) in virtual time, one for each of SEEDS
# seeds (1000), from seed FIRST (1). Builds the release preset when needed. Stops at the first broken promise,
# and prints it with the seed and the end of the trace.
#
#   WEFT_SEED=17 scripts/simulate.sh    runs seed 17 alone and prints its whole trace
#   --report                            also prints how often each fault, message and outcome occurred
#   --jobs N                            parts that run at once (default: one for each core)
#
# Seeds are run in parts of up to 1000, whose reports are stored in build/simulation. An interrupted run of
# millions therefore continues where it was when the script is called with the same numbers again. After a
# change of the program all parts are run again.

# shellcheck disable=SC2317 # run_part is called by xargs
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
program=$source_dir/build/release/bin/weft_simulation
readonly kPart=1000

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/simulate.sh"; }

usage_error() { # SENTENCE
  printf 'simulate.sh: %s\n' "$1" >&2
  print_usage >&2
  exit 2
}

build() {
  cd "$source_dir"
  [[ -f build/release/build.ninja ]] || cmake --preset release >/dev/null
  cmake --build --preset release --target weft_simulation >&2
}

# Runs one part, unless it was run before. Called by xargs, which starts no further parts after exit code 255.
run_part() { # DIRECTORY FIRST SEEDS
  local report=$1/$2+$3
  [[ ! -f $report ]] || return 0
  if "$program" --seeds "$3" --first "$2" --report >"$report.new" 2>"$report.errors"; then
    mv "$report.new" "$report"
    rm "$report.errors"
  else
    return 255
  fi
}

# "FIRST SEEDS" of each part.
parts() { # SEEDS FIRST
  local first=$2 end=$(($1 + $2))
  for (( ; first < end; first += kPart)); do
    echo "$first" $((end - first < kPart ? end - first : kPart))
  done
}

# Adds up the reports: with --report the counts in lines of "N what", and always the summary in the last line.
merge() { # --report|"" FILE...
  awk -v all="$1" '
    / seeds, / { seeds += $1; tasks += $3; events += $5; twice += $7; next }
    { times = $1; sub(/^ *[0-9]+  /, ""); count[$0] += times }
    END {
      if (all != "") for (what in count) printf "%12d  %s\n", count[what], what | "sort -k 2"
      close("sort -k 2")
      printf "%d seeds, %d tasks, %d events; %d seeds run twice gave the same trace\n", seeds, tasks, events, twice
    }' "${@:2}"
}

main() {
  local numbers=() report="" jobs directory files=() first seeds
  jobs=$(nproc)
  while (($# > 0)); do
    case $1 in
      --report) report=--report ;;
      --jobs)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage_error "--jobs needs a number"
        jobs=$2
        shift
        ;;
      -h | --help) print_usage && exit ;;
      *[!0-9]* | "") usage_error "unknown argument $1" ;;
      *) numbers+=("$1") ;;
    esac
    shift
  done
  build
  if [[ -n ${WEFT_SEED:-} ]]; then exec "$program" --seed "$WEFT_SEED" --trace ${report:+"$report"}; fi

  directory=$source_dir/build/simulation/$(sha256sum "$program" | head -c 16)
  mkdir -p "$directory"
  rm -f "$directory"/*.new "$directory"/*.errors
  export program
  export -f run_part
  if ! parts "${numbers[0]:-1000}" "${numbers[1]:-1}" |
    xargs -P "$jobs" -L 1 bash -c "run_part '$directory' \"\$@\"" run_part 2>/dev/null; then
    local errors
    for errors in "$directory"/*.errors; do
      [[ -s $errors ]] || continue
      cat "${errors%.errors}.new" "$errors" >&2
      exit 1
    done
  fi
  while read -r first seeds; do files+=("$directory/$first+$seeds"); done < <(parts "${numbers[0]:-1000}" "${numbers[1]:-1}")
  merge "$report" "${files[@]}"
}

main "$@"
exit

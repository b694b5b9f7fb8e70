#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: chaos.sh [--minutes M] [--seed S]
#
# Runs a real broker, workers and clients, some behind a TCP proxy, and injects a fault about every second for
# M minutes (1; fractions are fine): kills and freezes of broker, workers, runners and clients, drained
# workers, connections that are cut, stalled, slowed and half-closed. Every answer is checked by value and
# count. Builds the release preset when needed. Ends with a report, or with the error and the directory of all
# logs.
#
# The seed S (random and printed unless given) determines the faults, their times and the tasks. Real
# processes do not run the same way twice, so a seed does not replay a run exactly; the seeds of simulate.sh
# do.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/chaos.sh"; }

build() {
  cd "$source_dir"
  [[ -f build/release/build.ninja ]] || cmake --preset release >/dev/null
  cmake --build --preset release --target weft_chaos >&2
}

main() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help) print_usage && exit ;; esac
  done
  build
  exec "$source_dir/build/release/bin/weft_chaos" "$@"
}

main "$@"
exit

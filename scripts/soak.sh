#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: soak.sh [--minutes M]
#
# Puts a broker, a worker with two slots and a client under a steady load for M minutes (60): bursts of small
# tasks, large arguments and results, single tasks in between. Samples memory and descriptors every few
# seconds, prints the percentiles of the round trip every minute, and ends with a verdict: exit code 0 if
# memory and descriptors do not grow. Builds the release preset when needed.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/soak.sh"; }

build() {
  cd "$source_dir"
  [[ -f build/release/build.ninja ]] || cmake --preset release >/dev/null
  cmake --build --preset release --target weft_soak >&2
}

main() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help) print_usage && exit ;; esac
  done
  build
  exec "$source_dir/build/release/bin/weft_soak" "$@"
}

main "$@"
exit

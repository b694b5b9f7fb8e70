#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: bench.sh [--rounds N] [--rows 1,3,4] [--tasks N] [--peers] [--markdown FILE] [--svg FILE]
#
# Measures Weft on this machine, and each figure's yardstick next to it, in one interleaved run of N rounds
# (5). Prints a table of the medians. Real processes on loopback; builds the release preset when needed. The
# machine should be idle.
#
#   --rows       only these rows of the table, 1 to 13
#   --tasks      N tasks where the table says a million, for a quicker run
#   --peers      gearmand and Dask as well: packages gearman-job-server, libgearman-dev, python3-distributed
#   --markdown   writes the table to FILE
#   --svg        writes the curve of row 4 (efficiency by length of a task) to FILE
#
# The yardsticks are in tests/bench: raw sockets, processes that share a counter, a bare loop, a thread pool.
# Exit code 0 when everything could be measured, whether or not the targets are met.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/bench.sh"; }

# The client for gearmand is built only where libgearman is installed.
check_peers() {
  local missing=()
  [[ -x /usr/sbin/gearmand ]] || missing+=(gearman-job-server)
  [[ -e /usr/include/libgearman/gearman.h ]] || missing+=(libgearman-dev)
  /usr/bin/python3 -c 'import distributed' 2>/dev/null || missing+=(python3-distributed)
  ((${#missing[@]} == 0)) && return
  printf 'bench.sh: for --peers please install %s\n' "${missing[*]}" >&2
  exit 1
}

build() { # TARGET...
  cd "$source_dir"
  # With --peers configure again: libgearman may have been installed since the last time.
  if [[ ! -f build/release/build.ninja ]] || (($# > 1)); then cmake --preset release >/dev/null; fi
  cmake --build --preset release --target "$@" >&2
}

main() {
  local argument targets=(weft_bench)
  for argument in "$@"; do
    case $argument in
      -h | --help) print_usage && exit ;;
      --peers) check_peers && targets+=(weft_bench_gearman) ;;
    esac
  done
  (build "${targets[@]}")
  exec "$source_dir/build/release/bin/weft_bench" "$@"
}

main "$@"
exit

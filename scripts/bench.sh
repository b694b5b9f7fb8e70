#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: bench.sh [--rounds N] [--rows 1,3,4] [--tasks N] [--peers] [--markdown FILE] [--svg FILE]
#
# Measures Weft on this machine, each figure beside what it is compared with, in one interleaved run: N rounds
# (5), whose medians make the table that is printed. Real processes on loopback; builds the release preset
# when needed. The machine should be idle.
#
#   --rows       only these rows of the table, 1 to 13
#   --tasks      so many where the table says a million: a quicker look
#   --peers      gearmand and Dask as well: packages gearman-job-server, libgearman-dev, python3-distributed
#   --markdown   writes the table to FILE
#   --svg        writes the curve of row 4 (efficiency by length of a task) to FILE
#
# What each figure stands beside is in tests/bench: raw sockets, processes that share a counter, a bare loop,
# a thread pool. Exit code 0 when everything could be measured, whether or not the targets are met.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/bench.sh"; }

# The client for gearmand is built only where its library is.
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
  # Anew with --peers: the library may have come since.
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

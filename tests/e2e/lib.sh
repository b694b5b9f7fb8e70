# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests that are scripts: a log directory, background processes, waiting for conditions. A script sources
# this file first, and appends its cleanup commands to `undo`.

work=$(mktemp -d)
pids=()  # of background processes; ended when the script ends
undo=()  # commands for the end, run in order; failures are ignored

skip() {
  echo "skipped: $*"
  exit 77
}

cleanup() {
  local pid command
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2> /dev/null || true; done
  for command in "${undo[@]}"; do $command 2> /dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

fail() {
  echo "FAILED: $*" >&2
  for log in "$work"/*.log; do echo "--- $log"; tail -n 20 "$log"; done >&2
  exit 1
}

# wait_for DESCRIPTION COMMAND...: runs the command until it succeeds, for at most 20 s.
wait_for() {
  local what=$1 deadline=$((SECONDS + 20))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || fail "waited 20 s for $what"
    sleep 0.05
  done
}

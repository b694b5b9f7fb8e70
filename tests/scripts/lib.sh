# SPDX-License-Identifier: MIT
# Shared by the tests of the scripts. A test file defines functions test_NAME and ends with `run_test "$@"`,
# which runs one of them in a temporary directory. WEFT_BIN_DIR is the directory of the programs.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

tests_dir=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
scripts_dir=$(cd "$tests_dir/../../scripts" && pwd)
: "${WEFT_BIN_DIR:?says where weft, weft-broker and weft-worker are}"
unset WEFT_BROKER XDG_RUNTIME_DIR WEFT_SSH
work="" # the temporary directory
declare -A started=() # pids of helpers, ended with the test

fail() {
  printf 'FAILED: %s\n' "$1" >&2
  exit 1
}

# expect WHAT COMMAND...: prints what is asserted, and fails unless the command succeeds.
expect() {
  local what=$1
  shift
  if "$@"; then printf 'ok: %s\n' "$what"; else fail "$what"; fi
}

equal() {
  [[ $1 == "$2" ]] || { printf '  expected: %s\n  found:    %s\n' "$2" "$1" >&2 && return 1; }
}

contains() {
  [[ $1 == *"$2"* ]] || { printf '  expected within: %s\n  of: %s\n' "$2" "$1" >&2 && return 1; }
}

fails() { ! "$@" >/dev/null 2>&1; }

# await SECONDS COMMAND...: waits until the command succeeds.
await() {
  local deadline=$((SECONDS + $1 + 1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# Runs a command; sets code, out and err.
run() {
  code=0
  "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
  out=$(<"$work/out") err=$(<"$work/err")
}

# A single read: a process that ends between two reads of /proc has no state.
dead() {
  local state
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)
  [[ -z $state || $state == Z* ]]
}

# Holds a free port on loopback, listening or (refused) only bound; sets port and holder.
hold_port() { # listening|refusing|full
  rm -f "$work/port"
  python3 "$tests_dir/hold_port.py" "$1" >"$work/port" &
  holder=$!
  started[$holder]=1
  await 10 test -s "$work/port" || fail "hold_port.py does not start"
  port=$(<"$work/port")
}

end_helpers() {
  local pid
  for pid in "${!started[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "started[$pid]"
  done
}

clean_up() {
  local status=$? state
  trap - EXIT
  for state in "$work"/state*; do
    [[ -d $state/run ]] || continue
    ((status == 0)) || WEFT_STATE_DIR=$state "$scripts_dir/cluster.sh" logs >&2 || true
    WEFT_STATE_DIR=$state "$scripts_dir/cluster.sh" down --grace 1s >/dev/null 2>&1 || true
  done
  end_helpers
  rm -rf "$work"
  exit "$status"
}

run_test() {
  local name=${1:-}
  if ! declare -F "test_$name" >/dev/null; then
    printf 'tests: %s\n' "$(declare -F | sed -n 's/.* test_//p' | tr '\n' ' ')" >&2
    exit 2
  fi
  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  export WEFT_STATE_DIR=$work/state
  "test_$name"
}

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A client in Python, written from PROTOCOL.md and VALUES.md alone, runs calls on a real broker and worker.
# Usage: python_client_test.sh BUILD_DIR
set -euo pipefail

build=$(cd "$1" && pwd)
client=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/python_client.py
if ! /usr/bin/python3 -c 'import zmq, msgpack' 2>/dev/null; then
  echo "skipped: python3-zmq or python3-msgpack is not installed"
  exit 77
fi

dir=$(mktemp -d)
broker_pid='' worker_pid='' client_pid=''  # empty: not started, or ended
end_all() {
  local pid
  for pid in $client_pid $worker_pid $broker_pid; do
    kill "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true  # the broker may be stopped
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$dir"
}
trap end_all EXIT
trap 'exit 1' INT TERM HUP

fail() {
  echo "FAILED: $1"
  tail -n 50 "$dir"/*.log "$dir"/*.out 2>/dev/null || true
  exit 1
}

# Runs "$@" until it succeeds, for at most 20 seconds.
await() {
  local end=$((SECONDS + 20))
  until "$@"; do
    if ((SECONDS >= end)); then fail "it did not come within 20 s: $*"; fi
    sleep 0.05
  done
}
served() { grep -qs 'serving on tcp://' "$dir/broker.log"; }
status() { timeout 10 "$build/bin/weft" status "$address" >"$dir/status.out" 2>&1; }
status_has() { status && grep -q -- "$1" "$dir/status.out"; }
status_lacks() { status && ! grep -q -- "$1" "$dir/status.out"; }

start_worker() {
  "$build/bin/weft-worker" "$address" --name python-test --nprocs 2 --load "$build/bin/libtasks.so" \
    --local-directory "$dir/worker" >"$dir/worker.log" 2>&1 &
  worker_pid=$!
}

start_client() {
  timeout 60 /usr/bin/python3 "$client" "$address" >"$dir/client.out" 2>"$dir/client-errors.log" &
  client_pid=$!
}

# Waits for the client, whose exit code must be $1.
client_ends_with() {
  local code=0
  wait "$client_pid" || code=$?
  client_pid=''
  ((code == $1)) || fail "the client ended with exit code $code, not $1"
}

# Checks that the client has ended well, that every line of its output is right, and that the broker has
# forgotten it.
check_client() {
  client_ends_with 0
  [[ ! -s $dir/client-errors.log ]] || fail "the client wrote to stderr"
  [[ $(tail -n 1 "$dir/client.out") == ok ]] || fail "the last line is not: ok"
  # Results come in any order; the two deliveries of one task, charged and final, come in that order.
  sed '$d' "$dir/client.out" | LC_ALL=C sort -s -t: -k1,1n >"$dir/sorted.out"
  diff "$dir/expected" "$dir/sorted.out" || fail "these lines differ (< expected, > found)"
  await status_lacks 'python_client'
}

cat >"$dir/expected" <<'END'
1: count_primes(0, 100) = 25
2: mean([1.0, 2.5]) = 1.75
3: mean(b'\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x14@') = 3.0
4: reversed('Weft\udcff') = '\udcfftfeW'
5: mean([]) failed on python-test (and is tried again): std::invalid_argument: the mean of no values
5: mean([]) failed on python-test: std::invalid_argument: the mean of no values
6: fib(10) failed on python-test (and is tried again): no exception: the call has the signature int(int), the task "fib" in the library has long(long)
6: fib(10) failed on python-test: no exception: the call has the signature int(int), the task "fib" in the library has long(long)
END

# With this grace period only GOODBYE makes the broker forget a client.
"$build/bin/weft-broker" --port 0 --heartbeat-interval 0.5 --client-grace 3600 >"$dir/broker.log" 2>&1 &
broker_pid=$!
await served
address=$(sed -n 's|.*serving on tcp://\([^ ]*\).*|\1|p' "$dir/broker.log" | head -n 1)

echo "- the client submits before there is a worker"
start_client
await status_has 'python_client.*connected'
await status_has '[1-9] queued'
start_worker
check_client

echo "- a worker is there first"
start_client
check_client

echo "- a broker that falls silent is given up, in a sentence"
kill "$worker_pid"  # so that the tasks stay open
wait "$worker_pid" || true
worker_pid=''
start_client
await status_has 'python_client.*connected'
await status_has '[1-9] queued'
kill -STOP "$broker_pid"
client_ends_with 1
kill -CONT "$broker_pid"
grep -q 'the broker was silent for 1.5 s' "$dir/client-errors.log" || fail "it did not say that the broker was silent"
echo "ok"

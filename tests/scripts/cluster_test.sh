#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of scripts/cluster.sh on real processes: starting, dying and ending.
# shellcheck disable=SC2154 # run() sets code, out and err
# shellcheck source=cluster_lib.sh
source "${BASH_SOURCE[0]%/*}/cluster_lib.sh"

test_up_and_down() {
  local pids address again
  up --workers 2 --nprocs 2
  printf '%s\n' "$out" "$err"
  expect "up succeeds" equal "$code" 0
  expect "it tells the slots" contains "$out" "4 on 2 workers"
  expect "it tells where the logs are" contains "$out" "$WEFT_STATE_DIR/logs"
  address=$(sed -n 's/^address: *//p' <<<"$out")
  expect "it tells an address that answers" "$WEFT_BIN_DIR/weft" ping "${address#tcp://}"
  expect "the state is private" equal "$(stat -c %a "$WEFT_STATE_DIR")" 700

  run "$cluster" status
  printf '%s\n' "$out"
  expect "all is well" equal "$code" 0
  expect "the broker is alive" grep -qE '^broker +alive' "$work/out"
  expect "worker-1 is alive" grep -qE '^worker-1 +alive' "$work/out"
  expect "worker-2 is alive" grep -qE '^worker-2 +alive' "$work/out"
  expect "slots are told" contains "$out" "4: 0 busy, 4 idle"
  expect "tasks are told" contains "$out" "0 queued"

  run "$cluster" logs
  expect "the logs name their process" contains "$out" "broker | "

  mapfile -t pids < <(all_pids)
  up --workers 5
  expect "a second up succeeds" equal "$code" 0
  expect "it says that the cluster runs" contains "$out" "already running"
  expect "it tells the same address" contains "$out" "$address"
  mapfile -t again < <(all_pids)
  expect "it changes nothing" equal "${again[*]}" "${pids[*]}"

  run "$cluster" down
  expect "down succeeds" equal "$code" 0
  expect "no process is left" all_dead "${pids[@]}"
  expect "no file is left but the logs" only_logs
  run "$cluster" status
  expect "status fails without a cluster" equal "$code" 1
  run "$cluster" down
  expect "a second down succeeds" equal "$code" 0
}

test_two_ups_at_once() {
  local first second
  "$cluster" up --port 0 --nprocs 1 >"$work/first" 2>&1 &
  first=$!
  "$cluster" up --port 0 --nprocs 1 >"$work/second" 2>&1 &
  second=$!
  expect "the first succeeds" wait "$first"
  expect "the second succeeds" wait "$second"
  expect "both tell one address" equal "$(grep ^address: "$work/first")" "$(grep ^address: "$work/second")"
  expect "one of them found it running" equal "$(cat "$work/first" "$work/second" | grep -c 'already running')" 1
  expect "all is well" well
}

test_the_callers_files_are_not_kept() {
  local text fd
  exec {fd}>"$work/lock"
  flock "$fd"
  text=$("$cluster" up --port 0 --nprocs 1) # would wait for ever if a process kept the pipe
  expect "up returns from a pipe" contains "$text" address:
  exec {fd}>&-
  expect "a lock of the caller's is free again" flock -n "$work/lock" true
}

test_scale() {
  local newest
  up --workers 1 --nprocs 2
  run "$cluster" scale 3
  expect "scale up succeeds" equal "$code" 0
  expect "all slots are there" contains "$out" "6 on 3 workers"
  newest=$(pid_of worker-3)
  run "$cluster" scale 1
  expect "scale down succeeds" equal "$code" 0
  expect "the newest leaves" dead "$newest"
  expect "the oldest stays" await 10 status_says '^worker-1 +alive'
  expect "their slots are gone" await 10 status_says '^slots +2:'
  expect "all is well" well
  run "$cluster" scale 0
  expect "no worker is allowed" equal "$code" 0
}

test_the_dead_are_started_again() {
  local before address
  up --workers 2 --nprocs 1
  address=$(sed -n 's/^address: *//p' <<<"$out")
  before=$(pid_of worker-2)
  kill -s KILL "$before"
  expect "a worker is started again" await 10 status_says '^worker-2 +alive .*restarted 1 time'
  expect "as another process" test "$(pid_of worker-2)" != "$before"
  expect "all is well again" await 15 well
  expect "the log says why" grep -q 'worker-2 was killed by SIGKILL' "$WEFT_STATE_DIR/logs/worker-2.log"
  kill -s KILL "$(pid_of broker)"
  expect "the broker is started again" await 10 status_says '^broker +alive .*restarted 1 time'
  expect "all is well again" await 15 well
  run "$cluster" status
  expect "it serves the same port" contains "$out" "$address"
}

test_five_fast_deaths_give_up() {
  # shellcheck disable=SC2016 # expanded by the script
  fake_worker '[[ ! -e ${0%/*}/broken ]] || { echo "broken on purpose" >&2; exit 3; }; exec "$real" "$@"'
  up --workers 2 --nprocs 1
  expect "a cluster is up" equal "$code" 0
  touch "$work/bin/broken"
  kill -s KILL "$(pid_of worker-2)"
  expect "it is given up" await 20 status_says '^worker-2 +dead +given up: it died 5 times in a row'
  expect "with the exit code" status_says 'exit code 3'
  expect "with its last words" status_says 'broken on purpose'
  expect "not all is well" fails well
  expect "the log says so" grep -q 'worker-2 has been given up' "$WEFT_STATE_DIR/logs/worker-2.log"
  expect "the others are alive" status_says '^worker-1 +alive'
  rm "$work/bin/broken"
  run "$cluster" scale 2
  expect "scale replaces it" equal "$code" 0
  expect "all is well again" await 10 well
}

test_an_up_that_fails_leaves_nothing() {
  fake_worker 'echo "no luck today" >&2; exit 3'
  up --workers 1
  printf '%s\n' "$err"
  expect "up fails" equal "$code" 1
  expect "it says who was given up" contains "$err" "worker-1 has been given up"
  expect "and why" contains "$err" "no luck today"
  expect "no file is left but the logs" only_logs

  fake_worker 'exec sleep 300'
  up --workers 1 --timeout 1s
  printf '%s\n' "$err"
  expect "a worker that does not join fails it, too" equal "$code" 1
  expect "it says who is missing" contains "$err" "worker-1 has not joined"
  expect "no file is left but the logs" only_logs
}

test_a_taken_port() {
  hold_port listening
  run "$cluster" up --port "$port"
  printf '%s\n' "$err"
  expect "up fails" equal "$code" 1
  expect "it says who was given up" contains "$err" "broker has been given up"
  expect "it names the port" contains "$err" "$port"
  expect "no file is left but the logs" only_logs
}

test_clusters_side_by_side() {
  local first=$WEFT_STATE_DIR second=$WEFT_STATE_DIR-2 pids
  up --nprocs 1
  mapfile -t pids < <(all_pids)
  export WEFT_STATE_DIR=$second
  up --nprocs 1
  expect "two are up" equal "$code" 0
  expect "the second is well" well
  run "$cluster" down
  expect "the second is down" fails well
  export WEFT_STATE_DIR=$first
  expect "the first is well" well
  expect "with the same processes" equal "$(all_pids | tr '\n' ' ')" "${pids[*]} "
}

test_workers_by_ssh() {
  local remote
  # As sshd does: one string to a shell, without the caller's environment.
  # shellcheck disable=SC2016 # expanded by the stub
  printf '#!/bin/sh\nshift\nexec env -i HOME="$HOME" PATH=/usr/bin:/bin sh -c "$*"\n' >"$work/ssh"
  chmod +x "$work/ssh"
  export WEFT_SSH=$work/ssh
  printf '# machines\nlocalhost 2   # two slots\n\n127.0.0.1 1\n' >"$work/hosts"
  up --hosts "$work/hosts"
  printf '%s\n' "$out" "$err"
  expect "up succeeds" equal "$code" 0
  expect "the slots are those of the file" contains "$out" "3 on 2 workers"
  expect "all is well" well
  expect "status names the machine" status_says '^worker-1 +alive +on localhost'
  remote=$(remote_worker_pid worker-2)
  kill -s KILL "$remote"
  expect "a worker that died there is started again" await 10 status_says '^worker-2 +alive .*restarted 1 time'
  expect "all is well again" await 15 well
  remote=$(remote_worker_pid worker-2)
  run "$cluster" down
  expect "down succeeds" equal "$code" 0
  expect "down stops the workers there" dead "$remote"

  printf 'far.example 2\n' >"$work/hosts"
  up --hosts "$work/hosts"
  expect "another machine cannot reach loopback: wrong usage" equal "$code" 2
  printf 'localhost 2 3\n' >"$work/hosts"
  up --hosts "$work/hosts"
  expect "a line of three words is wrong usage" equal "$code" 2
}

# The process of the remote worker with the name $1, found by its command line.
remote_worker_pid() {
  local file
  for file in /proc/[0-9]*/cmdline; do
    # Its fork server and reapers have the same command line, but other names.
    if [[ $(cat "${file%cmdline}comm" 2>/dev/null) == weft-worker ]] && tr '\0' ' ' 2>/dev/null <"$file" | grep -qE "(^|[ /])weft-worker $(<"$WEFT_STATE_DIR/run/address") --name $1 "; then
      file=${file#/proc/}
      printf '%s\n' "${file%/cmdline}"
    fi
  done
}

test_stale_state() {
  local stranger
  up --nprocs 1
  mapfile -t pids < <(all_pids)
  kill -s KILL "${pids[@]}"
  await 10 all_dead "${pids[@]}"
  expect "not all is well" fails well
  sleep 300 &  # as if this pid had belonged to the broker before a reboot
  stranger=$!
  started[$stranger]=1
  sed -i "s/^[0-9]*/$stranger/" "$WEFT_STATE_DIR"/run/*.supervisor "$WEFT_STATE_DIR"/run/*.process
  expect "status sees that the broker is dead" status_says '^broker +dead'
  up --nprocs 1
  expect "up starts a new cluster" equal "$code" 0
  expect "all is well" well
  expect "the stranger is left alone" fails dead "$stranger"
}

test_down_is_thorough() {
  local pids before=$SECONDS
  # shellcheck disable=SC2016 # expanded by the script
  fake_worker 'trap "" TERM; "$real" "$@" & while :; do wait; sleep 0.1; done'
  up --nprocs 1
  expect "a cluster is up whose worker ignores SIGTERM" equal "$code" 0
  mapfile -t pids < <(all_pids)
  # shellcheck disable=SC2207 # pids
  pids+=($(remote_worker_pid worker-1))
  run "$cluster" down --grace 0.5s
  expect "down succeeds" equal "$code" 0
  expect "it says whom it killed" contains "$out" "worker-1 has not left in time and is killed"
  expect "no process is left, its children neither" all_dead "${pids[@]}"
  expect "no file is left but the logs" only_logs
  expect "in time" test $((SECONDS - before)) -le 20
}

test_a_lost_supervisor() {
  local pids
  up --nprocs 1
  mapfile -t pids < <(all_pids)
  kill -s KILL "$(cut -d' ' -f1 "$WEFT_STATE_DIR/run/worker-1.supervisor")"
  expect "status says so" await 10 status_says '^worker-1 +alive .*nothing supervises it'
  expect "not all is well" fails well
  run "$cluster" down
  expect "down succeeds" equal "$code" 0
  expect "no process is left" all_dead "${pids[@]}"
  expect "no file is left but the logs" only_logs
}

run_test "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of scripts/cluster.sh on real processes. Every broker takes a free port.
# shellcheck disable=SC2154 # run() sets code, out and err
# shellcheck source=lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
cluster=$scripts_dir/cluster.sh

up() { run "$cluster" up --port 0 "$@"; }

pid_of() { cut -d' ' -f1 "$WEFT_STATE_DIR/run/$1.process" 2>/dev/null; }

well() { "$cluster" status >/dev/null; }

status_says() {
  "$cluster" status >"$work/status" || true
  grep -qE "$1" "$work/status"
}

# All processes of the cluster, its supervisor included.
all_pids() { cut -d' ' -f1 "$WEFT_STATE_DIR"/run/*.supervisor "$WEFT_STATE_DIR"/run/*.process; }

all_dead() {
  local pid
  for pid in "$@"; do
    dead "$pid" || return 1
  done
}

new_pid() { [[ $(pid_of "$1") != "$2" ]]; } # MEMBER BEFORE

# Nothing but logs is left in the state directory.
only_logs() { [[ -z $(find "$WEFT_STATE_DIR" -mindepth 1 ! -path "$WEFT_STATE_DIR/logs" ! -path "$WEFT_STATE_DIR/logs/*.log") ]]; }

# A directory of programs in which weft-worker is a script with the given body; $real is the real one.
fake_worker() {
  : "${real_bin_dir:=$WEFT_BIN_DIR}"
  export WEFT_BIN_DIR=$work/bin
  mkdir -p "$work/bin"
  ln -sf "$real_bin_dir"/weft "$real_bin_dir"/weft-broker "$work/bin/"
  printf '#!/usr/bin/env bash\nreal=%q/weft-worker\n%s\n' "$real_bin_dir" "$1" >"$work/bin/weft-worker"
  chmod +x "$work/bin/weft-worker"
}

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
  # What sshd does: one string to a shell, nothing of the caller's environment.
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
    # its fork server and reapers have its command line, and names of their own.
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
  sleep 300 & # as if its pid had belonged to the broker before a reboot
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

test_following_the_logs() {
  local follower
  up --nprocs 1
  "$cluster" logs -f >"$work/followed" &
  follower=$!
  started[$follower]=1
  expect "what was written is shown" await 10 grep -q '^broker | ' "$work/followed"
  echo "a new line" >>"$WEFT_STATE_DIR/logs/worker-1.log"
  expect "what is written is shown" await 10 grep -q '^worker-1 | a new line$' "$work/followed"
  run "$cluster" scale 2
  echo "hello" >>"$WEFT_STATE_DIR/logs/worker-2.log"
  expect "a new worker's log is followed" await 10 grep -q '^worker-2 | hello$' "$work/followed"
  kill "$follower"
  expect "it ends" await 10 dead "$follower"
}

test_wrong_usage() {
  local words
  for words in "" "nonsense" "up --workers" "up --workers x" "up --workers -1" "up --nprocs 0" "up --port 70000" "up 2" "up --nonsense" \
    "up --timeout soon" "status now" "logs -x" "scale" "scale x" "scale 1 2" "down --grace" "down --grace x" "down now"; do
    # shellcheck disable=SC2086 # words
    run "$cluster" $words
    expect "exit 2 of: cluster.sh $words" equal "$code" 2
    expect "  with the usage" contains "$err" "Usage: cluster.sh"
  done
  run "$cluster" --help
  expect "--help succeeds" equal "$code" 0
  expect "--help explains scale" contains "$out" "scale W"
  expect "it does not show the comment on how it works" fails grep -q "How it works" "$work/out"
  mkdir -m 755 "$WEFT_STATE_DIR"
  up
  expect "a state directory that others may enter is refused" equal "$code" 1
  expect "  with the reason" contains "$err" "others may enter"
}

test_programs_are_found() {
  local real=$WEFT_BIN_DIR tree=$work/tree
  mkdir -p "$tree/bin" "$tree/scripts" "$tree/build/release"
  cp "$scripts_dir/cluster.sh" "$tree/scripts/"
  cluster=$tree/scripts/cluster.sh
  unset WEFT_BIN_DIR
  up
  expect "no programs: up fails" equal "$code" 1
  expect "  and says what is missing" contains "$err" "weft-broker"
  WEFT_BIN_DIR=$tree up
  expect "WEFT_BIN_DIR without programs: up fails" equal "$code" 1
  expect "  and names it" contains "$err" "$tree"
  PATH=$real:$PATH up --workers 0
  expect "on PATH" equal "$code" 0
  PATH=$real:$PATH run "$cluster" down
  ln -s "$real" "$tree/build/release/bin"
  up --workers 0
  expect "in the build tree" equal "$code" 0
  run "$cluster" down
  rm "$tree/build/release/bin"
  cp "$scripts_dir/cluster.sh" "$tree/bin/"
  ln -s "$real"/* "$tree/bin/"
  cluster=$tree/bin/cluster.sh
  up --workers 0
  expect "beside the script" equal "$code" 0
  run "$cluster" down
}

test_what_cannot_start_is_told_at_once() {
  local directory
  hold_port listening
  run "$cluster" up --port "$port"
  expect "a taken port: up fails" equal "$code" 1
  expect "  after one try" fails grep -q 'times in a row' "$work/err"
  directory=$work/open
  mkdir -m 755 "$directory"
  up -- --local-directory "$directory"
  printf '%s\n' "$err"
  expect "a directory that others may enter: up fails" equal "$code" 1
  expect "  with the reason" contains "$err" "other users may enter $directory"
  expect "  after one try" fails grep -q 'times in a row' "$work/err"
  expect "no file is left but the logs" only_logs
}

test_other_addresses_need_insecure() {
  up --host 0.0.0.0
  printf '%s\n' "$err"
  expect "up on every address fails" equal "$code" 1
  expect "and says what allows it" contains "$err" "--insecure"
  expect "before anything starts" fails test -e "$WEFT_STATE_DIR/run"
  up --host 0.0.0.0 --insecure --nprocs 1
  expect "with --insecure it is up" equal "$code" 0
  expect "all is well" well
}

test_the_line_to_export() {
  up --nprocs 1
  eval "$(grep '^export ' <<<"$out")"
  expect "programs find the broker" "$WEFT_BIN_DIR/weft" ping
}

test_drained_workers_stay_out() {
  local address
  up --workers 2 --nprocs 1
  address=$(<"$WEFT_STATE_DIR/run/address")
  run "$cluster" drain worker-2
  printf '%s\n' "$out" "$err"
  expect "drain succeeds" equal "$code" 0
  expect "status says so" status_says '^worker-2 +dead +drained'
  expect "that is well" well
  expect "its slots are gone" status_says '^slots +1:'
  run "$cluster" scale 2
  expect "scale succeeds" equal "$code" 0
  expect "it is back" status_says '^worker-2 +alive'
  expect "weft drain succeeds" "$WEFT_BIN_DIR/weft" drain worker-1 "$address"
  expect "that worker stays out, too" await 10 status_says '^worker-1 +dead +drained'
  run "$cluster" up
  expect "up succeeds" equal "$code" 0
  expect "it says who is back" contains "$out" "restarted: worker-1"
  expect "all is well" await 10 well
  expect "both are alive" status_says '^worker-1 +alive'
  run "$cluster" drain worker-7
  expect "drain of an unknown worker fails" equal "$code" 1
  expect "and names it" contains "$err" worker-7
}

test_restart_rolls_through() {
  local before after
  # shellcheck disable=SC2016 # expanded by the script
  fake_worker '[[ ! -e ${0%/*}/broken ]] || { echo "broken on purpose" >&2; exit 3; }; exec "$real" "$@"'
  up --workers 2 --nprocs 1
  before="$(pid_of broker) $(pid_of worker-1) $(pid_of worker-2)"
  run "$cluster" restart
  printf '%s\n' "$out" "$err"
  expect "restart succeeds" equal "$code" 0
  expect "all is well" well
  after="$(pid_of broker) $(pid_of worker-1) $(pid_of worker-2)"
  expect "the workers are others" fails grep -qE " (${before#* }|${before##* })$" <<<"$after"
  expect "the broker is the same" equal "${after%% *}" "${before%% *}"
  run "$cluster" restart broker
  expect "restart broker succeeds" equal "$code" 0
  expect "it is another one" test "$(pid_of broker)" != "${before%% *}"
  expect "all is well" await 15 well
  before=$(pid_of worker-2)
  touch "$work/bin/broken"
  run "$cluster" restart
  printf '%s\n' "$err"
  expect "an update that cannot start: restart fails" equal "$code" 1
  expect "  with the reason" contains "$err" "broken on purpose"
  expect "  and stops there" equal "$(pid_of worker-2)" "$before"
  rm "$work/bin/broken"
  run "$cluster" restart worker-1
  expect "restart of one succeeds" equal "$code" 0
  expect "all is well" await 15 well
  run "$cluster" restart worker-9
  expect "restart of an unknown one fails" equal "$code" 1
}

test_logs_are_rotated_and_kept() {
  local size
  # shellcheck disable=SC2016 # expanded by the script
  fake_worker 'for i in {1..40000}; do echo "a line of the first cluster, number $i"; done; exec "$real" "$@"'
  up --nprocs 1 --log-size 256K
  expect "a cluster is up" equal "$code" 0
  run "$cluster" down
  size=$(cat "$WEFT_STATE_DIR"/logs/worker-1*.log | wc -c)
  expect "the logs of a worker are bounded" test "$size" -le $((3 * 2 * 262144))
  expect "an older one is kept" test -s "$WEFT_STATE_DIR/logs/worker-1.1.log"
  # shellcheck disable=SC2016 # expanded by the script
  fake_worker 'exec "$real" "$@"'
  up --nprocs 1
  run "$cluster" down
  run "$cluster" logs
  expect "the next cluster keeps them" grep -q '^worker-1 | a line of the first cluster, number 40000$' "$work/out"
  expect "every line has its name" equal "$(grep -cvE '^(broker|worker-1) \| ' "$work/out")" 0
  expect "the older one comes first" equal "$(grep -oE 'number 3999[89]' "$work/out" | tr '\n' ' ')" "number 39998 number 39999 "
}

test_logs_are_bytes() {
  local locale
  mkdir -m 700 "$WEFT_STATE_DIR" "$WEFT_STATE_DIR/logs"
  printf '2026-01-01 12:00:00.000 I caf\xe9 \xff\xfe\nno newline at the end' >"$WEFT_STATE_DIR/logs/worker-1.log"
  printf '2026-01-01 12:00:00.500 I hello\n' >"$WEFT_STATE_DIR/logs/worker-2.log"
  for locale in C C.UTF-8; do
    LC_ALL=$locale run "$cluster" logs
    expect "logs succeeds in $locale" equal "$code" 0
    expect "every byte is there" grep -qaF "$(printf 'worker-1 | 2026-01-01 12:00:00.000 I caf\xe9 \xff\xfe')" "$work/out"
    expect "a line without a newline is one line" grep -qx 'worker-1 | no newline at the end' "$work/out"
    expect "so is the next" grep -qx 'worker-2 | .* hello' "$work/out"
  done
}

test_relative_directories() {
  export CDPATH=.:$HOME
  cd "$WEFT_BIN_DIR/.." || exit
  WEFT_BIN_DIR=${WEFT_BIN_DIR##*/} up --nprocs 1
  printf '%s\n' "$err"
  expect "a relative WEFT_BIN_DIR with CDPATH: up succeeds" equal "$code" 0
  expect "all is well" well
  run "$cluster" down
  cd "$work" || exit
  WEFT_STATE_DIR=state up --nprocs 1
  expect "a relative WEFT_STATE_DIR: up succeeds" equal "$code" 0
  expect "all is well" well
}

# In a mount namespace, so that the disk is the test's own.
test_a_full_disk() {
  if [[ -z ${WEFT_TEST_NAMESPACE:-} ]]; then
    unshare --map-root-user --mount true 2>/dev/null || { echo "left out: no mount namespaces here" && return; }
    WEFT_TEST_NAMESPACE=1 unshare --map-root-user --mount "$tests_dir/cluster_test.sh" a_full_disk
    return
  fi
  local disk=$work/state-disk before
  mkdir "$disk"
  mount -t tmpfs -o size=2m,mode=700 tmpfs "$disk"
  export WEFT_STATE_DIR=$disk
  up --workers 2 --nprocs 1
  expect "a cluster is up" equal "$code" 0
  dd if=/dev/zero of="$disk/ballast" bs=4096 2>/dev/null || true
  expect "the disk is full" fails dd if=/dev/zero of="$disk/more" bs=64k count=1
  before=$(pid_of worker-1)
  kill -s KILL "$before"
  expect "a worker is started again" await 10 status_says '^worker-1 +alive .*restarted 1 time'
  expect "all is well" await 15 well
  kill -s KILL "$(pid_of broker)"
  expect "the broker is started again" await 10 status_says '^broker +alive .*restarted 1 time'
  expect "all is well" await 15 well
  rm -f "$disk/ballast" "$disk/more"
  expect "once there is space, the state is written down" await 10 new_pid worker-1 "$before"
  run "$cluster" scale 3
  expect "scale succeeds" equal "$code" 0
  run "$cluster" down
  expect "down succeeds" equal "$code" 0
  expect "no file is left but the logs" only_logs
  umount "$disk"
}

run_test "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of scripts/cluster.sh on real processes: its commands, its logs, its refusals.
# shellcheck disable=SC2154 # run() sets code, out and err
# shellcheck source=cluster_lib.sh
source "${BASH_SOURCE[0]%/*}/cluster_lib.sh"

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

# In a mount namespace, so that the disk belongs to the test.
test_a_full_disk() {
  if [[ -z ${WEFT_TEST_NAMESPACE:-} ]]; then
    unshare --map-root-user --mount true 2>/dev/null || { echo "left out: no mount namespaces here" && return; }
    WEFT_TEST_NAMESPACE=1 unshare --map-root-user --mount "$tests_dir/cluster_commands_test.sh" a_full_disk
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

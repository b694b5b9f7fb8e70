#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of scripts/check_port.sh, compared with the real nc where nc supports the same usage.
# shellcheck disable=SC2154 # run() and hold_port() set code, out, err, port and holder
# shellcheck source=lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
check_port=$scripts_dir/check_port.sh

# Both print the same and agree on whether the port accepts.
same_as_nc() {
  local nc_err nc_code
  run nc "$@"
  nc_err=$err nc_code=$code
  run "$check_port" "$@"
  printf '  %s\n' "$nc_err"
  equal "$err" "$nc_err" && equal "$code" "$nc_code" && equal "$out" ""
}

test_agrees_with_nc() {
  hold_port listening
  expect "an open port" same_as_nc -zv 127.0.0.1 "$port"
  expect "an open port of a name" same_as_nc -zv localhost "$port"
  expect "an open port of a short address" same_as_nc -zv 127.1 "$port"
  expect "an open port, silently" same_as_nc -z 127.0.0.1 "$port"
  hold_port refusing
  expect "a closed port" same_as_nc -zv 127.0.0.1 "$port"
  expect "a closed port of a name" same_as_nc -zv localhost "$port"
  expect "a closed port, silently" same_as_nc -z 127.0.0.1 "$port"
  expect "a name that does not exist" same_as_nc -zv nosuchhost.invalid 80
}

# The well-known port of a service needs root to listen on: open or not, both programs must say the same.
test_names_of_services() {
  local service
  for service in http ssh domain www; do  # www is an alias of http
    expect "$service" same_as_nc -zv 127.0.0.1 "$service"
  done
  run "$check_port" 127.0.0.1 nosuchservice
  expect "a service that does not exist is wrong usage" equal "$code" 2
  expect "  and named" contains "$err" "'nosuchservice'"
}

test_options_in_any_place() {
  hold_port listening
  local words
  for words in "-z -v -w 1 H P" "-zv -w1 H P" "-vzw 1 H P" "-zvw1 H P" "H P -v" "H -v P" "H -w 1 P -vz" "H P -w1 -zv" "-v -- H P"; do
    words=${words/H/127.0.0.1} words=${words/P/$port}
    # shellcheck disable=SC2086 # words
    run "$check_port" $words
    expect "$words" equal "$code $err" "0 Connection to 127.0.0.1 $port port [tcp/*] succeeded!"
  done
}

test_wrong_usage() {
  local words
  for words in "" "127.0.0.1" "127.0.0.1 80 81" "127.0.0.1 0" "127.0.0.1 65536" "127.0.0.1 http/1" "127.0.0.1 -5" \
    "-w 127.0.0.1 80" "-w x 127.0.0.1 80" "-w 0 127.0.0.1 80" "127.0.0.1 80 -w" "-q 127.0.0.1 80" "--verbose 127.0.0.1 80" "a/b 80"; do
    # shellcheck disable=SC2086 # words
    run "$check_port" $words
    expect "exit 2 of: check_port.sh $words" equal "$code" 2
    expect "  with the usage" contains "$err" "Usage: check_port.sh"
  done
  run "$check_port" --help
  expect "--help succeeds" equal "$code" 0
  expect "--help explains -w" contains "$out" "-w SECONDS"
}

test_gives_up_in_time() {
  hold_port full
  local before=$SECONDS
  run "$check_port" -v -w 1 127.0.0.1 "$port"
  expect "a port that does not answer is not open" equal "$code" 1
  expect "it says so" equal "$err" "nc: connect to 127.0.0.1 port $port (tcp) timed out: Operation now in progress"
  expect "in time" test $((SECONDS - before)) -le 4
  expect "as nc does" same_as_nc -zv -w 1 127.0.0.1 "$port"
}

test_needs_bash_and_coreutils_alone() {
  local tool
  mkdir "$work/bin"
  for tool in bash env readlink timeout; do ln -s "$(type -P "$tool")" "$work/bin/$tool"; done
  hold_port listening
  run env PATH="$work/bin" "$check_port" -v localhost "$port"
  expect "an open port" equal "$code $err" "0 Connection to localhost $port port [tcp/*] succeeded!"
  run env PATH="$work/bin" "$check_port" -v 127.0.0.1 www
  expect "another name of a service" contains "$err" "127.0.0.1 port 80 "
  run env PATH="$work/bin" "$check_port" nonsense
  expect "wrong usage" equal "$code" 2
  expect "  with the usage" contains "$err" "Usage: check_port.sh"
}

test_ping() {
  run "$scripts_dir/cluster.sh" up --workers 1 --nprocs 2 --port 0
  expect "a cluster is up" equal "$code" 0
  local address
  address=$(sed -n 's/^address: *tcp:\/\///p' <<<"$out")
  run "$check_port" --ping "${address%:*}" "${address##*:}"
  printf '  %s\n' "$out"
  expect "a broker answers" equal "$code" 0
  expect "its version is told" contains "$out" "weft-broker 0."
  expect "its epoch is told" contains "$out" epoch
  expect "its slots are told" contains "$out" "2 slots"
  hold_port listening
  run "$check_port" --ping -w 1 127.0.0.1 "$port"
  expect "what is not a broker is told apart" equal "$code" 1
  expect "in words" contains "$err" "no weft broker answers"
}

run_test "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Four clients, each in a network namespace, lose their link for 4, 10, 30 and 59 s while their tasks run. A
# client waits up to 60 s for its broker: each gets every result, and no task is executed twice.
#
# usage: link_down_test.sh BUILD_DIR      (needs root for the namespaces; says so and skips without)
set -euo pipefail

build=$1
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tag=$$
for name in broker 4 10 30 59; do undo+=("ip netns del weft-$name-$tag"); done

# connect SECONDS NUMBER: a network of two, 10.124.NUMBER.1 at the broker and 10.124.NUMBER.2 at the client.
connect() {
  local client=weft-$1-$tag here=wb$2x$tag there=wc$2x$tag
  ip netns add "$client"
  ip link add "$here" netns "weft-broker-$tag" type veth peer name "$there" netns "$client"
  ip -n "weft-broker-$tag" address add "10.124.$2.1/24" dev "$here"
  ip -n "$client" address add "10.124.$2.2/24" dev "$there"
  ip -n "weft-broker-$tag" link set "$here" up
  ip -n "$client" link set "$there" up
}

# ride_out SECONDS NUMBER END: starts a client and takes its link down for so long, at the client's or the
# broker's end.
ride_out() {
  local name=away-$1 namespace interface client
  ip netns exec "weft-$1-$tag" "$build/bin/weft_e2e_program" rides_out "10.124.$2.1:8786" "$work/$name" \
    > "$work/$name.log" 2>&1 &
  client=$!
  trap 'kill $client 2> /dev/null || true' EXIT
  wait_for "$name's first results" grep -qs running "$work/$name.log"
  case $3 in
    client) namespace=weft-$1-$tag interface=wc$2x$tag ;;
    broker) namespace=weft-broker-$tag interface=wb$2x$tag ;;
  esac
  ip -n "$namespace" link set "$interface" down
  sleep "$1"
  ip -n "$namespace" link set "$interface" up
  wait "$client" || fail "$name: exit code $?"
}

# check SECONDS: this client was away, and each of its tasks has started once.
check() {
  local name=away-$1
  grep -q "all right" "$work/$name.log" || fail "$name did not get every result"
  grep -Eq "client $name is (silent|lost)" "$work/broker.log" || fail "the broker did not notice that $name was away"
  ! grep -q "client $name has left.*[1-9][0-9]* open" "$work/broker.log" || fail "the broker gave $name up"
  [[ $(sort -n "$work/$name" | uniq -d | wc -l) == 0 ]] ||
    fail "$name: executed more than once: $(sort -n "$work/$name" | uniq -d | tr '\n' ' ')"
  [[ $(sort -u "$work/$name" | wc -l) == 120 ]] || fail "$name: $(sort -u "$work/$name" | wc -l) of 120 tasks were executed"
  echo "$1 s: 120 tasks, 120 executions"
}

[[ $(id -u) == 0 ]] || skip "network namespaces need root"
command -v ip > /dev/null || skip "network namespaces need iproute2"
ip netns add "weft-broker-$tag" 2> "$work/netns" || skip "no network namespace: $(< "$work/netns")"
ip -n "weft-broker-$tag" link set lo up
connect 4 1 2> "$work/netns" || skip "no link between network namespaces: $(< "$work/netns")"
connect 10 2
connect 30 3
connect 59 4

ip netns exec "weft-broker-$tag" "$build/bin/weft-broker" --host "*" --insecure > "$work/broker.log" 2>&1 &
pids+=($!)
wait_for "the broker" grep -qs "serving on" "$work/broker.log"
ip netns exec "weft-broker-$tag" "$build/bin/weft-worker" 127.0.0.1:8786 --nprocs 16 --local-directory "$work/cache" \
  > "$work/worker.log" 2>&1 &
pids+=($!)

rides=()
ride_out 4 1 client & rides+=($!)
ride_out 10 2 broker & rides+=($!)
ride_out 30 3 broker & rides+=($!)
ride_out 59 4 client & rides+=($!)
pids+=("${rides[@]}")
for ride in "${rides[@]}"; do wait "$ride" || exit 1; done
for seconds in 4 10 30 59; do check "$seconds"; done
echo "passed"

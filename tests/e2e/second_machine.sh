#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A second machine, as near as one kernel gets to it: the worker has a network and a mount namespace. It sees
# the installed tree and the system's libraries, but not the client's directory, the build tree, its home or
# /tmp. The client brings a shared library and deletes its own binary once it has started. Shipping that only
# works on one disk is not shipping.
#
# usage: second_machine.sh BUILD_DIR      (needs root for the namespaces; says so and skips without)
set -euo pipefail

build=$1
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $(id -u) == 0 ]] || skip "network namespaces need root"
command -v ip > /dev/null || skip "network namespaces need iproute2"
tag=$$
undo+=("ip netns del weft-here-$tag" "ip netns del weft-there-$tag")

echo "installing the tree that the second machine gets"
cmake --install "$build" --prefix "$work/prefix" > "$work/install.log"
mkdir "$work/client"
cp "$build/bin/weft_e2e_baggage_program" "$build/bin/libweft_e2e_baggage.so" "$work/client"

echo "two machines, one cable"
ip netns add "weft-here-$tag"
ip netns add "weft-there-$tag"
ip link add "wh$tag" netns "weft-here-$tag" type veth peer name "wt$tag" netns "weft-there-$tag"
ip -n "weft-here-$tag" address add 10.123.45.1/24 dev "wh$tag"
ip -n "weft-there-$tag" address add 10.123.45.2/24 dev "wt$tag"
for side in here there; do ip -n "weft-$side-$tag" link set lo up; done
ip -n "weft-here-$tag" link set "wh$tag" up
ip -n "weft-there-$tag" link set "wt$tag" up

ip netns exec "weft-here-$tag" "$work/prefix/bin/weft-broker" --host 10.123.45.1 --insecure \
  > "$work/broker.log" 2>&1 &
pids+=($!)
wait_for "the broker" grep -q "serving on tcp://10.123.45.1:8786" "$work/broker.log"

# In the namespace: binds the installed tree to /mnt, then hides every place where the client could be found.
cat > "$work/there.sh" <<'THERE'
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/weft
mount --bind "$1/prefix" /mnt/weft
for hidden in "$2" "$HOME" /tmp; do mount -t tmpfs tmpfs "$hidden"; done
cd /
exec /mnt/weft/bin/weft-worker 10.123.45.1:8786 --nprocs 2 --name there --local-directory /tmp/weft-cache
THERE
repo=$(cd "$(dirname "$0")/../.." && pwd)
ip netns exec "weft-there-$tag" unshare --mount bash "$work/there.sh" "$work" "$repo" > "$work/worker.log" 2>&1 &
pids+=($!)

joined() { ip netns exec "weft-here-$tag" "$work/prefix/bin/weft" ping 10.123.45.1:8786 2> /dev/null | grep -q "2 slots"; }
wait_for "the worker on the second machine" joined

echo "the client, which deletes itself"
ip netns exec "weft-here-$tag" "$work/client/weft_e2e_baggage_program" 10.123.45.1:8786 --delete-self \
  > "$work/client.log" 2>&1 || fail "the client"
cat "$work/client.log"
grep -q "sum 14850, there sees .*: no" "$work/client.log" || fail "not what it should print"
[ ! -e "$work/client/weft_e2e_baggage_program" ] || fail "the client did not delete itself"
echo "a client whose library counts as the system's, and is missing on the second machine"
mkdir "$work/elsewhere"
cp "$build/bin/weft_e2e_baggage_program" "$work/elsewhere"
cat > "$work/missing.sh" <<'MISSING'
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs tmpfs /usr/lib/tmpfiles.d  # any directory below /usr/lib: its contents are not shipped
cp "$1/bin/libweft_e2e_baggage.so" /usr/lib/tmpfiles.d
LD_LIBRARY_PATH=/usr/lib/tmpfiles.d exec "$2/elsewhere/weft_e2e_baggage_program" 10.123.45.1:8786
MISSING
begin=$SECONDS
if ip netns exec "weft-here-$tag" unshare --mount bash "$work/missing.sh" "$build" "$work" > "$work/missing.log" 2>&1; then
  fail "the program started without its library"
fi
cat "$work/missing.log"
grep -q "libweft_e2e_baggage.so: cannot open shared object file" "$work/missing.log" || fail "the loader's message is missing"
[ $((SECONDS - begin)) -le 5 ] || fail "it took more than 5 s"
echo "passed"

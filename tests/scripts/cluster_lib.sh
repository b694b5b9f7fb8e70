# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Shared by the tests of scripts/cluster.sh. Every broker takes a free port.
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

# The state directory contains only logs.
only_logs() { [[ -z $(find "$WEFT_STATE_DIR" -mindepth 1 ! -path "$WEFT_STATE_DIR/logs" ! -path "$WEFT_STATE_DIR/logs/*.log") ]]; }

# A directory of programs in which weft-worker is a script with the given body; $real is the real weft-worker.
fake_worker() {
  : "${real_bin_dir:=$WEFT_BIN_DIR}"
  export WEFT_BIN_DIR=$work/bin
  mkdir -p "$work/bin"
  ln -sf "$real_bin_dir"/weft "$real_bin_dir"/weft-broker "$work/bin/"
  printf '#!/usr/bin/env bash\nreal=%q/weft-worker\n%s\n' "$real_bin_dir" "$1" >"$work/bin/weft-worker"
  chmod +x "$work/bin/weft-worker"
}

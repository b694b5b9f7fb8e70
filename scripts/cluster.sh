#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: cluster.sh up|status|logs|scale|drain|restart|down ...     (--help says more)
#
# `weft cluster` under the name that scripts know. Takes the programs from $WEFT_BIN_DIR; without it from the
# directory of this script, the build tree or PATH. Exit code: 0 success, 1 failure, 2 wrong usage.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

die() {
  printf 'cluster.sh: %s\n' "$1" >&2
  exit 1
}

has_programs() { [[ -x $1/weft-broker && -x $1/weft-worker && -x $1/weft ]]; }

if [[ -n ${WEFT_BIN_DIR:-} ]]; then
  has_programs "$WEFT_BIN_DIR" || die "weft, weft-broker and weft-worker are not all in WEFT_BIN_DIR, $WEFT_BIN_DIR"
else
  on_path=$(type -P weft-broker || true)
  for candidate in "$here" "$here/../bin" "$here/../build/release/bin" "${on_path%/*}"; do
    if [[ -n $candidate ]] && has_programs "$candidate"; then WEFT_BIN_DIR=$candidate && break; fi
  done
  [[ -n ${WEFT_BIN_DIR:-} ]] || die "weft, weft-broker and weft-worker are found neither beside this script nor in the build tree nor on PATH; set WEFT_BIN_DIR"
fi
WEFT_BIN_DIR=$(realpath -s "$WEFT_BIN_DIR")
export WEFT_BIN_DIR
exec -a cluster.sh "$WEFT_BIN_DIR/weft" cluster "$@"

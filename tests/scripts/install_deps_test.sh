#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of scripts/install_deps.sh; none of them installs anything.
# shellcheck disable=SC2154 # run() sets code, out and err
# shellcheck source=lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
install_deps=$scripts_dir/install_deps.sh

test_silent_when_nothing_is_missing() {
  run "$install_deps"
  expect "it succeeds" equal "$code" 0
  expect "and says nothing" equal "$out$err" ""
}

test_other_systems() {
  local tool
  mkdir "$work/bin"
  for tool in bash env readlink sed; do ln -s "$(type -P "$tool")" "$work/bin/$tool"; done
  run env PATH="$work/bin" "$install_deps"
  printf '  %s\n' "$err"
  expect "without apt it fails" equal "$code" 1
  expect "names what is missing" contains "$err" " ninja-build "
  expect "and not what is there" fails contains "$err" doctest-dev
}

test_wrong_usage() {
  run "$install_deps" --nonsense
  expect "an unknown option: exit 2" equal "$code" 2
  expect "  with the usage" contains "$err" "Usage: install_deps.sh"
}

run_test "$@"

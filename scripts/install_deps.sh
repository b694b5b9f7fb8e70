#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: install_deps.sh [--tests]
#
# Installs the missing packages of those that Weft is built with, and with --tests of those that its
# tests need. Silent when no package is missing. Works on Debian and Ubuntu, as root or with sudo; on
# any other system it names the missing packages and exits with 1.
set -euo pipefail

self=$(readlink -f "${BASH_SOURCE[0]}")

# Package, and the program, header or Python module by which it is detected on a system without dpkg.
readonly kBuild="
g++                 program:g++
cmake               program:cmake
ninja-build         program:ninja
pkg-config          program:pkg-config
git                 program:git
libzmq3-dev         header:zmq.h
cppzmq-dev          header:zmq.hpp
libmsgpack-cxx-dev  header:msgpack.hpp
libfmt-dev          header:fmt/core.h
libspdlog-dev       header:spdlog/spdlog.h
libcli11-dev        header:CLI/CLI.hpp
libsodium-dev       header:sodium.h
nlohmann-json3-dev  header:nlohmann/json.hpp
libsqlite3-dev      header:sqlite3.h
doctest-dev         header:doctest/doctest.h
"
readonly kTests="
clang-format        program:clang-format
shellcheck          program:shellcheck
iproute2            program:ip
netcat-openbsd      program:nc
curl                program:curl
python3             program:python3
python3-msgpack     python:msgpack
python3-zmq         python:zmq
clang-16            program:clang++-16
libclang-rt-16-dev  program:clang++-16
valgrind            program:valgrind
"

there() { # PROBE
  local name=${1#*:} directory
  case $1 in
    program:*) type -P "$name" >/dev/null ;;
    header:*)
      for directory in /usr/include /usr/local/include /usr/include/*/; do
        if [[ -e $directory/$name ]]; then return 0; fi
      done
      return 1
      ;;
    python:*) type -P python3 >/dev/null && python3 -c "import $name" 2>/dev/null ;;
  esac
}

# Prints the packages of a list that are not installed.
missing() { # LIST
  local package probe installed=" "
  if type -P dpkg-query >/dev/null; then
    # dpkg-query exits with 1 when it does not know a package, which is no error here.
    # shellcheck disable=SC2001,SC2016 # every line; expanded by dpkg-query
    installed=" $( (sed 's/ .*//' <<<"$1" | xargs dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null || true) | sed -n 's/^installed //p' | tr '\n' ' ') "
  fi
  while read -r package probe; do
    [[ -n $package ]] || continue
    if [[ $installed == *" $package "* ]]; then continue; fi
    if ! type -P dpkg-query >/dev/null && there "$probe"; then continue; fi
    printf '%s\n' "$package"
  done <<<"$1"
}

main() {
  local list=$kBuild packages=() as_root=() install
  while (($# > 0)); do
    case $1 in
      --tests) list+=$kTests ;;
      -h | --help) sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$self" && return ;;
      *) printf 'install_deps.sh: unknown argument %s\nUsage: install_deps.sh [--tests]\n' "$1" >&2 && exit 2 ;;
    esac
    shift
  done
  mapfile -t packages < <(missing "$list")
  ((${#packages[@]} > 0)) || return 0

  if ! type -P dpkg-query >/dev/null || ! type -P apt-get >/dev/null; then
    printf 'install_deps.sh: this is neither Debian nor Ubuntu. Please install what Debian calls: %s\n' "${packages[*]}" >&2
    exit 1
  fi
  if ((EUID != 0)); then
    if ! type -P sudo >/dev/null; then
      printf 'install_deps.sh: neither root nor sudo. As root: apt-get install %s\n' "${packages[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
    [[ -t 0 ]] || as_root+=(-n) # without a terminal, fail instead of asking for a password
  fi
  printf 'installing %s\n' "${packages[*]}"
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}")
  # apt-get update takes long, so it runs only if the package lists are missing or too old.
  if ! "${install[@]}"; then
    "${as_root[@]}" apt-get update -q
    "${install[@]}" || {
      printf 'install_deps.sh: could not install %s\n' "${packages[*]}" >&2
      exit 1
    }
  fi
}

main "$@"

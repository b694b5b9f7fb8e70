#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An outside project uses the installed tree, with CMake and with pkg-config. Its program then runs on a
# cluster that the installed scripts start.
#
# usage: install_test.sh BUILD_DIR
set -euo pipefail

build=$1
work=$(mktemp -d)
export WEFT_STATE_DIR=$work/state
cleanup() {
  "$work/prefix/bin/cluster.sh" down > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

cmake --install "$build" --prefix "$work/prefix" > /dev/null
for program in weft weft-broker weft-worker weft-runner cluster.sh check_port.sh; do
  [ -x "$work/prefix/bin/$program" ] || { echo "FAILED: bin/$program is not installed" >&2; exit 1; }
done

mkdir "$work/project"
cat > "$work/project/CMakeLists.txt" <<'PROJECT'
cmake_minimum_required(VERSION 3.22)
project(outside LANGUAGES CXX)
find_package(weft REQUIRED)
add_executable(outside main.cpp)
target_link_libraries(outside PRIVATE weft::client)
PROJECT
cat > "$work/project/main.cpp" <<'PROGRAM'
#include <weft/weft.hpp>
#include <cstdio>
#include <ranges>
long square(long x) { return x * x; }
int main() {
  weft::Client client;
  long sum = 0;
  for (long value : client.gather(client.map<square>(std::views::iota(0L, 10L)))) sum += value;
  std::printf("sum %ld\n", sum);
}
PROGRAM

echo "with CMake"
cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/prefix" > /dev/null
cmake --build "$work/project/build" > /dev/null

echo "with pkg-config"
PKG_CONFIG_PATH=$(find "$work/prefix" -name pkgconfig -type d)
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # flags are words
c++ -std=c++20 "$work/project/main.cpp" -o "$work/project/with_pkg_config" $(pkg-config --cflags --libs weft)

echo "with containers of another layout: it does not link, and the linker's words say why"
# shellcheck disable=SC2046  # flags are words
if c++ -std=c++20 -D_GLIBCXX_DEBUG "$work/project/main.cpp" -o "$work/project/debug" \
    $(pkg-config --cflags --libs weft) 2> "$work/words"; then
  echo "FAILED: a program with -D_GLIBCXX_DEBUG links" >&2
  exit 1
fi
grep -q 'GLIBCXX_DEBUG_must_be_defined_for_the_weft_library_too' "$work/words" || { cat "$work/words" >&2; exit 1; }

"$work/prefix/bin/cluster.sh" up --workers 1 --nprocs 2 --port 0
WEFT_BROKER=$("$work/prefix/bin/cluster.sh" status | grep -o '127\.0\.0\.1:[0-9]*' | head -n 1)
export WEFT_BROKER
for program in build/outside with_pkg_config; do
  [ "$("$work/project/$program")" = "sum 285" ] || { echo "FAILED: $program" >&2; exit 1; }
done
"$work/prefix/bin/cluster.sh" down
echo "passed"

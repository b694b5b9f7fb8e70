#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compiles every C++ and CMake snippet of the pages below, and README's pkg-config line, unchanged, against an
# installed tree, and runs them on a cluster. Only the broker's address is replaced by the cluster's, and the
# loop of README's program is shortened.
#
# Every page with snippets is in the list. Of its C++ blocks
#   - one, on one of the pages, has a main: it is built with the only CMake block;
#   - those that begin with "template" are definitions;
#   - all others are statements. Each becomes a function with `client` and, of three tasks, `futures`, which may use
#     the declarations below (fit, grid, use, ...). A loop that uses results uses three of them.
# Code in backticks that begins with "client." and ends with ")" is run as well.
#
# usage: readme_test.sh BUILD_DIR
#        readme_test.sh --extract DIRECTORY    only writes the programs to DIRECTORY (main.cpp, snippets.cpp)
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
pages=(README.md client/GUIDE.md)
build=$1
work=$(mktemp -d)
export WEFT_STATE_DIR=$work/state
cleanup() {
  "$work/prefix/bin/cluster.sh" down --grace 2s > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() {
  printf 'FAILED: %s\n' "$1" >&2
  exit 1
}

# Writes each fenced block of LANGUAGE, of all pages in order, to DIRECTORY/NN.
blocks() { # LANGUAGE DIRECTORY
  mkdir "$2"
  awk -v language="$1" -v to="$2" '
    FNR == 1 || $0 == "```" { inside = 0 }
    inside { print > file }
    $0 == "```" language { inside = 1; file = sprintf("%s/%02d", to, ++count) }
  ' "${pages[@]}"
}
# Code in backticks that begins with PATTERN, one per line, without duplicates.
inline_code() { # PATTERN
  grep -oh "\`$1[^\`]*\`" "${pages[@]}" | tr -d '\`' | awk '!seen[$0]++'
}

cd "$root"
# The block of common/VALUES.md is in tests/unit/test_values_page.cpp.
unlisted=$(grep -rlxE --include='*.md' --exclude=VALUES.md --exclude-dir='build*' '```(cpp|cmake)' . |
  grep -vxF "$(printf './%s\n' "${pages[@]}")" || true)
[ -z "$unlisted" ] || fail "these pages have snippets that are not tested: $unlisted"
blocks cpp "$work/cpp"
blocks cmake "$work/cmake"
[ "$(find "$work/cmake" -type f | wc -l)" = 1 ] || fail "the pages do not have exactly one CMake block"
grep -l 'int main' "$work"/cpp/* > "$work/programs" || true
[ "$(wc -l < "$work/programs")" = 1 ] || fail "the pages do not have exactly one program with main"
grep -q '"192\.168\.14\.13:8786"' "$(cat "$work/programs")" || fail "README's program has another address"
mv "$(cat "$work/programs")" "$work/program.cpp"

eigen=$(find /usr/include/eigen3 /usr/local/include/eigen3 -maxdepth 0 2> /dev/null | head -n 1 || true)
{
  cat << 'BEFORE'
#include <weft/weft.hpp>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct Score {
  double value;
};
Score fit(double parameter) { return {2 * parameter}; }
double half(double x) { return x / 2; }
void prepare() {}
int inspect() { return 1; }
double fail() { throw 1; }
const double parameters = 1;
const std::vector<double> grid{1, 2, 3};
double used = 0;
void use(const Score& score) { used += score.value; }
BEFORE
  if [ -n "$eigen" ]; then echo '#include <Eigen/Core>'; fi
  for block in "$work"/cpp/*; do
    if [ -n "$eigen" ] || ! grep -q 'Eigen::' "$block"; then
      if grep -q '^template' "$block"; then cat "$block"; fi
    fi
  done
  if [ -n "$eigen" ]; then
    echo 'Eigen::MatrixXd transposed(const Eigen::MatrixXd& m) { return m.transpose(); }'
    echo 'bool eigen(weft::Client& client) {'
    echo '  const Eigen::MatrixXd m = Eigen::MatrixXd::Random(3, 2);'
    echo '  return client.submit<transposed>(m).result() == m.transpose() &&'
    echo '         client.submit<transposed>(Eigen::MatrixXd(0, 5)).result().rows() == 5;'
    echo '}'
  else
    echo 'bool eigen(weft::Client&) { return true; }'
  fi
  number=0
  calls=""
  for block in "$work"/cpp/*; do
    if grep -q '^template' "$block"; then continue; fi
    number=$((number + 1))
    printf 'void snippet_%d(weft::Client& client) {\n[[maybe_unused]] auto futures = client.map<fit>(grid);\n' "$number"
    cat "$block"
    printf '}\n'
    calls+="  snippet_$number(client);"$'\n'
  done
  echo 'void inline_code(weft::Client& client) {'
  echo '[[maybe_unused]] auto futures = client.map<fit>(grid);'
  echo 'auto future = client.submit<fail>();'
  echo 'future.wait();'
  inline_code 'client\.' | grep ')$' | sed 's/.*/static_cast<void>(&);/'
  echo '}'
  cat << AFTER
std::filesystem::path parent(std::filesystem::path path) { return path.parent_path(); }
int main() {
  weft::Client client;
$calls
  inline_code(client);
  if (client.submit<parent>(std::filesystem::path("/a/b")).result() != "/a" || !eigen(client)) return 1;
  std::printf("used %g\n", used);
}
AFTER
} > "$work/snippets.cpp"
# Three results of fit on the grid: 2 + 4 + 6.
used=$((12 * $(cat "$work"/cpp/* | grep -c '^for .*use(')))

if [ "$build" = --extract ]; then
  cp "$work/program.cpp" "$2/main.cpp"
  cp "$work/cmake/01" "$2/CMakeLists.txt"
  cp "$work/snippets.cpp" "$2/snippets.cpp"
  echo "main.cpp and snippets.cpp, which prints \"used $used\", are in $2"
  exit
fi

cmake --install "$build" --prefix "$work/prefix" > /dev/null
PKG_CONFIG_PATH=$(find "$work/prefix" -name pkgconfig -type d)
export PKG_CONFIG_PATH CMAKE_PREFIX_PATH=$work/prefix
export PATH=$work/prefix/bin:$PATH

"$work/prefix/bin/cluster.sh" up --workers 1 --nprocs 2 --port 0 --journal "$work/journal" -- --resources gpu=1
WEFT_BROKER=$("$work/prefix/bin/cluster.sh" status | grep -o '127\.0\.0\.1:[0-9]*' | head -n 1)
export WEFT_BROKER

echo "README's program"
mkdir "$work/program"
sed -e "s/192\.168\.14\.13:8786/$WEFT_BROKER/" -e "s/10'000'000/1'000/" "$work/program.cpp" > "$work/program/main.cpp"
cp "$work/cmake/01" "$work/program/CMakeLists.txt"

echo "  with CMake"
cmake -S "$work/program" -B "$work/program/build" > /dev/null
cmake --build "$work/program/build" > /dev/null
echo "  with pkg-config"
line=$(inline_code 'c++ -std=c++20 main.cpp')
(cd "$work/program" && eval "$line")
for binary in build/program a.out; do
  results=$("$work/program/$binary" 2> /dev/null) || fail "$binary of README's program ends with $?"
  [[ $results == "[499500, 499501, "*", 500499]" ]] || fail "$binary prints $results"
done

echo "  where no broker is"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed "s/192\.168\.14\.13:8786/127.0.0.1:$port/; s/$WEFT_BROKER/127.0.0.1:$port/" "$work/program/main.cpp" > "$work/program/alone.cpp"
(cd "$work/program" && eval "${line/main.cpp/alone.cpp} -o alone")
"$work/program/alone" > /dev/null 2> "$work/alone.err" &
alone=$!

echo "the other snippets"
[ -n "$eigen" ] || echo "  without Eigen, which is not installed: its snippet is left out"
# shellcheck disable=SC2046  # flags are words
c++ -std=c++20 -Wall -Wextra "$work/snippets.cpp" -o "$work/snippets" ${eigen:+-isystem "$eigen"} \
  $(pkg-config --cflags --libs weft)
[ "$("$work/snippets")" = "used $used" ] || fail "the snippets use other results than $used"

echo "  where no broker is: it has ended"
status=0
wait "$alone" || status=$?
[ "$status" = 1 ] || fail "README's program ends with $status where no broker is: $(cat "$work/alone.err")"
grep -q "127\.0\.0\.1:$port" "$work/alone.err" || fail "it does not say where no broker is: $(cat "$work/alone.err")"
if grep -q 'terminate called' "$work/alone.err"; then fail "it ends with $(cat "$work/alone.err")"; fi
"$work/prefix/bin/cluster.sh" down
echo "passed"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: mutate.sh [--seeds N] [--first SEED] [NAME...]
#
# Shows that the simulation bites. Each patch in tests/simulation/mutations breaks one promise on purpose;
# its first line says which. For each (or those that are named, without .patch) this applies it to a copy of
# the tree, builds weft_simulation there and runs seeds until one fails: N of them at most (3000), from SEED
# (1). Prints at which seed it was found, after how many, and by which complaint.
#
# Fails when a patch does not apply any more (make it again by hand: the change, then
# `git diff -U2 >tests/simulation/mutations/NAME.patch`, the first line kept), when what it makes does not
# build, or when no seed finds it. The copy is in build/mutations and is used again the next time.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
patches=$source_dir/tests/simulation/mutations
work=build/mutations # below source_dir
seeds=3000 first=1 failed=0

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$source_dir/scripts/mutate.sh"; }

usage_error() { # SENTENCE
  printf 'mutate.sh: %s\n' "$1" >&2
  print_usage >&2
  exit 2
}

complain() { # NAME SENTENCE
  printf '%-28s %s\n' "$1" "$2"
  failed=$((failed + 1))
}

# The files of the tree as they are now; those that did not change keep their times.
copy_tree() {
  mkdir -p "$work/tree" "$work/new"
  rm -rf "$work/new"
  mkdir -p "$work/new"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/new"
  restore "$work/new" "$work/tree"
  rm -rf "$work/new"
}

# Makes every file of TO what it is in FROM.
restore() { # FROM TO
  local name
  while IFS= read -r -d '' name; do
    cmp -s "$1/$name" "$2/$name" || install -D -m 644 "$1/$name" "$2/$name"
  done < <(cd "$1" && find . -type f -print0)
}

build() {
  [[ -f $work/build/build.ninja ]] ||
    cmake -S "$work/tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$work/build.log" 2>&1
  cmake --build "$work/build" --target weft_simulation >"$work/build.log" 2>&1
}

# Runs seeds until one fails.
hunt() { # NAME
  local name=$1 begin=$SECONDS seed
  timeout 900 "$work/build/bin/weft_simulation" --seeds "$seeds" --first "$first" >/dev/null 2>"$work/run.log" || true
  seed=$(sed -n 's/^seed \([0-9]*\) breaks a promise.*/\1/p' "$work/run.log")
  if [[ -z $seed ]]; then
    complain "$name" "NOT FOUND in $seeds seeds ($((SECONDS - begin)) s)"
  else
    printf '%-28s found at seed %d, after %d seeds: %s\n' "$name" "$seed" $((seed - first + 1)) \
      "$(sed -n '1s/^.*\(promise\|invariant\) broken: //p' "$work/run.log")"
  fi
}

try() { # NAME
  local name=$1 patch=$patches/$1.patch
  if ! git apply --directory="$work/tree" "$patch" 2>"$work/apply.log"; then
    complain "$name" "the patch does not apply any more: $(head -n 1 "$work/apply.log")"
    return
  fi
  if build; then
    hunt "$name"
  else
    complain "$name" "what it makes does not build: see $work/build.log"
  fi
  git apply --reverse --directory="$work/tree" "$patch"
}

main() {
  local names=() name
  while (($# > 0)); do
    case $1 in
      --seeds | --first)
        [[ ${2:-} =~ ^[0-9]+$ ]] || usage_error "$1 needs a number"
        printf -v "${1#--}" %s "$2"
        shift
        ;;
      -h | --help) print_usage && exit ;;
      -*) usage_error "unknown argument $1" ;;
      *) names+=("$1") ;;
    esac
    shift
  done
  cd "$source_dir"
  if ((${#names[@]} == 0)); then
    for name in "$patches"/*.patch; do names+=("$(basename "$name" .patch)"); done
  fi
  for name in "${names[@]}"; do
    [[ -f $patches/$name.patch ]] || usage_error "there is no mutation $name in $patches"
  done
  copy_tree
  for name in "${names[@]}"; do try "$name"; done
  printf '%d mutations, %d failed\n' "${#names[@]}" "$failed"
  ((failed == 0))
}

main "$@"
exit

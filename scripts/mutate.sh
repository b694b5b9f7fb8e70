#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: mutate.sh [--preset NAME] [--built] [--seeds N] [--first SEED] [--record] [--list | NAME...]
#
# Mutation testing of the simulation. Each patch in tests/simulation/mutations breaks one promise on purpose;
# its first line says which. For each patch (or those that are named, without .patch) this compiles the
# changed files without optimisation, and links them with the rest of weft_simulation, which is built in
# preset NAME (release). Then it runs the seed that has found the mutation before, recorded in found_by.txt,
# and if that seed no longer finds the mutation, up to N other seeds (3000), from SEED (1), until one does.
#
#   --list     prints the names
#   --built    does not build weft_simulation, so that several calls can run at once
#   --record   writes the seeds that find the mutations into found_by.txt
#
# Fails when a patch no longer applies (repeat its change by hand, then run
# `git diff -U2 >tests/simulation/mutations/NAME.patch`, and put its first line back), when the patched files
# do not compile, or when no seed finds the mutation. All output is in build/mutations.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
patches=$source_dir/tests/simulation/mutations
work=build/mutations # relative to source_dir
preset=release seeds=3000 first=1 built=0 record=0 failed=0

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

all_names() { for patch in "$patches"/*.patch; do basename "$patch" .patch; done; }

build() {
  [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target weft_simulation >&2
}

# Objects that depend on one of the files.
depending() { # FILE...
  ninja -C "build/$preset" -t deps | awk -v files="$*" -v tree="$source_dir/" '
    BEGIN { n = split(files, list, " "); for (i = 1; i <= n; ++i) wanted[list[i]] }
    /^[^ ]/ { object = substr($1, 1, length($1) - 1) }
    /^ / {
      file = $1
      if (index(file, tree) == 1) file = substr(file, length(tree) + 1)
      sub(/^(\.\.\/)+/, "", file)
      if (file in wanted && !(object in printed)) { printed[object]; print object }
    }'
}

# Prints the command for each object, with the changed files in place of those of the tree.
compile_commands() { # DIRECTORY OBJECT... <COMMANDS
  local directory=$1 object command source
  shift
  while read -r command; do
    for object in "$@"; do
      [[ $command == *" -o $object "* ]] || continue
      source=${command##* }
      [[ ! -f $directory/${source#"$source_dir/"} ]] || command="${command% *} $directory/${source#"$source_dir/"}"
      command=${command/ -I/ -I$directory -I}
      command=${command/ -MD -MT $object -MF $object.d / }
      printf '%s\n' "${command/ -o $object / -o $directory/objects/${object//\//+} -O0 -w }"
    done
  done
}

# Links weft_simulation with the objects of DIRECTORY, which take precedence over those in the archives.
link() { # DIRECTORY <COMMANDS
  local directory=$1 command object
  command=$(grep -- ' -o bin/weft_simulation ' | sed 's/^: && //; s/ && :$//')
  for object in "$directory"/objects/*; do
    object=$(basename "$object")
    command=${command/ ${object//+/\/} / }
  done
  (cd "build/$preset" && eval "${command/ -o bin\/weft_simulation / "$directory"/objects/* -o "$directory"/weft_simulation }")
}

# Builds DIRECTORY/weft_simulation with the mutation.
make_mutant() { # DIRECTORY FILE...
  local directory=$1 objects commands
  shift
  mapfile -t objects < <(depending "$@")
  ((${#objects[@]} > 0)) || return 1
  commands=$(ninja -C "build/$preset" -t commands weft_simulation)
  mkdir -p "$directory/objects"
  compile_commands "$directory" "${objects[@]}" <<<"$commands" |
    (cd "build/$preset" && tr '\n' '\0' | xargs -0 -P "$(nproc)" -I{} bash -c '{}') &&
    link "$directory" <<<"$commands"
}

recorded_seed() { sed -n "s/^$1 //p" "$patches/found_by.txt"; }

record_seed() { # NAME SEED
  local file=$patches/found_by.txt
  { grep -v "^$1 " "$file" || true; } >"$work/found_by.txt"
  printf '%s %d\n' "$1" "$2" >>"$work/found_by.txt"
  sort "$work/found_by.txt" >"$file"
}

# Runs seeds; prints the first that fails, if any.
failing_seed() { # PROGRAM ARGUMENT...
  timeout 900 "$@" >/dev/null 2>"$(dirname "$1")/run.log" || true
  sed -n 's/^seed \([0-9]*\) breaks a promise.*/\1/p' "$(dirname "$1")/run.log"
}

# Runs the recorded seed and, unless it fails, others until one fails.
hunt() { # NAME DIRECTORY
  local name=$1 program=$2/weft_simulation seed="" known
  known=$(recorded_seed "$name")
  [[ -z $known ]] || seed=$(failing_seed "$program" --seeds 1 --first "$known")
  [[ -n $seed ]] || seed=$(failing_seed "$program" --seeds "$seeds" --first "$first")
  if [[ -z $seed ]]; then
    complain "$name" "NOT FOUND in $seeds seeds"
    return
  fi
  printf '%-28s found by seed %d: %s\n' "$name" "$seed" \
    "$(sed -n '1s/^.*\(promise\|invariant\) broken: //p' "$2/run.log")"
  if [[ $seed != "$known" ]]; then
    if ((record)); then record_seed "$name" "$seed"; else printf 'It is recorded for another: --record changes that.\n'; fi
  fi
}

try() { # NAME
  local name=$1 patch=$patches/$1.patch directory=$source_dir/$work/$1 files
  rm -rf "$directory"
  mkdir -p "$directory"
  mapfile -t files < <(sed -n 's/^--- a\///p' "$patch")
  cp --parents "${files[@]}" "$directory"
  if ! git apply --directory="$work/$name" "$patch" 2>"$directory/apply.log"; then
    complain "$name" "the patch does not apply any more: $(head -n 1 "$directory/apply.log")"
  elif ! make_mutant "$directory" "${files[@]}" >"$directory/build.log" 2>&1; then
    complain "$name" "what it makes does not build: see $directory/build.log"
  else
    hunt "$name" "$directory"
  fi
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
      --preset)
        preset=${2:-}
        shift
        ;;
      --built) built=1 ;;
      --record) record=1 ;;
      --list) all_names && exit ;;
      -h | --help) print_usage && exit ;;
      -*) usage_error "unknown argument $1" ;;
      *) names+=("$1") ;;
    esac
    shift
  done
  cd "$source_dir"
  ((${#names[@]} > 0)) || mapfile -t names < <(all_names)
  for name in "${names[@]}"; do
    [[ -f $patches/$name.patch ]] || usage_error "there is no mutation $name in $patches"
  done
  ((built)) || build
  for name in "${names[@]}"; do try "$name"; done
  ((failed == 0)) || printf '%d of %d mutations failed\n' "$failed" "${#names[@]}"
  ((failed == 0))
}

main "$@"
exit

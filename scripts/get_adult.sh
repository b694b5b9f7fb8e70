#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Downloads the UCI adult data set (adult.data and adult.test, 6 MB) into a directory, for
# client/examples/adult_grid.cpp. A file whose MD5 is right is not downloaded again; a download is
# moved into place once its MD5 has been checked. WEFT_ADULT_URL replaces the base URL.
set -euo pipefail

usage="usage: get_adult.sh DIR     downloads adult.data and adult.test into DIR"
base="${WEFT_ADULT_URL:-https://archive.ics.uci.edu/ml/machine-learning-databases/adult}"

fail() {
  echo "get_adult.sh: $*" >&2
  exit 1
}

case "${1-}" in
  -h | --help)
    echo "$usage"
    exit 0
    ;;
esac
if [[ $# -ne 1 || -z "$1" || "$1" == -* ]]; then
  echo "$usage" >&2
  exit 2
fi
folder="$1"

is_right() { # FILE MD5
  [[ -f "$1" && "$(md5sum < "$1")" == "$2 "* ]]
}

download() { # URL FILE
  if command -v curl > /dev/null; then
    curl --fail --silent --show-error --location --connect-timeout 20 --retry 2 --output "$2" "$1"
  elif command -v wget > /dev/null; then
    wget --quiet --timeout=20 --tries=3 --output-document="$2" "$1"
  else
    fail "neither curl nor wget is here; install one: apt-get install curl"
  fi
}

command -v md5sum > /dev/null || fail "md5sum is not here; install it: apt-get install coreutils"
mkdir -p "$folder" || fail "cannot make the folder $folder"
partial=""
trap '[[ -z "$partial" ]] || rm -f "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

get() { # NAME MD5
  local file="$folder/$1" url="${base%/}/$1"
  if is_right "$file" "$2"; then
    echo "$file is there already"
    return
  fi
  [[ ! -d "$file" ]] || fail "$file is a folder; move it away"
  [[ ! -e "$file" ]] || echo "$file is not the file of the archive; it is replaced"
  partial="$(mktemp "$folder/.$1.XXXXXX")" || fail "cannot write into $folder"
  download "$url" "$partial" || fail "cannot download $url; check the network, or put the file into $folder by hand"
  is_right "$partial" "$2" || fail "$url is not the expected file: its MD5 is $(md5sum < "$partial" | cut -d' ' -f1), not $2"
  chmod 644 "$partial"
  mv -f "$partial" "$file" || fail "cannot write $file"
  partial=""
  echo "$file is downloaded"
}

get adult.data 5d7c39d7b8804f071cdd1f2a7c460872
get adult.test 35238206dfdf7f1fe215bbb874adecdc

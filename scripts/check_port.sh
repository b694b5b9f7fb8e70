#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: check_port.sh [-v] [-w SECONDS] [-z] [--ping] HOST PORT
#
# Checks whether a TCP port accepts connections. PORT is a number or the name of a service (ssh). Options may
# stand anywhere, as with nc.
#
#   -v          print the line that nc would print, on standard error
#   -w SECONDS  timeout for each address of HOST (default: that of the system)
#   -z          send no data (always so; accepted because nc needs it)
#   --ping      also check that a weft broker answers, and print its version, epoch and slots
#
# Exit code: 0 the port accepts (with --ping: and a broker answers), 1 it does not, 2 wrong usage.
# Without --ping only bash and coreutils are needed.
set -euo pipefail

self=$(readlink -f "${BASH_SOURCE[0]}")

# Prints the comment above, by bash alone: sed may be missing.
print_usage() {
  local line shown=0
  while IFS= read -r line; do
    [[ $line != "# Usage:"* ]] || shown=1
    ((shown)) || continue
    [[ $line == "#"* ]] || return 0
    line=${line#"#"}
    printf '%s\n' "${line# }"
  done <"$self"
}

usage_error() {
  local usage
  usage=$(print_usage)
  printf 'check_port.sh: %s\n%s\n' "$1" "${usage%%$'\n'*}" >&2
  exit 2
}

verbose=0 ping=0 seconds="" host="" port=""

parse_arguments() {
  local operands=() letters
  while (($# > 0)); do
    case $1 in
      --ping) ping=1 ;;
      -h | --help) print_usage && exit 0 ;;
      --) shift && operands+=("$@") && break ;;
      --*) usage_error "unknown option $1" ;;
      -?*)
        letters=${1#-}
        while [[ -n $letters ]]; do # -zv, -vw1: letters may share one dash, as nc's do
          case ${letters:0:1} in
            v) verbose=1 ;;
            z) ;;
            w)
              seconds=${letters:1}
              if [[ -z $seconds ]]; then
                (($# > 1)) || usage_error "-w needs a number of seconds"
                seconds=$2
                shift
              fi
              break
              ;;
            *) usage_error "unknown option -${letters:0:1}" ;;
          esac
          letters=${letters:1}
        done
        ;;
      *) operands+=("$1") ;;
    esac
    shift
  done
  ((${#operands[@]} == 2)) || usage_error "HOST and PORT are wanted, ${#operands[@]} given"
  host=${operands[0]} port=${operands[1]}
  [[ -n $host && $host != */* ]] || usage_error "not a host: '$host'"
  find_port
  [[ -z $seconds || $seconds =~ ^0*[1-9][0-9]{0,5}$ ]] || usage_error "not a number of seconds: '$seconds'"
}

# Replaces the name of a service in `port` by its number.
find_port() {
  local number=$port
  [[ $port =~ ^[0-9]+$ ]] || number=$(service_port "$port")
  [[ $number =~ ^0*[1-9][0-9]{0,4}$ ]] || usage_error "not a port, nor a service with one for TCP: '$port'"
  port=$((10#$number))
  ((port <= 65535)) || usage_error "not a port: $port"
}

# The TCP port of a service, by its name or one of its aliases.
service_port() {
  local line words word
  if [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ ]] && line=$(getent services "$1/tcp" 2>/dev/null); then
    read -r _ word _ <<<"$line"
    printf '%s' "${word%/tcp}"
    return
  fi
  while read -r -a words; do
    [[ ${words[1]:-} == */tcp ]] || continue
    for word in "${words[@]}"; do
      [[ $word != "#"* ]] || break
      [[ $word == "$1" ]] && printf '%s' "${words[1]%/tcp}" && return
    done
  done 2>/dev/null </etc/services || true
}

say() { if ((verbose)); then printf '%s\n' "$1" >&2; fi; }

# Sets `addresses` to those of the host. Without getent, bash resolves the name.
find_addresses() {
  local address kind
  addresses=()
  while read -r address kind _; do
    if [[ $kind == STREAM ]]; then addresses+=("$address"); fi
  done < <(getent ahosts "$host" 2>/dev/null || printf '%s STREAM\n' "$host")
}

service_name() {
  local name number
  while read -r name number _; do
    [[ $number == "$port/tcp" ]] && printf '%s' "$name" && return
  done 2>/dev/null </etc/services || true
  printf '*'
}

# Connects to one address. If that fails, says why, in the words of nc.
try_connect() {
  local address=$1 where=$host reason status=0
  [[ $address == "$host" ]] || where="$host ($address)"
  # In another shell, which timeout can end. --foreground: Ctrl-C reaches that shell.
  # shellcheck disable=SC2016 # expanded by the inner shell
  reason=$(LC_ALL=C timeout --foreground "${seconds:-0}" "$BASH" -c 'exec 3<>"/dev/tcp/$1/$2"' check_port "$address" "$port" 2>&1) || status=$?
  if ((status == 0)); then
    say "Connection to $where $port port [tcp/$(service_name)] succeeded!"
    return 0
  fi
  reason=${reason%%$'\n'*}
  if ((status == 124)); then
    say "nc: connect to $where port $port (tcp) timed out: Operation now in progress"
  elif [[ $reason == *"connect: "* ]]; then
    say "nc: connect to $where port $port (tcp) failed: ${reason##*: }"
  else
    say "nc: getaddrinfo for host \"$host\" port $port: ${reason##*: }"
  fi
  return 1
}

find_weft() {
  local here=${self%/*} candidate
  if [[ -n ${WEFT_BIN_DIR:-} ]]; then
    printf '%s/weft' "$WEFT_BIN_DIR"
    return
  fi
  for candidate in "$here/weft" "$here/../bin/weft" "$here/../build/release/bin/weft"; do
    [[ -x $candidate ]] && printf '%s' "$candidate" && return
  done
  type -P weft
}

ping_broker() {
  local weft address=$host:$port
  [[ $host == *:* ]] && address="[$host]:$port"
  weft=$(find_weft) || true
  if [[ ! -x $weft ]]; then
    printf 'check_port.sh: the weft program is missing: build it or set WEFT_BIN_DIR\n' >&2
    return 1
  fi
  timeout --foreground "${seconds:-5}" "$weft" ping "$address" || {
    printf 'check_port.sh: port %s of %s accepts, but no weft broker answers there\n' "$port" "$host" >&2
    return 1
  }
}

main() {
  local address addresses accepted=0
  parse_arguments "$@"
  find_addresses
  for address in "${addresses[@]}"; do
    if try_connect "$address"; then
      accepted=1
      break
    fi
  done
  ((accepted)) || exit 1
  if ((ping)); then ping_broker || exit 1; fi
}

main "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: cluster.sh up [--workers W] [--nprocs N] [--port P] [--host H] [--insecure] [--hosts FILE]
#                      [--journal FILE] [--timeout 60s] [-- EXTRA WORKER ARGS]
#        cluster.sh status | logs [-f] | scale W [--timeout 60s] | down [--grace 10s]
#
#   up      starts a broker and workers here, and returns when all slots have joined
#     --workers W    workers on this machine (default 1; with --hosts 0)
#     --nprocs N     slots of each (default: the cores of this machine shared out among them)
#     --port P       the broker's port (default 8786; 0: any free one)
#     --host H       the address that the broker serves (default 127.0.0.1)
#     --insecure     let it serve other than loopback without keys
#     --hosts FILE   start workers by ssh too: one "host [nprocs]" a line, # begins a comment
#     --journal FILE keeps detached tasks over the death of the broker
#     --timeout T    how long to wait for the slots
#   status  shows broker and workers, slots and tasks; exit code 0 only when all are well
#   logs    prints the logs, each line behind the name of its process; -f follows them
#   scale   starts workers on this machine, or drains the newest ones, until there are W
#   down    stops everything; what has not left after the grace period is killed
#
# A process that dies is started again, after 0.2 s doubling to 5 s; one that dies five times in a
# row within 5 s is given up, and status says why.
#
# State and logs are in $WEFT_STATE_DIR (default $XDG_RUNTIME_DIR/weft, else /tmp/weft-UID): another
# directory is another cluster. The programs are those in $WEFT_BIN_DIR, beside this script, in the
# build tree or on PATH. $WEFT_SSH is the ssh command.
# Exit code: 0 well, 1 not, 2 wrong usage. Needs bash, coreutils and util-linux alone.

# How it works. Every process (a "member": broker, worker-1, ...) has a keeper, this script as
# `cluster.sh __keep MEMBER`, in a session of its own, that starts it, waits for it and starts it
# again. The keeper takes signals: TERM stops the member gently, USR1 at once; then it leaves.
# Files in $state/run, all of them gone after `down`:
#   MEMBER.command   the command line, NUL after each word
#   MEMBER.ssh       there when the member runs on another machine
#   MEMBER.keeper    who the keeper is, see identity()
#   MEMBER.process   who the process is (for a remote one: the ssh)
#   MEMBER.stopping  there once it has been told to leave
#   MEMBER.restarts  how often it was started again, when it was
#   MEMBER.failed    why the keeper gave it up
#   address          what the broker serves; written once, so that a restart takes the same port
#   template         the command line of a local worker without its name, for scale
#   directory        where `up` was called: paths among the worker arguments count from there
# Changes are made under a lock on the state directory itself.
# shellcheck disable=SC2317 # much is called through wait_until and trap
set -euo pipefail

self=$(readlink -f "${BASH_SOURCE[0]}")
state="" # the state directory, absolute
run=""   # $state/run
logs=""  # $state/logs
bin_dir="" lock_fd="" json="" joined=" " now_ms=0 duration_ms=0

readonly kFastDeath_ms=5000 kFastDeaths_max=5
readonly kDelay_first_ms=200 kDelay_max_ms=5000
readonly kSteady_ms=60000 # who lived that long starts again with the first delay
readonly kPoll_s=0.05

print_usage() { sed -n '/^# Usage:/,/^[^#]*$/s/^# \{0,1\}//p' "$self"; }

usage_error() {
  printf 'cluster.sh: %s\n' "$1" >&2
  print_usage | sed -n 1,3p >&2
  exit 2
}

die() {
  printf 'cluster.sh: %s\n' "$1" >&2
  exit 1
}

# ---- time ----------------------------------------------------------------------------------------

# Sets now_ms: monotonic, unlike $EPOCHREALTIME.
read_clock() {
  local uptime
  read -r uptime _ </proc/uptime
  now_ms=$((10#${uptime/./} * 10))
}

# Sets duration_ms from "10", "10s", "1.5s", "500ms" or "2m".
parse_duration() {
  [[ $1 =~ ^([0-9]{1,6})(\.([0-9]{1,3}))?(ms|s|m)?$ ]] || usage_error "not a duration: '$1' (10s, 500ms, 2m)"
  local thousandths="${BASH_REMATCH[3]}000"
  duration_ms=$((10#${BASH_REMATCH[1]} * 1000 + 10#${thousandths:0:3}))
  case ${BASH_REMATCH[4]} in
    ms) duration_ms=$((duration_ms / 1000)) ;;
    m) duration_ms=$((duration_ms * 60)) ;;
  esac
}

# Runs a command until it succeeds or the time (in ms) is over.
wait_until() {
  local timeout_ms=$1 now_ms deadline_ms
  shift
  read_clock
  deadline_ms=$((now_ms + timeout_ms))
  until "$@"; do
    read_clock
    ((now_ms < deadline_ms)) || return 1
    sleep "$kPoll_s"
  done
}

# ---- processes -----------------------------------------------------------------------------------

# Prints what tells a process from every other, of this boot and earlier ones: pid, start time, boot.
# Nothing for a process that does not exist or is a zombie.
identity() {
  local stat fields boot
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }" # behind the name, which may contain anything
  [[ ${fields[0]} != Z && ${fields[0]} != X ]] || return 1
  read -r boot </proc/sys/kernel/random/boot_id
  printf '%s %s %s\n' "$1" "${fields[19]}" "$boot"
}

# Prints the pid in a file that identity() filled, if that very process still lives.
living() {
  local recorded pid
  { read -r recorded <"$run/$1"; } 2>/dev/null || return 1
  pid=${recorded%% *}
  [[ $pid =~ ^[0-9]+$ && $(identity "$pid") == "$recorded" ]] || return 1
  printf '%s' "$pid"
}

signal() { # SIGNAL FILE
  local pid
  if pid=$(living "$2"); then kill -s "$1" "$pid" 2>/dev/null || true; fi
}

# Kills all that is left of a keeper's session: a member's children may have outlived it.
kill_session() {
  local session=$1 entry stat fields
  for entry in /proc/[0-9]*; do
    { read -r stat <"$entry/stat"; } 2>/dev/null || continue
    read -ra fields <<<"${stat##*) }"
    if ((fields[3] == session)); then kill -s KILL "${entry#/proc/}" 2>/dev/null || true; fi
  done
}

# ---- members -------------------------------------------------------------------------------------

# All members, the broker first, then the workers by number.
members() {
  local file
  for file in "$run"/*.command; do
    [[ -e $file ]] || continue
    file=${file##*/}
    printf '%s\n' "${file%.command}"
  done | sort -t- -k1,1 -k2,2n
}

workers() { members | grep '^worker-' || true; }

staying_workers() {
  local worker
  for worker in $(workers); do
    # Its keeper removes the command first: a worker without both has just left.
    if [[ ! -e $run/$worker.stopping && -e $run/$worker.command ]]; then printf '%s\n' "$worker"; fi
  done
}

alive() { living "$1.keeper" >/dev/null || living "$1.process" >/dev/null; }
gone() { ! alive "$1"; }

any_alive() {
  local member
  for member in $(members); do
    if alive "$member"; then return 0; fi
  done
  return 1
}

forget() {
  rm -f "$run/$1.command"
  rm -f "$run/$1".*
}

# The last lines of a log (from some byte on) that the member itself wrote, not its keeper.
last_words() { # MEMBER LINES [FIRST_BYTE]
  tail -c "+${3:-1}" "$logs/$1.log" 2>/dev/null | sed -E '/^[-0-9]{10} [:.0-9]{12} cluster.sh: /d' | tail -n "$2" | cut -c 1-500
}

# Writes the command line of a member and starts its keeper.
start_member() { # MEMBER COMMAND...
  local member=$1
  shift
  printf '%s\0' "$@" >"$run/$member.command"
  # Nothing of the caller's is kept: a pipe held open would let `$(cluster.sh up)` wait for ever.
  (cd "$(<"$run/directory")" && WEFT_STATE_DIR=$state exec setsid "$BASH" "$self" __keep "$member") </dev/null >>"$logs/$member.log" 2>&1 &
  wait_until 5000 test -s "$run/$member.keeper" || die "could not start the keeper of $member, see $logs/$member.log"
}

# ---- the keeper ----------------------------------------------------------------------------------

child="" stopping=0

# A keeper's standard output is its member's log; times look like those of the programs there.
note() {
  local now=$EPOCHREALTIME
  printf '%(%F %T)T.%s cluster.sh: %s\n' "${now%[.,]*}" "${now:(-6):3}" "$1"
}

# Passes TERM or KILL on to the child, if there is one.
tell_child() {
  [[ -n $child ]] || return 0
  if [[ -e $run/$member.ssh ]]; then
    printf '%s\n' "$1" >&"$words"
  else
    kill -s "$1" "$child" 2>/dev/null || true
  fi
}

# Starts the member once; sets child. The process itself notes who it is before it becomes the
# program, so that at no time one runs unknown. A script's background processes ignore SIGINT, which
# the tasks of a worker must not inherit.
spawn() {
  local input=/dev/null
  words=""
  if [[ -e $run/$member.ssh ]]; then
    # ssh passes no signals on: the words TERM and KILL go down its standard input instead.
    input=$run/$member.stdin
    rm -f "$input"
    mkfifo "$input"
    exec {words}<>"$input"
  fi
  (
    if [[ -n $words ]]; then exec {words}>&-; fi
    identity "$BASHPID" >"$run/$member.process"
    exec env --default-signal=INT,QUIT "${command[@]}"
  ) <"$input" &
  child=$!
  if ((stopping)); then tell_child TERM; fi # the signal came just before there was a child
}

# Waits for the line in which the broker says what it serves, and makes that its port for good.
learn_address() { # LOG_BYTES
  local address="" i over=0
  while ((!over)); do
    identity "$child" >/dev/null || over=1 # then look once more, for its last line
    address=$(tail -c "+$(($1 + 1))" "$logs/broker.log" | sed -n 's/.*serving on tcp:\/\/\([^ ]*\).*/\1/p')
    address=${address%%$'\n'*}
    [[ -z $address ]] || break
    sleep "$kPoll_s"
  done
  [[ -n $address ]] || return 0
  for ((i = 0; i + 1 < ${#command[@]}; i++)); do
    if [[ ${command[i]} == --port ]]; then command[i + 1]=${address##*:}; fi
  done
  case $address in # from here, any address is reached by loopback
    0.0.0.0:* | \*:*) address=127.0.0.1:${address##*:} ;;
    \[::\]:*) address="[::1]:${address##*:}" ;;
  esac
  printf '%s\n' "$address" >"$run/address.new"
  mv "$run/address.new" "$run/address"
}

is_stopping() { ((stopping)); }

describe_exit() { # STATUS
  if (($1 > 128)) && kill -l $(($1 - 128)) >/dev/null 2>&1; then
    printf 'was killed by SIG%s' "$(kill -l $(($1 - 128)))"
  else
    printf 'left with exit code %d' "$1"
  fi
}

keep() {
  local fd log_bytes status began_ms lived_ms delay_ms=$kDelay_first_ms fast=0 restarts=0 death words
  member=$1
  for fd in "/proc/$$/fd/"*; do # what the caller of `up` had open is not ours; 255 is this script
    fd=${fd##*/}
    if ((fd > 2 && fd != 255)); then exec {fd}>&-; fi
  done
  mapfile -d '' -t command <"$run/$member.command"
  trap 'stopping=1; tell_child TERM' TERM
  trap 'stopping=1; tell_child KILL' USR1
  identity $$ >"$run/$member.keeper"

  while ((!stopping)); do
    read_clock
    began_ms=$now_ms
    log_bytes=$(stat -c %s "$logs/$member.log")
    spawn
    if [[ $member == broker && ! -e $run/address ]]; then learn_address "$log_bytes"; fi
    status=0
    wait "$child" 2>/dev/null || status=$? # where bash would tell that the child was killed
    while identity "$child" >/dev/null; do   # it was a signal to the keeper that ended the wait
      status=0
      wait "$child" 2>/dev/null || status=$?
    done
    child=""
    if [[ -n $words ]]; then exec {words}>&-; fi
    rm -f "$run/$member.process" "$run/$member.stdin"
    ((!stopping)) || break

    read_clock
    lived_ms=$((now_ms - began_ms))
    death="$(describe_exit "$status") after $((lived_ms / 1000)).$((lived_ms / 100 % 10)) s"
    if ((lived_ms < kFastDeath_ms)); then fast=$((fast + 1)); else fast=0; fi
    if ((lived_ms >= kSteady_ms)); then delay_ms=$kDelay_first_ms; fi
    if ((fast >= kFastDeaths_max)); then
      death="died $fast times in a row within $((kFastDeath_ms / 1000)) s of its start; the last time it $death: $(last_words "$member" 3 $((log_bytes + 1)) | sed -e ':a; $!N; s/\n/ \/ /; ta')"
      printf '%s\n' "$death" >"$run/$member.failed"
      note "$member is given up: it $death"
      return
    fi
    note "$member $death; it starts again in $delay_ms ms"
    wait_until "$delay_ms" is_stopping || true
    delay_ms=$((delay_ms * 2 < kDelay_max_ms ? delay_ms * 2 : kDelay_max_ms))
    restarts=$((restarts + 1))
    printf '%d\n' "$restarts" >"$run/$member.restarts"
  done
  note "$member has left"
  forget "$member"
}

# ---- the state directory -------------------------------------------------------------------------

locate_state() {
  if [[ -n ${WEFT_STATE_DIR:-} ]]; then
    state=$WEFT_STATE_DIR
  elif [[ -n ${XDG_RUNTIME_DIR:-} && -d $XDG_RUNTIME_DIR ]]; then
    state=$XDG_RUNTIME_DIR/weft
  else
    state=/tmp/weft-$UID
  fi
  [[ $state == /* ]] || state=$PWD/$state
  if [[ -e $state || -L $state ]]; then
    # A stranger's directory in /tmp could make us run, kill or overwrite what he likes.
    [[ -d $state && ! -L $state ]] || die "$state is not a directory"
    [[ -O $state ]] || die "$state belongs to someone else"
    [[ $(stat -c %a "$state") == 700 ]] || die "others may enter $state: chmod 700 it, or set WEFT_STATE_DIR"
  fi
  run=$state/run logs=$state/logs
}

lock_state() {
  exec {lock_fd}<"$state"
  if ! flock -n "$lock_fd"; then
    printf 'cluster.sh: waiting for another cluster.sh that changes this cluster\n' >&2
    flock -w 120 "$lock_fd" || die "another cluster.sh keeps the lock on $state"
  fi
}

unlock_state() { exec {lock_fd}<&-; }

find_binaries() {
  local here=${self%/*} candidate path
  for candidate in "${WEFT_BIN_DIR:-}" "$here" "$here/../bin" "$here/../build/release/bin"; do
    [[ -n $candidate ]] || continue
    if [[ -x $candidate/weft-broker && -x $candidate/weft-worker && -x $candidate/weft ]]; then
      bin_dir=$(cd "$candidate" && pwd)
      return
    fi
    [[ $candidate != "${WEFT_BIN_DIR:-}" ]] || die "weft, weft-broker and weft-worker are not all in WEFT_BIN_DIR, $candidate"
  done
  path=$(type -P weft-broker) || die "weft-broker is found neither beside this script nor in the build tree nor on PATH; set WEFT_BIN_DIR"
  bin_dir=$(cd "${path%/*}" && pwd)
}

# ---- what the broker says ------------------------------------------------------------------------

# Asks the broker for its status. Sets json to it, on one line and without brackets inside strings,
# and joined to the names of the workers that it has and has not lost. Without jq, but with care:
# objects inside a worker are taken out before the list is split into its workers.
ask_broker() {
  local address
  json="" joined=" "
  { living broker.process && read -r address <"$run/address"; } >/dev/null 2>&1 || return 1
  json=$(timeout 5 "$bin_dir/weft" status "$address" --json 2>/dev/null | tr -d '\n' |
    sed -E -e 's/\\.//g' -e ':a; s/^(([^"]*"[^"]*")*[^"]*"[^"]*)[][{}]/\1/; ta') || return 1
  [[ -n $json ]] || return 1
  joined=" $(sed -E 's/: *\{[^{}]*\}/:0/g' <<<"$json" | grep -oE '\{[^{}]*\}' | grep '"pid" *:' |
    grep -v '"state" *: *"lost"' | sed -nE 's/.*"name" *: *"([^"]*)".*/\1/p' | tr ' \n' '_ ')" || true
}

# A number at the top level of the status.
json_number() {
  sed -E -e 's/^[^{]*\{//; s/\}[^}]*$//' \
    -e ':a; s/\[[^][{}]*\]//g; s/\{[^][{}]*\}//g; ta' \
    -e "s/.*\"$1\" *: *([0-9]+).*/\1/; t; s/.*/0/" <<<"$json"
}

has_joined() { [[ $joined == *" $1 "* ]]; }

count_words() { printf '%d' $#; }

all_joined() {
  local worker living
  for worker in broker $(staying_workers); do
    living=1
    alive "$worker" || living=0 # before the other question: a keeper answers that with its last act
    [[ ! -e $run/$worker.failed ]] || die "$worker is given up: it $(<"$run/$worker.failed")"
    ((living)) || die "$worker and its keeper are dead, see $logs/$worker.log"
  done
  ask_broker || return 1
  for worker in $(staying_workers); do
    has_joined "$worker" || return 1
  done
}

explain_missing() {
  local member text
  text="not all has joined in time:"
  for member in $(members); do
    if [[ $member == broker && ! -e $run/address ]]; then
      text+=$'\n'"  the broker has not said what it serves; the end of its log:"
    elif [[ $member == broker && -z $json ]]; then
      text+=$'\n'"  the broker does not answer; the end of its log:"
    elif [[ $member != broker && ! -e $run/$member.stopping ]] && ! has_joined "$member"; then
      text+=$'\n'"  $member has not joined; the end of its log:"
    else
      continue
    fi
    text+=$'\n'$(last_words "$member" 5 | sed "s/^/    $member | /")
  done
  printf '%s' "$text"
}

# ---- up ------------------------------------------------------------------------------------------

want_number() { # VALUE LEAST MOST NAME
  if [[ ! $1 =~ ^[0-9]{1,6}$ ]] || ((10#$1 < $2 || 10#$1 > $3)); then
    usage_error "$4 wants a number from $2 to $3, not '$1'"
  fi
}

is_loopback() { [[ $1 == localhost || $1 == 127.* || $1 == ::1 || $1 == "[::1]" ]]; }

# Reads the file of hosts into hosts and hosts_nprocs.
read_hosts() {
  local line name slots rest
  [[ -r $1 ]] || die "cannot read the file of hosts $1"
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%%#*}
    read -r name slots rest <<<"${line//$'\r'/}" || true
    [[ -n $name ]] || continue
    [[ $name =~ ^[A-Za-z0-9_.@:][A-Za-z0-9_.@:-]*$ && -z $rest ]] || usage_error "a line of $1 is not 'host [nprocs]': $line"
    if [[ -n $slots ]]; then want_number "$slots" 1 9999 "$name in $1"; fi
    if is_loopback "$host" && ! is_loopback "${name##*@}"; then
      usage_error "$name cannot reach a broker on $host: give --host the address by which it is reached"
    fi
    hosts+=("$name") hosts_nprocs+=("$slots")
  done <"$1"
  ((${#hosts[@]} > 0)) || usage_error "$1 names no host"
}

quote() { # for a POSIX shell
  local word
  for word in "$@"; do
    printf "'%s' " "${word//\'/\'\\\'\'}"
  done
}

# What runs on a remote machine: the worker, and a reader of the keeper's words. When the connection
# is lost the words end, and the worker leaves.
remote_script() {
  cat <<'END'
PATH=$1:$PATH; shift
command -v weft-worker >/dev/null || { echo "weft-worker is not on the PATH of this machine: $PATH" >&2; exit 127; }
exec 3<&0
weft-worker "$@" </dev/null 3<&- &
worker=$!
{ while read -r word; do kill -s "$word" "$worker"; done; kill -s TERM "$worker"; } <&3 2>/dev/null &
reader=$!
exec 3<&-
wait "$worker"; code=$?
kill "$reader" 2>/dev/null
exit "$code"
END
}

start_local_worker() { # NAME
  local template
  forget "$1" # what an earlier worker of this number may have left
  mapfile -d '' -t template <"$run/template"
  start_member "$1" "${template[@]:0:2}" --name "$1" "${template[@]:2}"
}

start_remote_worker() { # NAME HOST NPROCS ADDRESS EXTRA...
  local name=$1 machine=$2 slots=$3 address=$4 ssh
  shift 4
  read -ra ssh <<<"${WEFT_SSH:-ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3}"
  printf '%s\n' "$machine" >"$run/$name.ssh"
  start_member "$name" "${ssh[@]}" "$machine" \
    "sh -c $(quote "$(remote_script)" weft "$bin_dir" "$address" --name "$name" ${slots:+--nprocs "$slots"} "$@")"
}

# An `up` that fails or is interrupted leaves nothing behind but the logs.
abandon() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  stop_all 2000
  exit "$status"
}

print_running() {
  # shellcheck disable=SC2086 # words
  printf 'address: tcp://%s\nslots:   %d on %d workers\nlogs:    %s\n' "$(<"$run/address")" "$(json_number slots)" "$(count_words $joined)" "$logs"
}

up() {
  local count="" nprocs="" port=8786 host=127.0.0.1 hosts_file="" timeout_ms=60000 extra=() broker_flags=() hosts=() hosts_nprocs=() i address cores
  while (($# > 0)); do
    case $1 in
      --workers | --nprocs | --port | --host | --hosts | --journal | --timeout) (($# > 1)) || usage_error "$1 wants a value" ;;&
      --workers) want_number "$2" 0 999 "$1" && count=$((10#$2)) && shift ;;
      --nprocs) want_number "$2" 1 9999 "$1" && nprocs=$((10#$2)) && shift ;;
      --port) want_number "$2" 0 65535 "$1" && port=$((10#$2)) && shift ;;
      --host) host=$2 && shift ;;
      --hosts) hosts_file=$2 && shift ;;
      --journal) broker_flags+=(--journal "$(realpath -ms "$2")") && shift ;;
      --timeout) parse_duration "$2" && timeout_ms=$duration_ms && shift ;;
      --insecure) broker_flags+=(--insecure) ;;
      --) shift && extra=("$@") && break ;;
      *) usage_error "up does not know '$1'" ;;
    esac
    shift
  done
  if [[ -n $hosts_file ]]; then
    [[ $host != 0.0.0.0 && $host != :: && $host != "*" ]] || usage_error "with --hosts, give --host the address by which those machines reach this one"
    read_hosts "$hosts_file"
  fi
  [[ -n $count ]] || count=$((${#hosts[@]} > 0 ? 0 : 1))
  cores=$(nproc)
  [[ -n $nprocs ]] || nprocs=$((count > 1 && cores > count ? cores / count : count > 1 ? 1 : cores))
  find_binaries

  (umask 077 && mkdir -p "$state") || die "cannot make $state"
  locate_state
  lock_state
  if any_alive; then
    printf 'already running; nothing is changed\n'
    if ask_broker; then print_running; else printf 'but the broker does not answer: see cluster.sh status\n'; fi
    return
  fi
  rm -rf "$run" # of a cluster that a reboot or a kill -9 has ended
  mkdir -p "$run" "$logs"
  rm -f "$logs/broker.log" "$logs"/worker-*.log # each cluster begins new ones
  pwd >"$run/directory"
  trap abandon EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  start_member broker "$bin_dir/weft-broker" --host "$host" --port "$port" "${broker_flags[@]}"
  wait_until "$timeout_ms" broker_decided || die "$(explain_missing)"
  if [[ -e $run/address ]]; then
    address=$(<"$run/address")
    printf '%s\0' "$bin_dir/weft-worker" "$address" --nprocs "$nprocs" "${extra[@]}" >"$run/template"
    for ((i = 1; i <= count; i++)); do
      start_local_worker "worker-$i"
    done
    for ((i = 0; i < ${#hosts[@]}; i++)); do
      start_remote_worker "worker-$((count + i + 1))" "${hosts[i]}" "${hosts_nprocs[i]}" "$address" "${extra[@]}"
    done
  fi
  wait_until "$timeout_ms" all_joined || die "$(explain_missing)"
  trap - EXIT INT TERM
  print_running
}

broker_decided() { [[ -e $run/address || -e $run/broker.failed ]]; }

# ---- status --------------------------------------------------------------------------------------

status() {
  local member pid what text well=1 slots busy
  if [[ ! -d $run ]]; then
    printf 'no cluster is running\n'
    return 1
  fi
  find_binaries
  ask_broker || well=0
  for member in $(members); do
    what=alive text=""
    if pid=$(living "$member.process"); then
      text="pid $pid"
      if [[ -e $run/$member.ssh ]]; then text="on $(<"$run/$member.ssh"), ssh is pid $pid"; fi
      if ! living "$member.keeper" >/dev/null; then
        text+=", but nothing supervises it: down and up make it well" well=0
      elif [[ $member == broker && -z $json ]]; then
        text+=", but it does not answer"
      elif [[ -e $run/$member.stopping ]]; then
        text+=", leaving"
      elif [[ $member != broker && -n $json ]] && ! has_joined "$member"; then
        text+=", but it has not joined" well=0
      fi
    else
      what=dead
      if [[ -e $run/$member.failed ]]; then
        text="given up: it $(<"$run/$member.failed")"
      elif living "$member.keeper" >/dev/null; then
        text="starts again soon"
      else
        text="nothing supervises it: down and up make it well"
      fi
      [[ -e $run/$member.stopping ]] || well=0
    fi
    if [[ -e $run/$member.restarts ]]; then text+=", started again $(<"$run/$member.restarts") times"; fi
    if [[ $member == broker && -e $run/address ]]; then text="tcp://$(<"$run/address"), $text"; fi
    printf '%-10s %-5s  %s\n' "$member" "$what" "$text"
    joined=${joined/" $member "/" "}
  done
  if [[ -n $json ]]; then
    slots=$(json_number slots) busy=$(json_number slots_busy)
    for member in $joined; do
      printf '%-10s %-5s  joined by other ways than this script\n' "$member" alive
    done
    printf 'slots      %d: %d busy, %d idle\n' "$slots" "$busy" "$((slots - busy))"
    printf 'tasks      %d queued, %d assigned, %d finished\n' "$(json_number queued)" "$(json_number assigned)" "$(json_number finished)"
  fi
  printf 'logs       %s\n' "$logs"
  ((well))
}

# ---- logs ----------------------------------------------------------------------------------------

log_names() {
  local file
  for file in "$logs"/*.log; do
    [[ -e $file ]] || continue
    file=${file##*/}
    printf '%s\n' "${file%.log}"
  done | sort -t- -k1,1 -k2,2n
}

# Merges the logs by the times at the beginning of lines; a line without one stays with that before it.
print_logs() {
  local name
  for name in $(log_names); do
    sed -E -e '/^[-0-9]{10} [:.0-9]{12} /{h; s/^(.{23}).*/\1/; x}' \
      -e "G; s/^(.*)\n(.*)$/\2\t$name | \1/" "$logs/$name.log"
  done | LC_ALL=C sort -s -t $'\t' -k 1,1 | cut -f 2-
}

# Follows every log, also those of processes that start later. Ends by Ctrl-C.
follow_logs() {
  local name followed=" "
  # shellcheck disable=SC2046 # pids
  trap 'kill $(jobs -p) 2>/dev/null' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  while :; do
    for name in $(log_names); do
      [[ $followed != *" $name "* ]] || continue
      followed+="$name "
      tail -n +1 -F "$logs/$name.log" 2>/dev/null | sed -u "s/^/$name | /" &
    done
    sleep 0.2
  done
}

show_logs() {
  local follow=0
  case ${1:-} in
    -f | --follow) follow=1 ;;
    "") ;;
    *) usage_error "logs does not know '$1'" ;;
  esac
  [[ -d $logs ]] || die "there are no logs in $state"
  if ((follow)); then follow_logs; else print_logs; fi
}

# ---- scale and down ------------------------------------------------------------------------------

all_gone() {
  local member
  for member in "$@"; do
    if alive "$member"; then return 1; fi
  done
}

ask_to_leave() { # MEMBER
  [[ ! -e $run/$1.stopping ]] || return 0 # a second SIGTERM would mean: now
  touch "$run/$1.stopping"
  if living "$1.keeper" >/dev/null; then signal TERM "$1.keeper"; else signal TERM "$1.process"; fi
}

# Stops members: gently, after the grace by force.
stop_members() { # GRACE_MS MEMBER...
  local grace_ms=$1 member recorded sessions=()
  shift
  for member in "$@"; do
    if alive "$member" && read -r recorded <"$run/$member.keeper"; then sessions+=("${recorded%% *}"); fi
    ask_to_leave "$member"
  done
  if ! wait_until "$grace_ms" all_gone "$@"; then
    for member in "$@"; do
      gone "$member" || printf '%s has not left in time and is killed\n' "$member"
      if living "$member.keeper" >/dev/null; then signal USR1 "$member.keeper"; else signal KILL "$member.process"; fi
    done
    wait_until 2000 all_gone "$@" || true
  fi
  for recorded in "${sessions[@]}"; do
    kill_session "$recorded"
  done
  wait_until 2000 all_gone "$@" || die "some processes do not die, see cluster.sh status"
}

# Workers first: while they drain, the broker still takes their results.
stop_all() { # GRACE_MS
  # shellcheck disable=SC2046 # names without spaces
  stop_members "$1" $(workers)
  if [[ -e $run/broker.command ]]; then stop_members $(($1 < 2000 ? $1 : 2000)) broker; fi
  rm -rf "$run"
}

down() {
  local grace_ms=10000
  while (($# > 0)); do
    case $1 in
      --grace) (($# > 1)) || usage_error "--grace wants a duration"; parse_duration "$2"; grace_ms=$duration_ms; shift ;;
      *) usage_error "down does not know '$1'" ;;
    esac
    shift
  done
  if [[ ! -d $run ]]; then
    printf 'no cluster is running\n'
    return
  fi
  lock_state
  stop_all "$grace_ms"
  printf 'down; logs are in %s\n' "$logs"
}

scale() {
  local want="" timeout_ms=60000 worker have=0 last=0 leaving=()
  while (($# > 0)); do
    case $1 in
      --timeout) (($# > 1)) || usage_error "--timeout wants a duration"; parse_duration "$2"; timeout_ms=$duration_ms; shift ;;
      -*) usage_error "scale does not know '$1'" ;;
      *) [[ -z $want ]] || usage_error "scale wants one number"; want_number "$1" 0 999 scale; want=$((10#$1)) ;;
    esac
    shift
  done
  [[ -n $want ]] || usage_error "scale wants a number of workers"
  [[ -d $run ]] || die "no cluster is running"
  find_binaries
  lock_state
  alive broker || die "the broker is not running: down and up make it well"
  for worker in $(workers); do
    if gone "$worker"; then forget "$worker"; fi # given up: it is replaced
  done
  for worker in $(workers); do last=${worker#worker-}; done
  mapfile -t current < <(staying_workers)
  have=${#current[@]}
  for ((; have < want; have++)); do
    last=$((last + 1))
    start_local_worker "worker-$last"
  done
  for ((; have > want; have--)); do
    leaving+=("${current[have - 1]}")
    ask_to_leave "${current[have - 1]}"
  done
  unlock_state # draining may take long, and `down` must not wait for it
  wait_until "$timeout_ms" all_joined || die "$(explain_missing)"
  wait_until "$timeout_ms" all_gone "${leaving[@]}" || die "still busy, and leaving when their tasks are done: ${leaving[*]}"
  ask_broker || die "the broker does not answer"
  print_running
}

# --------------------------------------------------------------------------------------------------

main() {
  local verb=${1:-}
  (($# == 0)) || shift
  case $verb in
    -h | --help | help) print_usage && return ;;
    "") usage_error "up, status, logs, scale or down?" ;;
    up | status | logs | scale | down | __keep) ;;
    *) usage_error "unknown command '$verb'" ;;
  esac
  locate_state
  case $verb in
    up) up "$@" ;;
    status) (($# == 0)) || usage_error "status takes no arguments"; status ;;
    logs) show_logs "$@" ;;
    scale) scale "$@" ;;
    down) down "$@" ;;
    __keep) keep "$1" ;;
  esac
}

main "$@"
exit

# What the scripts of this folder share: shell options, places, functions. To be sourced.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything built or fetched lies here, in folders named by version or by a hash of the sources, for all checkouts.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/tenantra

# log TEXT: one line of progress, with the seconds since the script began. On standard error: standard output is for answers.
log() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }

# die TEXT: says why, and ends the script.
die() {
  printf '[%4ds] error: %s\n' "$SECONDS" "$*" >&2
  exit 1
}

# long TEXT COMMAND…: runs a command of minutes. Its output goes to a log, which is shown if it fails; every half minute
# a line says that it still runs.
long() {
  local text=$1 log began=$SECONDS beat status=0
  shift
  log=$(mktemp)
  log "$text"
  heartbeat "$text" 9>&- &
  beat=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  if [ "$status" -ne 0 ]; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    die "$text: failed with status $status"
  fi
  rm -f "$log"
  log "$text: done in $((SECONDS - began)) s"
}

# heartbeat TEXT: the lines of `long`, until it is told to end; its sleep ends with it.
heartbeat() {
  local began=$SECONDS sleeper
  trap 'kill "$sleeper" 2>/dev/null; exit 0' TERM
  while :; do
    sleep 30 &
    sleeper=$!
    wait "$sleeper"
    log "$1: $((SECONDS - began)) s so far"
  done
}

# wait_until SECONDS TEXT COMMAND…: repeats a command until it succeeds, at most so long.
wait_until() {
  local limit=$1 text=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "$text: not within $limit s"
    sleep 0.2
  done
}

# stop_pid PID SECONDS: asks a process to end, waits so long, then makes it.
stop_pid() {
  local pid=$1 deadline=$((SECONDS + $2))
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      log "process $pid does not end when asked"
      kill -KILL "$pid" 2>/dev/null || true
      return 0
    fi
    sleep 0.1
  done
}

# bin_dir [PROFILE]: where cargo puts the programs. The target is always named (.cargo/config.toml).
bin_dir() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  echo "$CARGO_TARGET_DIR/$host/${1:-debug}"
}

# hash_of FILE…: twelve hex digits that change with any of the files.
hash_of() { sha256sum "$@" | cut -d' ' -f1 | sha256sum | cut -c1-12; }

# once NAME COMMAND…: runs a command while no other process of this machine runs one under the same name.
once() {
  local lock=$CACHE/.$1.lock
  shift
  mkdir -p "$CACHE"
  (
    flock -w 1800 9 || die "another process has held $lock for half an hour"
    "$@"
  ) 9>"$lock"
}

# Versions of what is built or fetched.
KUBERNETES_VERSION=1.36.3
COREDNS_VERSION=1.14.3
HELM_VERSION=3.22.0
OPENBAO_VERSION=2.7.2
NEXTEST_VERSION=0.9.151
DENY_VERSION=0.20.2
MACHETE_VERSION=0.9.2
CRANE_VERSION=0.21.7
SSG_VERSION=0.1.82
# What the fresh system of the benchmark has: services that most checks are about. Without linux-base OpenSCAP takes a system
# for a container and leaves most rules out.
DEBIAN_PACKAGES=(apparmor auditd cron libpam-pwquality linux-base lynis nftables openscap-scanner openssh-server rsyslog sudo systemd-sysv systemd-timesyncd)

# dir_of COMPONENT: its folder in the cache; programs are in bin/ there.
dir_of() {
  local sources=$ROOT/hack/devcluster
  case $1 in
  kube) echo "$CACHE/kube-$(hash_of "$sources"/kube/main.go "$sources"/kube/go.mod "$sources"/kube/go.sum)" ;;
  oscap) echo "$CACHE/scap-$SSG_VERSION" ;;
  debian) echo "$CACHE/debian-12-$(printf '%s' "${DEBIAN_PACKAGES[*]}" | sha256sum | cut -c1-12)" ;;
  coredns) echo "$CACHE/coredns-$COREDNS_VERSION" ;;
  helm) echo "$CACHE/helm-$HELM_VERSION" ;;
  crane) echo "$CACHE/crane-$CRANE_VERSION" ;;
  openbao) echo "$CACHE/openbao-$OPENBAO_VERSION" ;;
  nextest) echo "$CACHE/cargo-nextest-$NEXTEST_VERSION" ;;
  deny) echo "$CACHE/cargo-deny-$DENY_VERSION" ;;
  machete) echo "$CACHE/cargo-machete-$MACHETE_VERSION" ;;
  devcluster)
    local files
    # kube/go.sum is among them: the folder has a link to that binary.
    mapfile -t files < <(find "$sources" -type f \( -name '*.go' -o -name 'go.*' -o -name '*.yaml' \) | LC_ALL=C sort)
    echo "$CACHE/devcluster-$(hash_of "${files[@]}" "$ROOT/hack/lib.sh")"
    ;;
  *) die "no such component in the cache: $1" ;;
  esac
}

# program_of COMPONENT: the program of a component, whether it is installed yet or not.
program_of() {
  local program=$1
  case $1 in
  openbao) program=bao ;;
  nextest | deny | machete) program=cargo-$1 ;;
  esac
  echo "$(dir_of "$1")/bin/$program"
}

# Cargo finds its companions on PATH, and scripts their tools.
for companion in nextest deny machete helm devcluster; do PATH=$(dir_of "$companion")/bin:$PATH; done
export PATH
unset companion

# Cargo's output lies in the cache, so that a clean clone does not compile the world.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}

#!/usr/bin/env bash
# End to end: the demo as a user runs it, its dashboard in a real browser, and that nothing is left of it afterwards.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

run=$ROOT/.run/demo
passed=0 failed=0
trap 'hack/down.sh >/dev/null 2>&1 || true' EXIT

check() { # NAME COMMAND…
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    log "failed: $name"
  fi
}

finish() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}

check "make demo succeeds" hack/demo.sh
[ -e "$run/summary.json" ] || { finish; exit 1; }
. "$run/env"
export KUBECONFIG

k() { $kubectl --request-timeout=20s "$@"; }
summary() { jq -e "$1" "$run/summary.json" >/dev/null; }
columns() { k get tnt acme | head -n 1 | grep -qE '^NAME +PLAN +READY +SCORE +AGENTS +AGE'; }
listed() { k get tenantra -A | grep -q 'tenant.tenantra.io/acme'; }

check "the tenant is ready with a score" summary '.ready and .score != null'
check "one agent on one asset" summary '.agents == 1 and .assets == 1'
check "eighty checks and no error" summary '.checks.passed + .checks.failed >= 80 and .checks.error == 0'
check "kubectl wait works" k wait --for=condition=Ready tenant/acme --timeout=10s
check "kubectl get tnt shows plan, ready, score, agents and age" columns
check "kubectl get tenantra lists the tenant" listed

log "the dashboard in a browser"
report=$(mktemp)
(cd api-server/ui && TENA_DEMO_URL=$TENA_DEMO_URL TENA_DEMO_USER=$TENA_DEMO_USER TENA_DEMO_PASSWORD=$TENA_DEMO_PASSWORD \
  PLAYWRIGHT_JSON_OUTPUT_NAME=$report npx --no-install playwright test --reporter=list,json >&2) || true
passed=$((passed + $(jq '.stats.expected // 0' "$report" 2>/dev/null || echo 0)))
browser=$(jq '.stats.unexpected // 1' "$report" 2>/dev/null || echo 1)
failed=$((failed + browser))
rm -f "$report"

# What the run occupied, looked at before it is taken down. A cluster of somebody else's stays.
address=$TENA_DEMO_HOST_IP
cluster=
[ ! -e "$run/cluster" ] || cluster=$(cat "$run/cluster")
check "make down succeeds" hack/down.sh
nothing_runs() {
  local file words left=0
  for file in /proc/[0-9]*/cmdline; do
    words=$(tr '\0' ' ' 2>/dev/null <"$file") || continue
    [[ $words == *"$cluster"* ]] || continue
    log "still there: $words"
    left=1
  done
  [ "$left" -eq 0 ]
}
no_mount() { ! grep -F "$cluster" /proc/mounts >&2; }
no_address() { ! ip -4 -o address show dev lo | grep -qF " $address/"; }
no_folder() { [ ! -e "$run" ] && [ ! -e "$cluster" ]; }
if [ -n "$cluster" ]; then
  check "no process is left" nothing_runs
  check "no mount is left" no_mount
  check "no address is left" no_address
  check "no folder is left" no_folder
fi
trap - EXIT
finish

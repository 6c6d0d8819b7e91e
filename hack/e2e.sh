#!/usr/bin/env bash
# End to end: the demo as a user runs it, its dashboard in a real browser, and that nothing is left of it afterwards.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

run=$ROOT/.run/demo
passed=0 failed=0 failures=
trap 'hack/down.sh >/dev/null 2>&1 || true' EXIT

check() { # NAME COMMAND…
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    failures+="failed: $name"$'\n'
  fi
}

# What failed is told last, where whoever reads the end of a long log finds it.
finish() {
  printf %s "$failures" >&2
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}

check "make demo succeeds" hack/demo.sh
[ -e "$run/summary.json" ] || { finish; exit 1; }
. "$run/env"
export KUBECONFIG

k() { $kubectl --request-timeout=20s "$@"; }
summary() { jq -e "$1" "$run/summary.json" >/dev/null || { cat "$run/summary.json" >&2; return 1; }; }
# shows PATTERN COMMAND…: its output has a line of this pattern. The output is whole before it is searched: a search that
# ends at the first match would end the command by a signal, and that is a failure here.
shows() {
  local pattern=$1 output
  shift
  output=$("$@") || return 1
  grep -qE -- "$pattern" <<<"$output" || { echo "$output" >&2; return 1; }
}

check "the tenant is ready with a score" summary '.ready and .score != null'
check "one agent on one asset" summary '.agents == 1 and .assets == 1'
check "eighty checks and no error" summary '.checks.passed + .checks.failed >= 80 and .checks.error == 0'
check "kubectl wait works" k wait --for=condition=Ready tenant/acme --timeout=10s
check "kubectl get tnt shows plan, ready, score, agents and age" shows '^NAME +PLAN +READY +SCORE +AGENTS +AGE' k get tnt acme
check "kubectl get tenantra lists the tenant" shows 'tenant\.tenantra\.io/acme' k get tenantra -A

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
no_address() { [[ $(ip -4 -o address show dev lo) != *" $address/"* ]]; }
no_folder() { [ ! -e "$run" ] && [ ! -e "$cluster" ]; }
if [ -n "$cluster" ]; then
  check "no process is left" nothing_runs
  check "no mount is left" no_mount
  check "no address is left" no_address
  check "no folder is left" no_folder
fi
trap - EXIT
finish

#!/usr/bin/env bash
# All that CI runs. Each stage prints what it does; a stage that fails does not keep the others from running, but for
# the lints. The last line says how many tests ran.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

passed=0 failed=0 broken=
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# stage NAME PASSED FAILED COMMAND…: runs it, shows and keeps its output, and adds its figures: PASSED and FAILED are
# patterns whose last match holds the number. A stage that fails without naming a failed test counts as one.
stage() {
  local name=$1 ok=$2 bad=$3 status=0 good wrong
  shift 3
  log "== $name"
  "$@" 2>&1 | tee "$logs/$name" >&2 || status=1
  good=$(figure "$name" "$ok") wrong=$(figure "$name" "$bad")
  if [ "$status" -ne 0 ]; then
    broken="$broken $name"
    [ "$wrong" -gt 0 ] || wrong=1
  fi
  passed=$((passed + good)) failed=$((failed + wrong))
  log "== $name: $good passed, $wrong failed"
  return "$status"
}

figure() {
  [ -n "$2" ] || { echo 0; return; }
  { sed 's/\x1b\[[0-9;]*m//g' "$logs/$1" | grep -oE "$2" || true; } | tail -n 1 | { grep -oE '[0-9]+' || echo 0; } | tail -n 1
}

# Which tests failed is told last, where whoever reads the end of a long log finds it.
finish() {
  local name
  for name in $broken; do
    log "failed: $name"
    { sed 's/\x1b\[[0-9;]*m//g' "$logs/$name" | grep -E '^ *(FAIL|TIMEOUT|ABORT|SIG[A-Z]+|LEAK-FAIL|failed:|✘) ' || true; } | sort -u | sed 's/^ */    /' >&2
  done
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}

log "tools"
hack/setup.sh >/dev/null
hack/ui.sh install
TENA_DEVCLUSTER=$(dir_of devcluster)/bin/devcluster
export TENA_DEVCLUSTER

stage lint '' '' hack/lint.sh || { finish; exit 1; }
stage scripts '[0-9]+ passed' '[0-9]+ failed' hack/scripts-test.sh || true
stage dashboard 'Tests .* [0-9]+ passed' 'Tests +[0-9]+ failed' hack/ui.sh test || true
hack/build.sh
stage charts '[0-9]+ passed' '[0-9]+ failed' hack/charts-test.sh || true
stage rust 'tests run: [0-9]+ passed' 'tests run: .* [0-9]+ (failed|timed out)' cargo nextest run --workspace --locked --no-fail-fast --cargo-quiet || true
stage end-to-end '[0-9]+ passed' '[0-9]+ failed' hack/e2e.sh || true
finish

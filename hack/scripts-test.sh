#!/usr/bin/env bash
# Unit tests of the Go programs in this folder, counted.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

status=0
events=$(mktemp)
trap 'rm -f "$events"' EXIT
(cd "$ROOT/hack/devcluster" && go test -json ./...) >"$events" || status=1
jq -r 'select(.Action == "fail" and .Test) | "failed: \(.Package) \(.Test)"' "$events" >&2
jq -rs '[.[] | select(.Test)] | "\(map(select(.Action == "pass")) | length) passed, \(map(select(.Action == "fail")) | length) failed"' "$events"
exit "$status"

#!/usr/bin/env bash
# Format check and lints of every language, licences and advisories, unused dependencies.
set -euo pipefail
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
use_tools

step "format: Rust"
cargo fmt --all -- --check
step "format: Go"
unformatted=$(gofmt -l hack)
[ -z "$unformatted" ] || fail "not formatted, run make fmt: $unformatted"
step "lint: Go"
for module in hack/devcluster hack/scratchimage; do (cd "$module" && go vet ./...); done
step "lint: UI"
(cd api-server/ui && npm run --silent lint && npm run --silent typecheck)
step "lint: Rust"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
step "licences, sources, duplicates: cargo deny"
cargo-deny --offline check licenses sources bans
step "unused dependencies: cargo machete"
cargo-machete --with-metadata .
step "secrets and stray paths"
hack/tidy.sh

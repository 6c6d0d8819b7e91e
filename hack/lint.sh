#!/usr/bin/env bash
# Format check and lints of every language, licences and advisories, unused dependencies.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

log "format: Rust"
cargo fmt --all -- --check
log "format: Go"
unformatted=$(gofmt -l hack)
[ -z "$unformatted" ] || die "not formatted, run make fmt: $unformatted"
log "lint: Go"
(cd hack/devcluster && go vet ./...)
log "lint: UI"
(cd api-server/ui && npm run --silent lint && npm run --silent typecheck)
log "the API and its client: openapi.json, schema.ts"
hack/openapi.sh --check
log "lint: Rust"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
log "licences, sources, duplicates: cargo deny"
cargo-deny --offline check licenses sources bans
log "unused dependencies: cargo machete"
cargo-machete --with-metadata .
log "secrets and stray paths"
hack/tidy.sh

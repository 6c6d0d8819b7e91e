#!/usr/bin/env bash
# Formats Rust, Go and TypeScript.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
cargo fmt --all
gofmt -w hack
(cd api-server/ui && npx --no-install prettier --log-level warn --write .)

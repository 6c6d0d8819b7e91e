#!/usr/bin/env bash
# Writes the API's OpenAPI document and the dashboard's typed client from it; --check only tells whether they are current.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

hack/ui.sh install
mkdir -p api-server/ui/dist
cargo build --quiet --locked -p api-server
cd api-server/ui
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
"$(bin_dir)/tenantra-api" openapi >"$new/openapi.json"
npx --no-install openapi-typescript "$new/openapi.json" -o "$new/schema.ts" >/dev/null
if [ "${1:-}" = --check ]; then
  cmp -s "$new/openapi.json" openapi.json && cmp -s "$new/schema.ts" src/api/schema.ts ||
    die "the API and its client differ: run make openapi and commit api-server/ui/openapi.json and src/api/schema.ts"
else
  mv "$new/openapi.json" openapi.json
  mv "$new/schema.ts" src/api/schema.ts
fi

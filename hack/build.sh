#!/usr/bin/env bash
# Builds what the images and the demo run: the dashboard, then every program. hack/build.sh [debug|dist]
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
profile=${1:-debug}

"$ROOT/hack/ui.sh" build
log "programs ($profile)"
if [ "$profile" = debug ]; then
  cargo build --workspace --bins --locked
else
  cargo build --workspace --bins --locked --profile "$profile"
fi

#!/usr/bin/env bash
# Builds hack/devcluster if its sources changed, and becomes it: hack/devcluster.sh up --profile control-plane …
set -euo pipefail
program=$("$(dirname "${BASH_SOURCE[0]}")/setup.sh" devcluster)
exec "$program" "$@"

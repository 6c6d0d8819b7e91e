#!/usr/bin/env bash
# Takes the demo of this checkout down: with the cluster that was made for it, or out of the cluster of KUBECONFIG.
set -euo pipefail
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_tools
run=$ROOT/.run/demo
if [ ! -d "$run" ]; then
  step "no demo of this checkout runs"
  exit 0
fi
if [ -e "$run/supervisor.pid" ]; then
  step "taking the development cluster down"
  stop_pid "$(cat "$run/supervisor.pid")" 60
  if [ -d "$run/cluster" ]; then devcluster down --dir "$run/cluster" >&2; fi
elif [ -e "$run/env" ]; then
  . "$run/env"
  export KUBECONFIG
  step "taking the demo out of the cluster"
  $kubectl delete tenant acme --ignore-not-found --timeout=60s >&2 || true
  helm uninstall tenantra -n tenantra-system >&2 || true
  $kubectl delete namespace tenantra-system --ignore-not-found --timeout=120s >&2
fi
rm -rf "$run"
rmdir "$ROOT/.run" 2>/dev/null || true
step "nothing is left"

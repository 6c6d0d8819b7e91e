#!/usr/bin/env bash
# Takes the demo of this checkout down: with the cluster that was made for it, or out of the cluster of KUBECONFIG.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
run=$ROOT/.run/demo
if [ ! -d "$run" ]; then
  log "no demo of this checkout runs"
  exit 0
fi
left="nothing is left"
if [ -e "$run/cluster" ]; then
  log "taking the development cluster down"
  devcluster down --dir "$(cat "$run/cluster")" >&2
elif [ -e "$run/env" ]; then
  . "$run/env"
  export KUBECONFIG
  left="the demo is gone; the definitions and, in Postgres, the tenant's schema and role are kept (docs/DEPLOY.md, Remove)"
  log "taking the demo out of the cluster"
  $kubectl delete tenant acme --ignore-not-found --timeout=60s >&2 ||
    die "the tenant is still there; its conditions say why: $kubectl describe tenant acme"
  helm uninstall tenantra -n tenantra-system >&2 || true
  helm uninstall tenantra-crds >&2 || true
  $kubectl delete namespace tenantra-system --ignore-not-found --timeout=120s >&2
fi
rm -rf "$run"
rmdir "$ROOT/.run" 2>/dev/null || true
log "$left"

#!/usr/bin/env bash
# Rebuilds one program and restarts it in the running demo: hack/dev.sh operator|api|agent
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

run=$ROOT/.run/demo
case ${1:-} in
operator) crate=operator pods=(-n tenantra-system -l app.kubernetes.io/component=operator) ;;
api) crate=api-server pods=(-n tenantra-system -l app.kubernetes.io/component=api) ;;
agent) crate=agent-daemonset pods=(-A -l app.kubernetes.io/name=tenantra-agent) ;;
*) die "which program? make dev PROGRAM=operator|api|agent" ;;
esac
[ -e "$run/env" ] || die "no demo of this checkout runs: start it with 'make demo'"
. "$run/env"
export KUBECONFIG

log "building $1"
[ "$1" != api ] || hack/ui.sh build
cargo build --quiet --locked -p "$crate" --bins
images=$(mktemp -d)
trap 'rm -rf "$images"' EXIT
image=$(hack/images.sh "$images" debug dev "$1")
if [ -e "$run/cluster" ]; then
  devcluster load-image --dir "$(cat "$run/cluster")" "$image" >&2
else
  [ -n "${TENA_DEMO_LOAD:-}" ] || die "TENA_DEMO_LOAD is not set: the command that brings an image to your cluster's nodes"
  # shellcheck disable=SC2086 — a command with its words.
  $TENA_DEMO_LOAD "$image" >&2
fi

log "restarting $1"
$kubectl delete pods "${pods[@]}" --wait=true --timeout=60s >&2
pods_there() { [ -n "$($kubectl get pods "${pods[@]}" -o name)" ]; }
wait_until 30 "a new pod of $1" pods_there
$kubectl wait --for=condition=Ready pods "${pods[@]}" --timeout=60s >&2

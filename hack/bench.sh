#!/usr/bin/env bash
# Benchmarks: all, or the one that BENCH names, built with optimisation. RUNS, N, TIME, AGENTS,
# MINUTES, ROOTS, X10, BEHIND, REQUESTS, SEED and KILLS are passed on.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

case ${BENCH:-} in
'') benches="tenants scan integrity agreement idle ingest fleet read migrate isolation chaos" ;;
tenants | scan | integrity | agreement | idle | ingest | fleet | read | migrate | isolation | chaos) benches=$BENCH ;;
*) die "there is no benchmark $BENCH; there are: tenants scan integrity agreement idle ingest fleet read migrate isolation chaos" ;;
esac

hack/setup.sh kube postgres openbao devcluster >/dev/null
TENA_DEVCLUSTER=$(dir_of devcluster)/bin/devcluster
export TENA_DEVCLUSTER
mkdir -p api-server/ui/dist
log "programs, with optimisation"
packages=(-p bench -p operator -p agent-daemonset)
case $benches in *idle* | *ingest* | *fleet* | *read* | *isolation* | *chaos*) packages+=(-p api-server) ;; esac
case $benches in *migrate*) packages+=(-p cli) ;; esac
cargo build --release --locked "${packages[@]}"
for bench in $benches; do
  case $bench in
  integrity) hack/setup.sh aide ;;
  scan | agreement)
    hack/setup.sh oscap debian
    TENA_BENCH_ROOT=$(dir_of debian)/root
    TENA_BENCH_SCAP_CONTENT=$(dir_of oscap)/ssg-debian12-ds.xml
    TENA_BENCH_HIDDEN=$CACHE
    export TENA_BENCH_ROOT TENA_BENCH_SCAP_CONTENT TENA_BENCH_HIDDEN
    ;;
  esac
  log "$bench"
  "$(bin_dir release)/tenantra-bench" "$bench"
done

#!/usr/bin/env bash
# Starts the development cluster for real and looks whether it does what its README says, and what it leaves.
#   hack/devcluster/smoke.sh         a control plane with PostgreSQL and OpenBao, two at a time, a crash
#   hack/devcluster/smoke.sh node    a node with a pod, and a crash of it (root)
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

work=$(mktemp -d)
chmod 711 "$work"
devcluster=$("$ROOT/hack/setup.sh" devcluster)
finish() {
  for run in "$work"/*/; do "$devcluster" down --dir "${run%/}" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

up() { # NAME FLAGS…
  log "up: $*"
  "$devcluster" up --dir "$work/$1" --detach "${@:2}" 2>/dev/null || { cat "$work/$1.log" >&2 || true; die "$1 did not start"; }
  # shellcheck disable=SC1090,SC1091
  . "$work/$1/env"
  kubectl=${TENA_DEV_KUBECTL:-}
}

same() { # TEXT GOT WANTED
  [ "$2" = "$3" ] || die "$1: got '$2', want '$3'"
  log "$1"
}

supervisor_of() { "$devcluster" status --dir "$work/$1" | sed -n 's/.*supervisor \([0-9]*\).*/\1/p'; }
processes_of() { "$devcluster" status --dir "$work/$1" | awk '/running$/ {print $2}'; }

# alive PID…: those that run; what is dead and waits for its parent does not.
alive() {
  local pid
  for pid in "$@"; do
    if grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status"; then echo "$pid"; fi
  done
}

# crash NAME: kills the supervisor, and looks that all it started ended with it.
crash() {
  local processes
  mapfile -t processes < <(processes_of "$1")
  kill -KILL "$(supervisor_of "$1")"
  gone() { [ -z "$(alive "${processes[@]}")" ]; }
  wait_until 5 "the programs of a killed supervisor end" gone
  "$devcluster" gc 2>/dev/null
  [ ! -e "$work/$1" ] || die "gc left $work/$1"
  log "a crash leaves nothing"
}

check_control_plane() {
  "$kubectl" create namespace smoke >/dev/null
  "$kubectl" -n smoke create serviceaccount agent >/dev/null
  local token review
  token=$("$kubectl" -n smoke create token agent --audience tenantra)
  review=$(jq -n --arg token "$token" '{apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: {token: $token, audiences: ["tenantra"]}}' |
    "$kubectl" create -f - -o jsonpath='{.status.authenticated} {.status.user.username}')
  same "a token for the audience tenantra is known" "$review" "true system:serviceaccount:smoke:agent"
  review=$(curl -sk -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $token" "$TENA_DEV_API_URL/api")
  same "and does not open the API" "$review" 401
  "$devcluster" kubeconfig --dir "$TENA_DEV_DIR" --user alice --group acme --out "$work/alice"
  review=$("$kubectl" --kubeconfig "$work/alice" auth whoami -o jsonpath='{.status.userInfo.username} {.status.userInfo.groups[0]}')
  same "a kubeconfig for any user and group" "$review" "alice acme"
  "$kubectl" apply -f - >/dev/null <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: smokes.test.tenantra.io }
spec:
  group: test.tenantra.io
  scope: Cluster
  names: { plural: smokes, kind: Smoke }
  versions: [{ name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }]
YAML
  "$kubectl" wait --for=condition=Established crd/smokes.test.tenantra.io --timeout=20s >/dev/null
  log "a custom resource is served"
}

check_services() {
  local bin got
  bin=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/psql' | sort -V | tail -1)")
  got=$("$bin/psql" "$TENA_DEV_PG_URL" -qAtc 'CREATE EXTENSION pg_stat_statements; SHOW max_connections')
  same "PostgreSQL, with pg_stat_statements" "$got" 300
  bao() { curl -sS -m 10 --fail-with-body -H "X-Vault-Token: $TENA_DEV_BAO_TOKEN" "$TENA_DEV_BAO_ADDR/v1/$1" "${@:2}"; }
  bao secret/data/smoke -d '{"data":{"a":"b"}}' >/dev/null
  same "OpenBao keeps a secret" "$(bao secret/data/smoke | jq -r .data.data.a)" b
  bao auth/kubernetes/role/smoke -d '{"bound_service_account_names":"agent","bound_service_account_namespaces":"smoke","policies":"default"}' >/dev/null
  got=$(bao auth/kubernetes/login -d "{\"role\":\"smoke\",\"jwt\":\"$("$kubectl" -n smoke create token agent)\"}" | jq -r .auth.metadata.service_account_name)
  same "OpenBao lets a service account in" "$got" agent
  [ -s "$TENA_DEV_BAO_AUDIT_LOG" ] || die "OpenBao's audit log is empty"
  local before=$TENA_DEV_BAO_PID
  kill -KILL "$TENA_DEV_BAO_PID" "$TENA_DEV_PG_PID"
  # shellcheck disable=SC1091
  restarted() { . "$TENA_DEV_DIR/env" && [ "$TENA_DEV_BAO_PID" != "$before" ] && bao secret/data/smoke && "$bin/psql" "$TENA_DEV_PG_URL" -c 'SELECT 1'; }
  wait_until 20 "OpenBao and PostgreSQL come back after a crash" restarted
  log "OpenBao and PostgreSQL come back after a crash"
}

smoke_control_plane() {
  up one --profile control-plane --with postgres,openbao --pg-fast
  check_control_plane
  check_services
  local first=$TENA_DEV_API_URL
  up two --profile control-plane
  [ "$first" != "$TENA_DEV_API_URL" ] || die "two runs have one address"
  same "a second run beside the first is another cluster" "$("$kubectl" get namespace smoke --ignore-not-found)" ""
  crash two
  "$devcluster" status --dir "$work/one" >/dev/null || die "the first run did not survive the crash of the second"
  "$devcluster" down --dir "$work/one" 2>/dev/null
  [ ! -e "$work/one" ] || die "down left $work/one"
}

smoke_node() {
  up node --profile node --with postgres,openbao --pg-fast --label-node tenantra.io/tenant=acme
  (cd "$ROOT/hack/devcluster" && CGO_ENABLED=0 go build -o "$work/probe" ./cmd/probe)
  "$devcluster" image --out "$work/probe.tar" --name tenantra.local/probe:1 --entrypoint /probe --file "/probe=$work/probe" --user 65532:65532
  "$devcluster" load-image --dir "$work/node" "$work/probe.tar" 2>/dev/null
  "$kubectl" apply -f - >/dev/null <<YAML
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: probe }
spec:
  selector: { matchLabels: { app: probe } }
  template:
    metadata: { labels: { app: probe } }
    spec:
      nodeSelector: { tenantra.io/tenant: acme }
      containers:
      - name: probe
        image: tenantra.local/probe:1
        imagePullPolicy: Never
        args: ["$TENA_DEV_HOST_IP:$TENA_DEV_PG_PORT", "${TENA_DEV_BAO_POD_ADDR#http://}"]
        volumeMounts: [{ name: host, mountPath: /host, readOnly: true, mountPropagation: HostToContainer }]
      volumes: [{ name: host, hostPath: { path: / } }]
YAML
  probed() { "$kubectl" logs daemonset/probe | grep -q 'probe ok'; }
  wait_until 60 "a pod reaches the API by name, PostgreSQL and OpenBao" probed
  log "a pod reaches the API by name, PostgreSQL and OpenBao"
  crash node
  same "no interface of a pod is left" "$(ip -o link show type veth)" ""
  same "no table of kube-proxy is left" "$(nft list tables | grep kube-proxy || true)" ""
  same "no control group is left" "$(compgen -G '/sys/fs/cgroup/*/kubepods' || true)" ""
}

case ${1:-control-plane} in
control-plane) smoke_control_plane ;;
node) smoke_node ;;
*) die "smoke.sh [control-plane|node]" ;;
esac
log "ok"

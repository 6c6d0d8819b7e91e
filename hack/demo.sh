#!/usr/bin/env bash
# From nothing to a scanned, scored tenant: builds, starts a development cluster with Postgres and OpenBao, installs
# the charts, applies examples/acme.yaml, waits until the agent has scanned this machine, and prints what came of it.
#
#   make demo                 leaves it running; `make down` takes it down
#   DEMO_ONCE=1 make demo     prints one JSON object on the last line and takes everything down
#   KUBECONFIG=… make demo    uses that cluster; see docs/DEPLOY.md for what it must be given
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

run=$ROOT/.run/demo
# Sockets lie in it, whose paths are short: not below the checkout.
cluster=${TMPDIR:-/tmp}/tenantra-demo-$(printf %s "$ROOT" | sha256sum | cut -c1-8)
namespace=tenantra-system
tenant=acme
admin=admin@acme.example
ready=false seconds_to_ready=0

own_cluster=true
[ -z "${KUBECONFIG:-}" ] || own_cluster=false

if $own_cluster && [ "$(id -u)" != 0 ]; then
  die "the development cluster changes mounts and the network and needs root: run 'sudo -E make demo', or set KUBECONFIG to a cluster of yours"
fi
if ! $own_cluster; then
  for name in TENA_DEMO_PG_URL TENA_DEMO_LOAD; do
    [ -n "${!name:-}" ] || die "KUBECONFIG is set, so $name is needed, too (docs/DEPLOY.md, section 'The demo on a cluster of yours')"
  done
fi

finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "${DEMO_ONCE:-}" ] || [ $code -ne 0 ]; then
    if [ $code -ne 0 ] && [ -n "$kubectl" ]; then explain || true; fi
    "$ROOT/hack/down.sh" || code=1
  fi
  exit $code
}

# What a person would look at next, when the demo failed.
explain() {
  log "what the cluster says:"
  k get tenants,pods -A -o wide >&2 || true
  k get tenant "$tenant" -o jsonpath='{range .status.conditions[*]}{.type}{"\t"}{.status}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}' >&2 || true
  for program in operator api; do
    log "the last lines of the $program:"
    k -n $namespace logs "deploy/tenantra-$program" --tail 15 >&2 || true
    k -n $namespace get events --field-selector type=Warning >&2 || true
  done
}

kubectl=
k() { "$kubectl" --request-timeout=20s "$@"; }
random() { head -c 24 /dev/urandom | base64 | tr -d '/+=' | cut -c1-24; }

[ ! -e "$run/env" ] || die "a demo of this checkout runs already: 'make down' takes it down"
trap finish EXIT
trap 'exit 130' INT TERM
mkdir -p "$run"
chmod 700 "$run"

# 1. What it needs, and the programs.
log "tools"
if $own_cluster; then hack/setup.sh tools kube coredns node postgres openbao helm devcluster >/dev/null; else hack/setup.sh tools kube helm devcluster >/dev/null; fi
hack/build.sh

# 2. The cluster.
if $own_cluster; then
  log "development cluster with Postgres and OpenBao"
  echo "$cluster" >"$run/cluster"
  devcluster up --profile node --with postgres,openbao --dir "$cluster" --detach >&2
  . "$cluster/env"
  export KUBECONFIG
  kubectl=$TENA_DEV_KUBECTL
  postgres_admin=$TENA_DEV_PG_URL
  postgres_host=$TENA_DEV_HOST_IP:$TENA_DEV_PG_PORT
  vault_address=$TENA_DEV_BAO_POD_ADDR
else
  kubectl="$(dir_of kube)/bin/kube kubectl"
  kubectl_words=($kubectl)
  k() { "${kubectl_words[@]}" --request-timeout=20s "$@"; }
  postgres_admin=$TENA_DEMO_PG_URL
  postgres_host=$(echo "$TENA_DEMO_PG_URL" | sed -E 's#.*@([^/?]+).*#\1#')
  vault_address=${TENA_DEMO_BAO_ADDR:-}
fi
{ echo "KUBECONFIG='$KUBECONFIG'"; echo "kubectl='$kubectl'"; } >"$run/env"

# 3. Images.
log "images"
images=$(hack/images.sh "$run/images" debug)
if $own_cluster; then
  # shellcheck disable=SC2086 — one word a file.
  devcluster load-image --dir "$cluster" $images >&2
else
  for image in $images; do
    # shellcheck disable=SC2086 — a command with its words.
    $TENA_DEMO_LOAD "$image" >&2
  done
fi
rm -rf "$run/images"

# 4. Roles in Postgres, rights in OpenBao, Secrets in the cluster.
log "database roles"
owner_password=$(random) api_password=$(random) admin_password=$(random)Aa1!
TENA_DB_ADMIN_URL=$postgres_admin TENA_DB_OWNER_PASSWORD=$owner_password TENA_DB_API_PASSWORD=$api_password \
  "$(bin_dir)/tenantra" db bootstrap >&2
k create namespace $namespace >&2
secret() { k -n $namespace create secret generic "$@" >&2; }
secret tenantra-db-owner --from-literal=url="postgres://tenantra_owner:$owner_password@$postgres_host/tenantra"
secret tenantra-db-api --from-literal=url="postgres://tenantra_api:$api_password@$postgres_host/tenantra"
secret tenantra-admin --from-literal=email="$admin" --from-literal=password="$admin_password"
vault_values=()
if [ -n "$vault_address" ]; then
  log "OpenBao: the operator's policy and role"
  hack/openbao.sh "${TENA_DEV_BAO_ADDR:-$vault_address}" "${TENA_DEV_BAO_TOKEN:-${TENA_DEMO_BAO_TOKEN:-}}" $namespace
  vault_values=(--set "vault.address=$vault_address")
fi

# 5. The charts.
log "charts"
helm upgrade --install tenantra-crds charts/tenantra-crds >&2
helm upgrade --install tenantra charts/tenantra -n $namespace --wait --timeout 2m \
  --set image.repository="${TENA_IMAGE_PREFIX:-tenantra}",image.tag=dev \
  --set agent.recursiveReadOnly=Disabled \
  --set operator.replicas=1,api.replicas=1 \
  --set api.seed.adminSecret=tenantra-admin,api.seed.tenantSlug=$tenant \
  "${vault_values[@]}" >&2

# 6. The tenant.
log "kubectl apply -f examples/acme.yaml"
if $own_cluster; then k label node --all "tenantra.io/tenant=$tenant" >&2; fi
applied=$(date +%s.%N)
k apply -f examples/acme.yaml >&2
k wait --for=condition=Ready "tenant/$tenant" --timeout=15s >&2 || k wait --for=condition=Ready "tenant/$tenant" --timeout=18s >&2
seconds_to_ready=$(echo "$applied $(date +%s.%N)" | awk '{printf "%.1f", $2 - $1}')
ready=true
log "$tenant is Ready after $seconds_to_ready s"

# 7. The scan, as the API tells it.
url=https://$(k -n $namespace get service tenantra-api -o jsonpath='{.spec.clusterIP}'):8443
k -n $namespace get secret tenantra-api-tls -o jsonpath='{.data.ca\.crt}' | base64 -d >"$run/ca.crt"
# The certificate names the service; here it is reached by its address.
api() {
  curl -sS --fail-with-body -m 10 --cacert "$run/ca.crt" --connect-to "tenantra-api.$namespace.svc:8443:${url#https://}" \
    -H 'content-type: application/json' "https://tenantra-api.$namespace.svc:8443/v1$1" "${@:2}"
}
token=$(api /auth/login -d "{\"username\":\"$admin\",\"password\":\"$admin_password\"}" | jq -r .access_token)
get() { api "$1" -H "authorization: Bearer $token" -H "x-tenantra-tenant: $tenant"; }
log "waiting for the agent's first results"
scanned() {
  get /overview >"$run/overview.json" && jq -e '.agents.total >= 1 and .jobs.queued == 0 and .jobs.running == 0 and (.checks | add) > 0' "$run/overview.json"
}
wait_until 300 "the first scan" scanned

# 8. What came of it.
rollup() {
  k get tenant "$tenant" -o json | jq -e --argjson score "$(jq .score "$run/overview.json")" '.status.score == $score'
}
wait_until 90 "the score in the Tenant's status" rollup
summary=$(jq -c --arg tenant "$tenant" --argjson ready $ready --argjson seconds "$seconds_to_ready" --arg url "$url" \
  '{tenant: $tenant, ready: $ready, seconds_to_ready: $seconds, score, checks: (.checks | {passed, failed, not_applicable, error}),
    findings: (.findings | {critical, high, medium, low}), agents: .agents.total, assets: (.assets | if type == "object" then .total else . end), url: $url}' "$run/overview.json")

echo "$summary" >"$run/summary.json"
{ echo "TENA_DEMO_HOST_IP='${TENA_DEV_HOST_IP:-}'"; echo "TENA_DEMO_URL='$url'"; echo "TENA_DEMO_USER='$admin'"; echo "TENA_DEMO_PASSWORD='$admin_password'"; } >>"$run/env"

if [ -n "${DEMO_ONCE:-}" ]; then
  k get tenants >&2
  echo "$summary" | jq -e '.ready and .agents >= 1 and .assets >= 1 and .checks.error == 0 and .checks.passed + .checks.failed >= 80 and .score != null' >/dev/null ||
    die "not all of it is true: $summary"
  "$ROOT/hack/down.sh"
  trap - EXIT
  echo "$summary"
  exit 0
fi

echo
k get tenants
echo
echo "$summary" | jq -r '"Score \(.score) of 100.  Checks: \(.checks.passed) passed, \(.checks.failed) failed, \(.checks.not_applicable) not applicable, \(.checks.error) errors.
Open findings: \(.findings.critical) critical, \(.findings.high) high, \(.findings.medium) medium, \(.findings.low) low.
"'
echo "The worst findings of this machine:"
get '/findings?page_size=10&sort=-severity' | jq -r '.items[] | "  \(.severity)\t\(.title)\t\(.resource)"' | column -t -s "$(printf '\t')" -l 3
cat <<TEXT

Dashboard   $url/   (its certificate is the chart's own: $run/ca.crt)
Sign in     $admin
Password    $admin_password

kubectl     export KUBECONFIG=$KUBECONFIG
            $kubectl get tenants
Take down   make down
TEXT

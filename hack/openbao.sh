#!/usr/bin/env bash
# Gives the operator its rights in OpenBao or Vault: hack/openbao.sh ADDRESS TOKEN NAMESPACE
# The engines (kv-v2 at secret/, transit/, pki/) and the Kubernetes auth method are mounted already.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
address=${1:?address} token=${2:?token} namespace=${3:?namespace}

bao() { # METHOD PATH JSON
  curl -sS --fail-with-body -m 10 -X "$1" -H "X-Vault-Token: $token" "$address/v1/$2" -d "$3" >&2
}

bao PUT sys/policies/acl/tenantra-operator "$(jq -Rs '{policy: .}' <"$ROOT/docs/openbao-operator.hcl")"
bao POST auth/kubernetes/role/tenantra-operator "$(jq -n --arg namespace "$namespace" '{
  bound_service_account_names: ["tenantra-operator"], bound_service_account_namespaces: [$namespace],
  token_policies: ["tenantra-operator"], token_ttl: "1h", token_max_ttl: "24h"}')"

#!/usr/bin/env bash
# The charts: lint, refused values, and the rendered output against golden files (UPDATE_GOLDEN=1 rewrites them).
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT/charts"

passed=0 failed=0
check() { # NAME COMMAND…
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    log "failed: $name"
  fi
}

# What is random in each rendering (keys and certificates) is taken out.
render() {
  helm template tenantra tenantra --kube-version 1.36 --namespace tenantra-system "$@" |
    sed -E 's#^(  (jwt-secret|bundle-key\.pem|ca\.crt|tls\.crt|tls\.key): ).*#\1<made at install>#'
}

golden() { # FILE VALUE…
  local file=tenantra/tests/$1
  shift
  if [ -n "${UPDATE_GOLDEN:-}" ]; then render "$@" >"$file"; fi
  render "$@" | diff -u "$file" - >&2
}

refused() { # SENTENCE VALUE…
  local sentence=$1 output
  shift
  if output=$(render "$@" 2>&1); then return 1; fi
  grep -qF -- "$sentence" <<<"$output" || { echo "$output" >&2; return 1; }
}

check "tenantra lints" helm lint --quiet tenantra
check "tenantra-crds lints" helm lint --quiet tenantra-crds
check "defaults render as before" golden defaults.golden.yaml
check "everything switched on renders as before" golden everything.golden.yaml --values tenantra/tests/everything.values.yaml
check "an unknown value is refused" refused "additional properties 'replica' not allowed" --set api.replica=3
check "a wrong TLS mode is refused" refused "value must be one of" --set api.tls.mode=plain
check "a Secret for TLS must be named" refused "api.tls.secretName: name a kubernetes.io/tls Secret" --set api.tls.mode=secret
check "an issuer must be named" refused "api.tls.issuer.name: name the cert-manager issuer" --set api.tls.mode=certManager
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]

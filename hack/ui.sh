#!/usr/bin/env bash
# The dashboard: hack/ui.sh install|build|test. node_modules is kept in the cache, keyed by the lock file, and linked
# into the tree, so that a clean clone does not download the world.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT/api-server/ui"

install_packages() {
  local key kept
  key=$(cat package-lock.json package.json | sha256sum | cut -c1-16)
  kept=$CACHE/ui-$key
  if [ ! -e "$kept/done" ]; then
    log "dashboard: npm ci"
    mkdir -p "$kept"
    cp package.json package-lock.json .npmrc "$kept/"
    (cd "$kept" && npm ci --no-fund --no-audit --loglevel=error >&2)
    touch "$kept/done"
  fi
  if [ ! -d node_modules ] || [ -L node_modules ]; then ln -sfn "$kept/node_modules" node_modules; fi
}

install_packages
case ${1:-build} in
install) ;;
build)
  log "dashboard: build"
  npm run --silent build >&2
  ;;
test)
  log "dashboard: unit tests"
  npm run --silent test >&2
  ;;
*) die "hack/ui.sh install|build|test" ;;
esac

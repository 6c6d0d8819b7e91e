#!/usr/bin/env bash
# What must not be in the tree: private keys, tokens, files over 1 MiB, links.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
found=$(git grep -lE -- '-----BEGIN ([A-Z]+ )?PRIVATE KEY-----$|AKIA[0-9A-Z]{16}|hvs\.[A-Za-z0-9]{24}' -- . ':!hack/tidy.sh' || true)
[ -z "$found" ] || die "looks like a secret, take it out: $found"
big=$(git ls-files -z | xargs -0 -I{} find {} -size +1024k 2>/dev/null || true)
[ -z "$big" ] || die "over 1 MiB, is it needed: $big"
links=$(git ls-files -s | awk '$1 == 120000 {print $4}')
[ -z "$links" ] || die "a link, which leads nowhere elsewhere: $links"

#!/usr/bin/env bash
# Makes the four images on an empty base, or one of them, from programs that are built, and prints the tars:
# hack/images.sh OUTDIR [debug|dist] [TAG] [operator|api|cli|agent]
# Symbols are left out; the programs themselves keep them.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out=${1:?hack/images.sh OUTDIR [debug|dist] [TAG] [NAME]}
bin=$(bin_dir "${2:-debug}")
tag=${3:-dev}
only=${4:-}
prefix=${TENA_IMAGE_PREFIX:-tenantra}
mkdir -p "$out"

image() { # name program user [another program, beside it]
  local program=$bin/$2 more=()
  [ -z "$only" ] || [ "$only" = "$1" ] || return 0
  [ -x "$program" ] || die "$program is not there: run cargo build first"
  strip -o "$out/$2" "$program"
  if [ -n "${4:-}" ]; then
    [ -x "$bin/$4" ] || die "$bin/$4 is not there: run cargo build first"
    strip -o "$out/$4.beside" "$bin/$4"
    more=(-file "/$4=$out/$4.beside")
  fi
  devcluster image -name "$prefix/$1:$tag" -file "/$2=$out/$2" "${more[@]}" -entrypoint "/$2" -user "$3" -out "$out/$1.tar" >&2
  rm -f "$out/$2" "$out/${4:-$2}.beside"
  echo "$out/$1.tar"
}

image operator tenantra-operator 65532:65532
# The API server has the quality gates of modules run by the command line program.
image api tenantra-api 65532:65532 tenantra
image cli tenantra 65532:65532
# The agent reads what only root may read, with all capabilities dropped but two.
image agent tenantra-agent 0:0

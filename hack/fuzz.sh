#!/usr/bin/env bash
# Fuzzes the parsers that read files of a host: hack/fuzz.sh [TARGET|all] [SECONDS], SECONDS for each target. On stable Rust and
# without a sanitizer: the parsers have no unsafe code, so that a fault is a panic, an overflow, or much time or memory.
# Inputs that reach something new are added to tables/fuzz/corpus/TARGET, minimised. One that fails is kept in a folder of
# the cache, which the last lines name.
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT/tables/fuzz"
# make hands its variables on, and bash takes this one for the clock of its log.
SECONDS=0

target=${1:-all} seconds=${2:-60}
max_bytes=20480 max_inputs=40

mapfile -t known < <(find fuzz_targets -name '*.rs' -printf '%f\n' | sed 's/\.rs$//' | LC_ALL=C sort)
case $target in
all) targets=("${known[@]}") ;;
*)
  [[ " ${known[*]} " == *" $target "* ]] || die "there is no target $target; there are: ${known[*]}"
  targets=("$target")
  ;;
esac
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "SECONDS is a number: $seconds"

# What `cargo fuzz run -s none` sets: counters at every edge, and what comparisons compare.
export RUSTFLAGS="-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
-C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
-C llvm-args=-sanitizer-coverage-trace-compares -C codegen-units=1 --cfg fuzzing"
# Flags of its own need a place of its own.
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz
# The versions of the workspace, which has all but libFuzzer.
cp "$ROOT/Cargo.lock" Cargo.lock
long "fuzz targets" nice cargo build --release "${targets[@]/#/--bin=}"

work=$CACHE/fuzz
failed=()
for target in "${targets[@]}"; do
  program=$(bin_dir release)/$target
  corpus=corpus/$target
  grown=$work/$target/corpus artifacts=$work/$target/artifacts/ output=$work/$target/log
  mkdir -p "$corpus" "$grown" "$artifacts"
  if ! nice "$program" "$grown" "$corpus" -artifact_prefix="$artifacts" -max_total_time="$seconds" -max_len=$max_bytes \
    -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$output" 2>&1; then
    failed+=("$target")
    tail -n 20 "$output" >&2
    log "$target: FAILED; its input is in $artifacts"
    continue
  fi
  # The fewest inputs that reach all that was reached, of both folders.
  rm -rf "$work/$target/merged"
  mkdir "$work/$target/merged"
  nice "$program" -set_cover_merge=1 -max_len=$max_bytes "$work/$target/merged" "$corpus" "$grown" >/dev/null 2>&1 || die "$target: merging failed"
  # The seeds stay, which have names; beside them the smallest of what was found, which are named by their hash.
  find "$corpus" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
  room=$((max_inputs - $(find "$corpus" -type f | wc -l)))
  present=$(find "$corpus" -type f -exec sha1sum {} + | cut -d' ' -f1)
  mapfile -t found < <(find "$work/$target/merged" -type f -printf '%s %p\n' | LC_ALL=C sort -n | cut -d' ' -f2-)
  for input in "${found[@]}"; do
    [ "$room" -gt 0 ] || break
    ! grep -qxF "$(basename "$input")" <<<"$present" || continue
    cp "$input" "$corpus/"
    room=$((room - 1))
  done
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$output")
  edges=$(grep -oE 'cov: [0-9]+' "$output" | tail -n 1 | cut -d' ' -f2)
  log "$target: $seconds s, ${runs:-0} runs, ${edges:-0} edges, $(find "$corpus" -type f | wc -l) inputs kept, no failure"
done
[ ${#failed[@]} -eq 0 ] || die "failed: ${failed[*]}; see $work"

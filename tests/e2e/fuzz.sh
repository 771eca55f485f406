#!/usr/bin/env bash
# Every fuzz target, from seeds and the kept corpus: `fuzz.sh [TARGET…]`. Without FUZZ_SECONDS, the time for each, it is
# 2,000 runs and ten seconds at most, the same runs every time, so that what it finds is of the change at hand. FUZZ_DIR keeps
# what they find, and the corpora grown in it, from run to run.
#
# libFuzzer needs coverage alone, which the stable compiler gives: without unsafe code there is little for a sanitizer.
set -euo pipefail
cd "$(dirname "$0")/../../fuzz"
bound=(-seed=1 -runs=2000 -max_total_time=10)
[ -z "${FUZZ_SECONDS:-}" ] || bound=(-max_total_time="$FUZZ_SECONDS")
memory="$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)")"
trap 'rm -rf "$memory"' EXIT
work="${FUZZ_DIR:-$memory}"
mkdir -p "$memory/tmp"
mapfile -t targets < <(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' Cargo.toml)
[ $# -eq 0 ] || targets=("$@")
triple="$(rustc -vV | sed -n 's/^host: //p')"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
sancov='-Cllvm-args=-sanitizer-coverage'
coverage="-Cpasses=sancov-module $sancov-level=4 $sancov-inline-8bit-counters $sancov-pc-table $sancov-trace-compares"

SECONDS=0
# Naming the target keeps build scripts and macros free of it.
RUSTFLAGS="--cfg fuzzing $coverage -Ccodegen-units=4" cargo build --locked --quiet --target "$triple"
echo "built in $SECONDS s"
python3 seeds.py "$work/seeds"

failed=0
for target in "${targets[@]}"; do
    mkdir -p "$work/seeds/$target" "$work/corpus/$target" "$work/found/$target" "corpus/$target"
    if ! TMPDIR="$memory/tmp" "$CARGO_TARGET_DIR/$triple/debug/$target" "${bound[@]}" -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$work/found/$target/" \
        "$work/corpus/$target" "corpus/$target" "$work/seeds/$target" >"$work/$target.log" 2>&1; then
        failed=1
        tail -n 40 "$work/$target.log"
        find "$work/found/$target" -type f -printf '%f as base64: ' -exec base64 -w 0 {} \; -exec echo \;
    fi
    runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")"
    echo "$target: ${runs:-?} executions"
done
echo "all in $SECONDS s"
exit "$failed"

#!/usr/bin/env bash
# A scan with a case file is killed fifty times at random moments (of a fixed seed); the reports of the run that is
# left to finish are those of a run that nothing disturbed.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo build --locked --release --quiet
kubesweep="$PWD/target/release/kubesweep"
# Ten times the fixtures. Some copies differ in their names alone, and count once; others by blank lines.
for copy in 0 1 2 3 4 5 6 7 8 9; do
    cp -r fixtures/dumps "$work/dump$copy"
    find "$work/dump$copy" -name '*.json' -exec sh -c 'yes "" | head -n "$1" >> "$2"' _ "$copy" {} \;
done
mkdir "$work/dump"
mv "$work"/dump[0-9] "$work/dump"
RANDOM=7
for _ in $(seq 50); do
    "$kubesweep" scan -q "$work/dump" --force -o "$work/killed" --case "$work/case.db" &
    sleep "0.$(printf '%03d' $((RANDOM % 300)))"
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
"$kubesweep" scan -q "$work/dump" --force -o "$work/killed" --case "$work/case.db"
"$kubesweep" scan -q "$work/dump" -o "$work/once" --case "$work/once.db"
for report in summary.csv alerts.csv hits.csv hits.jsonl suppressed.csv activity.csv coverage.csv runbook.json runbook.md; do
    cmp "$work/killed/$report" "$work/once/$report"
done
echo "killed fifty times: the same reports"

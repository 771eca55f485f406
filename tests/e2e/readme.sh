#!/usr/bin/env bash
# The README's main command, run as a stranger would: a release build over the fixtures, into a new directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
report="$(mktemp -d)/report"
cargo run --locked --release -- scan fixtures/dumps -o "$report"
for file in summary.csv alerts.csv hits.csv hits.jsonl suppressed.csv activity.csv coverage.csv inputs.csv report.json run.json; do
    test -s "$report/$file" || { echo "$file is missing"; exit 1; }
done

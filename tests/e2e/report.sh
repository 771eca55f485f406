#!/usr/bin/env bash
# report.html in headless Chromium: the fixtures' report, one of log text that attacks its reader, one of
# 20,000 alerts.
# Installs what it needs (Debian's chromium, npm's playwright-core) outside the repository. SHOTS=DIR keeps screenshots.
set -euo pipefail
cd "$(dirname "$0")/../.."
repository="$PWD"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
sudo="$(command -v sudo || true)"
if ! command -v chromium >/dev/null; then
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
cargo build --locked --release --quiet
kubesweep="$repository/target/release/kubesweep"
python3 tests/e2e/browser/hostile.py "$work/hostile.log"
"$kubesweep" scan -q fixtures/dumps -o "$work/report"
"$kubesweep" scan -q "$work/hostile.log" -o "$work/hostile"
python3 tests/e2e/browser/many.py "$work/many.log" 20000
"$kubesweep" scan -q "$work/many.log" -o "$work/many"
cp tests/e2e/browser/report.mjs "$work"
cd "$work"
npm install --silent --no-audit --no-fund playwright-core@1.65 >/dev/null
timeout 300 node report.mjs report/report.html hostile/report.html "${SHOTS:-$work/shots}" many/report.html

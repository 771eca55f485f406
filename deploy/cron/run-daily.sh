#!/bin/sh
# One daily sweep of a dump that grows.
#
#   run-daily.sh DUMP STATE [--as-of TIME] [OPTION...]
#
# STATE holds case.db, reports/YYYY-MM-DD (with -2, -3, … for more runs of a day), reports/latest, which points to the
# last report and is never missing or half written, swept, the end of what has been swept, and a lock. TIME is the end of
# what is swept, in place of now. Options are those of scan, instead of
#   --since (the time in swept, or 24h) --lookback 30d --fail-on suspicious
# Where logs are delivered late, give them, with a --since that is wider by the delay.
# What the scan says is in STATE/log; it is printed too, on standard error, unless all is well.
#
# Exit status: that of scan (0, 1: an alert reached --fail-on, 3: part of the dump is damaged; in all of these the report
# is there and latest points to it; 2: there is no report), 75 where another run has not ended. KUBESWEEP names the
# program, if it is not on the PATH.
set -u
umask 077
if [ $# -lt 2 ]; then
    echo "usage: run-daily.sh DUMP STATE [--as-of TIME] [OPTION...]" >&2
    exit 2
fi
dump=$1 state=$2
shift 2
as_of=$(date -u +%Y-%m-%dT%H:%M:%SZ)
if [ "${1:-}" = --as-of ]; then
    as_of=$2
    shift 2
fi

reports=$state/reports
mkdir -p "$reports" || exit 2
exec 9>"$state/lock" || exit 2
if ! flock -n 9; then
    echo "run-daily.sh: another run has not ended; it holds $state/lock" >&2
    exit 75
fi

# From the end of the last run, however long ago that was, so that nothing lies between two.
swept=$(cat "$state/swept" 2>/dev/null)
is_later=$(printf '%s\n' "$swept" "$as_of" | LC_ALL=C sort -c -u 2>/dev/null && echo yes)
since=24h
[ -z "$swept" ] || [ -z "$is_later" ] || since=$swept
[ $# -gt 0 ] || set -- --since "$since" --lookback 30d --fail-on suspicious

name=${as_of%%T*}
run=1
while [ -e "$reports/$name" ]; do
    run=$((run + 1))
    name=${as_of%%T*}-$run
done
# What a run that was killed left; its inputs are in the case.
rm -rf "$reports"/.running
log=$state/log
"${KUBESWEEP:-kubesweep}" scan "$dump" --no-progress --case "$state/case.db" --as-of "$as_of" --until "$as_of" \
    -o "$reports/.running" "$@" 2>"$log" 9>&-
status=$?
say=:
if [ "$status" -ne 0 ] || grep -q '^warning: ' "$log"; then
    cat "$log" >&2
    say=echo
fi
case $status in
0 | 1 | 3)
    $say "run-daily.sh: scan ended with $status; reports are in $reports/$name" >&2
    mv "$reports/.running" "$reports/$name" || exit 2
    [ -z "$is_later" ] || echo "$as_of" >"$state/swept" || exit 2
    ln -sfn "$name" "$reports/.latest" && mv -T "$reports/.latest" "$reports/latest" || exit 2
    ;;
*)
    $say "run-daily.sh: scan ended with $status; there is no report" >&2
    rm -rf "$reports"/.running
    ;;
esac
exit $status

#!/bin/sh
# One dump, many processes: sweeps it in shares, as many at once as there are cores, and merges them.
#
#   deploy/parallel.sh SHARES DUMP REPORT [OPTION...]
#
# Options go to scan and merge alike: --rules, --tune, --no-runbook, --since with --as-of. The exit status is that of the
# merge, or 2 where a share could not be swept. KUBESWEEP names the program, if it is not on the PATH.
#
# With GNU parallel the same runs on many hosts that see the dump and the partials under one path:
#   seq 0 15 | parallel --sshlogin host1,host2 kubesweep scan /logs --shard {}/16 --partial /sweep/partials/{}
set -eu
if [ $# -lt 3 ]; then
    echo "usage: parallel.sh SHARES DUMP REPORT [OPTION...]" >&2
    exit 2
fi
shares=$1 dump=$2 report=$3
shift 3
KUBESWEEP=${KUBESWEEP:-kubesweep}
export KUBESWEEP
partials=$(mktemp -d)
trap 'rm -rf "$partials"' EXIT

# Status 3 is damage in the dump: the partial is there, and the merge will say so.
# shellcheck disable=SC2016 # that shell is to expand them
share='number=$1 shares=$2 dump=$3 partials=$4
shift 4
"$KUBESWEEP" scan "$dump" -q -j 1 --shard "$number/$shares" --partial "$partials/$number" "$@" || [ $? -eq 3 ]'
seq 0 $((shares - 1)) |
    xargs -P "$(nproc)" -I '{}' sh -c "$share" share '{}' "$shares" "$dump" "$partials" "$@" || exit 2
"$KUBESWEEP" merge "$partials" -o "$report" "$@"

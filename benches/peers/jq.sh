#!/usr/bin/env bash
# The rule in jq, two pipelines at once: `jq.sh prefiltered|full DUMP` prints namespace, username and hits.
set -euo pipefail
how="$1" dump="$2"
here="$(dirname "$(realpath "$0")")"
case "$how" in
    # Payloads of CloudWatch stand on one line: each is given its own, so that those without the word fall away.
    prefiltered) filter='sed "s/{\"messageType\"/\n&/g" | { rg --no-config -aF cronjobs || true; }' ;;
    full) filter="cat" ;;
    *) echo "usage: jq.sh prefiltered|full DUMP" >&2; exit 2 ;;
esac
export here filter
# A line of an export task begins with a time.
# shellcheck disable=SC2016 # The inner shell expands it.
find "$dump" -type f -print0 | xargs -0 -P 2 -n 16 bash -c '
    for file; do igzip -dc < "$file"; echo; done | eval "$filter" | sed -E "s/^[0-9][^ ]* \{/{/" | jq -r -f "$here/rule.jq"' _ |
    bash "$here/count.sh"

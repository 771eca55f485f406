#!/usr/bin/env bash
# The rule as Sigma in rsigma, two pipelines at once: `rsigma.sh DUMP` prints namespace, username and hits.
# rsigma reads JSON lines: payloads of CloudWatch get lines of their own, and lines of an export task lose their time.
set -euo pipefail
dump="$1"
here="$(dirname "$(realpath "$0")")"
export here
# shellcheck disable=SC2016 # The inner shell expands it.
find "$dump" -type f -print0 | xargs -0 -P 2 -n 16 bash -c '
    for file; do igzip -dc < "$file"; echo; done | sed -E "s/\{\"messageType\"/\n&/g; s/^[0-9][^ ]* \{/{/" |
    rsigma engine eval -r "$here/rule.sigma.yml" --jq "$(grep -v ^# "$here/open.jq")" \
        --include-event --no-stats --quiet --output-format ndjson 2>/dev/null |
    jq -r -f "$here/matched.jq"' _ | bash "$here/count.sh"

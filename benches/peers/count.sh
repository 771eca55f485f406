#!/usr/bin/env bash
# Namespace, username, id → namespace, username, number of ids.
set -euo pipefail
export LC_ALL=C
sort -u | cut -f 1,2 | uniq -c | awk '{ hits = $1; sub(/^ *[0-9]+ /, ""); print $0 "\t" hits }'

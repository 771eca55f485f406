#!/usr/bin/env bash
# Whole commands side by side: kubesweep, the floor under it, and other ways to the same answer. See benches/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

SIZE="${SIZE:-2GiB}"                         # text of a dump
RUNS="${RUNS:-5}"                            # timed runs, after one that is not
THREADS="${THREADS:-2}"                      # the peers take two, whatever this says
WORK="${WORK:-$PWD/target/compare}"          # dumps, peers, results
ONLY="${ONLY:-scan candidates pack threads giant memory growth startup case shapes}"
GROWTH_SIZES="${GROWTH_SIZES:-1GiB 4GiB 16GiB}"
HITS_SIZE="${HITS_SIZE:-$SIZE}"              # a dump in which every record is a hit
CASE_SIZE="${CASE_SIZE:-16GiB}"              # thirty days
DUMP="${DUMP:-}"                             # a dump of your own (gzip alone) in place of the mixed one
KUBESWEEP="${KUBESWEEP:-target/release/kubesweep}"
FLAGSHIP=Kubernetes.CronJob.CreatedOrModified

NAMES=()
declare -A COMMAND=() PREPARE=() COUNTED=() MEDIAN=() PEAK=() HITS=()
peers=benches/peers
out="$WORK/report"

main() {
    mkdir -p "$WORK/results" "$WORK/dumps"
    WORK="$(realpath "$WORK")"
    install_peers
    build
    : >"$WORK/differences"
    for section in $ONLY; do
        rm -rf "${WORK:?}/results/$section"
        mkdir -p "$WORK/results/$section"
        "section_$section"
    done
    targets
    agreement
}

# --- what is needed -------------------------------------------------------------------------------------------------

install_peers() {
    local wanted=(hyperfine:hyperfine rg:ripgrep igzip:isal jq:jq pigz:pigz time:time)
    local missing=()
    for pair in "${wanted[@]}"; do
        type -P "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    if ((${#missing[@]})); then
        apt-get install -y --no-install-recommends "${missing[@]}" >"$WORK/apt.log" 2>&1 ||
            say "could not install ${missing[*]}: see $WORK/apt.log"
    fi
    python="$WORK/venv/bin/python"
    if ! [[ -e "$WORK/venv/ready" ]]; then
        python3 -m venv "$WORK/venv"
        "$WORK/venv/bin/pip" install -q duckdb chdb polars orjson isal >&2
        touch "$WORK/venv/ready"
    fi
    # Suzaku, the other scanner of Kubernetes logs, is not on crates.io.
    if ! [[ -x "$WORK/rsigma/bin/rsigma" ]]; then
        cargo install -q rsigma --version 0.21.0 --locked --no-default-features --root "$WORK/rsigma" >&2 ||
            say "could not install rsigma"
    fi
    export PATH="$PATH:$WORK/rsigma/bin"
}

build() {
    # An empty BUILD takes the programs that are there.
    [[ -n "${BUILD-yes}" ]] || return 0
    cargo build -q --release --locked --bin kubesweep --example inflate --example make_dump
}

# The logs of a generated dump, which is made where it is not there.
dump() {
    local variant="$1" size="$2" directory="$WORK/dumps/$1-$2"
    if [[ "$variant" == mixed && -n "$DUMP" ]]; then
        echo "$DUMP"
        return
    fi
    if ! [[ -e "$directory/expected.json" ]]; then
        say "making the dump $variant of $size"
        rm -rf "$directory"
        target/release/examples/make_dump --size "$size" --seed 1 --variant "$variant" "$directory" >&2
    fi
    echo "$directory/logs"
}

# --- measuring ------------------------------------------------------------------------------------------------------

# measure SECTION NAME COMMAND [PREPARE]: to be measured when the section's table is printed.
measure() {
    local key="$1/$2"
    NAMES+=("$2")
    COMMAND[$key]="$3"
    PREPARE[$key]="${4:-true}"
}

# count SECTION NAME KIND: the same with the hits that it finds. KIND is peer (prints groups), scan (leaves a report), or lines.
count() { COUNTED[$1/$2]="$3"; }

# Median seconds of the commands of a section, and of one more run of each its peak memory and what it finds. They take
# turns, so that an hour in which the machine is slow is the same for all.
measured() {
    local section="$1" round name key file median
    for round in $(seq 0 "$RUNS"); do
        say "$section: $round of $RUNS"
        for name in "${NAMES[@]}"; do
            key="$section/$name" file="$(result "$section" "$name")"
            hyperfine --shell bash --style none --runs 1 --prepare "${PREPARE[$key]}" --export-json "$file.$round.json" \
                "${COMMAND[$key]}" >"$file.log" 2>&1 || say "failed: see $file.log"
        done
    done
    for name in "${NAMES[@]}"; do
        key="$section/$name" file="$(result "$section" "$name")"
        # The first is the one that does not count.
        rm -f "$file.0.json"
        median="$(jq -s '[.[].results[0].mean] | sort | .[length / 2 | floor] // empty' "$file".*.json 2>/dev/null)" || continue
        MEDIAN[$key]="$median"
        bash -c "${PREPARE[$key]}"
        $(type -P time) -f %M -o "$file.rss" bash -c "${COMMAND[$key]}" >"$file.out" 2>/dev/null || true
        PEAK[$key]="$(awk 'END { printf "%.0f", $1 / 1024 }' "$file.rss")"
        [[ -z "${COUNTED[$key]:-}" ]] || found "$section" "$name" "${COUNTED[$key]}"
    done
    NAMES=()
}

result() { echo "$WORK/results/$1/${2//[^a-zA-Z0-9]/_}"; }

# The hits that a command found, and how they differ from ours.
found() {
    local key="$1/$2" kind="$3" file own
    file="$(result "$1" "$2").out" own="$(result "$1" "kubesweep scan").out"
    case "$kind" in
        scan)
            jq -r --arg rule "$FLAGSHIP" 'select(.rule_id == $rule) | [.namespace // "", .username // ""] | @tsv' \
                "$out/hits.jsonl" | LC_ALL=C sort | uniq -c |
                awk '{ n = $1; sub(/^ *[0-9]+ /, ""); print $0 "\t" n }' >"$file"
            ;;
        lines)
            HITS[$key]="$(awk -F: '{ n += $NF } END { print n " lines" }' "$file")"
            return 0
            ;;
    esac
    HITS[$key]="$(awk -F'\t' '{ n += $3 } END { print n + 0 }' "$file")"
    LC_ALL=C sort -o "$file" "$file"
    if [[ -e "$own" ]] && ! cmp -s "$own" "$file"; then
        { echo "$key: ${HITS[$key]} hits, kubesweep ${HITS[$1/kubesweep scan]:-?}"; diff "$own" "$file" | head -20; } \
            >>"$WORK/differences" || true
    fi
}

scan() { echo "$KUBESWEEP scan \"$1\" -o \"$out\" --force -q -j ${2:-$THREADS} ${*:3}"; }

inflate() { echo "target/release/examples/inflate -j ${2:-$THREADS} \"$1\""; }

ours() { # SECTION NAME DUMP [THREADS OPTIONS…]
    measure "$1" "$2" "$(scan "${@:3}")"
    count "$1" "$2" scan
}

peer() { # SECTION NAME COMMAND
    measure "$1" "$2" "$3"
    count "$1" "$2" peer
}

floor() { # SECTION DUMP [THREADS]
    measure "$1" "decompression alone" "$(inflate "${@:2}")"
}

# --- sections -------------------------------------------------------------------------------------------------------

section_scan() {
    local logs
    logs="$(dump mixed "$SIZE")"
    ours scan "kubesweep scan" "$logs"
    ours scan "kubesweep scan --no-runbook" "$logs" "$THREADS" --no-runbook
    ours scan "kubesweep scan --rules builtin:all" "$logs" "$THREADS" --rules builtin:all
    ours scan "kubesweep scan --validate" "$logs" "$THREADS" --validate
    floor scan "$logs"
    peers_of scan "$logs"
    table scan "The whole job: hits of the rule by namespace and user"
}

peers_of() {
    local section="$1" logs="$2"
    # These count lines that hold the word, and answer nothing else.
    measure "$section" "rg --pre igzip, lines" "rg --no-config -a -j 2 --pre $peers/igzip.sh -F -c cronjobs \"$logs\""
    count "$section" "rg --pre igzip, lines" lines
    measure "$section" "igzip to rg, lines" "find \"$logs\" -type f -print0 | xargs -0 igzip -dc | rg --no-config -aFc cronjobs"
    count "$section" "igzip to rg, lines" lines
    measure "$section" "rg -z, lines" "rg --no-config -a -j 2 -z -F -c cronjobs \"$logs\""
    count "$section" "rg -z, lines" lines
    for how in prefiltered full; do
        peer "$section" "chDB, $how" "$python $peers/sql.py chdb $peers/chdb.sql $how \"$logs\""
        peer "$section" "DuckDB, $how" "$python $peers/sql.py duckdb $peers/duckdb.sql $how \"$logs\""
        peer "$section" "Polars, $how" "$python $peers/polars_rule.py $how \"$logs\""
        peer "$section" "jq, $how" "bash $peers/jq.sh $how \"$logs\""
    done
    peer "$section" "DuckDB read_json, without export tasks" \
        "$python $peers/sql.py duckdb $peers/duckdb_json.sql full \"$logs\""
    peer "$section" "Python, orjson and ISA-L, prefiltered" "$python $peers/rule.py prefiltered \"$logs\""
    peer "$section" "Python, json and gzip" "$python $peers/rule.py plain \"$logs\""
    peer "$section" "rsigma" "bash $peers/rsigma.sh \"$logs\""
}

section_candidates() {
    local logs
    logs="$(dump candidates "$SIZE")"
    ours candidates "kubesweep scan" "$logs"
    floor candidates "$logs"
    peer candidates "chDB, full" "$python $peers/sql.py chdb $peers/chdb.sql full \"$logs\""
    peer candidates "DuckDB, full" "$python $peers/sql.py duckdb $peers/duckdb.sql full \"$logs\""
    peer candidates "Polars, full" "$python $peers/polars_rule.py full \"$logs\""
    peer candidates "Python, orjson and ISA-L" "$python $peers/rule.py prefiltered \"$logs\""
    table candidates "Every record a candidate, parsed and ruled"
}

section_pack() {
    local logs
    logs="$(dump mixed "$SIZE")"
    ours pack "kubesweep scan" "$logs"
    ours pack "kubesweep scan --rules builtin:all" "$logs" "$THREADS" --rules builtin:all
    table pack "The whole pack"
}

section_threads() {
    local logs
    logs="$(dump mixed "$SIZE")"
    ours threads "kubesweep scan" "$logs" 2
    ours threads "kubesweep scan -j 1" "$logs" 1
    table threads "Threads"
}

section_giant() {
    local logs
    logs="$(dump giant "$SIZE")"
    ours giant "kubesweep scan" "$logs" 2
    ours giant "kubesweep scan -j 1" "$logs" 1
    floor giant "$logs" 1
    table giant "One giant file"
}

section_memory() {
    local size
    for size in $GROWTH_SIZES; do
        measure memory "kubesweep scan, $size" "$(scan "$(dump mixed "$size")")"
    done
    measure memory "kubesweep scan, $HITS_SIZE of hits" "$(scan "$(dump hits "$HITS_SIZE")")"
    count memory "kubesweep scan, $HITS_SIZE of hits" scan
    measure memory "kubesweep scan --no-runbook, $HITS_SIZE of hits" "$(scan "$(dump hits "$HITS_SIZE")" "" --no-runbook)"
    # Memory needs no repetition.
    RUNS=1 table memory "Memory"
}

section_growth() {
    local size
    for size in $GROWTH_SIZES; do
        ours growth "kubesweep scan, $size" "$(dump mixed "$size")"
    done
    table growth "Growth"
}

section_startup() {
    mkdir -p "$WORK/empty"
    measure startup "kubesweep scan" "$(scan "$WORK/empty") || true"
    table startup "An empty directory"
}

# A daily run with a case over a dump of a month, against a plain scan of the last day alone. A dump ends within a day, which
# is left out.
section_case() {
    local logs month="$WORK/month" day="$WORK/day" case="$WORK/month.case" newest
    logs="$(dump mixed "$CASE_SIZE")"
    rm -rf "$month" "$day" "$case"*
    cp -rl "$logs" "$month"
    newest="$(cd "$month" && dated | cut -f 1 | sort -u | tail -n 2 | head -n 1)"
    (cd "$month" && dated | awk -F '\t' -v newest="$newest" '$1 > newest { printf "%s%c", $2, 0 }' | xargs -0 rm)
    mkdir -p "$day"
    (cd "$month" && dated | sed -n "s|^$newest\t||p" | tr '\n' '\0' | xargs -0 cp -l --parents -t "$day")
    (cd "$day" && find . -type f -print0) | (cd "$month" && xargs -0 rm)
    bash -c "$(scan "$month") --case \"$case\""
    cp -rl "$day/." "$month"
    measure case "kubesweep scan" "$(scan "$day")"
    measure case "kubesweep scan --case, a day more" "$(scan "$month") --case \"$case.now\"" \
        "rm -f \"$case\".now*; cp \"$case\" \"$case.now\""
    measure case "kubesweep scan --case --since, a day more reported alone" \
        "$(scan "$month") --case \"$case.now\" --since ${newest}T00:00:00Z" \
        "rm -f \"$case\".now*; cp \"$case\" \"$case.now\""
    table case "A day more in a case: $newest"
}

# The day in the path of every file below here, and the path.
dated() {
    find . -type f | sed -nE 's|^.*[/=](20[0-9]{2})/(m=)?([0-9]{2})/(d=)?([0-9]{2})/.*$|\1-\3-\5\t&|p'
}

# Other forms of dumps, each against its floor.
section_shapes() {
    local variant logs
    for variant in mixed aks tiny long candidates; do
        logs="$(dump "$variant" "$SIZE")"
        ours "shapes" "kubesweep scan, $variant" "$logs"
        measure "shapes" "decompression alone, $variant" "$(inflate "$logs")"
    done
    table shapes "Forms of dumps"
}

# --- results --------------------------------------------------------------------------------------------------------

# Measures a section, and prints its rows, the fastest first; ratios are to the scan, or to the first row.
table() {
    local section="$1" title="$2" base name key
    measured "$section"
    base="${MEDIAN[$section/kubesweep scan]:-}"
    printf '\n### %s\n\n| command | median s | ratio | peak MB | hits |\n|---|---|---|---|---|\n' "$title"
    while IFS= read -r name; do
        key="$section/$name"
        base="${base:-${MEDIAN[$key]}}"
        printf '| %s | %.3f | %s | %s | %s |\n' "$name" "${MEDIAN[$key]}" "$(ratio "${MEDIAN[$key]}" "$base")" \
            "${PEAK[$key]}" "${HITS[$key]:-}"
    done < <(by_time "$section")
}

by_time() {
    local key
    for key in "${!MEDIAN[@]}"; do
        [[ "$key" == "$1"/* ]] && printf '%s\t%s\n' "${MEDIAN[$key]}" "${key#*/}"
    done | sort -g | cut -f 2
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b }'; }

targets() {
    printf '\n### Targets\n\n| what | target | measured | | why |\n|---|---|---|---|---|\n'
    local s="scan/kubesweep scan"
    row "whole scan / decompression" "≤ 1.35" "$s" "scan/decompression alone"
    row "whole scan / decompression, the goal" "≤ 1.25" "$s" "scan/decompression alone"
    row "chDB prefiltered / whole scan" "≥ 2.5" "scan/chDB, prefiltered" "$s"
    row "DuckDB prefiltered / whole scan" "≥ 6" "scan/DuckDB, prefiltered" "$s"
    row "rg -z / whole scan" "≥ 5" "scan/rg -z, lines" "$s"
    row "Python rule / whole scan" "≥ 15" "scan/Python, json and gzip" "$s"
    row "rg --pre igzip / whole scan" "≥ 1.6" "scan/rg --pre igzip, lines" "$s"
    row "every record a candidate / decompression" "≤ 4.0" "candidates/kubesweep scan" "candidates/decompression alone"
    row "chDB on every record / every record a candidate" "≥ 1" "candidates/chDB, full" "candidates/kubesweep scan"
    row "whole pack / CronJob rules" "≤ 1.3" "pack/kubesweep scan --rules builtin:all" "pack/kubesweep scan"
    row "one thread / two threads" "≥ 1.9" "threads/kubesweep scan -j 1" "threads/kubesweep scan"
    row "one giant file on two threads / decompression on one" "≤ 1.1" "giant/kubesweep scan" "giant/decompression alone"
    verdict "peak memory, MB" "≤ 64" "$(most_memory)"
    verdict "cost of a byte, largest dump / smallest" "≤ 1.05" "$(growth)"
    verdict "start-up on an empty directory, ms" "≤ 20" \
        "$(awk -v s="${MEDIAN[startup/kubesweep scan]:-}" 'BEGIN { if (s != "") printf "%.1f", s * 1000 }')"
    row "a day more in a case / that day alone" "≤ 1.3" "case/kubesweep scan --case, a day more" "case/kubesweep scan"
}

# row WHAT TARGET KEY KEY: the first in terms of the second.
row() {
    local measured=""
    [[ -n "${MEDIAN[$3]:-}" && -n "${MEDIAN[$4]:-}" ]] && measured="$(ratio "${MEDIAN[$3]}" "${MEDIAN[$4]}")"
    verdict "$1" "$2" "$measured"
}

verdict() {
    local met="not measured"
    if [[ -n "$3" ]]; then
        met="$(awk -v m="$3" -v t="${2#* }" -v o="${2% *}" 'BEGIN { print (o == "≤" ? m <= t : m >= t) ? "met" : "**missed**" }')"
    fi
    local why=""
    [[ "$met" == met ]] || why="$(reason "${1%, the goal}")"
    printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "${3:--}" "$met" "$why"
}

# Why a target is missed, as benches/README.md has it.
reason() { awk -F ' *\\| *' -v what="$1" '$2 == what { print $5 }' benches/README.md; }

most_memory() {
    local key most=""
    for key in "${!PEAK[@]}"; do
        [[ "$key" == memory/* ]] && ((PEAK[$key] > ${most:-0})) && most="${PEAK[$key]}"
    done
    echo "$most"
}

growth() {
    local sizes first last
    read -ra sizes <<<"$GROWTH_SIZES"
    first="${sizes[0]}" last="${sizes[-1]}"
    [[ -n "${MEDIAN["growth/kubesweep scan, $first"]:-}" ]] || return 0
    awk -v a="${MEDIAN["growth/kubesweep scan, $last"]}" -v b="${MEDIAN["growth/kubesweep scan, $first"]}" \
        -v na="$(bytes "$(dump mixed "$last")")" -v nb="$(bytes "$(dump mixed "$first")")" \
        'BEGIN { printf "%.3f", (a / na) / (b / nb) }'
}

# As stored: a generated dump is not of its size to the byte.
bytes() { find -L "$1" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }'; }

agreement() {
    printf '\n### Differences from the hits of kubesweep\n\n'
    if [[ -s "$WORK/differences" ]]; then cat "$WORK/differences"; else echo "None."; fi
}

say() { echo "$*" >&2; }

main

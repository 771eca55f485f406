#!/usr/bin/env bash
# Man pages as man and mandoc take them, completions as bash, zsh and fish take them. Seconds, once the release is built.
# Installs what it needs from Debian (mandoc, man-db, zsh, fish).
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
if ! { command -v mandoc && command -v man && command -v zsh && command -v fish; } >/dev/null; then
    sudo="$(command -v sudo || true)"
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends mandoc man-db zsh fish >/dev/null
fi
cargo build --locked --release --quiet
PATH="$PWD/target/release:$PATH"

kubesweep man "$work/man1"
for page in "$work"/man1/*.1; do
    # clap_mangen breaks lines around lists, and a page has no date: a date would be the clock's.
    lint="$(mandoc -T lint -W warning "$page" | grep -v -e 'cannot parse date' -e 'skipping paragraph macro: br' || true)"
    [[ -z "$lint" ]] || { echo "$lint"; exit 1; }
    text="$(MANWIDTH=80 man --warnings -l "$page" 2>&1 | cat)"
    for section in NAME SYNOPSIS OPTIONS EXAMPLES "EXIT STATUS"; do
        grep -q "^$section$" <<<"$text" || { echo "$page shows no $section"; exit 1; }
    done
    grep -q '^kubesweep [0-9.]* ' <<<"$text" || { echo "$page has no version in its footer"; exit 1; }
    ! grep -i warning <<<"$text" || { echo "$page is no clean roff"; exit 1; }
done

kubesweep completions bash >"$work/kubesweep.bash"
bash -n "$work/kubesweep.bash"
mkdir "$work/zsh"
kubesweep completions zsh >"$work/zsh/_kubesweep"
zsh -f -c "fpath=($work/zsh \$fpath); autoload -Uz compinit; compinit -u -d $work/dump; [[ \$_comps[kubesweep] == _kubesweep ]]"
kubesweep completions fish >"$work/kubesweep.fish"
fish --no-config -c "source $work/kubesweep.fish; complete -C 'kubesweep scan --fail'" | grep -q -e '^--fail-on'
fish --no-config -c "source $work/kubesweep.fish; complete -C 'kubesweep insp'" | grep -q '^inspect'
echo "man pages and completions are taken"

#!/usr/bin/env bash
# Four simulated weeks of a company, from the systems' own files to the number. `make demo` runs it.
# Usage: benchmarks/demo.sh FOLDER (it is made anew)
set -euo pipefail
folder=${1:?name a folder}
company=$folder/company
store=$folder/bypass.duckdb

run() {
    printf '\n$ bypassflow %s\n' "$*" >&2
    bypassflow "$@"
}

# Only what an earlier demonstration left is removed.
if [ -e "$folder" ] && [ ! -e "$folder/.bypassflow-demo" ]; then
    echo "$folder exists and is no demonstration; name another folder" >&2
    exit 1
fi
rm -rf "$folder"
mkdir -p "$folder"
touch "$folder/.bypassflow-demo"

run simulate "$company" --days 28 --representatives 60 --seed 1
run replay "$company" --db "$store"
run report --db "$store" --by channel,team
run audit --db "$store"

one=$(bypassflow interactions --db "$store" --channel call --team "Inside sales" --outcome bypassed --reason not_logged --limit 1 --format json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["interaction_id"])')
run explain "$one" --db "$store"
run evaluate --db "$store" --truth "$company.truth.jsonl"

cat >&2 <<EOF

Look at it in a browser; Ctrl-C ends it:
  .venv/bin/bypassflow serve --db $store --open

What to try next:
  .venv/bin/bypassflow report --db $store --by month,reason
  .venv/bin/bypassflow interactions --db $store --team Dispatch --outcome bypassed
  .venv/bin/bypassflow audit --db $store --placebo 14
  .venv/bin/bypassflow init DIR          with your own files, see README.md
EOF

#!/usr/bin/env bash
# A week of a simulated company, streamed through Kafka while the report changes on screen. `make live-demo` runs it.
# Usage: benchmarks/live_demo.sh FOLDER (it is made anew)
set -euo pipefail
folder=${1:?name a folder}
company=$folder/company
listen=127.0.0.1:${BYPASSFLOW_DEMO_PORT:-8766}
url=http://$listen

say() { printf '\n%s\n' "$*" >&2; }

# Only what an earlier demonstration left is removed.
if [ -e "$folder" ] && [ ! -e "$folder/.bypassflow-demo" ]; then
    echo "$folder exists and is no demonstration; name another folder" >&2
    exit 1
fi
rm -rf "$folder"
mkdir -p "$folder"
touch "$folder/.bypassflow-demo"

say "\$ bypassflow simulate $company --days 7 --representatives 40 --seed 1"
bypassflow simulate "$company" --days 7 --representatives 40 --seed 1

say "\$ bypassflow up --config $company/bypassflow.toml --data $folder/live --listen $listen"
bypassflow up --config "$company/bypassflow.toml" --data "$folder/live" --listen "$listen" 2>"$folder/up.log" &
up=$!
stop() {
    kill -TERM "$up" 2>/dev/null || true
    wait "$up" 2>/dev/null || true
}
trap stop EXIT

# The broker's address stands in the data directory once everything answers.
for _ in $(seq 240); do
    [ -s "$folder/live/bootstrap" ] && break
    kill -0 "$up" 2>/dev/null || { cat "$folder/up.log" >&2; exit 1; }
    sleep 0.5
done
bootstrap=$(cat "$folder/live/bootstrap")

say "\$ bypassflow replay $company --kafka $bootstrap --speed max"
bypassflow replay "$company" --kafka "$bootstrap" --speed max &
replay=$!
while kill -0 "$replay" 2>/dev/null; do
    bypassflow report --url "$url" --by channel || true
    sleep 3
done
wait "$replay"

say "\$ bypassflow status --config $company/bypassflow.toml --url $url --wait"
bypassflow status --bootstrap "$bootstrap" --config "$company/bypassflow.toml" --url "$url" --wait
bypassflow report --url "$url" --by channel,team
bypassflow audit --url "$url"

say "stopping"
stop
trap - EXIT
tail -n 4 "$folder/up.log" >&2

#!/usr/bin/env bash
# A large manifest: speed and memory of `check`, of the load into the ledger, and the first request of a second start.
# Usage: benches/scale.sh [ROWS]     (default 1000000; loopback only; everything it makes is in one temporary folder)
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-1000000}
cargo build --release --quiet
bin=$PWD/target/release/telecine
dir=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$dir"' EXIT
now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{printf "%.2f", $1 - $2}'; }
peak_mib() { awk '/VmHWM/ {printf "%.1f", $2 / 1024}' "/proc/$1/status"; }

echo "machine: $(nproc) cores, $(awk -F: '/model name/ {print $2; exit}' /proc/cpuinfo | xargs), $(uname -sr)"
python3 benches/make_manifest.py "$rows" > "$dir/big.csv"
echo "manifest: $rows rows, $(stat -c %s "$dir/big.csv") bytes"

# the same file read by Python's csv module doing nothing else, to have a ratio
start=$(now)
python3 -c 'import csv, sys
for row in csv.reader(open(sys.argv[1], newline="")): pass' "$dir/big.csv"
python=$(since "$start")

start=$(now)
"$bin" check "$dir/big.csv" --json > "$dir/check.json" &
pid=$!
peak=0
while kill -0 "$pid" 2>/dev/null; do peak=$(peak_mib "$pid" 2>/dev/null || echo "$peak"); sleep 0.05; done
wait "$pid"
check=$(since "$start")
echo "check: $check s, peak ${peak:-0} MiB resident; python csv alone: $python s (ratio $(echo "$python $check" | awk '{printf "%.2f", $1 / $2}'))"

"$bin" sandbox --listen 127.0.0.1:0 --record "$dir/record.jsonl" > "$dir/sandbox.out" &
pids+=($!)
until grep -q listening "$dir/sandbox.out"; do sleep 0.05; done
url=$(grep -o 'http://[0-9.:]*' "$dir/sandbox.out" | head -1)
export MEMORIES_API_KEY=bench
import() { exec "$bin" import "$dir/big.csv" --api-url "$url" --ledger "$dir/ledger.db" --rate 1/2s --out-dir "$dir/reports" --json; }

start=$(now)
import > "$dir/first.jsonl" &
pid=$!
pids+=("$pid")
until grep -q manifest_read "$dir/first.jsonl" || ! kill -0 "$pid"; do sleep 0.1; done
load=$(since "$start")
echo "load: $load s ($(echo "$rows $load" | awk '{printf "%d", $1 / $2}') rows/s), peak $(peak_mib "$pid") MiB resident, ledger $(($(stat -c %s "$dir/ledger.db") / rows)) bytes a row"
kill -9 "$pid"
wait "$pid" 2>/dev/null || true

# the spacing of the killed run is over before the second start
sleep 3
before=$(wc -l < "$dir/record.jsonl")
start=$(now)
import > "$dir/second.jsonl" &
pid=$!
pids+=("$pid")
until [ "$(wc -l < "$dir/record.jsonl")" -gt "$before" ]; do sleep 0.01; done
echo "second start: first request taken after $(since "$start") s"
until grep -q manifest_read "$dir/second.jsonl" || ! kill -0 "$pid"; do sleep 0.1; done
echo "second start: manifest read again after $(since "$start") s, peak $(peak_mib "$pid") MiB resident"
kill -9 "$pid"
wait "$pid" 2>/dev/null || true

#!/usr/bin/env bash
# How long `telecine plan` takes and what memory, beside `check` of the same file.
# Usage: benches/plan.sh [ROWS...]     (default 10000 1000000; no network; everything it makes is in one temporary folder)
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- 10000 1000000
cargo build --release --quiet
bin=$PWD/target/release/telecine
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{printf "%.2f", $1 - $2}'; }
peak_mib() { awk '/VmHWM/ {printf "%.0f", $2 / 1024}' "/proc/$1/status"; }

echo "machine: $(nproc) cores, $(awk -F: '/model name/ {print $2; exit}' /proc/cpuinfo | xargs), $(uname -sr)"
for rows in "$@"; do
  python3 benches/make_manifest.py "$rows" > "$dir/big.csv"
  start=$(now)
  "$bin" check "$dir/big.csv" --json > /dev/null
  check=$(since "$start")
  start=$(now)
  "$bin" plan "$dir/big.csv" --ledger "$dir/none.db" --cap 120/2h --json > /dev/null &
  pid=$!
  peak=0
  while kill -0 "$pid" 2>/dev/null; do peak=$(peak_mib "$pid" 2>/dev/null || echo "$peak"); sleep 0.2; done
  wait "$pid" || [ $? -eq 4 ]
  plan=$(since "$start")
  echo "plan: $rows rows in $plan s, peak ${peak:-0} MiB resident; check takes $check s (ratio $(echo "$plan $check" | awk '{printf "%.0f", $1 / $2}'))"
done

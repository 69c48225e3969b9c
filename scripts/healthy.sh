#!/usr/bin/env bash
# Runs a number of healthy demos on two cores at a time and counts their verdicts: scripts/healthy.sh SQUALL [N]
# Each is `make demo` in a third of its time: the mix on a sound sandbox, its store slow for a while. On a sound
# sandbox nothing may be FAIL, and on a machine that is at rest nothing INVALID; ends 0 only then. INCONCLUSIVE is
# counted apart, as a short run may see too little.
set -euo pipefail
cd "$(dirname "$0")/.."

squall=$1
count=${2:-20}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The shipped files, shorter, and with more traffic, so that quantiles still have their bounds. Every line must be
# there to be changed: otherwise this short form is out of date.
shorter() {
  local from=$1 to=$2
  shift 2
  cp "$from" "$to"
  while [ $# -gt 0 ]; do
    grep -qF "$1" "$to" || { echo "healthy: $from has no \`$1\` any more: this script is out of date" >&2; exit 2; }
    sed -i "s|$1|$2|" "$to"
    shift 2
  done
}
shorter profiles/steady-mix.yaml "$folder/mix.yaml" \
  'duration: 90s' 'duration: 32s' 'from: 0, to: 499' 'from: 0, to: 99' 'times: 500' 'times: 100' \
  'rate: 40/s' 'rate: 60/s' 'rate: 20/s' 'rate: 60/s' 'rate: 10/s' 'rate: 30/s'
shorter chaos/store-latency.yaml "$folder/slow.yaml" \
  'warmup: 5s' 'warmup: 2s' 'baseline: 25s' 'baseline: 9s' 'windows: 10' 'windows: 4' 'stretch: 10s' 'stretch: 4s' \
  'stretch_windows: 5' 'stretch_windows: 2' 'at: 33s' 'at: 14s' 'for: 20s' 'for: 5s' \
  'recovery(store_slow) < 10s' 'recovery(store_slow) < 6s'

# Two cores, whatever the machine has; where they cannot be chosen, all.
cores=()
if command -v taskset >/dev/null && taskset -c 0,1 true 2>/dev/null; then cores=(taskset -c 0,1); fi

pass=0 fail=0 invalid=0 inconclusive=0 other=0
for n in $(seq "$count"); do
  rc=0
  "${cores[@]}" "$squall" run "$folder/mix.yaml" --chaos "$folder/slow.yaml" --seed "$n" \
    --reports "$folder/reports" -q >"$folder/said" 2>&1 </dev/null || rc=$?
  case $rc in
    0) pass=$((pass + 1)) ;;
    99) fail=$((fail + 1)) ;;
    97) invalid=$((invalid + 1)) ;;
    98) inconclusive=$((inconclusive + 1)) ;;
    *) other=$((other + 1)) ;;
  esac
  if [ $rc != 0 ]; then
    echo "healthy: seed $n ended $rc:"
    cat "$folder/said"
  fi
done
echo "healthy: $count demos on two cores: $pass PASS, $fail FAIL, $invalid INVALID, $inconclusive INCONCLUSIVE, $other others"
[ $((fail + invalid + other)) = 0 ]

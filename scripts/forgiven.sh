#!/usr/bin/env bash
# Runs the tests some times over and bounds what they forgave: scripts/forgiven.sh ROUNDS MOST COMMAND...
# Tests print a line `forgiven: ...` for a measurement that was made again and for a service that was not there. At
# most MOST such lines a round, in the mean, or this ends 1; a test that fails ends it at once.
set -euo pipefail

rounds=$1 most=$2
shift 2
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for round in $(seq "$rounds"); do
  echo "round $round of $rounds" >&2
  "$@" 2>&1 </dev/null | tee -a "$said"
done
count=$(grep -c '^forgiven: ' "$said" || true)
echo "the tests forgave $count times in $rounds rounds, $most a round are allowed:"
grep '^forgiven: ' "$said" | sort | uniq -c || true
[ "$count" -le $((rounds * most)) ]

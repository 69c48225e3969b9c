#!/usr/bin/env bash
# The LiveKit demo: scripts/demo-livekit.sh path/to/squall
# Starts Redis, lets squall start two LiveKit nodes and run the shipped profile and plan against them, and
# ends 0 only if squall said FAIL for the harm that unbounded lists do to create_room.
# Exit 3: LiveKit or Redis cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/.."

squall=$1
work=$(mktemp -d)
# Only what was not up before is ended again.
was_up=yes
scripts/services.sh livekit env >/dev/null 2>&1 || was_up=no
finish() {
  rm -rf "$work"
  if [ $was_up = no ]; then scripts/services.sh livekit down; fi
}
trap finish EXIT

scripts/services.sh livekit up
eval "$(scripts/services.sh livekit env)"

scripts/expect-fail.sh "$squall" run profiles/livekit-rooms.yaml --chaos chaos/livekit-redis.yaml \
  --out verdict="$work/verdict.json"

# One JSON object a line, so that a text tool finds the failed objective on create_room while lists came in.
harm=$(tr -d '\n' <"$work/verdict.json" | tr '{}' '\n' |
  grep '"word" *: *"FAIL"' | grep -o '"text" *: *"[^"]*create_room[^"]*during listers[^"]*"' || true)
if [ -z "$harm" ]; then
  echo "squall said FAIL, but not for what lists do to create_room: see the report" >&2
  exit 1
fi
echo "squall blamed the lists: $harm"

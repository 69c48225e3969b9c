#!/usr/bin/env bash
# A picture of a page, as headless Chromium lays it out:
#   scripts/screenshot.sh PAGE.html OUT.png [--dark] [--width N] [--height N]
# Defaults: light, 1200 x 900. Exit codes: 0 done, 1 went wrong, 2 usage, 3 no Chromium here.
set -euo pipefail

say() { echo "screenshot: $*" >&2; }
usage() { echo "usage: scripts/screenshot.sh PAGE.html OUT.png [--dark] [--width N] [--height N]" >&2; exit 2; }

[ $# -ge 2 ] || usage
page=$1 out=$2 width=1200 height=900 scheme=1
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --dark) scheme=0 ;; # Blink's preferredColorScheme: 0 dark, 1 light; pages see it as prefers-color-scheme
    --width | --height)
      [ $# -ge 2 ] || usage
      if [ "$1" = --width ]; then width=$2; else height=$2; fi
      shift
      ;;
    *) usage ;;
  esac
  shift
done
case "$width$height" in *[!0-9]* | '') usage ;; esac
if [ ! -f "$page" ]; then say "there is no file $page"; exit 1; fi

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
  say "Chromium is not installed: install it (Debian: sudo apt-get install chromium fonts-dejavu-core), then run this again"
  exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
url=file://$(realpath "$page")
# A window is never narrower than 500 px, and a script in the page would read that width. An inner frame is
# as narrow as it is told to be, and its media queries and scripts both see it.
if [ "$width" -lt 500 ]; then
  printf '<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0"><iframe src="%s" style="display:block;border:0;width:%spx;height:%spx"></iframe>' \
    "${url//\"/%22}" "$width" "$height" >"$work/frame.html"
  url=file://$work/frame.html
fi

flags=(--headless --disable-gpu --disable-quic --no-first-run --disable-background-networking
  --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile"
  --blink-settings=preferredColorScheme="$scheme" --window-size="$width,$height" --screenshot="$work/out.png")
# Chromium refuses its sandbox to root.
if [ "$(id -u)" = 0 ]; then flags+=(--no-sandbox); fi
if ! timeout 60 "$browser" "${flags[@]}" "$url" >"$work/log" 2>&1 </dev/null || [ ! -s "$work/out.png" ]; then
  tail -n 5 "$work/log" >&2
  say "Chromium did not take the picture of $page"
  exit 1
fi
mv "$work/out.png" "$out"

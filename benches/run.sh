#!/usr/bin/env bash
# What squall's own client costs: benches/run.sh path/to/squall   (usually through `make bench`)
#
# Closed loop: squall's engine and wrk by turns, in one run, against one plain server (200, 13 bytes), 50
# keep-alive connections, server and client pinned to a core each. Absolute figures say something about the
# machine, the ratio about squall. Open loop: how late squall sends at 20,000/s.
# Client CPU is user + system of the whole client process, start included, taken by this shell for both alike.
# Where the server's core is what is full, requests/s of both come out alike: then CPU per request is the figure.
# All on loopback; about 80 s (BENCH_SECONDS=1 for a short try); ends by itself. Exit 3: it cannot be measured here.
set -euo pipefail

squall=${1:?usage: benches/run.sh path/to/squall}
runs=5 connections=50 rate=20000
seconds=${BENCH_SECONDS:-5}
port=${BENCH_PORT:-7390}
url=http://127.0.0.1:$port/

say() { echo "bench: $*" >&2; }

if ! command -v wrk >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say "installing wrk"
  { DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; apt-get install -y wrk || { apt-get update && apt-get install -y wrk; }; } \
    >/dev/null 2>&1 </dev/null || true
fi
for tool in wrk taskset; do
  command -v "$tool" >/dev/null || { say "skipped: $tool is missing: install it (Debian: sudo apt-get install wrk util-linux)"; exit 3; }
done

# The processors this process may use: a container's need not begin at 0.
cpus() {
  local part
  for part in $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr ',' ' '); do
    seq "${part%-*}" "${part#*-}"
  done
}
server_cpu=$(cpus | sed -n 1p)
client_cpu=$(cpus | sed -n 2p)
if [ -z "$client_cpu" ]; then say "skipped: two processors are needed, one for the server and one for the client"; exit 3; fi

work=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# median FILE COLUMN: of `runs` lines, the middle one
median() { awk -v c="$2" '{ print $c }' "$1" | sort -g | sed -n "$(((runs + 1) / 2))p"; }

# number FILE NAME: a field of the one JSON object that `squall bench-client` prints
number() {
  local value
  value=$(sed -n "s/.*\"$2\" *: *\([0-9.eE+-]*\).*/\1/p" "$1" | head -n 1)
  [ -n "$value" ] || { say "squall bench-client printed no $2"; cat "$1" >&2; return 1; }
  echo "$value"
}

# client COMMAND...: runs it on the client's core; its output to $work/out, its CPU seconds to $work/cpu
client() {
  local TIMEFORMAT='%U %S'
  { time taskset -c "$client_cpu" "$@" >"$work/out" 2>"$work/err"; } 2>"$work/cpu" || {
    cat "$work/out" "$work/err" >&2
    say "failed: $*"
    return 1
  }
}
cpu_s() { awk '{ print $1 + $2 }' "$work/cpu"; }

# record FILE REQUESTS [MORE...]: one line "requests/s  CPU us per request  MORE"
record() {
  local file=$1 requests=$2
  shift 2
  awk -v n="$requests" -v s="$seconds" -v c="$(cpu_s)" -v more="$*" \
    'BEGIN { if (n <= 0) exit 1; printf "%.0f %.2f %s\n", n / s, c * 1e6 / n, more }' >>"$file"
}

wrk_run() {
  client wrk -t1 -c$connections -d"${seconds}s" "$url"
  if grep -E 'Socket errors|Non-2xx' "$work/out" >&2; then say "wrk saw errors: no comparison"; return 1; fi
  record "$work/wrk" "$(awk '/requests in/ { print $1 }' "$work/out")"
}

squall_run() {
  client "$squall" bench-client --url "$url" --connections $connections --for "${seconds}s"
  record "$work/squall" "$(number "$work/out" requests)"
}

open_run() {
  client "$squall" bench-client --url "$url" --rate $rate --for "${seconds}s"
  record "$work/open" "$(number "$work/out" requests)" "$(number "$work/out" lag_p50_us)" "$(number "$work/out" lag_p99_us)"
}

if answers; then say "port $port is in use: set BENCH_PORT to a free one"; exit 1; fi
taskset -c "$server_cpu" "$squall" bench-server --listen "127.0.0.1:$port" >"$work/server.log" 2>&1 </dev/null &
server=$!
for _ in $(seq 50); do
  if answers || ! kill -0 $server 2>/dev/null; then break; fi
  sleep 0.1
done
answers || { cat "$work/server.log" >&2; say "the bench server did not start"; exit 1; }

echo "$(uname -sm), processors $server_cpu (server) and $client_cpu (client) of $(cpus | wc -l), load average before: $(cut -d' ' -f1 /proc/loadavg)"
for i in $(seq $runs); do
  say "run $i of $runs"
  wrk_run
  squall_run
done
for i in $(seq $runs); do
  say "open loop, run $i of $runs"
  open_run
done

cat <<TABLE

closed loop, $connections keep-alive connections, ${seconds} s, medians of $runs alternating runs
            requests/s   client CPU us/request
TABLE
for who in wrk squall; do printf '%-8s %13s %23s\n' $who "$(median "$work/$who" 1)" "$(median "$work/$who" 2)"; done
awk -v w="$(median "$work/wrk" 2)" -v s="$(median "$work/squall" 2)" -v wr="$(median "$work/wrk" 1)" -v sr="$(median "$work/squall" 1)" \
  'BEGIN { printf "squall: %.2f x wrk in requests/s, %.2f x wrk per client CPU second\n", sr / wr, w / s }'
cat <<TABLE

open loop at $rate/s, ${seconds} s, medians of $runs runs
sent $(median "$work/open" 1)/s, late by p50 $(median "$work/open" 3) us, p99 $(median "$work/open" 4) us, client CPU $(median "$work/open" 2) us/request

all runs (requests/s, client CPU us/request, lateness p50 and p99 us)
TABLE
for who in wrk squall open; do sed "s/^/  $who /" "$work/$who"; done

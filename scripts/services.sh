#!/usr/bin/env bash
# Real servers for tests and demos, one script: scripts/services.sh NAME up|down|env
#
#   redis    Redis on 127.0.0.1:7379, a data directory of its own, nothing written to disk
#   livekit  redis, the LiveKit server binary (built once, kept in a cache outside the checkout) and the
#            configuration of two nodes. The nodes themselves are started by squall: the chaos plan names
#            them as services, with Redis behind a link on 127.0.0.1:7380.
#
# `up` installs what is missing and waits until the server answers; `down` ends only what `up` started;
# `env` prints shell exports for profiles and plans. Exit codes: 0 done, 1 went wrong, 2 usage,
# 3 cannot be had on this machine (callers skip, and say so).
set -euo pipefail

livekit_version=1.8.4
redis_port=7379      # not 6379: that is where a Redis of the user's own would be
redis_link_port=7380 # where squall's link listens; the LiveKit nodes only know this one
node_1_port=7880
node_2_port=7890

state=${SQUALL_SERVICES_DIR:-${XDG_RUNTIME_DIR:-/tmp}/squall-services-$UID}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/squall/livekit-$livekit_version
livekit_bin=$cache/livekit-server

say() { echo "services: $*" >&2; }
fail() { say "$*"; exit 1; }
unavailable() { say "skipped: $*"; exit 3; }
usage() { echo "usage: scripts/services.sh redis|livekit up|down|env" >&2; exit 2; }

# A directory that only this user can read, also where its parent is the shared /tmp.
private_dir() {
  (umask 077 && mkdir -p "$1")
  if [ -L "$1" ] || [ ! -O "$1" ]; then fail "$1 belongs to someone else: set SQUALL_SERVICES_DIR to a directory of yours"; fi
}

# --- redis ---------------------------------------------------------------------------------------------

redis_get() {
  if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then return; fi
  local how="install redis-server 7 (Debian: sudo apt-get install redis-server), then run this again"
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then unavailable "redis-server is missing and cannot be installed without root and apt-get; $how"; fi
  say "installing redis-server"
  apt_install redis-server || unavailable "apt-get could not install redis-server; $how"
}

# Package lists may be missing or old: try as is, and once more after an update.
apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 </dev/null && return
  apt-get update >/dev/null 2>&1 </dev/null || true
  apt-get install -y --no-install-recommends "$@" >/dev/null </dev/null
}

# The pid that `up` wrote down, if it still is that server: a pid alone may have been given to another process.
redis_pid() {
  local pid
  pid=$(cat "$state/redis/pid" 2>/dev/null) || return 1
  case "$(ps -o args= -p "$pid" 2>/dev/null)" in
    *redis-server*"127.0.0.1:$redis_port"*) echo "$pid" ;;
    *) return 1 ;;
  esac
}

redis_answers() { [ "$(timeout 1 redis-cli -p $redis_port PING 2>/dev/null)" = PONG ]; }

redis_up() {
  redis_get
  private_dir "$state"
  if redis_pid >/dev/null; then
    say "redis is already up on 127.0.0.1:$redis_port"
    return
  fi
  if (exec 3<>"/dev/tcp/127.0.0.1/$redis_port") 2>/dev/null; then fail "port $redis_port is in use by another program: end it, then run this again"; fi
  private_dir "$state/redis"
  redis-server --port $redis_port --bind 127.0.0.1 --save '' --appendonly no --dir "$state/redis" \
    --daemonize yes --pidfile "$state/redis/pid" --logfile "$state/redis/log" >/dev/null
  for _ in $(seq 100); do
    if redis_answers; then say "redis is up on 127.0.0.1:$redis_port"; return; fi
    sleep 0.1
  done
  fail "redis did not answer within 10 s: see $state/redis/log"
}

# TERM first, KILL after 5 s: a Redis that a fault left paused still ends.
redis_down() {
  local pid
  if ! pid=$(redis_pid); then
    say "redis is not up"
    return
  fi
  kill -TERM "$pid"
  for i in $(seq 100); do
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    if [ "$i" = 50 ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    sleep 0.1
  done
  rm -rf "$state/redis"
  say "redis is down"
}

redis_env() { echo "export SQUALL_REDIS_PORT=$redis_port SQUALL_REDIS_LINK_PORT=$redis_link_port"; }

# --- livekit -------------------------------------------------------------------------------------------

livekit_get() {
  if [ -x "$livekit_bin" ]; then return; fi
  if ! command -v go >/dev/null; then unavailable "the LiveKit server is built with Go, which is not installed: install Go 1.23 or newer, then run this again"; fi
  mkdir -p "$cache"
  say "building LiveKit $livekit_version into $cache (once, one to three minutes)"
  # GOFLAGS of the user's (a vendor mode, say) do not fit a foreign module. Built aside and moved in one
  # step, so that a build that was interrupted is not taken for the real thing.
  if ! GOFLAGS='' GOBIN="$cache/build" nice -n 10 \
    go install "github.com/livekit/livekit-server/cmd/server@v$livekit_version" >"$cache/build.log" 2>&1 </dev/null; then
    tail -n 3 "$cache/build.log" >&2
    unavailable "LiveKit $livekit_version did not build: see $cache/build.log"
  fi
  mv "$cache/build/server" "$livekit_bin"
  rmdir "$cache/build"
}

# node_yaml PORT: no room is joined, so the media side stays idle: one UDP port, on loopback, and no TCP
# fallback (which would listen on every address of the machine).
node_yaml() {
  cat <<YAML
port: $1
bind_addresses: [127.0.0.1]
keys: { devkey: $(cat "$state/livekit/key") }
redis: { address: "127.0.0.1:$redis_link_port" }
rtc:
  udp_port: $(($1 + 2))
  tcp_port: 0
  use_external_ip: false
  node_ip: 127.0.0.1
  enable_loopback_candidate: true
  interfaces: { includes: [lo] }
  ips: { includes: [127.0.0.0/8] }
logging: { level: warn }
YAML
}

livekit_up() {
  livekit_get
  redis_up
  private_dir "$state/livekit"
  umask 077
  # LiveKit wants 32 characters or more. Made here, not shipped: a secret in a repository is none.
  if [ ! -s "$state/livekit/key" ]; then od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$state/livekit/key"; fi
  node_yaml $node_1_port >"$state/livekit/node-1.yaml"
  node_yaml $node_2_port >"$state/livekit/node-2.yaml"
  say "livekit is ready for squall to start: $livekit_bin --config $state/livekit/node-1.yaml (and node-2.yaml)"
}

livekit_down() {
  rm -rf "$state/livekit"
  redis_down
}

livekit_env() {
  if [ ! -s "$state/livekit/key" ]; then fail "livekit is not up: run scripts/services.sh livekit up first"; fi
  redis_env
  printf 'export SQUALL_LIVEKIT_BIN=%q SQUALL_LIVEKIT_DIR=%q SQUALL_LIVEKIT_KEY=%q\n' \
    "$livekit_bin" "$state/livekit" "$(cat "$state/livekit/key")"
}

case "${1-}:${2-}" in
  redis:up | redis:down | redis:env | livekit:up | livekit:down | livekit:env) "$1_$2" ;;
  *) usage ;;
esac

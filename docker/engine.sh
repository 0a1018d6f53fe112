#!/usr/bin/env bash
# Provides a running Docker Engine: installs Debian's if no engine is installed, starts it if no engine runs, and prints what it did.
#   docker/engine.sh        start an engine; leave a running engine as it is
#   docker/engine.sh stop   stop the engine that this script started, and no other
# Variables:
#   ENGINE_STATE  folder for pid and log of the started engine (default /var/run/byoc-engine)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
state=${ENGINE_STATE:-/var/run/byoc-engine}
pid_file=$state/pid

fail() { echo "engine: $1" >&2; exit 1; }

# Prints the pid of the engine that this script started, if that process is still an engine.
started() {
  local pid
  pid=$(cat "$pid_file" 2> /dev/null) && [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = dockerd ] && echo "$pid"
}

if [ "${1:-}" = stop ]; then
  pid=$(started) || { echo "engine: nothing to stop, because this script started no engine"; exit 0; }
  kill "$pid"
  for _ in $(seq 1200); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  [ ! -d "/proc/$pid" ] || fail "process $pid did not stop within two minutes; look into $state/log"
  rm -f "$pid_file"
  echo "engine: stopped"
  exit 0
fi

done_so_far=""
if ! command -v docker > /dev/null || { ! docker info > /dev/null 2>&1 && ! command -v dockerd > /dev/null; }; then
  { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; } ||
    fail "no Docker Engine is installed, and this script can install one only as root on Debian; install Docker and start it"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends docker.io iptables > /dev/null
  done_so_far="installed, "
fi
if docker info > /dev/null 2>&1; then
  echo "engine: ${done_so_far}already running, version $(docker version --format '{{.Server.Version}}')"
  exit 0
fi
[ "$(id -u)" = 0 ] || fail "Docker does not answer and only root can start it; start Docker, or add this user to the group docker"
mkdir -p "$state"
# A killed engine leaves its pid file behind. The next one refuses to start if that pid is now a zombie or another program.
left=$(cat /var/run/docker.pid 2> /dev/null || true)
if [ -n "$left" ] && ! grep -q -s -E "^State:.[RSD]" "/proc/$left/status" || [ "$(cat "/proc/${left:-none}/comm" 2> /dev/null)" != dockerd ]; then
  rm -f /var/run/docker.pid
fi
setsid dockerd > "$state/log" 2>&1 < /dev/null &
echo $! > "$pid_file"
for _ in $(seq 1200); do
  docker info > /dev/null 2>&1 && break
  # Look by pid, not by name: on a busy machine the process has the shell's name for a moment.
  kill -0 "$!" 2> /dev/null || fail "dockerd ended at once: $(tail -n 1 "$state/log")"
  sleep 0.1
done
docker info > /dev/null 2>&1 || fail "dockerd does not answer after two minutes; look into $state/log"
echo "engine: ${done_so_far}started, version $(docker version --format '{{.Server.Version}}'), log in $state/log"

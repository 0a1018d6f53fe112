#!/usr/bin/env bash
# Succeeds if Docker answers. Otherwise prints one sentence and fails.
#   docker/running.sh [DOCKER]   DOCKER: the docker command (default docker)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
answer=$("${1:-docker}" info 2>&1 > /dev/null) && exit 0
case "$answer" in
  *"permission denied"*) echo "this user has no permission to use Docker; add the user to the group docker, or use sudo" >&2 ;;
  *) echo "Docker does not answer; start it (on Debian, as root: docker/engine.sh)" >&2 ;;
esac
exit 1

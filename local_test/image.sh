#!/usr/bin/env bash
# Checks that Docker answers and has the image NAME. If not, it prints one sentence and exits with status 1. It never pulls an image.
#   local_test/image.sh NAME
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
"$(dirname "$0")/../docker/running.sh"
docker image inspect "$1" > /dev/null 2>&1 || {
  echo "there is no image $1; build it with make build DEVICE=cpu, or name another in IMAGE" >&2
  exit 1
}

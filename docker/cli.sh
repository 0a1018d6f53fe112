#!/usr/bin/env bash
# Prints the first docker command on PATH that can build with BuildKit. Newer Docker versions need the plugin buildx for it.
set -euo pipefail
first=""
while read -r docker; do
  if DOCKER_BUILDKIT=1 "$docker" build --help > /dev/null 2>&1; then
    echo "$docker"
    exit 0
  fi
  first=${first:-$docker}
done < <(type -aP docker)
if [ -z "$first" ]; then
  echo "Docker is not installed; install Docker Engine or Docker Desktop (on Debian, as root: docker/engine.sh)" >&2
else
  echo "$first cannot build with BuildKit because its plugin buildx is missing; install docker-buildx-plugin" >&2
fi
exit 1

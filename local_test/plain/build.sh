#!/usr/bin/env bash
# Builds the stock images that ours are compared with: byoc-plain-train and byoc-plain-serve.
#   BASE_IMAGE  a Debian 12 (default debian:12-slim)
#   CA_BUNDLE   certificates for pip behind a proxy (default: none)
#   DOCKER      the docker command (default docker)
set -euo pipefail
cd "$(dirname "$0")"
docker=${DOCKER:-docker}
options=(--build-arg "BASE_IMAGE=${BASE_IMAGE:-debian:12-slim}")
[ -z "${CA_BUNDLE:-}" ] || options+=(--secret "id=ca,src=$CA_BUNDLE")
for kind in train serve; do
  DOCKER_BUILDKIT=1 "$docker" build --quiet "${options[@]}" --file "$kind.Dockerfile" --tag "byoc-plain-$kind" .
done

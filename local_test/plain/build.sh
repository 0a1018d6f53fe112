#!/usr/bin/env bash
# Builds the stock images that ours are compared with: byoc-plain-train and byoc-plain-serve.
#   BASE_IMAGE  an image of Debian 12 (default: the Dockerfiles' image; if it cannot be pulled, docker/base.sh makes one)
#   CA_BUNDLE   certificates for pip behind a proxy (default: the file that PIP_CERT or SSL_CERT_FILE names)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")"
docker=$(../../docker/cli.sh)
base=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' train.Dockerfile)}
if ! "$docker" image inspect "$base" > /dev/null 2>&1 && ! "$docker" pull --quiet --platform linux/amd64 "$base" > /dev/null 2>&1; then
  base=byoc-base:bookworm
  BASE=$base ../../docker/base.sh
fi
options=(--build-arg "BASE_IMAGE=$base")
bundle=${CA_BUNDLE:-${PIP_CERT:-${SSL_CERT_FILE:-}}}
[ ! -f "$bundle" ] || options+=(--secret "id=ca,src=$bundle")
for kind in train serve; do
  DOCKER_BUILDKIT=1 "$docker" build --quiet --platform linux/amd64 "${options[@]}" --file "$kind.Dockerfile" --tag "byoc-plain-$kind" .
done

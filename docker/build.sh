#!/usr/bin/env bash
# Builds one image and names it byoc-classifier-PROGRAM:DEVICE.
#   docker/build.sh train|serve [cuda|cpu]
#   docker/build.sh serve openvino      for CPUs, without torch
# Variables:
#   BASE_IMAGE     Debian 12 with its Python 3.11, by exact tag (default: the Dockerfile's; if it can't be pulled, docker/base.sh makes one)
#   CA_BUNDLE      certificates for the build, passed as a secret (default: the file that PIP_CERT or SSL_CERT_FILE names)
#   PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, HTTP_PROXY, HTTPS_PROXY, NO_PROXY  passed to the build if they are set
#   NO_CACHE=1     build every layer again, with the newest Debian packages; pip's downloads stay cached
#   SOURCE         the source's URL, for the label (default: git's remote origin)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
program=${1:-} device=${2:-cuda}
fail() { echo "build: $1" >&2; exit 1; }
case "$program/$device" in
  train/cuda | train/cpu | serve/cuda | serve/cpu | serve/openvino) ;;
  *) fail "'$program' for '$device' is not an image; write train or serve, then cuda or cpu, or serve openvino" ;;
esac
docker=$(docker/cli.sh)
docker/running.sh "$docker"

base=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' docker/Dockerfile)}
if ! "$docker" image inspect "$base" > /dev/null 2>&1 && ! "$docker" pull --quiet --platform linux/amd64 "$base" > /dev/null 2>&1; then
  [ -z "${BASE_IMAGE:-}" ] || fail "the base image $base cannot be pulled; correct BASE_IMAGE or the network"
  base=byoc-base:bookworm
  BASE=$base docker/base.sh
fi
[ "$device" != cpu ] || docker/wheels.sh

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' classifier/__init__.py)
options=(--target "$program" --build-arg "PROGRAM=$program" --build-arg "BASE_IMAGE=$base" --build-arg "DEVICE=$device")
options+=(--label "org.opencontainers.image.version=$version")
# Set only labels whose values are known. The source's URL is used only if it begins with https; user name and password are removed.
if revision=$(git rev-parse --short=12 HEAD 2> /dev/null); then
  [ -z "$(git status --porcelain)" ] || revision=$revision-dirty
  options+=(--label "org.opencontainers.image.revision=$revision")
fi
source=${SOURCE:-$({ git config --get remote.origin.url || true; } | sed -n 's#^\(https://\)\([^/@]*@\)\{0,1\}#\1#p')}
[ -z "$source" ] || options+=(--label "org.opencontainers.image.source=$source")
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  [ -z "${!name:-}" ] || options+=(--build-arg "$name")
done
[ -z "${NO_CACHE:-}" ] || options+=(--no-cache)
bundle=${CA_BUNDLE:-${PIP_CERT:-${SSL_CERT_FILE:-}}}
[ ! -f "$bundle" ] || options+=(--secret "id=ca,src=$bundle")

name=byoc-classifier-$program:$device
echo "build: $name $version${revision:+ ($revision)} on $base"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Newer builders add attestations by default. With attestations, the image would be an image index, which SageMaker refuses.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1
DOCKER_BUILDKIT=1 "$docker" build --platform linux/amd64 --progress plain --file docker/Dockerfile --tag "$name" "${options[@]}" . 2>&1 | tee "$log" || {
  ! grep -q -i "no space left on device" "$log" ||
    fail "the disk is full where Docker keeps its images; free some (docker system prune), $device images take about $([ "$device" = cuda ] && echo 25 || echo 8) GB while they are built"
  fail "$name was not built; the reason is above"
}
echo "build: made $name, $("$docker" image inspect --format '{{.Size}}' "$name" | awk '{printf "%.2f GB", $1 / 1e9}') in $SECONDS s"

#!/usr/bin/env bash
# Runs one training job with plain docker run, with the platform's mounts; train_local.sh --plain calls it.
#   IMAGE=... [SCRIPT=FILE [SOURCE=DIR]] local_test/train_plain.sh OUT CHANNEL=DIR... -- [NAME=VALUE]...
# The options of docker run, and the reasons for them:
#   --network none    no network, as with EnableNetworkIsolation; a script with requirements.txt gets a network, for pip
#   --pull never      a missing image is an error; it is not pulled
#   --shm-size 64m    Docker's default for shared memory; with --gpus it is 1g, for NCCL
#   --gpus all        set for a CUDA image on a machine with a GPU; GPUS=all or GPUS=none overrides this choice
#   --hostname, --add-host
#                     the container's host name leads to the container itself, as on the platform
#   :ro               input is read-only, as a FastFile channel is
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
out=$1
shift
name=byoc-train-$$-$RANDOM
work=$(mktemp -d)
clean() {
  docker rm --force "$name" > /dev/null 2>&1 || true
  # The container's root wrote the files below $out; make this user their owner.
  [ "$(id -u)" = 0 ] || docker run --rm --pull never --user 0 --network none --volume "$out:/out" --entrypoint chown "$IMAGE" -R "$(id -u):$(id -g)" /out
  rm -rf "$work"
}
trap clean EXIT
stop() { clean; rm -rf "$out/model" "$out/output"; echo "stopped; nothing is left" >&2; exit "$1"; }
trap 'stop 130' INT
trap 'stop 143' TERM

gpus=$(cd "$here/.." && python3 -m launch.gpus "$IMAGE")
# shellcheck disable=SC2206  # split into words on purpose
options=(${gpus:---shm-size 64m}) channels=() network=none
while [ "$1" != -- ]; do
  options+=(--volume "${1#*=}:/opt/ml/input/data/${1%%=*}:ro")
  channels+=("${1%%=*}")
  shift
done
shift
if [ -n "${SCRIPT:-}" ]; then
  # The container gets a copy, since script mode makes scripts executable, and pip builds packages in their own folder.
  mkdir "$work/code"
  if [ -n "${SOURCE:-}" ]; then cp -rL "$SOURCE/." "$work/code"; else cp "$SCRIPT" "$work/code"; fi
  options+=(--volume "$work/code:/opt/ml/code")
  [ -n "${SOURCE:-}" ] || SCRIPT=$(basename "$SCRIPT")
  set -- "sagemaker_program=\"$SCRIPT\"" "$@"
  [ ! -f "$work/code/requirements.txt" ] || network=bridge
fi
mkdir -p "$out/model" "$out/output/data"
(cd "$here/.." && python3 -m launch.opt_ml "$work/config" "${channels[@]}" -- "$@")
options+=(--volume "$work/config:/opt/ml/input/config:ro" --volume "$out/model:/opt/ml/model" --volume "$out/output:/opt/ml/output")
options+=(--env TRAINING_JOB_NAME=local --network "$network" --pull never --hostname algo-1 --add-host algo-1:127.0.0.1)

echo "train_local: docker run $IMAGE train"
# docker runs in the background, so that this script handles a signal at once.
docker run --name "$name" --sig-proxy=false "${options[@]}" "$IMAGE" train &
status=0
wait $! || status=$?
if [ "$status" != 0 ]; then
  [ -s "$out/output/failure" ] || echo "the container ended with status $status and left no failure text" > "$out/output/failure"
  echo "train_local: the job failed:" >&2
  cat "$out/output/failure" >&2
  echo >&2
  exit "$status"
fi
echo "train_local: done, $out/model is the artifact; serve it: local_test/serve_local.sh $out/model"

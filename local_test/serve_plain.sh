#!/usr/bin/env bash
# Runs an endpoint with plain docker run. Its mounts, and the way it is stopped, are the platform's. serve_local.sh --plain calls it.
#   IMAGE=... [CODE=FILE [SOURCE=DIR]] local_test/serve_plain.sh MODEL PORT
# The model is mounted read-only. The port is open only on the loopback interface. The container gets SIGTERM, and SIGKILL 30 s later.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
model=$1 port=$2
name=byoc-serve-$$-$RANDOM
work=$(mktemp -d)
fail() { echo "serve_local: $1" >&2; exit 1; }
# shellcheck disable=SC2329  # the trap calls it
clean() {
  docker stop --time 30 "$name" > /dev/null 2>&1 || true
  docker rm --force "$name" > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT
trap 'echo "stopped; nothing is left"; exit 0' INT TERM
chmod 755 "$work"
gpus=$(cd "$here/.." && python3 -m launch.gpus "$IMAGE")
if [ -f "$model" ]; then
  (cd "$here/.." && python3 -m classifier.archives "$model" "$work/model") || exit 1
  model=$work/model
fi
# shellcheck disable=SC2206  # split into words on purpose
options=($gpus)
if [ -n "${CODE:-}" ]; then
  [ "$model" = "$work/model" ] || cp -rL "$model" "$work/model"
  model=$work/model
  rm -rf "$model/code"
  mkdir "$model/code"
  if [ -n "${SOURCE:-}" ]; then cp -rL "$SOURCE/." "$model/code"; else cp "$CODE" "$model/code"; CODE=$(basename "$CODE"); fi
  chmod -R a+rX "$model"
  ALLOW_MODEL_CODE=true
  options+=(--env "SAGEMAKER_PROGRAM=$CODE" --env SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/model/code)
fi
[ -z "${ALLOW_MODEL_CODE:-}" ] || options+=(--env "ALLOW_MODEL_CODE=$ALLOW_MODEL_CODE")
docker run --detach --pull never --name "$name" --publish "127.0.0.1:$port:8080" --volume "$model:/opt/ml/model:ro" "${options[@]}" "$IMAGE" serve > /dev/null
until curl --silent --fail --max-time 2 "http://127.0.0.1:$port/ping"; do
  [ "$(docker inspect --format '{{.State.Running}}' "$name")" = true ] || fail "the container ended: $(docker logs --tail 1 "$name" 2>&1)"
  sleep 0.5
done
echo "ready: curl -H 'Content-Type: image/jpeg' --data-binary @PHOTO.jpg http://127.0.0.1:$port/invocations"
echo "Ctrl-C stops it"
# docker runs in the background, so that this script handles a signal at once.
docker logs --follow --tail 0 "$name" &
wait $!
fail "the server ended: $(docker logs --tail 1 "$name" 2>&1)"

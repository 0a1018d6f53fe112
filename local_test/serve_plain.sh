#!/usr/bin/env bash
# An endpoint with docker run alone, as the platform mounts and stops it; serve_local.sh --plain calls it.
#   IMAGE=... local_test/serve_plain.sh MODEL PORT
# The model can be read only; the port is open on the loopback interface alone; SIGTERM, then 30 s, then SIGKILL.
set -euo pipefail
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
if [ -f "$model" ]; then
  tar -xzf "$model" -C "$work" || fail "$model is no model.tar.gz"
  chmod 755 "$work"
  model=$work
fi
docker run --detach --name "$name" --publish "127.0.0.1:$port:8080" --volume "$model:/opt/ml/model:ro" "$IMAGE" serve > /dev/null
until curl --silent --fail --max-time 2 "http://127.0.0.1:$port/ping"; do
  [ "$(docker inspect --format '{{.State.Running}}' "$name")" = true ] || fail "it ended: $(docker logs --tail 1 "$name" 2>&1)"
  sleep 0.5
done
echo "ready: curl -H 'Content-Type: image/jpeg' --data-binary @PHOTO.jpg http://127.0.0.1:$port/invocations"
echo "Ctrl-C stops it"
# In the background, so that a signal to this script is acted on at once.
docker logs --follow --tail 0 "$name" &
wait $!
fail "the server ended: $(docker logs --tail 1 "$name" 2>&1)"

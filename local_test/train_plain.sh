#!/usr/bin/env bash
# One training job with docker run alone, its mounts as the platform's; train_local.sh --plain calls it.
#   IMAGE=... local_test/train_plain.sh DATA OUT [NAME=VALUE]...
# What docker run is given, and why:
#   --network none    EnableNetworkIsolation: nothing in or out
#   --shm-size 64m    the shared memory that a container gets when nobody asks for more
#   --add-host        the host's name leads to itself, as on the platform
#   :ro               input can be read only, as a FastFile channel
set -euo pipefail
data=$1 out=$2
shift 2
name=byoc-train-$$-$RANDOM
work=$(mktemp -d)
clean() {
  docker rm --force "$name" > /dev/null 2>&1 || true
  # The container's root wrote there; the files are to be yours.
  [ "$(id -u)" = 0 ] || docker run --rm --user 0 --network none --volume "$out:/out" --entrypoint chown "$IMAGE" -R "$(id -u):$(id -g)" /out
  rm -rf "$work"
}
trap clean EXIT
trap 'echo "stopped; nothing is left" >&2; exit 130' INT
trap 'echo "stopped; nothing is left" >&2; exit 143' TERM

quoted() { local text=${1//\\/\\\\}; printf '"%s"' "${text//\"/\\\"}"; }
object() {
  local comma=""
  printf '{'
  for pair; do printf '%s%s: %s' "$comma" "$(quoted "${pair%%=*}")" "$(quoted "${pair#*=}")"; comma=", "; done
  printf '}\n'
}
options=() channels=""
for split in train validation valid val test; do
  [ -d "$data/$split" ] || continue
  options+=(--volume "$data/$split:/opt/ml/input/data/$split:ro")
  channels="$channels${channels:+, }\"$split\": {\"TrainingInputMode\": \"File\"}"
done
if [ -z "$channels" ]; then
  options+=(--volume "$data:/opt/ml/input/data/training:ro")
  channels='"training": {"TrainingInputMode": "File"}'
fi
mkdir -p "$work/config" "$out/model" "$out/output/data"
object "$@" > "$work/config/hyperparameters.json"
echo "{$channels}" > "$work/config/inputdataconfig.json"
echo '{"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}' > "$work/config/resourceconfig.json"
options+=(--volume "$work/config:/opt/ml/input/config:ro" --volume "$out/model:/opt/ml/model" --volume "$out/output:/opt/ml/output")
options+=(--env TRAINING_JOB_NAME=local --network none --shm-size 64m --add-host algo-1:127.0.0.1)

echo "train_local: docker run $IMAGE train, on $data"
# In the background, so that a signal to this script is acted on at once.
docker run --name "$name" --sig-proxy=false "${options[@]}" "$IMAGE" train &
status=0
wait $! || status=$?
if [ "$status" != 0 ]; then
  [ ! -s "$out/output/failure" ] || { echo "train_local: the job failed:" >&2; cat "$out/output/failure" >&2; echo >&2; }
  exit "$status"
fi
echo "train_local: done, $out/model is the artifact; serve it: local_test/serve_local.sh $out/model"

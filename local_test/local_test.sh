#!/usr/bin/env bash
# Runs all steps in SageMaker local mode: train, serve, predict. Checks the answers, and that no container or folder is left behind.
#   local_test/local_test.sh DATA
#     DATA                      holds train/, validation/ and test/, each with a folder per class
#   HOSTS                       containers that train together (default 1)
#   BACKBONE                    the backbone (default timm/tf_efficientnet_lite0, whose weights are in the image)
#   TRAIN_IMAGE, SERVE_IMAGE    the images (default byoc-classifier-train:cpu and byoc-classifier-serve:cpu)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
data=${1:?name a folder with photos}
for image in "${TRAIN_IMAGE:-byoc-classifier-train:cpu}" "${SERVE_IMAGE:-byoc-classifier-serve:cpu}"; do "$here/image.sh" "$image" || exit 1; done
TMPDIR=$(mktemp -d)
export TMPDIR
server=""
clean() {
  [ -z "$server" ] || { kill -TERM "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; }
  rm -rf "$TMPDIR"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() { echo "local-test: $1" >&2; exit 1; }

echo "== train on $data, ${HOSTS:-1} host(s)"
IMAGE=${TRAIN_IMAGE:-byoc-classifier-train:cpu} "$here/train_local.sh" --hosts "${HOSTS:-1}" --out "$TMPDIR/out" \
  --set "backbone=${BACKBONE:-timm/tf_efficientnet_lite0}" --set epochs=5 "$data"

echo "== serve"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
IMAGE=${SERVE_IMAGE:-byoc-classifier-serve:cpu} "$here/serve_local.sh" --port "$port" "$TMPDIR/out/model" > "$TMPDIR/serve.log" 2>&1 &
server=$!
until grep --quiet ^ready "$TMPDIR/serve.log"; do
  kill -0 "$server" 2> /dev/null || fail "the endpoint was not ready: $(tail -n 1 "$TMPDIR/serve.log")"
  sleep 0.5
done

echo "== predict"
mkdir "$TMPDIR/photos"
for class in "$data"/test/*/; do
  name=$(basename "$class")
  mkdir "$TMPDIR/photos/$name"
  find "$class" -type f | sort | head -n 3 | xargs -d '\n' cp -t "$TMPDIR/photos/$name"
done
URL=http://127.0.0.1:$port "$here/predict.sh" "$TMPDIR/photos" > "$TMPDIR/answers"
python3 - "$TMPDIR/answers" << 'CHECK' || fail "the answers are wrong"
import json, pathlib, sys
right = count = 0
for line in open(sys.argv[1]):
    file, _, answer = line.partition(" {")
    truth, best = pathlib.Path(file).parent.name, json.loads("{" + answer)["predictions"][0]
    print(f"{truth:<20} {best['label']:<20} {best['probability']:.4f}")
    right, count = right + (best["label"] == truth), count + 1
print(f"{right} of {count} right")
sys.exit(right < 0.8 * count)
CHECK

echo "== stop"
kill -TERM "$server"
wait "$server" || fail "the endpoint ended with status $?: $(tail -n 1 "$TMPDIR/serve.log")"
server=""
left=$(docker ps --all --format '{{.Names}} {{.Label "com.docker.compose.project.working_dir"}}' | grep -F " $TMPDIR/" || true)
[ -z "$left" ] || fail "a container is left: $left"
[ -z "$(find "$TMPDIR" -maxdepth 1 -name 'byoc-local-*')" ] || fail "a temporary folder is left in $TMPDIR"
echo "local-test: train, serve and predict work in local mode; no container, network or temporary folder is left"

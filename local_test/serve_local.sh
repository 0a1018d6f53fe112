#!/usr/bin/env bash
# Serves an artifact in the serving image on this machine, offline and without AWS, until Ctrl-C.
#   local_test/serve_local.sh [--plain] [--port N] MODEL
#     MODEL    the artifact: a folder, or model.tar.gz
#     --plain  docker run alone instead of SageMaker local mode: no SDK, no Compose
#     --port   on this machine (default 8080)
#   IMAGE      the serving image (default byoc-classifier-serve:cpu)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE:-byoc-classifier-serve:cpu}
plain="" port=8080 model=""
fail() { echo "serve_local: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --plain) plain=1; shift ;;
    --port) port=${2:?--port takes a number}; shift 2 ;;
    -*) fail "unknown option $1; the first lines of $0 say what there is" ;;
    *) model=$1; shift ;;
  esac
done
[ -e "${model:-}" ] || fail "name an artifact, as in $0 runs/local/model"
model=$(realpath "$model")
[ -z "$plain" ] || IMAGE=$image exec "$here/serve_plain.sh" "$model" "$port"
make --silent -C "$here/.." .venv-sdk/.ready
cd "$here/.."
exec .venv-sdk/bin/python -m local_test.local_mode serve --image "$image" --model "$model" --port "$port"

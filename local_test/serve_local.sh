#!/usr/bin/env bash
# Serves an artifact in the serving image on this machine, offline and without AWS, until Ctrl-C.
#   local_test/serve_local.sh [--plain] [--port N] [--code FILE [--source-dir DIR]] MODEL
#     MODEL         the artifact: a folder, or model.tar.gz
#     --plain       use plain docker run in place of SageMaker local mode; this needs neither the SDK nor Compose
#     --port        the port on this machine (default 8080)
#     --code        your inference code, as the SDK's entry_point; it is copied into the artifact's folder code/, and may run
#     --source-dir  the folder of that file and of the files it imports, as the SDK's source_dir
#   ALLOW_MODEL_CODE=true   runs the code in the artifact
#   IMAGE           the serving image (default byoc-classifier-serve:cpu)
#   GPUS            all or none (default: all for a CUDA image on a machine with a GPU)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE:-byoc-classifier-serve:cpu}
plain="" port=8080 code="" source="" model=""
fail() { echo "serve_local: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --plain) plain=1; shift ;;
    --port) port=${2:?--port takes a number}; shift 2 ;;
    --code) code=${2:?--code takes a file}; shift 2 ;;
    --source-dir) source=${2:?--source-dir takes a folder}; shift 2 ;;
    -*) fail "unknown option $1; $0 --help lists the options" ;;
    *) model=$1; shift ;;
  esac
done
[ -e "${model:-}" ] || fail "name an artifact, as in $0 runs/local/model"
[ -z "$source" ] || [ -n "$code" ] || fail "--source-dir needs --code, which names a file in that folder"
[ -z "$code" ] || code=$("$here/source.sh" "$code" "$source") || exit 1
"$here/image.sh" "$image" || exit 1
model=$(realpath "$model")
[ -z "$source" ] || source=$(realpath "$source")
[ -n "$source" ] || [ -z "$code" ] || code=$(realpath "$code")
[ -z "$plain" ] || IMAGE=$image CODE=$code SOURCE=$source exec "$here/serve_plain.sh" "$model" "$port"
make --silent -C "$here/.." .venv-sdk/.ready
cd "$here/.."
exec .venv-sdk/bin/python -m local_test.local_mode serve --image "$image" --model "$model" --port "$port" \
  ${code:+--code "$code"} ${source:+--source-dir "$source"}

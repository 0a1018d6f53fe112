#!/usr/bin/env bash
# Runs batch transform in SageMaker local mode on this machine, offline and without AWS. Writes an answer for each photo of a folder.
#   local_test/transform_local.sh [--port N] [--out DIR] MODEL PHOTOS
#     MODEL    the artifact: a folder, or model.tar.gz
#     PHOTOS   a folder of photos; local mode reads no subfolders
#     --out    a new or empty folder for PHOTO.out (default runs/transform-TIME)
#     --port   the port on this machine (default 8080)
#   IMAGE      the serving image (default byoc-classifier-serve:cpu)
#   GPUS       all or none (default: all for a CUDA image on a machine with a GPU)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE:-byoc-classifier-serve:cpu}
port=8080 out="" names=()
fail() { echo "transform_local: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --port) port=${2:?--port takes a number}; shift 2 ;;
    --out) out=${2:?--out takes a folder}; shift 2 ;;
    -*) fail "unknown option $1; $0 --help lists the options" ;;
    *) names+=("$1"); shift ;;
  esac
done
[ ${#names[@]} = 2 ] || fail "name an artifact and a folder of photos, as in $0 runs/local/model data/samples/test/coffee"
[ -e "${names[0]}" ] || fail "there is no artifact ${names[0]}"
[ -d "${names[1]}" ] || fail "${names[1]} is not a folder of photos"
"$here/image.sh" "$image" || exit 1
out=${out:-runs/transform-$(date +%Y%m%d-%H%M%S)}
[ -z "$(ls -A "$out" 2> /dev/null)" ] || fail "$out is not empty; name another folder with --out"
model=$(realpath "${names[0]}") photos=$(realpath "${names[1]}")
mkdir -p "$out"
out=$(realpath "$out")
make --silent -C "$here/.." .venv-sdk/.ready
cd "$here/.."
.venv-sdk/bin/python -m local_test.local_mode transform --image "$image" --model "$model" --photos "$photos" --out "$out" --port "$port"
echo "transform_local: the answers are in $out"

#!/usr/bin/env bash
# Tunes on this machine: every trial is a job in the training image. SageMaker local mode itself has no tuning.
#   local_test/tune_local.sh [--trials N] [--backbone NAME] [--set NAME=VALUE]... [--out DIR] DATA
#     DATA   holds train/, validation/ and test/, or class folders; the other options are those of `byoc tune`
#     --out  a new or empty folder (default runs/tune-TIME)
#   IMAGE    the training image (default byoc-classifier-train:cpu)
#   GPUS     all or none (default: all for a CUDA image on a machine with a GPU)
# The trials differ in learning rate, batch size and epochs, from the ranges in train/config.py. Features are computed once for all trials.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
here=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "tune_local: $1" >&2; exit 1; }
options=() data="" out=""
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=${2:?--out takes a folder}; shift 2 ;;
    -*) options+=("$1" "${2:?$1 takes a value}"); shift 2 ;;
    *) data=$1; shift ;;
  esac
done
[ -d "${data:-}" ] || fail "name a folder with photos, as in $0 data/samples"
"$here/local_test/image.sh" "${IMAGE:-byoc-classifier-train:cpu}" || exit 1
[ -x "$here/.venv/bin/byoc" ] || fail "the tuner is not installed; run make setup"
out=$(realpath -m "${out:-runs/tune-$(date +%Y%m%d-%H%M%S)}")
containers() {
  docker ps --all --filter label=byoc-classifier.job --format '{{.ID}} {{.Label "byoc-classifier.job"}}' |
    while read -r id job; do [ "${job#"$out"/}" = "$job" ] || echo "$id"; done
}
clean() {
  [ -z "${tuner:-}" ] || { kill "$tuner" 2> /dev/null || true; wait "$tuner" 2> /dev/null || true; }
  # Remove twice, since a docker run that has just begun may make its container after the first time.
  for pause in 1 0; do containers | xargs --no-run-if-empty docker rm --force > /dev/null; sleep $pause; done
}
trap clean EXIT
trap 'echo "stopped; no container is left" >&2; exit 130' INT
trap 'echo "stopped; no container is left" >&2; exit 143' TERM
"$here/.venv/bin/byoc" tune --image "${IMAGE:-byoc-classifier-train:cpu}" --gpus "${GPUS:-auto}" --data "$data" --out "$out" "${options[@]}" &
tuner=$!
wait "$tuner"

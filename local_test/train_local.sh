#!/usr/bin/env bash
# Trains in the training image on this machine, offline and without AWS, and leaves model/ and output/ in a folder of yours.
#   local_test/train_local.sh [--plain] [--hosts N] [--out DIR] [--set NAME=VALUE]... DATA
#     DATA     holds train/, validation/ and test/, each with a folder per class, or the class folders themselves
#     --plain  docker run alone instead of SageMaker local mode: no SDK, no Compose, one host
#     --hosts  containers that train together, in local mode
#     --out    a new or empty folder (default runs/local-TIME)
#     --set    a hyperparameter, any number of times
#   IMAGE      the training image (default byoc-classifier-train:cpu)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE:-byoc-classifier-train:cpu}
plain="" hosts=1 out="" data="" settings=()
fail() { echo "train_local: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --plain) plain=1; shift ;;
    --hosts) hosts=${2:?--hosts takes a number}; shift 2 ;;
    --out) out=${2:?--out takes a folder}; shift 2 ;;
    --set) settings+=("${2:?--set takes NAME=VALUE}"); shift 2 ;;
    -*) fail "unknown option $1; the first lines of $0 say what there is" ;;
    *) data=$1; shift ;;
  esac
done
[ -d "${data:-}" ] || fail "name a folder with photos, as in $0 data/samples"
out=${out:-runs/local-$(date +%Y%m%d-%H%M%S)}
[ -z "$(ls -A "$out" 2> /dev/null)" ] || fail "$out is not empty; name another folder with --out"
mkdir -p "$out"
data=$(cd "$data" && pwd) out=$(cd "$out" && pwd)

if [ -z "$plain" ]; then
  make --silent -C "$here/.." .venv-sdk/.ready
  arguments=(train --image "$image" --data "$data" --out "$out" --hosts "$hosts")
  for setting in "${settings[@]}"; do arguments+=(--set "$setting"); done
  cd "$here/.."
  exec .venv-sdk/bin/python -m local_test.local_mode "${arguments[@]}"
fi
[ "$hosts" = 1 ] || fail "--plain runs one host; leave --plain out for $hosts"
IMAGE=$image exec "$here/train_plain.sh" "$data" "$out" "${settings[@]}"

#!/usr/bin/env bash
# Trains in the training image on this machine, offline and without AWS, and leaves model/ and output/ in your folder.
#   local_test/train_local.sh [--plain] [--hosts N] [--out DIR] [--set NAME=VALUE]... DATA
#   local_test/train_local.sh --script FILE [--source-dir DIR] [--channel NAME=DIR]... [the options above] [DATA]
#     DATA          holds train/, validation/ and test/, each with a folder per class, or the class folders themselves
#     --plain       use plain docker run in place of SageMaker local mode, with one host; this needs neither the SDK nor Compose
#     --hosts       the number of containers that train together, only in local mode (default 1)
#     --out         a new or empty folder, or the folder of a failed job (default runs/local-TIME)
#     --set         a hyperparameter; this option may be repeated
#     --script      your script, as the SDK's entry_point; DATA is then its channel `training` (SM_CHANNEL_TRAINING)
#     --source-dir  the folder with the script, the files it imports and requirements.txt, as the SDK's source_dir
#     --channel     a folder that the job gets as the channel NAME; this option may be repeated
#   IMAGE           the training image (default byoc-classifier-train:cpu)
#   GPUS            all or none (default: all for a CUDA image on a machine with a GPU)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE:-byoc-classifier-train:cpu}
plain="" hosts=1 out="" data="" script="" source="" settings=() channels=()
fail() { echo "train_local: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --plain) plain=1; shift ;;
    --hosts) hosts=${2:?--hosts takes a number}; shift 2 ;;
    --out) out=${2:?--out takes a folder}; shift 2 ;;
    --set) settings+=("${2:?--set takes NAME=VALUE}"); shift 2 ;;
    --script) script=${2:?--script takes a file}; shift 2 ;;
    --source-dir) source=${2:?--source-dir takes a folder}; shift 2 ;;
    --channel) channels+=("${2:?--channel takes NAME=DIR}"); shift 2 ;;
    -*) fail "unknown option $1; $0 --help lists the options" ;;
    *) data=$1; shift ;;
  esac
done
[ -n "$data" ] || [ "${#channels[@]}" -gt 0 ] || fail "name a folder with photos, as in $0 data/samples"
[ -z "$data" ] || [ -d "$data" ] || fail "$data is not a folder; name one with photos, as in $0 data/samples"
for channel in "${channels[@]}"; do [ -d "${channel#*=}" ] || fail "--channel $channel: there is no folder ${channel#*=}; write NAME=DIR"; done
for setting in "${settings[@]}"; do [[ $setting = ?*=* ]] || fail "--set '$setting' must read NAME=VALUE, as in --set epochs=2"; done
[ -z "$source" ] || [ -n "$script" ] || fail "--source-dir needs --script, which names a script in that folder"
[ -z "$script" ] || script=$("$here/source.sh" "$script" "$source") || exit 1
[ -z "$plain" ] || [ "$hosts" = 1 ] || fail "--plain runs one host; leave --plain out for $hosts"
"$here/image.sh" "$image" || exit 1

out=${out:-runs/local-$(date +%Y%m%d-%H%M%S)}
# The folder of a failed job may be used again.
[ ! -s "$out/output/failure" ] || rm -rf "$out/model" "$out/output"
[ -z "$(ls -A "$out" 2> /dev/null)" ] || fail "$out is not empty; name another folder with --out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
found=()
if [ -n "$data" ] && [ -z "$script" ]; then
  for split in train validation valid val test; do [ ! -d "$data/$split" ] || found+=("$split=$data/$split"); done
fi
[ -z "$data" ] || [ "${#found[@]}" -gt 0 ] || found=("training=$data")
channels+=("${found[@]}")
for number in "${!channels[@]}"; do channels[number]=${channels[number]%%=*}=$(cd "${channels[number]#*=}" && pwd); done
[ -z "$source" ] || source=$(cd "$source" && pwd)
[ -n "$source" ] || [ -z "$script" ] || script=$(realpath "$script")

if [ -n "$plain" ]; then
  IMAGE=$image SCRIPT=$script SOURCE=$source exec "$here/train_plain.sh" "$out" "${channels[@]}" -- "${settings[@]}"
fi
make --silent -C "$here/.." .venv-sdk/.ready
arguments=(train --image "$image" --out "$out" --hosts "$hosts" ${script:+--script "$script"} ${source:+--source-dir "$source"})
for channel in "${channels[@]}"; do arguments+=(--channel "$channel"); done
for setting in "${settings[@]}"; do arguments+=(--set "$setting"); done
cd "$here/.."
exec .venv-sdk/bin/python -m local_test.local_mode "${arguments[@]}"

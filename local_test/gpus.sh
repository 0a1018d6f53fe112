#!/usr/bin/env bash
# Prints docker run's options for the GPUs, when a container of this image gets them; ends with a status other than 0 when not.
#   [GPUS=all|none] local_test/gpus.sh IMAGE
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
python3 -m launch.gpus "$1"
echo "--gpus all --shm-size 1g"

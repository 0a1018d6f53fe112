#!/usr/bin/env bash
# Starts `byoc emulate` on a temporary folder, runs the contract suite through its SageMaker API, and ends the emulator.
#   local_test/contract/emulated.sh [arguments of pytest]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The emulator writes its address into its folder before it starts the command.
# shellcheck disable=SC2016
.venv/bin/byoc emulate --run docker --data "$folder" -- \
  bash -c 'exec .venv/bin/pytest "$@" --emulator "$(cat "$0/address")"' "$folder" "$@"

#!/usr/bin/env bash
# Writes the contents of both images into sbom/: CycloneDX files, licences, and known vulnerabilities.
#   docker/sbom.sh [cuda|cpu]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
device=${1:-cuda} python=.venv-images/bin/python
for program in train serve; do
  name=byoc-classifier-$program
  docker image inspect "$name:$device" > /dev/null 2>&1 || {
    echo "sbom: $name:$device is not built; make build DEVICE=$device" >&2
    exit 1
  }
  $python docker/sbom.py "$name:$device" sbom
  $python docker/vulnerabilities.py "$name:$device" "requirements/$program-$device.lock" "sbom/$name-$device-vulnerabilities.txt"
done

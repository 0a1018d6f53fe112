#!/usr/bin/env bash
# Makes .venv-inside, a folder of packages that the tests need inside the images and no image contains. The packages are for the
# images' Python, and have the hashes of dev.lock and samples.lock. tests/inside.sh mounts the folder; no image is changed.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
mkdir -p .venv-inside
# Prints the lines of the named packages from a lock file: their versions and hashes.
pins() { awk -v names=" $2 " '/^[a-z0-9]/ {split($0, part, "=="); taken = index(names, " " part[1] " ")} taken' "requirements/$1.lock"; }
pins dev "execnet hypothesis iniconfig pluggy pygments pytest pytest-rerunfailures pytest-xdist sortedcontainers" > .venv-inside/inside.lock
pins samples "scikit-image" >> .venv-inside/inside.lock
rm -rf .venv-inside/packages
.venv/bin/python -m pip install --quiet --no-deps --require-hashes --python-version 3.11 --implementation cp --platform manylinux_2_28_x86_64 \
  --platform manylinux_2_17_x86_64 --only-binary :all: --target .venv-inside/packages --requirement .venv-inside/inside.lock
echo "setup: .venv-inside takes $(du -sh .venv-inside | cut -f1)"

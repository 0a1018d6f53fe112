#!/usr/bin/env bash
# Makes .venv-sdk: the SageMaker SDK. Its pins conflict with those of every other environment.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-sdk/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-sdk; }
.venv-sdk/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/sdk.lock
echo "setup: .venv-sdk takes $(du -sh .venv-sdk | cut -f1)"

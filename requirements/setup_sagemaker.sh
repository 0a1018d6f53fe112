#!/usr/bin/env bash
# Makes .venv-sagemaker: the packages of the local SageMaker (byoc emulate).
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-sagemaker/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-sagemaker; }
.venv-sagemaker/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/sagemaker.lock
echo "setup: .venv-sagemaker takes $(du -sh .venv-sagemaker | cut -f1)"

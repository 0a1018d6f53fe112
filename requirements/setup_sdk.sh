#!/usr/bin/env bash
# Makes .venv-sdk: the SageMaker SDK, whose pins agree with no other environment's.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-sdk/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-sdk; }
.venv-sdk/bin/pip install --quiet --no-deps --require-hashes -r requirements/sdk.lock
echo "setup: .venv-sdk takes $(du -sh .venv-sdk | cut -f1)"

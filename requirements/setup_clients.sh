#!/usr/bin/env bash
# Makes .venv-clients: the aws command and SDK v3, the clients in the tests of the local SageMaker.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-clients/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-clients; }
# --no-compile: Python compiles a module at its first import. Compiling all modules now would double the time.
.venv-clients/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements/clients.lock
echo "setup: .venv-clients takes $(du -sh .venv-clients | cut -f1)"

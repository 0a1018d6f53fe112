#!/usr/bin/env bash
# Makes .venv-peers: the other servers of benchmarks/serve.py, and the same torch, Pillow and model server as in .venv.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
#   PIP_ARGS  options for pip, only for torch, as in setup.sh
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-peers/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-peers; }
pip=.venv-peers/bin/pip
torch=$(sed -n 's/^ *"\(torch==.*\)",$/\1/p' pyproject.toml)
echo "setup: .venv-peers, the other servers of the benchmarks"
# shellcheck disable=SC2086  # PIP_ARGS holds several words
$pip install --quiet ${PIP_ARGS:-} "$torch"
$pip install --quiet --no-deps --require-hashes -r requirements/plain.lock
# The project contains environment/byoc_torchvision.py, which lets torchvision work with any build of torch.
$pip install --quiet --no-deps --no-build-isolation --editable .
# These come last because sagemaker-inference needs an older setuptools than the other packages.
$pip install --quiet --no-deps --require-hashes -r requirements/peers.lock
echo "setup: done, .venv-peers takes $(du -sh .venv-peers | cut -f1)"

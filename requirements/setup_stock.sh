#!/usr/bin/env bash
# Makes .venv-stock: the stock serving stack that tests attack on the loopback address. It is multi-model-server with
# sagemaker-inference's default handler. It has no torch, because the attacks need no model. Exact versions, by hash.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-stock/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-stock; }
echo "setup: .venv-stock, the stock serving stack"
.venv-stock/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/stock.lock
.venv-stock/bin/pip check
echo "setup: done, .venv-stock takes $(du -sh .venv-stock | cut -f1)"

#!/usr/bin/env bash
# Makes .venv-train: what the training image holds, with pytest. Its numpy and protobuf are older than .venv's, for smdebug.
#   PYTHON    the interpreter (default python3.11, the only version that this takes, as the image does)
#   PIP_ARGS  passed to pip for torch alone, as in setup.sh
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-train/bin/python ] || {
  # PYTHON may be another, for .venv
  python=$(requirements/python.sh 3.11 2> /dev/null || PYTHON="" requirements/python.sh 3.11)
  "$python" -m venv .venv-train
}
pip=".venv-train/bin/python -m pip"
torch=$(sed -n 's/^ *"\(torch==.*\)",$/\1/p' pyproject.toml)
echo "setup: .venv-train, the packages of the training image"
# shellcheck disable=SC2086  # PIP_ARGS holds several words
$pip install --quiet ${PIP_ARGS:-} "$torch"
# The image's lock holds the CPU build of torch; here the build stays that pip has just chosen.
sed '/^torch==/,/[^\\]$/d' requirements/train-cpu.lock > .venv-train/train.lock
$pip install --quiet --no-deps --require-hashes -r .venv-train/train.lock
# pytest and what an editable install needs; as constraints, the other locks give their versions and hashes
$pip install --quiet --constraint requirements/dev.lock --constraint requirements/plain.lock pytest pytest-xdist coverage hatchling editables
# Last: sagemaker-training brings a command `train` too, and ours must be the one that stays.
$pip install --quiet --no-deps --no-build-isolation --force-reinstall --editable .
$pip check
echo "setup: done, .venv-train takes $(du -sh .venv-train | cut -f1)"

#!/usr/bin/env bash
# Makes .venv-train: the packages of the training image, and pytest. smdebug needs older versions of numpy and protobuf than .venv has.
#   PYTHON    the interpreter (default python3.11; only that version is accepted, because the image has it)
#   PIP_ARGS  options for pip, only for torch, as in setup.sh
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-train/bin/python ] || {
  # PYTHON may name another version, the one for .venv.
  python=$(requirements/python.sh 3.11 2> /dev/null || PYTHON="" requirements/python.sh 3.11)
  "$python" -m venv .venv-train
}
pip=".venv-train/bin/python -m pip"
torch=$(sed -n 's/^ *"\(torch==.*\)",$/\1/p' pyproject.toml)
echo "setup: .venv-train, the packages of the training image"
# shellcheck disable=SC2086  # PIP_ARGS holds several words
$pip install --quiet ${PIP_ARGS:-} "$torch"
# The image's lock file names the CPU build of torch. Here, the build that pip has just installed is kept.
sed '/^torch==/,/[^\\]$/d' requirements/train-cpu.lock > .venv-train/train.lock
$pip install --quiet --no-deps --require-hashes -r .venv-train/train.lock
# pytest and the packages for an editable install; the other locks, given as constraints, fix their versions and hashes.
$pip install --quiet --constraint requirements/dev.lock --constraint requirements/plain.lock pytest pytest-rerunfailures pytest-xdist coverage hatchling editables
# This comes last because sagemaker-training also has a command `train`, which ours must replace.
$pip install --quiet --no-deps --no-build-isolation --force-reinstall --editable .
# openvino-telemetry is left out on purpose: it would send data to its maker.
broken=$($pip check | grep -v -e "requires openvino-telemetry" -e "^No broken requirements" || true)
[ -z "$broken" ] || { echo "setup: $broken" >&2; exit 1; }
echo "setup: done, .venv-train takes $(du -sh .venv-train | cut -f1)"

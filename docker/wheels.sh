#!/usr/bin/env bash
# Downloads the CPU build of torch into wheels/. The build of an image reads it from this folder and checks its hash.
#   PYTHON    an interpreter with pip (default: .venv's, else python3)
#   PIP_ARGS  options for pip, such as PIP_ARGS="--index-url URL" for the index that has this build
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -n "${PYTHON:-}" ] || { PYTHON=.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; }
torch=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements/shared-cpu.lock)
if compgen -G "wheels/torch-*+cpu-*.whl" > /dev/null; then
  echo "wheels: the CPU build of torch is already in wheels/"
  exit 0
fi
# shellcheck disable=SC2086  # PIP_ARGS holds several words
"$PYTHON" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
  --dest wheels ${PIP_ARGS:-} "$torch" 2> /dev/null || {
  echo "wheels: pip finds no $torch; name the index that has it: PIP_ARGS=\"--index-url URL\" docker/wheels.sh" >&2
  exit 1
}
echo "wheels: $(basename wheels/torch-*+cpu-*.whl)"

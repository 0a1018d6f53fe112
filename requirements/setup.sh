#!/usr/bin/env bash
# Makes .venv. First installs torch and prints its build and size, which differ much between builds; then installs all other packages
# by hash.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
#   PIP_ARGS  options for pip, only for torch, such as PIP_ARGS="--index-url URL" for another build
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
version() { "$1" -c 'import platform; print(platform.python_version())'; }
if [ ! -x .venv/bin/python ]; then
  python=$(requirements/python.sh)
  "$python" -m venv .venv
elif [ -n "${PYTHON:-}" ] && [ "$(version "$PYTHON")" != "$(version .venv/bin/python)" ]; then
  echo "setup: .venv has Python $(version .venv/bin/python); remove it (rm -r .venv) to make it with $PYTHON" >&2
  exit 1
fi
echo "setup: .venv with Python $(version .venv/bin/python)"
torch=$(sed -n 's/^ *"\(torch==.*\)",$/\1/p' pyproject.toml)

# shellcheck disable=SC2086  # PIP_ARGS holds several words
build=$(.venv/bin/python -m pip install --quiet --dry-run --ignore-installed --no-deps --report - ${PIP_ARGS:-} "$torch" 2>/dev/null |
  .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["install"][0]["metadata"]["version"])') || {
  echo "setup: pip finds no $torch; check the network and pip's index, or name one: make setup PIP_ARGS=\"--index-url URL\"" >&2
  exit 1
}
case $build in
  *+cpu) echo "setup: torch $build, the CPU build (about 0.2 GB to download, 0.8 GB installed)" ;;
  *) echo "setup: torch $build with the CUDA libraries (about 2.9 GB to download, 5.5 GB installed)"
     echo "setup: for the CPU build (0.2 GB) stop now and name the index that torch's web site gives for it: make setup PIP_ARGS=\"--index-url URL\"" ;;
esac
# shellcheck disable=SC2086
.venv/bin/python -m pip install --quiet ${PIP_ARGS:-} "$torch"
echo "setup: the other packages, by hash"
.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/plain.lock -r requirements/samples.lock
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
size=$(du -sh .venv | cut -f1)
echo "setup: done, .venv takes $size with torch $(.venv/bin/python -c 'from importlib.metadata import version; print(version("torch"))')"

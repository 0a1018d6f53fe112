#!/usr/bin/env bash
# Prints the Python interpreter for a new environment: the first one that has an allowed version and can make environments.
#   requirements/python.sh [VERSION ...]   the allowed versions (default: 3.11 3.12 3.13, all that the project runs on)
# Variables:
#   PYTHON  use only this interpreter
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
versions=("$@")
[ "$#" -gt 0 ] || versions=(3.11 3.12 3.13)
listed=$(printf ", %s" "${versions[@]}")
listed=${listed:2}
how="install one from your distribution (Debian, Ubuntu: python3-venv) or with uv (uv python install ${versions[0]}), or name one: PYTHON=path"

# Prints the interpreter's version; fails if it does not run or cannot make environments.
able() { "$1" -c 'import ensurepip, venv, sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null; }

if [ -n "${PYTHON:-}" ]; then
  version=$(able "$PYTHON") || { echo "setup: $PYTHON does not run or cannot make environments; $how" >&2; exit 1; }
  [[ " ${versions[*]} " = *" $version "* ]] || { echo "setup: $PYTHON is Python $version, but the version must be one of $listed; $how" >&2; exit 1; }
  echo "$PYTHON"
  exit
fi
lame=()
# Look on PATH, then in the folders of pyenv and uv.
shopt -s nullglob
kept=()
for version in "${versions[@]}"; do
  kept+=("${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version" "$HOME/.local/share/uv/python/cpython-$version".*/bin/"python$version")
done
for name in "${versions[@]/#/python}" python3 "${kept[@]}"; do
  if version=$(able "$name") && [[ " ${versions[*]} " = *" $version "* ]]; then
    echo "$name"
    exit
  fi
  [ "$name" = python3 ] || ! "$name" -c '' 2> /dev/null || lame+=("$name")
done
[ "${#lame[@]}" = 0 ] || how="${lame[0]} exists but has no venv: install ${lame[0]}-venv, or $how"
echo "setup: found no Python of $listed that can make environments; $how" >&2
exit 1

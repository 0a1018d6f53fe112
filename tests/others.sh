#!/usr/bin/env bash
# Runs the tests that need no torch on the other Python versions that the project allows, if this machine has them. Their
# environments have all packages of the locks except torch, whose build for them may take 3 GB.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
tests=(tests/classifier/test_{archives,archive_kinds,augmented,avif,avif_headers,depth,folders,format_limits,images,kinds,lists,manifest}.py)
tests+=(tests/classifier/test_{metadata,missing_end,orientation,paths,photos,progress,recordio,splits,unreadable,validation_split}.py)
tests+=(tests/{launch/test_check,launch/test_predict,serve/test_worker_api,serve/test_formats,serve/test_settings}.py)
tests+=(tests/train/test_{config,foreign_names,values}.py)
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
for version in 3.11 3.12 3.13; do
  [ "$version" != "$(version .venv/bin/python)" ] || continue
  if ! python=$(PYTHON="" requirements/python.sh "$version" 2> /dev/null); then
    echo "others: no Python $version on this machine, so nothing ran on it"
    continue
  fi
  environment=.venv-$version
  [ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
  "$environment/bin/pip" install --quiet --no-deps --require-hashes -r requirements/plain.lock -r requirements/samples.lock -r requirements/dev.lock
  "$environment/bin/pip" install --quiet --no-deps --no-build-isolation --editable .
  # The locks were made on Python 3.11; another version may need further packages.
  if "$environment/bin/pip" check | grep -v -e "requires torch" -e "requires openvino-telemetry" -e "^scikit-image"; then
    echo "others: the locks lack packages that Python $version needs; add them to pyproject.toml and run make lock" >&2
    exit 1
  fi
  echo "others: $("$environment/bin/python" --version)"
  "$environment/bin/pytest" -p no:cacheprovider -n 2 --dist loadfile "${tests[@]}"
done

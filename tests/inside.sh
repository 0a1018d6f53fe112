#!/usr/bin/env bash
# Runs the tests inside an image, with the interpreter, the packages and the code that are installed there: the tests of training,
# script mode and hooks in the training image, the tests of serving in the serving image (tests/places.py says which run where).
# There is no network. The checkout is mounted read-only, without the code that the image has itself.
#   tests/inside.sh train|serve [arguments of pytest]      as in: tests/inside.sh train tests/train/test_script.py -k archive
# Variables:
#   IMAGE    another image (default byoc-classifier-PROGRAM:cpu)
#   CODE=1   use the checkout's classifier, train and serve instead of the image's, to test changes without a build
#   THREADS  how many tests run at once (default 2)
#   QUICK=1  leave out the files that take minutes, which tests/places.py lists, and the tests that are slow
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
fail() { echo "inside: $1" >&2; exit 1; }
program=${1:-}
case "$program" in
  train | serve) shift ;;
  *) fail "'$program' is not an image; write train or serve" ;;
esac
image=${IMAGE:-byoc-classifier-$program:cpu}
# The tests need a trained model, and the serving image cannot train one.
trainer=$image
[ "$program" = train ] || trainer=${TRAIN_IMAGE:-byoc-classifier-train:cpu}
for name in "$image" "$trainer"; do
  docker image inspect "$name" > /dev/null 2>&1 || fail "$name is not built; make build DEVICE=cpu"
done
[ -f .venv-inside/.ready ] || fail "the packages of the tests are not there; make .venv-inside/.ready"

options=(--rm --init --network none --hostname algo-1 --add-host algo-1:127.0.0.1 --workdir /inside --entrypoint python --volume "$PWD/.venv-inside/packages:/packages:ro"
  --env PYTHONPATH=/inside:/packages --env BYOC_INSIDE="$program" --env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis)
for path in *; do
  case "$path" in
    classifier | train | serve) [ -n "${CODE:-}" ] || continue ;;
    data | environment | runs | sbom | wheels) continue ;;
  esac
  options+=(--volume "$PWD/$path:/inside/$path:ro")
done
[ ! -d ../shared ] || options+=(--volume "$(realpath ../shared):/shared:ro")

prepared=$PWD/.venv-inside/prepared-$(docker image inspect --format '{{slice .Id 7 19}}' "$trainer")
if [ ! -f "$prepared/printed.json" ]; then
  rm -rf "$PWD"/.venv-inside/prepared-*
  mkdir -p "$prepared"
  docker run "${options[@]}" --env BYOC_INSIDE=train --user "$(id -u):$(id -g)" --volume "$prepared:/prepared" "$trainer" -m tests.prepare /prepared
fi
marked="not long and not soak and not stock and not docker"
[ "$program" = train ] || marked="$marked and not trainenv"
[ -z "${QUICK:-}" ] || marked="$marked and not slow"
[ "$#" -gt 0 ] || set -- tests
status=0
docker run "${options[@]}" --env BYOC_PREPARED=/prepared --env "BYOC_QUICK=${QUICK:-}" --env PYTEST_ADDOPTS --volume "$prepared:/prepared:ro" "$image" \
  -m pytest -p no:cacheprovider -n "${THREADS:-2}" --dist loadfile -m "$marked" "$@" || status=$?
echo "inside: the tests of $program in $image took $SECONDS s"
exit "$status"

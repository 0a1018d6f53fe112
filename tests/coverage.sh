#!/usr/bin/env bash
# Runs the tests and measures which lines and branches of the product they reach, in the tests' process and in every process that
# they start: training, its workers, the server, the model server's workers. Writes into runs/coverage: the data, with the tests of
# each line (tests/mutation reads it); NAME.json, with the seconds of each test that ran in the environment NAME; and report.txt,
# with the lines that no test reaches.
#   tests/coverage.sh [arguments of pytest]   with arguments: runs only these tests, and adds to the data of earlier runs
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
export COVERED_INTO=$PWD/runs/coverage COVERED_TEST="" COVERAGE_PROCESS_START=$PWD/pyproject.toml
[ "$#" -gt 0 ] || rm -rf "$COVERED_INTO"
mkdir -p "$COVERED_INTO"
status=0
marked="not long and not soak and not stock and not trainenv and not docker"
.venv/bin/python -m pytest -p tests.covered -n 2 --dist loadfile -m "$marked" "$@" || status=$?
if [ "$#" = 0 ]; then
  # shellcheck disable=SC2046  # several files
  .venv-train/bin/python -m pytest -p tests.covered -m trainenv $(grep -rl mark.trainenv tests --include="test_*.py") || status=$?
fi
unset COVERAGE_PROCESS_START
.venv/bin/coverage combine --append --quiet
.venv/bin/coverage report --show-missing --skip-covered > "$COVERED_INTO/report.txt"
tail -1 "$COVERED_INTO/report.txt"
echo "coverage: runs/coverage/report.txt lists what no test reaches"
exit "$status"

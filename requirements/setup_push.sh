#!/usr/bin/env bash
# Makes .venv-push: the AWS command line, a stand-in for AWS, and a registry (Debian's, unpacked and not installed).
#   PYTHON    the interpreter (default python3.11)
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-push/bin/python ] || "${PYTHON:-python3.11}" -m venv .venv-push
.venv-push/bin/pip install --quiet --no-deps --require-hashes -r requirements/push.lock
if [ ! -x .venv-push/bin/docker-registry ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  (cd "$work" && apt-get download --quiet docker-registry > /dev/null) || {
    echo "setup: apt has no package docker-registry; run apt-get update, or put a docker-registry into .venv-push/bin" >&2
    exit 1
  }
  dpkg -x "$work"/docker-registry_*.deb "$work/root"
  install "$work/root/usr/bin/docker-registry" .venv-push/bin/
fi
echo "setup: .venv-push takes $(du -sh .venv-push | cut -f1)"

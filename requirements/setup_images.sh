#!/usr/bin/env bash
# Makes .venv-images: the AWS command line, a stand-in for AWS, a registry (Debian's, unpacked only), and the tools for the SBOM.
#   PYTHON    the interpreter (default: the first that requirements/python.sh finds)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
[ -x .venv-images/bin/python ] || { python=$(requirements/python.sh); "$python" -m venv .venv-images; }
.venv-images/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/images.lock
if [ ! -x .venv-images/bin/docker-registry ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  if [ "$(id -u)" = 0 ] && ! apt-cache show docker-registry > /dev/null 2>&1; then
    apt-get update -qq
  fi
  (cd "$work" && apt-get download --quiet docker-registry > /dev/null 2>&1) || {
    echo "setup: apt has no package docker-registry; run apt-get update, or put a docker-registry into .venv-images/bin" >&2
    exit 1
  }
  dpkg -x "$work"/docker-registry_*.deb "$work/root"
  install "$work/root/usr/bin/docker-registry" .venv-images/bin/
fi
echo "setup: .venv-images takes $(du -sh .venv-images | cut -f1)"

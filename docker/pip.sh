#!/bin/sh
# pip for the image's environment, inside a build; with the certificates of the secret `ca` where the build was given one.
set -eu
if [ -f /run/secrets/ca ]; then
  export PIP_CERT=/run/secrets/ca
fi
exec /opt/tools/bin/pip --python /opt/venv/bin/python --disable-pip-version-check "$@"

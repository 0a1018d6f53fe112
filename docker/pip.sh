#!/bin/sh
# Runs pip for the image's environment during a build, with the certificates in the secret `ca` if the build has one.
set -eu
if [ -f /run/secrets/ca ]; then
  export PIP_CERT=/run/secrets/ca
fi
exec /opt/tools/bin/pip --python /opt/venv/bin/python --disable-pip-version-check "$@"

#!/bin/sh
# Becomes the program that the platform names, `train` or `serve`, so that the program is process 1 and gets its signals.
set -eu
case "${1:-}" in
  train | serve)
    command -v "$1" > /dev/null || {
      echo "this image has no program '$1', it runs '$BYOC_PROGRAM'; start the other image" >&2
      exit 64
    }
    ;;
  "") set -- "$BYOC_PROGRAM" ;;
  -*) set -- "$BYOC_PROGRAM" "$@" ;;
esac
if [ "$(command -v "$1")" = /opt/venv/bin/train ]; then
  # Isolated (-I), so that a train.py of a user's on PYTHONPATH does not stand in for the package train; the user's script gets
  # that path. -u and -B are what the variables say that -I ignores.
  shift
  exec /opt/venv/bin/python -IuB /opt/venv/bin/train "$@"
fi
exec "$@"

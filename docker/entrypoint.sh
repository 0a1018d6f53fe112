#!/bin/sh
# Becomes the program that SageMaker names, `train` or `serve`, so that the program is process 1 and gets the signals.
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
  # Isolated (-I), so that a user's train.py on PYTHONPATH does not replace our package train; the user's script still gets that
  # path. -I ignores the variables PYTHONUNBUFFERED and PYTHONDONTWRITEBYTECODE, so -u and -B stand for them.
  shift
  exec /opt/venv/bin/python -IuB /opt/venv/bin/train "$@"
fi
exec "$@"

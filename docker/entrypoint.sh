#!/bin/sh
# Executes the program that the first argument names, `train` or `serve`. The program becomes process 1 and receives the signals.
set -eu
case "${1:-}" in
  train | serve)
    command -v "$1" > /dev/null || {
      echo "this image has no program '$1', only '$BYOC_PROGRAM'; start the other image" >&2
      exit 64
    }
    ;;
  "") set -- "$BYOC_PROGRAM" ;;
  -*) set -- "$BYOC_PROGRAM" "$@" ;;
esac
if [ "$(command -v "$1")" = /opt/venv/bin/train ]; then
  # Isolated mode (-I): a user's train.py on PYTHONPATH does not replace our package train. The user's script still gets PYTHONPATH.
  # -I also ignores the variables PYTHONUNBUFFERED and PYTHONDONTWRITEBYTECODE; -u and -B have the same effect.
  shift
  exec /opt/venv/bin/python -IuB /opt/venv/bin/train "$@"
fi
exec "$@"

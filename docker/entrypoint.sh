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
exec "$@"

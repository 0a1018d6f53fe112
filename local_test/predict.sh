#!/usr/bin/env bash
# Sends photos to a running endpoint and prints a line for each: the file, then the answer.
#   local_test/predict.sh FILE_OR_FOLDER...
#   URL  the endpoint's address (default http://127.0.0.1:8080)
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
url=${URL:-http://127.0.0.1:8080}
fail() { echo "predict: $1" >&2; exit 1; }
[ $# -gt 0 ] || fail "name a photo or a folder with photos, as in $0 photo.jpg"
status=0
while IFS= read -r -d '' file; do
  shopt -s nocasematch
  case $file in
    *.png) type=image/png ;; *.webp) type=image/webp ;; *.gif) type=image/gif ;; *.bmp) type=image/bmp ;;
    *.avif) type=image/avif ;; *.tif | *.tiff) type=image/tiff ;; *) type=image/jpeg ;;
  esac
  answer=$(curl --silent --show-error --max-time 70 --write-out '\n%{http_code}' --header "Content-Type: $type" \
    --data-binary "@$file" "$url/invocations") || fail "$url does not answer; start local_test/serve_local.sh, or set URL"
  echo "$file ${answer%$'\n'*}"
  [ "${answer##*$'\n'}" = 200 ] || status=1
done < <(find "$@" -type f -print0 | sort -z)
exit "$status"

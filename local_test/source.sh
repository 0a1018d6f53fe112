#!/usr/bin/env bash
# Prints a script's path inside the folder that holds it. If the script cannot be used from there, it prints one sentence and exits with 1.
#   local_test/source.sh FILE [FOLDER]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
fail() { echo "$1" >&2; exit 1; }
file=$1 folder=${2:-}
if [ -n "$folder" ]; then
  [ -d "$folder" ] || fail "--source-dir $folder is not a folder"
  case $file in /*) file=$(realpath -s --relative-to "$folder" "$file") ;; esac
  case $file in ../*) fail "$1 is not in --source-dir $folder; name a file in that folder" ;; esac
  broken=$(find "$folder" -xtype l -print -quit)
  [ -z "$broken" ] || fail "$broken is a link to $(readlink "$broken"), which does not exist; mend the link or remove it"
fi
[ -f "${folder:+$folder/}$file" ] || fail "there is no file ${folder:+$folder/}$file"
printf '%s\n' "$file"

#!/usr/bin/env bash
# Makes reports/page/vendor/echarts.min.js, the parts of Apache ECharts that the report's page uses, and SHA256SUMS.
# The packages come from npm; package-lock.json holds their hashes. The same versions give the same bytes. Needs node and npm.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/../reports/page/vendor"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cp entry.js package.json package-lock.json "$made"
(
  cd "$made"
  npm ci --ignore-scripts --no-audit --no-fund --silent
  node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --global-name=echarts --target=es2020 \
    --legal-comments=none '--define:process.env.NODE_ENV="production"' --define:__DEV__=false --log-level=warning \
    --outfile=echarts.min.js
  # Write the licences of the packages to one file, because every report holds a copy of the code.
  cd node_modules
  for file in echarts/NOTICE echarts/LICENSE echarts/licenses/LICENSE-d3 zrender/LICENSE tslib/LICENSE.txt; do
    printf -- '--- %s\n\n' "$file"
    cat "$file"
    printf '\n'
  done > ../licences.txt
)
cp "$made/echarts.min.js" "$made/licences.txt" .
sha256sum echarts.min.js licences.txt > SHA256SUMS
echo "made $(wc -c < echarts.min.js) bytes"

"""Prints a lock file made from a report of `pip install --dry-run`: `report.py REPORT [package left out]...`."""

import json
import re
import sys
from pathlib import Path

report, *without = sys.argv[1:]
lines = {}
for item in json.loads(Path(report).read_text())["install"]:
    name = re.sub("[-_.]+", "-", item["metadata"]["name"]).lower()
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    lines[name] = f"{name}=={item['metadata']['version']} \\\n    --hash=sha256:{digest}"
print("\n".join(lines[name] for name in sorted(lines) if name not in without))

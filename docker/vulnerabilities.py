"""Checks the packages of an image for known vulnerabilities: `vulnerabilities.py IMAGE LOCK REPORT`.

Debian packages are compared with Debian's security archive. Python packages are checked by pip-audit, which asks PyPI. A package
for which PyPI has no answer counts as not checked, never as clean.
"""

import json
import subprocess
import sys
from pathlib import Path

UPGRADES = "apt-get update -qq && apt-get upgrade --simulate -qq"


def main(image: str, lock: str, report: Path) -> None:
    """Write the report and print its two counts."""
    debian = subprocess.run(
        ["docker", "run", "--rm", image, "sh", "-c", UPGRADES], capture_output=True, text=True, check=False
    )
    pending = [line.removeprefix("Inst ") for line in debian.stdout.splitlines() if line.startswith("Inst ")]
    reached = debian.returncode == 0 and "Failed to fetch" not in debian.stderr
    audit = [
        str(Path(sys.executable).parent / "pip-audit"),
        "--disable-pip",
        "--no-deps",
        "--format",
        "json",
        "--requirement",
    ]
    answer = subprocess.run([*audit, lock], capture_output=True, text=True, check=False)
    packages = json.loads(answer.stdout)["dependencies"] if answer.stdout else []
    checked = [package for package in packages if "skip_reason" not in package]
    found = [f"{p['name']} {p['version']}: {v['id']}" for p in checked for v in p["vulns"]]
    lines = [
        f"Debian: {len(pending)} packages have a newer version in Debian's archive"
        if reached
        else "Debian: not checked, because its archive does not answer",
        f"Python: {len(found)} known vulnerabilities in {len(checked)} packages; {len(packages) - len(checked)} not checked, "
        "because PyPI has no answer for them",
    ]
    report.write_text("\n".join([*lines, *pending, *found]) + "\n")
    print("\n".join(f"sbom: {line}" for line in lines))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

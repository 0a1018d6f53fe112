"""Every script that a person calls answers --help with its usage and does nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

NOT_FOR_PEOPLE = {"entrypoint", "pip", "strip", "ecr", "cli"}  # run only by Dockerfiles and other scripts
SCRIPTS = [ROOT / "build_and_push.sh", *sorted((ROOT / "local_test").glob("**/*.sh"))]
SCRIPTS += [*sorted((ROOT / "tests").glob("*.sh")), *sorted((ROOT / "requirements").glob("*.sh"))]
SCRIPTS += [path for path in sorted((ROOT / "docker").glob("*.sh")) if path.stem not in NOT_FOR_PEOPLE]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_prints_the_usage_and_no_code(script: Path, option: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [script, option], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    comment = script.read_text().partition("\n")[2].split("\nset -euo")[0].splitlines()
    assert comment and all(line.startswith("#") for line in comment)
    assert done.stdout.splitlines() == [line.removeprefix("#").removeprefix(" ") for line in comment]
    assert not list(tmp_path.iterdir())

"""The Python that set-up chooses, its message if none is suitable, and the tests that plain pytest runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.places import BOTH, HOST, IMAGE, MINUTES, images

HERE = f"python3.{sys.version_info.minor}"


def found(folder: Path, *versions: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run requirements/python.sh with `folder` as the only entry of PATH, and no Python anywhere else."""
    folder.mkdir(exist_ok=True)
    for program in ("bash", "dirname", "env"):
        (folder / program).unlink(missing_ok=True)
        (folder / program).symlink_to(str(shutil.which(program)))
    return subprocess.run(
        [ROOT / "requirements/python.sh", *versions],
        env={"PATH": str(folder), "HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def python(path: Path, says: str = "", prefix: str = "") -> None:
    """Put a Python at `path`: this one, or a stand-in that prints another version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{prefix}\n" + (f"echo {says}\n" if says else f'exec {sys.executable} "$@"\n'))
    path.chmod(0o755)


def test_the_first_python_that_is_here_and_admitted_is_taken(tmp_path: Path) -> None:
    python(tmp_path / "python3", says="3.10")
    python(tmp_path / "python3.14", says="3.14")
    assert found(tmp_path).returncode == 1
    python(tmp_path / "python3.13", says="3.13")
    assert found(tmp_path).stdout == "python3.13\n"
    python(tmp_path / "python3.12", says="3.12")
    assert found(tmp_path).stdout == "python3.12\n"
    assert found(tmp_path, "3.13").stdout == "python3.13\n"
    assert found(tmp_path, "3.11").returncode == 1


@pytest.mark.parametrize(
    "place", [".pyenv/versions/3.12.1/bin/python3.12", ".local/share/uv/python/cpython-3.12.9-linux/bin/python3.12"]
)
def test_a_python_that_pyenv_or_uv_keeps_is_found_and_one_on_path_comes_first(place: str, tmp_path: Path) -> None:
    python(tmp_path / place, says="3.12")
    assert found(tmp_path).stdout == f"{tmp_path / place}\n"
    python(tmp_path / "python3", says="3.13")
    assert found(tmp_path).stdout == "python3\n"


def test_without_a_python_set_up_says_how_to_get_one(tmp_path: Path) -> None:
    done = found(tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("setup: found no Python of 3.11, 3.12, 3.13 that can make environments; ")
    assert "python3-venv" in done.stderr and "uv python install 3.11" in done.stderr and "PYTHON=path" in done.stderr


def test_a_python_without_venv_is_passed_over_and_its_package_named(tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    # Debian has venv's ensurepip in a separate package.
    (tmp_path / "without/ensurepip.py").write_text("raise ImportError")
    python(tmp_path / HERE, prefix=f"export PYTHONPATH={tmp_path}/without")
    done = found(tmp_path)
    assert done.returncode == 1 and f"{HERE} exists but has no venv: install {HERE}-venv, or " in done.stderr


@pytest.mark.parametrize(
    ("says", "words"),
    [("3.10", "is Python 3.10, but the version must be one of 3.11, 3.12, 3.13"), ("", "does not run or cannot make")],
)
def test_a_python_that_is_named_is_taken_or_refused_but_never_another(says: str, words: str, tmp_path: Path) -> None:
    python(tmp_path / HERE)
    python(tmp_path / "named", says or "x", prefix="" if says else "exit 3")
    done = found(tmp_path, PYTHON=str(tmp_path / "named"))
    assert done.returncode == 1 and f"{tmp_path / 'named'} {words}" in done.stderr
    assert found(tmp_path, PYTHON=str(tmp_path / HERE)).stdout == f"{tmp_path / HERE}\n"


def test_an_environment_of_another_python_is_not_changed_in_silence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements", ignore=shutil.ignore_patterns("*.lock"))
    python(tmp_path / ".venv/bin/python", says="3.11.9")
    python(tmp_path / "named", says="3.13.1")
    done = subprocess.run(
        ["bash", "requirements/setup.sh"],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": str(tmp_path / "named")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr == f"setup: .venv has Python 3.11.9; remove it (rm -r .venv) to make it with {tmp_path / 'named'}\n"
    )


def test_a_bare_pytest_leaves_out_what_takes_minutes_or_needs_docker() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/images/test_docker_images.py", "tests/serve/test_soak.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5 and "deselected" in done.stdout, done.stdout


def test_the_lists_of_what_runs_where_inside_the_images_name_files_that_are_there() -> None:
    files = {path.stem: path for path in (ROOT / "tests").glob("*/test_*.py")}
    assert len(set(BOTH) | set(HOST)) == len(BOTH) + len(HOST)
    assert not {*BOTH, *HOST, *MINUTES} - files.keys()
    assert not [name for name in MINUTES if not images(files[name])]
    assert {files[name].parent.name for name in HOST} <= IMAGE.keys()


def test_no_test_file_imports_another() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    imports = [(path.name, line) for path in files for line in path.read_text().splitlines() if "import" in line]
    assert [path.name for path in files] and not [
        (name, line) for name, line in imports if re.match(r"\s*(from|import) tests\b.*\btest_", line)
    ]

"""The README is executed: every bash block runs, the files that it names exist, and its figures are those of docs/benchmarks.md."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from train.config import help_table

README = (ROOT / "README.md").read_text()
HYPERPARAMETERS = (ROOT / "docs" / "hyperparameters.md").read_text()
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its own folders for results, so that a user's results are left alone."""
    folder = tmp_path_factory.mktemp("checkout")
    for entry in ROOT.iterdir():
        if entry.name not in ("runs", "data"):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.mark.slow
def test_every_bash_block_runs(checkout: Path) -> None:
    # Otherwise the blocks would make a new .venv for the checkout, which is removed afterwards.
    made = subprocess.run(["make", "--question", ".venv/.ready"], cwd=ROOT, capture_output=True, check=False)
    assert made.returncode == 0, "the packages of .venv have changed; run make dev, then the tests"
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    output = ""
    for block in blocks:
        script = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{block}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=checkout, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode in (0, 143), (block, done.stderr)
        output += done.stdout
    assert "test accuracy" in output and "training can start" in output
    assert output.count('"label": "coffee"') == 1 and "000.jpg: coffee " in output


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"`make ([a-z-]+)", README)) | set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets and targets <= known


def rows(text: str, header: str) -> list[list[str]]:
    """Return the cells of the table below a header."""
    lines = itertools.takewhile(lambda line: line.startswith("|"), text[text.index(header) :].splitlines())
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in list(lines)[2:]]


def test_the_documented_hyperparameters_are_the_programs() -> None:
    assert help_table() in HYPERPARAMETERS


def test_the_hyperparameters_it_shows_have_the_programs_defaults() -> None:
    documented = {cells[0].strip(): cells[1] for cells in rows(help_table(), "| hyperparameter | default |")}
    shown = {cells[0].strip(): cells[1] for cells in rows(README, "| hyperparameter | default | meaning |")}
    assert shown and shown.items() <= documented.items()


def test_each_of_its_few_figures_is_one_measure_of_the_long_table_with_the_same_command() -> None:
    figures = rows(README, "| figure | seen | command |")
    assert 5 <= len(figures) <= 6
    for _, seen, command in figures:
        assert seen.removesuffix(" times") in BENCHMARKS and command in BENCHMARKS, seen
        assert len(re.findall(r"[0-9.]+", seen.replace(" of ", ""))) == 1, seen


def test_its_tree_names_every_folder_and_no_other() -> None:
    tree = README[README.index("## The tree") :].split("```")[1]
    named = set(re.findall(r"^([a-z_]+)/", tree, re.MULTILINE))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    tracked = {line.split("/")[0] for line in listed.splitlines() if "/" in line and not line.startswith(".")}
    assert named and all((ROOT / name).is_dir() for name in named)
    assert tracked <= named, "a checkout without git has nothing to compare"


def test_every_file_that_it_and_the_docs_link_to_exists() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    links = [
        (document, link)
        for document in documents
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    ]
    assert any(document.name == "README.md" for document, _ in links)
    assert [(document.name, link) for document, link in links if not (document.parent / link).exists()] == []


def test_plain_make_prints_help() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "demo" in done.stdout and "the main job" in done.stdout

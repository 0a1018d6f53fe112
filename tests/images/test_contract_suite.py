"""The contract suite itself: each test names its clause, and the request bodies are correct."""

import argparse
import ast
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from local_test.contract import bodies
from local_test.contract.emulated import loopback
from local_test.contract.table import Row, markdown, text_table
from tests.conftest import ROOT
from tests.local_scripts import SERVE

SUITE = ROOT / "local_test" / "contract"


def clauses() -> dict[str, tuple[str, str]]:
    """Clause and source of every test, by the test's name."""
    found = {}
    for path in sorted(SUITE.glob("test_*.py")):
        module = importlib.import_module(f"local_test.contract.{path.stem}")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = [mark for mark in getattr(module, node.name).pytestmark if mark.name == "clause"]
                assert len(marks) == 1, f"{path.stem}.{node.name} names no clause"
                found[f"{path.stem}.{node.name}"] = marks[0].args
    return found


def test_every_test_names_a_clause_of_its_own() -> None:
    found = clauses()
    for kind in ("test_train", "test_serve"):
        texts = [text for name, (text, _) in found.items() if name.startswith(kind)]
        assert len(texts) > 20 and len(texts) == len(set(texts))


@pytest.fixture
def jpeg(tiny: Path) -> bytes:
    return next((tiny / "test").glob("*/*.jpg")).read_bytes()


@pytest.mark.parametrize("size", [100_000, 6_291_456, 25_000_000])
def test_a_padded_photo_has_the_size_and_the_same_pixels(jpeg: bytes, size: int) -> None:
    padded = bodies.padded(jpeg, size)
    assert len(padded) == size
    with Image.open(io.BytesIO(padded)) as photo, Image.open(io.BytesIO(jpeg)) as original:
        assert photo.tobytes() == original.tobytes()


def test_the_pickled_body_runs_its_command_where_it_is_unpickled(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    np.load(io.BytesIO(bodies.pickled_npy(f"touch {ran}")), allow_pickle=True)
    assert ran.exists()


def test_the_huge_png_claims_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)  # classifier.images removes this limit
    with pytest.raises(Image.DecompressionBombError, match="3600000000 pixels"):
        Image.open(io.BytesIO(bodies.huge_png()))


def test_the_page_shows_the_runs_side_by_side_and_what_was_seen_in_failures() -> None:
    good = Row("test_a", "test_train", "a | b", "own rule", "pass", "exit status 0")
    bad = Row("test_a", "test_train", "a | b", "own rule", "FAIL", "exit <status> 1")
    alone = Row("test_c", "test_train", "c", "API", "not claimed", "no label")
    page = markdown({"ours": [good, alone], "stock": [bad]})
    assert "| a \\| b | own rule | pass | FAIL |" in page
    assert "| c | API | not claimed | not run |" in page
    assert "**stock**, 1 clauses: 0 pass, 1 fail, 0 not claimed; the failures show:" in page
    assert "- *a \\| b*: exit &lt;status> 1" in page
    assert "seen: exit <status> 1" in text_table([bad])
    assert Row(**json.loads(json.dumps(bad.to_json()))) == bad


@pytest.mark.parametrize(
    "url",
    [
        "https://api.sagemaker.us-east-1.amazonaws.com",
        "http://localhost.example.com:80",
        "http://0.0.0.0:8000",
        "http://127.0.0.1@169.254.169.254:80",
        "http://127.0.0.1",
        "127.0.0.1:8000",
        "",
    ],
)
def test_an_emulator_that_is_not_on_the_loopback_interface_is_refused(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not an emulator's address"):
        loopback(url)


def test_an_emulator_on_the_loopback_interface_is_taken() -> None:
    assert [loopback(url) for url in ("http://127.0.0.1:8000", "http://[::1]:8000")]


@pytest.mark.docker
def test_an_image_without_the_programs_fails_the_contract(samples: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "local_test/contract/test_train.py"]
    # The serving image has no `train`.
    command += [
        "--image",
        SERVE,
        "--data",
        str(samples),
        "--results",
        str(results),
        "-k",
        "argument_train or says_why",
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=600, check=False).returncode == 1
    rows = json.loads(results.read_text())
    assert rows and {row["result"] for row in rows} == {"FAIL"}

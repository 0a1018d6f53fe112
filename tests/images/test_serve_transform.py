"""Batch transform in the SDK's local mode, for real: with transform_local.sh, and with the SDK's own defaults."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from serve.settings import read_settings
from tests.conftest import ROOT
from tests.ports import free_port

IMAGE = os.environ.get("SERVE_IMAGE", "byoc-classifier-serve:cpu")
SCRIPT = ROOT / "local_test" / "transform_local.sh"
# A user's code that relies on all defaults.
DEFAULTS = """
import sys
from pathlib import Path
from local_test.leftovers import Leftovers
from local_test.local_endpoint import local_model
from local_test.local_mode import _parser, _session

options = _parser().parse_args(sys.argv[1:])
work = options.out.parent / "work"
work.mkdir()
try:
    model = local_model(options, _session(work, options), work)
    transformer = model.transformer(1, "local", output_path=f"file://{options.out}")
    transformer.transform(f"file://{options.photos}", content_type="image/jpeg", wait=False)
finally:
    Leftovers(work / "containers", options.image).remove()
"""


@pytest.mark.parametrize(
    ("batch", "strategy"), [("true", "SINGLE_RECORD"), ("", "SINGLE_RECORD"), ("True", "SingleRecord")]
)
def test_the_strategy_is_named_in_the_spelling_of_the_program_that_asks(batch: str, strategy: str) -> None:
    assert read_settings([], {"SAGEMAKER_BATCH": batch}).batch_strategy == strategy


@pytest.fixture
def photos(samples: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for label in ("coffee", "brick"):
        (folder / f"{label}.jpg").write_bytes((samples / "test" / label / "000.jpg").read_bytes())
    return folder


def transform(*arguments: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "temporary").mkdir()
    return subprocess.run(
        [*map(str, arguments)],
        env=os.environ | {"IMAGE": IMAGE, "TMPDIR": str(folder / "temporary")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.docker
def test_every_photo_of_a_folder_is_answered_and_a_refusal_is_reported(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "notes.txt").write_text("hello")
    out = tmp_path / "out"
    done = transform(SCRIPT, "--port", str(free_port()), "--out", out, model, photos, folder=tmp_path)
    said = [
        line.rpartition(" ")[0] for line in done.stdout.splitlines() if line.startswith(("brick.jpg", "coffee.jpg"))
    ]
    assert done.returncode == 1 and said == ["brick.jpg: brick", "coffee.jpg: coffee"]
    assert "notes.txt: the body is not a usable photo: not an image" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["brick.jpg.out", "coffee.jpg.out", "notes.txt.out"]


@pytest.mark.docker
def test_the_sdks_own_defaults_work(model: Path, photos: Path, tmp_path: Path) -> None:
    command = [ROOT / ".venv-sdk" / "bin" / "python", "-c", DEFAULTS, "transform", "--image", IMAGE, "--model", model]
    command += ["--photos", photos, "--port", str(free_port()), "--out", tmp_path / "out"]
    (tmp_path / "out").mkdir()
    done = transform(*command, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads((tmp_path / "out" / "coffee.jpg.out").read_text())
    assert said["predictions"][0]["label"] == "coffee"


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_says_how_to_use_it(word: str) -> None:
    done = subprocess.run([SCRIPT, word], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "[--port N] [--out DIR] MODEL PHOTOS" in done.stdout and "set -e" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name an artifact and a folder of photos"),
        (["absent", "absent"], "there is no artifact absent"),
        ([str(ROOT), "absent"], "absent is not a folder of photos"),
        (["--what"], "unknown option --what; "),
    ],
)
def test_wrong_arguments_get_one_sentence(arguments: list[str], message: str) -> None:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1

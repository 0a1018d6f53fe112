"""images.json: a line for each image, written by Python."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def record(file: Path, program: str, digest: str) -> None:
    command = [sys.executable, str(ROOT / "docker" / "record.py"), program, str(file)]
    command += [f"host/{program}@{digest}", digest]
    subprocess.run([*command, "cpu", "0.1.0", "abc-dirty", "0.1.0-cpu", "latest-cpu"], check=True)


def test_an_images_line_is_replaced_and_the_other_image_keeps_its_own(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    record(file, "train", "sha256:1")
    record(file, "serve", "sha256:2")
    record(file, "train", "sha256:3")
    lines = file.read_text().splitlines()
    assert [line[:9] for line in lines] == ["{", '  "serve"', '  "train"', "}"]
    assert json.loads(file.read_text())["serve"]["digest"] == "sha256:2"
    assert json.loads(file.read_text())["train"] == {
        "uri": "host/train@sha256:3",
        "digest": "sha256:3",
        "tags": ["0.1.0-cpu", "latest-cpu"],
        "device": "cpu",
        "version": "0.1.0",
        "revision": "abc-dirty",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["images.json"]

"""The command with which the shell scripts lay out a folder as /opt/ml, run once and twice."""

import json
import subprocess
import sys
from pathlib import Path

from launch.opt_ml import lay_out
from tests.conftest import ROOT


def test_the_command_writes_a_containers_configuration_whatever_the_values_hold(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launch.opt_ml", str(tmp_path), "train", "test", "--"]
    subprocess.run([*command, "lr=0.1", 'name="a\\b"=c', "empty="], cwd=ROOT, check=True)
    assert {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {
        "hyperparameters.json": {"lr": "0.1", "name": '"a\\b"=c', "empty": ""},
        "inputdataconfig.json": {name: {"TrainingInputMode": "File"} for name in ("train", "test")},
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"},
    }


def test_a_folder_may_be_laid_out_again_with_other_photos(tmp_path: Path) -> None:
    for name in ("first", "second"):
        lay_out(tmp_path / "job", {"training": tmp_path / name}, {"lr": name}, resources=None)
    assert (tmp_path / "job/input/data/training").readlink() == tmp_path / "second"
    assert json.loads((tmp_path / "job/input/config/hyperparameters.json").read_text()) == {"lr": "second"}
    assert not (tmp_path / "job/input/config/resourceconfig.json").exists()

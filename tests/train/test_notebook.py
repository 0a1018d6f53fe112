"""A script in the notebook's style, with torchvision and smdebug, through script mode; the Debugger's tensors read back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from launch.opt_ml import write_configuration
from tests.conftest import ROOT
from tests.debugger import read

pytestmark = pytest.mark.trainenv

CONFIG = {"HookParameters": {"save_interval": "1"}, "CollectionConfigurations": [{"CollectionName": "losses"}]}


def brought(base: Path, config: Any = None, **hyperparameters: str) -> str:
    """Run the script on a few photos, with a Debugger configuration unless it is None; return the output."""
    folder, code = base / "input" / "config", base.parent / "code"
    folder.mkdir(parents=True)
    code.mkdir()
    shutil.copy(ROOT / "tests" / "code" / "notebook.py", code / "train_model.py")
    (code / "neighbour.py").write_text("CLASSES = 2\n")
    for split in ("train", "valid"):
        for label, colour in (("beagle", "red"), ("pug", "blue")):
            photos = base / "input" / "data" / "training" / split / label
            photos.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (48, 40), colour).save(photos / f"{number}.jpg")
    named = {"sagemaker_program": "train_model.py", "sagemaker_submit_directory": str(code)}
    (base / "model").mkdir()
    alone = {"current_host": "localhost", "hosts": ["localhost"]}
    write_configuration(folder, ["training"], named | hyperparameters, channel={}, resources=alone)
    if config is not None:
        (folder / "debughookconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "train")],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base), "TRAINING_JOB_NAME": "notebook"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "epoch=1 validation:accuracy=" in done.stdout and (base / "model" / "model.pth").stat().st_size > 40e6
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("hyperparameters", [{}, {"get-hook": "true"}, {"register-loss": "false"}])
def test_without_a_configuration_the_hook_works_and_leaves_nothing(
    tmp_path: Path, hyperparameters: dict[str, str]
) -> None:
    brought(tmp_path / "opt-ml", **hyperparameters)
    assert [path.name for path in (tmp_path / "opt-ml").iterdir() if path.name not in ("input", "code")] == ["model"]


@pytest.mark.slow
@pytest.mark.parametrize("registered", ["true", "false"])
def test_the_platforms_configuration_counts_and_only_a_registered_loss_is_saved(
    tmp_path: Path, registered: str
) -> None:
    config = CONFIG | {"LocalPath": str(tmp_path / "tensors")}
    brought(tmp_path / "opt-ml", config, **{"register-loss": registered})
    written = list((tmp_path / "tensors").glob("events/**/*.tfevents"))
    if registered == "false":  # smdebug saves a loss only if its module is registered
        assert not written
        return
    assert written
    saved = read(tmp_path / "tensors")
    assert saved["CrossEntropyLoss_output_0"].keys() == {"TRAIN 0", "TRAIN 1"}

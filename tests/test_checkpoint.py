"""Checkpoints lie in a folder that others may write: what is in one is data, never code."""

import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from train.checkpoint import Checkpoints, _digest
from train.world import World


class Code:
    """Whoever unpickles it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_left_out_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made by the code"
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    buffer = io.BytesIO()
    torch.save({"format": 1, "job": {}, "best": Code(made)}, buffer)
    for data in (buffer.getvalue(), pickle.dumps(Code(made))):
        path = folder / f"best-head-0001.{_digest(data)}.pt"
        path.write_bytes(data)
        assert Checkpoints(folder, {}, 60.0, World()).load_best("head") is None
        assert not made.exists() and not path.exists()
        assert f"checkpoint {path} is damaged and left out" in capsys.readouterr().err

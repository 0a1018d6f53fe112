"""The table of features."""

import tempfile
from pathlib import Path

import pytest
import torch

from train.features import table
from train.features.table import allocate, compact


@pytest.mark.parametrize("in_memory", [True, False])
def test_rows_that_are_kept_move_up_in_the_same_memory(in_memory: bool) -> None:
    keep = torch.rand(5000, generator=torch.Generator().manual_seed(0)) < 0.9
    rows = allocate(5000, 3, in_memory=in_memory)
    rows[:] = torch.arange(15000).view(5000, 3)
    expected = rows[keep].clone()
    kept = compact(rows, keep)
    assert torch.equal(kept, expected) and kept.data_ptr() == rows.data_ptr()
    assert compact(kept, torch.ones(len(kept), dtype=torch.bool)).data_ptr() == rows.data_ptr()


def test_a_table_in_a_file_leaves_no_name_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = allocate(1000, 1000, in_memory=False)
    rows[:] = 1
    assert not list(tmp_path.iterdir())
    assert f"{tmp_path}/" in Path("/proc/self/maps").read_text()  # the mapped file is listed as deleted


def test_without_room_for_the_file_it_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    rows = allocate(10, 10, in_memory=False)
    rows[:] = 1
    assert rows.sum() == 100 and table.allocate(0, 10, in_memory=False).shape == (0, 10)

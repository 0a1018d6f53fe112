"""The photos' bytes in one file."""

import resource
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from classifier.errors import DataError, PhotoError
from train.spool.pack import Pack


class Bytes(Dataset[int]):
    """A data set of photos' sizes in bytes, for a DataLoader with forked workers."""

    def __init__(self, pack: Pack, paths: list[Path]) -> None:
        self._pack, self._paths = pack, paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> int:
        return hash(self._pack.read(self._paths[index]))


def test_threads_fill_it_and_forked_workers_read_it_when_the_files_are_gone(tiny: Path) -> None:
    paths = sorted(path for path in tiny.rglob("*.jpg"))
    expected = {path: path.read_bytes() for path in paths}
    with Pack() as pack:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda path: pack.add(path, expected[path]), [*paths, *paths]))
        shutil.rmtree(tiny)
        assert {path: pack.read(path) for path in paths} == expected
        loaded = DataLoader(Bytes(pack, paths), batch_size=4, num_workers=2, multiprocessing_context="fork")
        assert torch.cat(list(loaded)).tolist() == [hash(expected[path]) for path in paths]


def test_a_photo_that_was_not_added_comes_from_its_file(tiny: Path) -> None:
    path = next(tiny.rglob("*.jpg"))
    with Pack() as pack:
        assert pack.read(path) == path.read_bytes()
        with pytest.raises(PhotoError, match="cannot be read"):
            pack.read(tiny / "absent.jpg")


def test_its_file_has_no_name_and_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(Path("/proc/self/fd").iterdir())
    with Pack() as pack:
        pack.add(Path("a"), b"bytes")
        assert pack.read(Path("a")) == b"bytes" and not list(tmp_path.iterdir())
    assert set(Path("/proc/self/fd").iterdir()) <= before


def test_a_full_disk_is_said_in_a_sentence() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with Pack() as pack, pytest.raises(DataError, match="do not fit into"):
            pack.add(Path("a"), b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

"""The feature cache's files: when they are written, how many are open, and which features are found again."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from train.features.cache import OPEN, SHARD, FeatureCache


def feature(number: int) -> tuple[bytes, Tensor]:
    return hashlib.sha256(str(number).encode()).digest(), torch.tensor([number, -number], dtype=torch.float32)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_shard_reaches_the_disk_when_it_is_full_and_the_rest_at_the_end(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "key")
    cache.add(dict(feature(number) for number in range(SHARD - 1)))
    assert SHARD == 1024 and not files(tmp_path)
    cache.add(dict([feature(SHARD - 1)]))
    assert len(files(tmp_path)) == 1
    cache.add(dict([feature(SHARD)]))
    assert len(files(tmp_path)) == 1
    cache.flush()
    cache.flush()
    assert len(files(tmp_path)) == 2 and {path.parent.name for path in files(tmp_path)} == {"key"}
    again = FeatureCache(tmp_path, "key")
    assert len(again) == SHARD + 1 and len(FeatureCache(tmp_path, "other")) == 0
    for number in (0, 500, SHARD - 1, SHARD):
        digest, row = feature(number)
        found = again.find(digest)
        assert found is not None and torch.equal(found, row)
    assert again.find(feature(SHARD + 1)[0]) is None


def test_few_of_many_shards_are_open_at_a_time(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "key")
    for number in range(OPEN + 8):
        cache.add(dict([feature(number)]))
        cache.flush()
    again = FeatureCache(tmp_path, "key")
    for number in [*range(OPEN + 8), 0]:  # the first file is opened a second time
        digest, row = feature(number)
        found = again.find(digest)
        assert found is not None and torch.equal(found, row)
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line}
    assert 1 <= len(mapped) <= OPEN


def test_a_shard_whose_digests_and_features_differ_in_number_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    (tmp_path / "key").mkdir()
    shard = {"digests": torch.zeros(3, 32, dtype=torch.uint8), "features": torch.zeros(2, 4)}
    save_file(shard, tmp_path / "key" / "wrong.safetensors")
    assert len(FeatureCache(tmp_path, "key")) == 0
    assert "wrong.safetensors is damaged (its digests and features differ in number) and left out" in (
        capsys.readouterr().err
    )


def test_a_folder_that_cannot_be_written_costs_the_files_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    cache = FeatureCache(tmp_path / "file", "key")
    cache.add(dict([feature(1), feature(2)]))
    cache.flush()
    assert "2 photos' features are not kept in" in capsys.readouterr().err

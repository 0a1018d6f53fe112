"""The feature pass and its cache."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.backbones import build_backbone
from classifier.images import load_pixels
from classifier.models import Classifier, build_head
from classifier.photos import Photo, load_photo_set
from classifier.weights import load_pretrained
from tests.conftest import LITE, run_training
from train.cache import FeatureCache, cache_key
from train.engine import wilson_interval
from train.features import extract
from train.lanes import forward


@pytest.fixture(scope="module")
def lite() -> Classifier:
    backbone, features, preprocessing = build_backbone(LITE)
    load_pretrained(backbone, LITE, None)
    return Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0).eval()


def run(model: Classifier, folder: Path, cache: Path | None) -> dict[str, torch.Tensor]:
    _, _, preprocessing = build_backbone(LITE)
    photos = load_photo_set({"training": folder}, validation_share=0.1, seed=0)
    splits, unreadable = extract(model, photos.splits, preprocessing, precision="fp32", cache=cache, max_unreadable=0)
    assert not unreadable
    return {name: split.features for name, split in splits.items()}


def test_lanes_give_what_one_plain_pass_gives(lite: Classifier, tiny: Path) -> None:
    _, _, preprocessing = build_backbone(LITE)
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0).splits["train"]
    pixels = np.stack([load_pixels(photo.path.read_bytes(), preprocessing) for photo in photos])
    expected = forward(lite, torch.from_numpy(pixels), "fp32")
    torch.testing.assert_close(run(lite, tiny, None)["train"], expected, atol=1e-4, rtol=1e-4)


def test_the_cache_finds_a_photo_by_its_content_wherever_it_lies(lite: Classifier, tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(lite, tiny, cache)
    shards = {path: path.stat().st_mtime_ns for path in cache.glob("*/*.safetensors")}
    assert len(shards) == 1
    moved = Path(shutil.move(tiny, tmp_path / "elsewhere"))
    second = run(lite, moved, cache)
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*/*.safetensors")} == shards
    for name, features in first.items():
        assert torch.equal(features, second[name])


def test_only_a_new_photo_is_computed(lite: Classifier, tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(lite, tiny, cache)
    photo = tiny / "train" / "brick" / "000.jpg"
    (tiny / "train" / "brick" / "new.jpg").write_bytes(photo.read_bytes() + b"\x00")
    run(lite, tiny, cache)
    (folder,) = cache.iterdir()
    kept = FeatureCache(cache, folder.name)
    assert len(kept) == 17 and len(list(folder.iterdir())) == 2


def test_several_processes_may_fill_one_cache_at_once(tiny: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(
            lambda n: run_training(tmp_path / f"job{n}", {"training": tiny}, {}, tmp_path / "cache"), range(3)
        )
        for done in runs:
            assert done.status == 0 and "damaged" not in done.errors, done.errors
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(FeatureCache(tmp_path / "cache", folder.name)) == 16
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_damaged_shard_is_named_and_computed_again(
    lite: Classifier, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    first = run(lite, tiny, cache)
    (shard,) = cache.glob("*/*.safetensors")
    shard.write_bytes(shard.read_bytes()[:1000])
    second = run(lite, tiny, cache)
    assert "is damaged" in capsys.readouterr().err
    torch.testing.assert_close(first["train"], second["train"], atol=1e-4, rtol=1e-4)
    assert len(FeatureCache(cache, shard.parent.name)) == 16


def test_other_weights_preprocessing_or_precision_have_other_keys(lite: Classifier) -> None:
    _, _, preprocessing = build_backbone(LITE)
    _, _, other = build_backbone("resnet18")
    changed, _, _ = build_backbone(LITE)
    keys = {
        cache_key(lite.backbone, preprocessing, "fp32"),
        cache_key(lite.backbone, preprocessing, "bf16"),
        cache_key(lite.backbone, other, "fp32"),
        cache_key(changed, preprocessing, "fp32"),
    }
    assert len(keys) == 4


def test_a_pass_that_is_stopped_keeps_what_was_done(lite: Classifier, tiny: Path, tmp_path: Path) -> None:
    _, _, preprocessing = build_backbone(LITE)
    bad = tmp_path / "bad.jpg"
    bad.touch()
    good = [Photo(path, 0) for path in sorted((tiny / "train" / "brick").iterdir())] * 4
    cache = tmp_path / "cache"
    with pytest.raises(Exception, match="1 of 17 photos cannot be read"):
        extract(lite, {"train": [*good, Photo(bad, 0)]}, preprocessing, precision="fp32", cache=cache, max_unreadable=1)
    (folder,) = cache.iterdir()
    assert len(FeatureCache(cache, folder.name)) == 4


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson_interval(10, 10)[1] == pytest.approx(1)

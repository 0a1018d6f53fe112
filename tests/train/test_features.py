"""The feature pass and its cache."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifier.backbones import build_backbone
from classifier.errors import ConfigError, DataError
from classifier.images import Decoded, load_pixels
from classifier.models import Classifier, build_head
from classifier.photos import Photo, PhotoSet, load_photo_set
from launch.check import survey
from tests.conftest import LITE, run_training
from train import stop
from train.config import Config
from train.evaluation import wilson_interval
from train.features import FeaturePass, Features, Unreadable
from train.features.cache import FeatureCache, cache_key
from train.features.lanes import forward
from train.features.views import draw, view_key
from train.precision import resolve_precision
from train.pretrained import load_pretrained
from train.processes.world import World
from train.spool.pack import Pack


@pytest.fixture(scope="module")
def lite() -> Classifier:
    backbone, features, preprocessing = build_backbone(LITE)
    load_pretrained(backbone, LITE, None)
    return Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0).eval()


def fp32(model: Classifier, **parts: Any) -> FeaturePass:
    return FeaturePass(model=model, precision="fp32", **parts)


def run(model: Classifier, folder: Path, cache: Path | None) -> dict[str, torch.Tensor]:
    photos = load_photo_set({"training": folder}, validation_share=0.1, seed=0)
    splits, unreadable = fp32(model).extract(photos, cache=cache)
    assert not unreadable
    return {name: split.features for name, split in splits.items()}


def test_lanes_give_what_one_plain_pass_gives(lite: Classifier, tiny: Path) -> None:
    _, _, preprocessing = build_backbone(LITE)
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0).splits["train"]
    pixels = np.stack([load_pixels(photo.path.read_bytes(), preprocessing) for photo in photos])
    expected = forward(lite, torch.from_numpy(pixels), "fp32")
    torch.testing.assert_close(run(lite, tiny, None)["train"], expected, atol=1e-4, rtol=1e-4)


def test_the_cache_finds_a_photo_by_its_content_wherever_it_is(lite: Classifier, tiny: Path, tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_several_processes_may_fill_one_cache_at_once(tiny: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(
            lambda n: run_training(tmp_path / f"job{n}", {"training": tiny}, {}, tmp_path / "cache", environment={}),
            range(3),
        )
        for done in runs:
            assert done.status == 0 and "damaged" not in done.errors, done.errors
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(FeatureCache(tmp_path / "cache", folder.name)) == 16
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_the_next_job_of_a_warm_pool_finds_the_features(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY", str(tmp_path / "pool"))
    written = []
    for name in ("first", "second"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)  # each job has its own folder
        assert run_training(tmp_path / name, {"training": tiny}, {}).status == 0
        written.append({path: path.stat().st_mtime_ns for path in (tmp_path / "pool").glob("features/*/*")})
        assert not (tmp_path / name / "checkpoints" / "features").exists()
    assert written[0] == written[1] != {}


def test_a_damaged_shard_is_named_once_and_computed_again(
    lite: Classifier, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = run(lite, tiny, cache)
    (shard,) = cache.glob("*/*.safetensors")
    shard.write_bytes(shard.read_bytes()[:1000])
    monkeypatch.setattr("train.features.backend.CONVERTED_FROM", 16)  # choosing the backend reads the cache too
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)
    assert fp32(lite).choose(photos, cache=cache).probe
    second = run(lite, tiny, cache)
    assert capsys.readouterr().err.count("is damaged") == 1
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


@pytest.mark.parametrize("lanes", [1, 2, 4])  # with 4 lanes, the photo that stops the pass is finished first
def test_a_pass_that_is_stopped_keeps_what_was_done(
    lite: Classifier, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    monkeypatch.setattr("train.features.extract.local_threads", lambda: lanes)
    bad = tmp_path / "bad.jpg"
    bad.touch()
    good = [Photo(path, 0) for path in sorted((tiny / "train" / "brick").iterdir())] * 4
    cache = tmp_path / "cache"
    with pytest.raises(Exception, match="1 of 17 photos cannot be read"):
        photos = PhotoSet((), {"train": (*good, Photo(bad, 0))})
        fp32(lite).extract(photos, cache=cache, max_unreadable=1)
    (folder,) = cache.iterdir()
    assert len(FeatureCache(cache, folder.name)) == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="tests a machine without a GPU")
def test_fp16_without_a_gpu_is_refused() -> None:
    assert resolve_precision("auto") in ("bf16", "fp32") and resolve_precision("fp32") == "fp32"
    with pytest.raises(ConfigError, match="fp16, which needs a GPU"):
        resolve_precision("fp16")


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 hits of 263.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson_interval(10, 10)[1] == pytest.approx(1)


def photos_of(folder: Path) -> "dict[str, tuple[Photo, ...]]":
    return dict(load_photo_set({"training": folder}, validation_share=0.1, seed=0).splits)


def features_of(
    feature_pass: FeaturePass, photos: "dict[str, tuple[Photo, ...]]", **options: Any
) -> tuple[dict[str, Features], list[Unreadable]]:
    """Run the feature pass without class names, so that classes are not checked for unreadable photos."""
    return feature_pass.extract(PhotoSet((), photos), **options)


def test_views_follow_the_photos_and_are_what_one_plain_pass_gives_for_them(lite: Classifier, tiny: Path) -> None:
    _, _, preprocessing = build_backbone(LITE)
    photos = photos_of(tiny)
    splits, _ = features_of(fp32(lite), photos, views=2)
    train = splits["train"]
    assert train.features.shape == (24, 1280) and train.rows.tolist() == list(range(24))
    assert train.photos == photos["train"] * 3 and train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 3
    assert splits["validation"].features.shape == (4, 1280)
    pixels = []
    for photo in photos["train"]:
        data = photo.path.read_bytes()
        decoded = Decoded(data, preprocessing)
        view = draw(view_key(hashlib.sha256(data).digest(), 2), *decoded.size)
        pixels.append(decoded.pixels(view.box, flip=view.flip))
    expected = forward(lite, torch.from_numpy(np.stack(pixels)), "fp32")
    torch.testing.assert_close(train.features[16:], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(train.features[:8], run(lite, tiny, None)["train"], atol=1e-4, rtol=1e-4)


def test_views_are_kept_beside_the_photos_and_more_of_them_compute_only_the_new_ones(
    lite: Classifier, tiny: Path, tmp_path: Path
) -> None:
    def views(count: int) -> torch.Tensor:
        splits, _ = features_of(fp32(lite), photos_of(tiny), cache=tmp_path / "cache", views=count)
        return splits["train"].features

    run(lite, tiny, tmp_path / "cache")
    one = views(1)
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(FeatureCache(tmp_path / "cache", folder.name)) == 16 + 8
    two = views(2)
    assert len(FeatureCache(tmp_path / "cache", folder.name)) == 16 + 16
    assert torch.equal(two[:16], one) and len({row.numpy().tobytes() for row in two}) == 24


def test_the_fingerprint_follows_content_labels_and_order_but_not_names(
    lite: Classifier, tiny: Path, tmp_path: Path
) -> None:
    photos = photos_of(tiny)["test"]

    def fingerprint(*photos: Photo) -> str:
        splits, _ = features_of(fp32(lite), {"test": photos}, cache=tmp_path / "cache")
        return splits["test"].fingerprint

    copied = Photo(Path(shutil.copy(photos[0].path, tmp_path / "copy.jpg")), photos[0].label)
    assert fingerprint(*photos) == fingerprint(copied, *photos[1:])
    others = {
        fingerprint(*photos),
        fingerprint(*photos[::-1]),
        fingerprint(*photos[1:]),
        fingerprint(Photo(photos[0].path, 1), *photos[1:]),
    }
    assert len(others) == 4


def test_a_pack_filled_by_the_pass_serves_the_next_one_when_the_files_are_gone(lite: Classifier, tiny: Path) -> None:
    photos = photos_of(tiny)
    (tiny / "test" / "brick" / "damaged.jpg").write_bytes(b"no photo")
    damaged = Photo(tiny / "test" / "brick" / "damaged.jpg", 0)
    content = {photo.path: photo.path.read_bytes() for split in photos.values() for photo in split}
    with Pack() as pack:
        feature_pass = fp32(lite, pack=pack)
        first, unreadable = features_of(feature_pass, photos | {"test": (*photos["test"], damaged)}, max_unreadable=10)
        assert [item.path for item in unreadable] == [damaged.path] and damaged not in first["test"].photos
        shutil.rmtree(tiny)
        assert {path: pack.read(path) for path in content} == content
        second, _ = features_of(feature_pass, photos)
    for name in photos:
        torch.testing.assert_close(first[name].features, second[name].features, atol=1e-4, rtol=1e-4)


def test_sampled_photos_leave_their_pixels_also_when_their_features_are_kept(
    lite: Classifier, tiny: Path, tmp_path: Path
) -> None:
    _, _, preprocessing = build_backbone(LITE)
    photos = photos_of(tiny)["train"]
    expected = [load_pixels(photo.path.read_bytes(), preprocessing) for photo in photos]
    for _ in range(2):
        splits, _ = features_of(fp32(lite), {"train": photos}, cache=tmp_path / "cache", max_unreadable=100, sample=4)
        np.testing.assert_array_equal(splits["train"].sample.numpy(), np.stack(expected[::2]))
    for photo in photos[::2]:
        photo.path.write_bytes(b"")
    splits, unreadable = features_of(fp32(lite), {"train": photos}, max_unreadable=100, sample=4)
    assert len(unreadable) == 4 and splits["train"].photos == photos[1::2]
    np.testing.assert_array_equal(splits["train"].sample.numpy(), np.stack(expected[1:2]))


def test_features_in_a_file_are_the_same_and_unreadable_photos_leave_no_gap(
    lite: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, before = photos_of(tiny)["train"], torch.get_num_threads()
    photos[2].path.write_bytes(b"")

    def features() -> torch.Tensor:
        splits, _ = features_of(fp32(lite), {"train": photos}, max_unreadable=50, views=1)
        return splits["train"].features

    in_memory = features()
    monkeypatch.setattr("train.features.share.IN_MEMORY", 0)
    in_file = features()
    assert in_memory.shape == (14, 1280) and torch.get_num_threads() == before
    torch.testing.assert_close(in_file, in_memory, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("spoilt", "sentence"),
    [
        (
            "train/coffee",
            r"no train photo of 1 of the 2 classes can be read: 'coffee' \(.*coffee/000.jpg: not an image",
        ),
        ("validation", "none of the 4 validation photos can be read; replace them"),
        ("test", "none of the 4 test photos can be read; replace them"),
        ("train", "none of the 8 train photos can be read; replace them"),
    ],
)
def test_a_class_of_train_or_a_split_without_a_readable_photo_is_refused_as_the_check_predicts(
    lite: Classifier, tiny: Path, spoilt: str, sentence: str
) -> None:
    for photo in (tiny / spoilt).glob("**/*.jpg"):
        photo.write_bytes(b"not a photo")
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)
    with pytest.raises(DataError, match=sentence) as refused:
        fp32(lite).extract(photos, max_unreadable=60)
    assert survey(tiny, Config(max_unreadable=60))["fatal"] == [str(refused.value)]


def test_a_class_whose_photos_of_another_split_are_unreadable_is_learnt(lite: Classifier, tiny: Path) -> None:
    for photo in (tiny / "test" / "coffee").iterdir():
        photo.write_bytes(b"not a photo")
    assert not survey(tiny, Config(max_unreadable=60))["fatal"]
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)
    splits, unreadable = fp32(lite).extract(photos, max_unreadable=60)
    assert len(unreadable) == 2 and len(splits["test"].photos) == 2


@pytest.mark.parametrize("stopped", [True, False])
def test_where_another_process_is_gone_that_is_the_error_unless_all_were_asked_to_stop(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    def lost(*_: object, **__: object) -> None:
        if stopped:
            stop.requested.set()
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("torch.distributed.all_gather_object", lost)
    backbone, _, preprocessing = build_backbone("timm/test_efficientnet")
    model = Classifier(backbone, torch.nn.Identity(), preprocessing, 1.0).eval()
    error, message = (
        (stop.Stopped, "stopped by SIGTERM after 8 of 8 photos") if stopped else (RuntimeError, "closed by peer")
    )
    photos = {"train": photos_of(tiny)["train"] * 2}
    try:
        with pytest.raises(error, match=message):
            features_of(fp32(model, world=World(0, 2)), photos)
    finally:
        stop.requested.clear()

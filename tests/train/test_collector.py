"""The feature pass for a GPU: lanes decode photos, one thread computes full batches. Here the processor replaces the GPU."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from classifier.backbones import build_backbone
from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet, load_photo_set
from train.features import FeaturePass, collector
from train.features.cache import FeatureCache
from train.features.lanes import CHUNK

NAME = "timm/test_efficientnet"


@pytest.fixture(scope="module")
def made() -> Classifier:
    torch.manual_seed(0)
    backbone, _, preprocessing = build_backbone(NAME)
    return Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval()


class Seen:
    """Records which threads called the backbone, and with how many photos."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.sizes: list[int] = []

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.threads.add(threading.get_ident())
        self.sizes.append(len(inputs[0]))


@pytest.fixture
def seen(made: Classifier) -> Iterator[Seen]:
    seen = Seen()
    handle = made.backbone.register_forward_pre_hook(seen)
    yield seen
    handle.remove()


def extract(made: Classifier, photos: tuple[Photo, ...], cache: Path | None = None, **options: Any) -> dict[str, Any]:
    feature_pass = FeaturePass(model=made, precision="fp32")
    splits, unreadable = feature_pass.extract(
        PhotoSet((), {"train": photos}), cache=cache, max_unreadable=50, **options
    )
    return {"features": splits["train"].features, "unreadable": [item.path for item in unreadable]}


def train_photos(folder: Path) -> tuple[Photo, ...]:
    return load_photo_set({"training": folder}, validation_share=0.1, seed=0).splits["train"]


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setitem(collector.BATCH, "cpu", batch)
    monkeypatch.setattr("train.features.extract.local_threads", lambda: 4)


def test_on_a_gpu_this_thread_alone_computes_in_full_batches(
    made: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    as_on_a_gpu(monkeypatch, 10)
    extract(made, train_photos(tiny), views=2)
    assert seen.threads == {threading.get_ident()}
    # 8 photos give 24 rows (each photo and its two views); the last batch is filled up.
    assert seen.sizes == [10, 10, 10]


def test_on_a_processor_each_lane_computes_its_own(
    made: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    monkeypatch.setattr("train.features.extract.local_threads", lambda: 4)
    extract(made, train_photos(tiny) * 2, views=1)
    assert threading.get_ident() not in seen.threads and seen.sizes == [CHUNK] * 4


def test_both_ways_give_the_same_features_and_leave_out_the_same_photos(
    made: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photos = train_photos(tiny)
    photos[2].path.write_bytes(b"no photo")
    expected = extract(made, photos, views=1)
    as_on_a_gpu(monkeypatch, 5)
    found = extract(made, photos, tmp_path / "cache", views=1)
    torch.testing.assert_close(found["features"], expected["features"], atol=1e-4, rtol=1e-4)
    assert found["unreadable"] == expected["unreadable"] == [photos[2].path]
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(FeatureCache(tmp_path / "cache", folder.name)) == 14


def test_photos_that_are_in_the_store_are_not_computed_again(
    made: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: Seen
) -> None:
    as_on_a_gpu(monkeypatch, 5)
    first = extract(made, train_photos(tiny), tmp_path / "cache")
    assert seen.sizes == [5, 5]
    second = extract(made, train_photos(tiny), tmp_path / "cache")
    assert seen.sizes == [5, 5] and torch.equal(first["features"], second["features"])


def test_a_batch_that_does_not_fit_the_memory_is_halved_until_it_does(
    made: Classifier,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = extract(made, train_photos(tiny))
    as_on_a_gpu(monkeypatch, 8)

    def small(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    handle = made.backbone.register_forward_pre_hook(small)
    try:
        found = extract(made, train_photos(tiny))
    finally:
        handle.remove()
    torch.testing.assert_close(found["features"], expected["features"], atol=1e-4, rtol=1e-4)
    lines = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert lines == [
        "the GPU's memory is too small for the batch; going on with 4 photos",
        "the GPU's memory is too small for the batch; going on with 2 photos",
    ]


def test_one_photo_that_does_not_fit_the_memory_ends_the_pass(
    made: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_a_gpu(monkeypatch, 2)

    def never(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = made.backbone.register_forward_pre_hook(never)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            extract(made, train_photos(tiny))
    finally:
        handle.remove()


def test_fp32_is_computed_exactly_so_that_a_gpu_may_share_its_key_with_a_processor(
    made: Classifier, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.backends.cuda.matmul.allow_tf32 = True  # off by default
    found: set[tuple[bool, bool]] = set()
    handle = made.backbone.register_forward_pre_hook(
        lambda *_: found.add((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
    )
    try:
        extract(made, train_photos(tiny))
    finally:
        handle.remove()
    assert found == {(False, False)}

"""Records of the feature pass: the times for reading, copying and the network, and the network's input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifier.backbones import build_backbone
from classifier.images import load_pixels
from classifier.models import Classifier, build_head
from classifier.photos import load_photo_set
from train.features import FeaturePass
from train.features.lanes import CHUNK
from train.report import Records, StepRecords


def passed(
    folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> tuple[list[dict[str, Any]], Classifier]:
    """Send photos through a small backbone, on lanes or in batches as on a GPU, and return the records."""
    monkeypatch.setitem(__import__("train.features.collector", fromlist=["BATCH"]).BATCH, "cpu", batch)
    torch.manual_seed(0)
    backbone, features, preprocessing = build_backbone("timm/test_efficientnet")
    model = Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0).eval()
    records = Records(folder)
    times = StepRecords(records)
    photo_set = load_photo_set({"training": photos}, validation_share=0.1, seed=0)
    FeaturePass(model=model, precision="fp32", times=times).extract(photo_set)
    times.flush()
    records.close()
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()], model


@pytest.mark.parametrize("batch", [0, 4], ids=["lanes", "batches"])
def test_each_batch_says_how_long_its_photos_took(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    found, _ = passed(tmp_path / "records", tiny, monkeypatch, batch)
    batches = [one for one in found if one["kind"] == "batches"]
    assert {one["stage"] for one in batches} == {"features"}
    counts = {split: sum(sum(one["photos"]) for one in batches if one["split"] == split) for split in ("train", "test")}
    assert counts == {"train": 8, "test": 4}
    for one in batches:
        assert (
            max(one["photos"]) <= CHUNK and min(one["read"]) > 0 and min(one["forward"]) > 0 and min(one["move"]) >= 0
        )


def test_the_mean_of_what_the_network_sees_is_that_of_the_photos_after_normalisation(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, model = passed(tmp_path / "records", tiny, monkeypatch, 0)
    (one,) = [one for one in found if one["kind"] == "inputs"]
    assert (one["split"], one["photos"]) == ("train", 8)
    files = sorted((tiny / "train").rglob("*.jpg"))
    pixels = np.stack([load_pixels(file.read_bytes(), model.preprocessing) for file in files])
    whole = (pixels / 255 - model.preprocessing.mean) / model.preprocessing.std
    assert one["mean"] == pytest.approx(list(whole.mean((0, 1, 2))), abs=0.1)
    assert one["std"] == pytest.approx(list(whole.std((0, 1, 2))), abs=0.1)

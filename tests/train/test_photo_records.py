"""The records on single photos that a job writes at its end."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from classifier.photos import Photo
from tests.conftest import Run, run_training
from train.features import Features
from train.processes.world import World
from train.report.photos import pool
from train.report.photos.pool import pooled

KINDS = ("mislabelled", "near_duplicates", "thumbnails")


def test_a_job_records_what_it_compared_and_where_each_photo_lies(trained: Run) -> None:
    found, pairs = trained.record("mislabelled"), trained.record("near_duplicates")
    photos = trained.record("job")["photos"]
    assert found["judged"] == found["of"] == sum(photos.values())
    train, validation, test = (photos[split] for split in ("train", "validation", "test"))
    assert pairs["compared"] == train * validation + train * test + validation * test
    for split in ("validation", "test"):
        answers = trained.record("thumbnails", split=split)["photos"]
        assert answers and all(answer["jpeg"] for answer in answers)
        for answer in answers:
            assert (trained.base / "input" / "data" / answer["path"]).is_file()
            assert Path(answer["path"]).parts[1:3] == (split, answer["truth"])
            assert 0 < answer["probability"] <= 1 and 0 <= answer["margin"] <= answer["probability"]
            assert ("wrong" in answer["reasons"]) <= (answer["prediction"] != answer["truth"])


def test_the_photos_take_little_room_in_the_records(trained: Run) -> None:
    kinds = [record for record in trained.records if record["kind"] in KINDS]
    assert [record["kind"] for record in kinds] == [*KINDS, "thumbnails"]
    assert len(json.dumps(kinds)) < 1_000_000
    assert trained.record("done")["seconds"]["photos"] > 0


@pytest.mark.slow
def test_a_photo_in_the_wrong_folder_and_a_copy_in_another_split_are_named(
    samples: Path, tmp_path: Path, feature_cache: Path
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(samples, folder)
    (folder / "train" / "brick" / "000.jpg").rename(folder / "train" / "coffee" / "moved.jpg")
    copy = folder / "test" / "grass" / "copy.jpg"
    shutil.copy(folder / "train" / "grass" / "001.jpg", copy)
    run = run_training(tmp_path / "opt-ml", {"training": folder}, {"precision": "fp32", "lr": "0.01"}, feature_cache)
    assert run.status == 0, run.errors
    suspect = run.record("mislabelled")["photos"][0]
    assert suspect["path"] == "training/train/coffee/moved.jpg"
    assert (suspect["label"], suspect["suggestion"]) == ("coffee", "brick") and suspect["jpeg"]
    pairs = {
        (pair["first"]["path"], pair["second"]["path"]): pair["cosine"]
        for pair in run.record("near_duplicates")["pairs"]
    }
    assert pairs["training/train/grass/001.jpg", "training/test/grass/copy.jpg"] == pytest.approx(1, abs=1e-3)


def test_a_trial_of_a_tuning_job_chooses_no_photos(tiny: Path, train: Callable[..., Run]) -> None:
    run = train(tiny, _tuning_objective_metric="validation:accuracy")
    assert run.status == 0, run.errors
    assert not {record["kind"] for record in run.records} & set(KINDS)
    assert "photos" not in run.record("done")["seconds"]


def split(count: int, copies: int, first: float) -> Features:
    """Return features whose value identifies their photo; the rows of the views follow the rows of all photos."""
    photos = tuple(Photo(Path(f"{number}.jpg"), number % 2) for number in range(count))
    rows = torch.arange(count * copies)
    return Features(
        features=(first + rows[:, None]).repeat(1, 4).float(),
        rows=rows,
        labels=(rows % count) % 2,
        photos=photos * copies,
        fingerprint="",
    )


def test_views_are_left_out_of_what_is_compared() -> None:
    held = pooled({"train": split(6, 3, 0), "validation": split(4, 1, 100)}, 2, World())
    assert held.features[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 100, 101, 102, 103]
    assert held.splits.tolist() == [0] * 6 + [1] * 4 and held.names == ("train", "validation")
    assert held.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1] and held.of == len(held.photos) == 10


def test_of_a_very_large_data_set_a_part_is_taken_from_each_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_BYTES", 4 * 4 * 5)  # room for five photos
    held = pooled({"train": split(6, 1, 0), "validation": split(4, 1, 100)}, 0, World())
    assert held.features[:, 0].tolist() == [0, 2, 4, 100, 102] and held.of == 10
    assert [photo.path.name for photo in held.photos] == ["0.jpg", "2.jpg", "4.jpg", "0.jpg", "2.jpg"]

"""`byoc data check --look`: photos that look mislabelled and near-duplicates, in the present state of the folder."""

import json
import shutil
from pathlib import Path

import pytest

from classifier.errors import DataError
from launch.look import SHOWN, looked
from tests.conftest import LITE, Run, byoc, needs_torch
from tests.reports.made import done, healthy, job, record
from tests.reports.made import write as write_records
from tests.reports.photo_records import mislabelled, near_duplicates, photo


def run_of(folder: Path, *records: dict[str, object]) -> Path:
    return write_records(folder, [job(classes=("brick", "coffee")), *records, done()])


def suspects(count: int = 2) -> dict[str, object]:
    return mislabelled([photo(n, "train", "brick", suggestion="coffee", score=0.9 - n / 100) for n in range(count)])


def test_the_photos_of_a_run_are_listed_below_the_folder_that_is_checked(tiny: Path, tmp_path: Path) -> None:
    pair = (photo(1, "train", "brick"), photo(0, "test", "coffee"), 0.987)
    run = run_of(tmp_path / "run", suspects(), near_duplicates([pair]))
    checked = byoc("data", "check", tiny, "--look", run)
    assert checked.returncode == 0, checked.stderr
    lines = checked.stdout.splitlines()
    assert lines[0] == f"look mislabelled: 2 of 420 photos, by the records of {run}"
    assert lines[1] == f"  {tiny}/train/brick/000.jpg: labelled brick, looks like coffee (score 0.90)"
    assert lines[4] == f"  {tiny}/train/brick/001.jpg; {tiny}/test/coffee/000.jpg (cosine 0.987)"
    assert lines[-1] == "training can start"
    found = json.loads(byoc("data", "check", tiny, "--json", "--look", run).stdout)
    assert found["splits"]["train"]["photos"] == 8
    assert found["look"]["mislabelled"][0] == {
        "path": f"{tiny}/train/brick/000.jpg",
        "label": "brick",
        "suggestion": "coffee",
        "score": 0.9,
    }
    assert found["look"]["near_duplicates"][0]["cosine"] == 0.987


def test_a_photo_that_was_moved_or_removed_since_is_not_listed_again(tiny: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", suspects(3))
    (tiny / "train" / "brick" / "000.jpg").rename(tiny / "train" / "coffee" / "moved.jpg")
    (tiny / "train" / "brick" / "001.jpg").unlink()
    found = looked(run, tiny)
    assert [Path(one.path).name for one in found.mislabelled] == ["002.jpg"] and found.changed == 2
    assert "2 more were listed in the records, but are gone or have another label now" in found.lines()


def test_channels_of_their_own_and_class_folders_alone_are_found_too(tiny: Path, tmp_path: Path) -> None:
    one = photo(0, "train", "brick", suggestion="coffee", score=0.9)
    split = run_of(tmp_path / "split", mislabelled([one | {"path": "train/brick/000.jpg"}]))
    assert [found.path for found in looked(split, tiny).mislabelled] == [f"{tiny}/train/brick/000.jpg"]
    single = run_of(tmp_path / "single", mislabelled([one | {"path": "training/brick/000.jpg"}]))
    assert [found.path for found in looked(single, tiny / "train").mislabelled] == [f"{tiny}/train/brick/000.jpg"]


def test_a_long_list_is_cut_on_the_screen(tiny: Path, tmp_path: Path) -> None:
    for number in range(SHOWN + 3):
        shutil.copy(tiny / "test" / "brick" / "000.jpg", tiny / "train" / "brick" / f"{number:03d}.jpg")
    lines = looked(run_of(tmp_path / "run", suspects(SHOWN + 3)), tiny).lines()
    assert "  and 3 more (--json lists all)" in lines and sum("looks like" in line for line in lines) == SHOWN


def test_what_holds_no_such_records_is_refused_with_the_reason(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no records of a run"):
        looked(tmp_path / "nothing", tiny)
    with pytest.raises(DataError, match="hold no findings about single photos"):
        looked(write_records(tmp_path / "old", healthy()), tiny)
    with pytest.raises(DataError, match="hold no findings about single photos"):
        looked(write_records(tmp_path / "damaged", [*healthy(), record("mislabelled", photos=3)]), tiny)


@needs_torch
@pytest.mark.slow
def test_without_a_run_a_head_is_trained_on_the_features_that_are_kept(
    trained: Run, samples: Path, feature_cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(samples, folder)
    (folder / "train" / "brick" / "000.jpg").rename(folder / "train" / "coffee" / "moved.jpg")
    checked = byoc("data", "check", folder, "--look", "--backbone", LITE, "--feature-cache", feature_cache)
    assert checked.returncode == 0, checked.stderr
    lines = checked.stdout.splitlines()
    assert lines[0].endswith("photos, by a head that was trained for this check")
    assert lines[1].startswith(f"  {folder}/train/coffee/moved.jpg: labelled coffee, looks like brick")

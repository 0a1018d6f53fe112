"""`byoc data check`: it finds all problems for training, and reports whether training would fail."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from classifier.errors import DataError
from classifier.photos import load_photo_set
from launch.check import report, survey
from tests.conftest import byoc
from train.config import Config


def check(folder: Path) -> tuple[int, dict[str, Any]]:
    done = byoc("data", "check", folder, "--json")
    return done.returncode, json.loads(done.stdout)


def test_a_sound_folder_passes_on_one_screen(samples: Path) -> None:
    done = byoc("data", "check", samples)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "training can start"
    assert "420 photos in 14 classes, 30 to 30 a class" in done.stdout and len(done.stdout.splitlines()) < 24


def test_no_name_can_command_the_terminal_or_turn_its_text_round(tiny: Path) -> None:
    absent = tiny / "no\u202e\x1b[31mfolder"
    for verb in (("data", "check", absent), ("train", "--data", absent), ("serve", absent)):
        done = byoc(*verb)
        assert done.returncode == 1
        assert f"{tiny}/no\\u202e\\x1b[31mfolder" in (done.stdout + done.stderr).splitlines()[-1], verb
    assert "no\\nfolder is not a folder" in byoc("data", "check", tiny / "no\nfolder").stdout


def test_a_closed_standard_error_changes_nothing(tiny: Path) -> None:
    done = byoc("data", "check", tiny, preexec_fn=lambda: os.close(2))
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "training can start"


def test_counts_are_by_split_and_class(tiny: Path) -> None:
    status, findings = check(tiny)
    assert status == 0
    assert findings["splits"]["train"] == {"photos": 8, "classes": {"brick": 4, "coffee": 4}}


def test_unreadable_files_are_named_with_their_reason_and_fail(tiny: Path) -> None:
    target = tiny / "train" / "brick"
    (target / "empty.jpg").touch()
    (target / "text.jpg").write_text("not a photo")
    good = (target / "000.jpg").read_bytes()
    (target / "half.jpg").write_bytes(good[: len(good) // 2])
    (target / "gone.jpg").symlink_to("nowhere")
    (target / "self.jpg").symlink_to("self.jpg")
    status, findings = check(tiny)
    reasons = {Path(item["path"]).name: item["reason"] for item in findings["unreadable"]}
    assert reasons.keys() == {"empty.jpg", "text.jpg", "half.jpg", "gone.jpg", "self.jpg"}
    assert reasons["empty.jpg"] == "the file is empty" and reasons["text.jpg"] == "not an image"
    assert "damaged" in reasons["half.jpg"] and "cannot be read" in reasons["gone.jpg"]
    assert "Too many levels of symbolic links" in reasons["self.jpg"]
    assert status == 1 and "5 of 21 photos cannot be read, over the limit of 1 %" in findings["fatal"][0]


def test_the_same_photo_in_two_splits_is_a_warning(tiny: Path) -> None:
    shutil.copy(tiny / "train" / "brick" / "000.jpg", tiny / "test" / "brick" / "copy.jpg")
    status, findings = check(tiny)
    assert status == 0 and findings["in_two_splits"][0]["also"].endswith("copy.jpg")
    assert "1 photos are in two splits" in findings["warnings"][0]


def test_files_that_cannot_be_read_are_not_compared_with_each_other(tiny: Path) -> None:
    for place in ("train/brick", "train/coffee", "test/brick"):
        (tiny / place / "refused.jpg").write_text("<html>403 Forbidden</html>")
    _, findings = check(tiny)
    assert len(findings["unreadable"]) == 3
    assert findings["in_two_splits"] == [] and findings["in_two_classes"] == []


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_same_photo_in_two_classes_is_a_warning(tiny: Path, split: str) -> None:
    shutil.copy(tiny / "train" / "brick" / "000.jpg", tiny / split / "coffee" / "copy.jpg")
    shutil.copy(tiny / "train" / "brick" / "001.jpg", tiny / "train" / "brick" / "copy.jpg")
    findings = survey(tiny, Config())
    (pair,) = findings["in_two_classes"]
    assert pair["path"].endswith("brick/000.jpg") and pair["also"].endswith("coffee/copy.jpg")
    assert "1 photos are in two classes; keep each in the class that it shows" in findings["warnings"]
    assert "in two classes: 1" in report(findings) and not findings["fatal"]
    assert len(findings["in_two_splits"]) == (split == "test")


def test_a_class_missing_from_a_split_is_a_warning(tiny: Path) -> None:
    shutil.rmtree(tiny / "test" / "coffee")
    status, findings = check(tiny)
    assert status == 0 and findings["warnings"] == ["test has no photos of 1 of the 2 classes, first 'coffee'"]


def test_extreme_imbalance_and_very_large_photos_are_reported(tiny: Path) -> None:
    good = (tiny / "train" / "brick" / "000.jpg").read_bytes()
    for number in range(50):
        (tiny / "train" / "coffee" / f"more{number}.jpg").write_bytes(good + bytes([number]))
    Image.new("L", (6000, 5000)).save(tiny / "train" / "brick" / "large.png")
    status, findings = check(tiny)
    assert status == 0 and "hold 5 to 54 photos" in findings["warnings"][0]
    assert findings["large"][0]["megapixels"] == 30.0


def test_exactly_ten_times_as_many_photos_are_no_imbalance_and_one_more_is(tiny: Path) -> None:
    good = (tiny / "train" / "brick" / "000.jpg").read_bytes()
    for number in range(36):
        (tiny / "train" / "coffee" / f"more{number}.jpg").write_bytes(good + bytes([number]))
    assert survey(tiny, Config())["warnings"] == []
    (tiny / "train" / "coffee" / "last.jpg").write_bytes(good + b"last")
    assert survey(tiny, Config())["warnings"] == [
        "the classes of train hold 4 to 41 photos; rare ones are learnt badly"
    ]


def test_exactly_24_megapixels_are_not_very_large_and_one_row_more_is(tiny: Path) -> None:
    target = tiny / "train" / "brick"
    Image.new("L", (6000, 4000)).save(target / "limit.png")
    Image.new("L", (6000, 4001)).save(target / "over.png")
    (large,) = survey(tiny, Config())["large"]
    assert large == {"path": str(target / "over.png"), "megapixels": 24.0}


def test_exactly_the_limit_of_unreadable_photos_is_allowed_and_less_is_refused(tiny: Path) -> None:
    for name in ("one", "two", "three", "four"):
        (tiny / "train" / "brick" / f"{name}.jpg").write_text("not a photo")
    assert survey(tiny, Config(max_unreadable=20))["fatal"] == []
    (fatal,) = survey(tiny, Config(max_unreadable=19.9))["fatal"]
    assert fatal.startswith("4 of 20 photos cannot be read, over the limit of 19.9 %")


def test_five_of_a_kind_are_all_on_the_screen_and_of_six_one_is_only_counted(tiny: Path) -> None:
    target = tiny / "train" / "brick"
    for number in range(5):
        (target / f"bad{number}.jpg").write_text("not a photo")
    text = report(survey(tiny, Config(max_unreadable=100)))
    assert "unreadable: 5\n" in text and text.count("; not an image") == 5 and "more (" not in text
    (target / "bad5.jpg").write_text("not a photo")
    text = report(survey(tiny, Config(max_unreadable=100)))
    assert "unreadable: 6\n" in text and text.count("; not an image") == 5
    assert "  and 1 more (--json lists all)" in text.splitlines()


def test_a_missing_folder_fails_with_the_sentence_that_training_would_say(tmp_path: Path) -> None:
    with pytest.raises(DataError) as told:
        load_photo_set({"training": tmp_path / "absent"}, validation_share=0.1, seed=0)
    status, findings = check(tmp_path / "absent")
    assert status == 1 and findings["fatal"] == [str(told.value)] and "is not a folder" in str(told.value)


def test_photos_that_are_read_though_something_is_odd_are_reported(tiny: Path) -> None:
    for number in (0, 1):
        photo = tiny / "train" / "brick" / f"00{number}.jpg"
        photo.write_bytes(photo.read_bytes()[:-2])
    findings = check(tiny)[1]
    told = [note for note in findings["notes"] if "its end is damaged" in note]
    assert (
        len(told) == 1
        and told[0].startswith("2 photos, first ")
        and "000.jpg: " in told[0]
        and not findings["unreadable"]
    )
    png = tiny / "train" / "brick" / "000.jpg"
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "PNG")
    data = buffer.getvalue()
    png.write_bytes(data[:33] + b"\0\0\0\0tEXt????" + data[33:])
    assert not check(tiny)[1]["unreadable"]

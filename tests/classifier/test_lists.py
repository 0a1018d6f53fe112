"""Lists that leave a folder or a class with few photos or with no photos."""

from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.manifest import read_manifest
from classifier.photos import PhotoSet, load_photo_set


def test_blank_lines_of_a_list_do_not_count(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").touch()
    manifest = tmp_path / "photos.lst"
    manifest.write_text("0\t1\t0.jpg\n\n   \n1\t2.0\t1.jpg\n2\t1\t2.jpg\n")
    assert read_manifest(manifest, tmp_path) == {
        "1": [tmp_path / "0.jpg", tmp_path / "2.jpg"],
        "2": [tmp_path / "1.jpg"],
    }
    manifest.write_text("0\t1\t0.jpg\n\n1\tx\t1.jpg\n")
    with pytest.raises(DataError, match="line 3: the class 'x' is not a whole number from 0"):
        read_manifest(manifest, tmp_path)


def test_a_manifest_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"a\.csv cannot be read \(Is a directory\); make it a file that you may read"):
        read_manifest(tmp_path / "a.csv", tmp_path)


def test_a_file_in_the_place_of_a_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").touch()
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="photos is not a folder; name one that holds a folder of photos per class"):
        load_photo_set({"train": tmp_path / "photos", "validation": tmp_path / "other"}, validation_share=0.1, seed=0)


def photos(folder: Path, singles: int) -> PhotoSet:
    for name, count in [("many", 4), *((f"single {number}", 1) for number in range(singles))]:
        (folder / "train" / name).mkdir(parents=True)
        for number in range(count):
            (folder / "train" / name / f"{number}.jpg").touch()
    return load_photo_set({"training": folder}, validation_share=0.5, seed=0)


@pytest.mark.parametrize(("singles", "more"), [(1, ""), (5, ""), (6, ", ...")])
def test_up_to_five_classes_of_a_single_photo_are_named(tmp_path: Path, singles: int, more: str) -> None:
    named = ", ".join(f"'single {number}'" for number in range(min(singles, 5)))
    (note,) = [note for note in photos(tmp_path, singles).notes if "single photo" in note]
    assert note.startswith(f"classes with a single photo: {singles} ({named}{more}); it stays in train")


def test_where_each_class_has_more_photos_no_such_note_is_reported(tmp_path: Path) -> None:
    (tmp_path / "train" / "pair").mkdir(parents=True)
    for number in range(2):
        (tmp_path / "train" / "pair" / f"{number}.jpg").touch()
    found = photos(tmp_path, 0)
    assert len(found.notes) == 1 and "3 of the 6 train photos are used for validation" in found.notes[0]

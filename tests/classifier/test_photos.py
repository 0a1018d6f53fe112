"""A folder of photos: its classes, files that are left out with a note, and refusals."""

import os
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.photos import PhotoSet, load_photo_set


def load(channels: Mapping[str, Path]) -> PhotoSet:
    return load_photo_set(channels, validation_share=0.1, seed=0)


def test_what_is_not_read_is_reported(tiny: Path) -> None:
    (tiny / "notes.csv").write_text("day,weather\n")
    (tiny / "vall").mkdir()
    told = load({"training": tiny}).notes
    assert [note.split(" is not read")[0] for note in told] == [str(tiny / "notes.csv"), str(tiny / "vall")]
    (note,) = load({"train": tiny / "train", "val": tiny / "test", "extra": tiny}).notes
    assert note.startswith(f"{tiny} is not read; the photos come from {tiny / 'train'}")


def test_classes_are_the_folder_names_in_order(tiny: Path) -> None:
    photos = load({"training": tiny})
    assert photos.classes == ("brick", "coffee")
    assert [photo.label for photo in photos.splits["train"]] == [0] * 4 + [1] * 4
    assert all(
        photo.path.parent.name == photos.classes[photo.label] for split in photos.splits.values() for photo in split
    )


SYSTEM = (".DS_Store", "._000.jpg", "Thumbs.db", "thumbs.db", "desktop.ini", "Icon\r", "~$000.jpg", "brick_$folder$")
FOLDERS = (".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", ".Trashes")


def test_hidden_and_system_files_are_reported_and_never_counted(tiny: Path) -> None:
    before = load({"training": tiny})
    places = (tiny, tiny / "train", tiny / "train" / "brick", tiny / "test" / "coffee")
    for place in places:
        for name in SYSTEM:
            (place / name).write_bytes(b"the same in each")
        for name in FOLDERS:
            shutil.copytree(tiny / "train" / "coffee", place / name)
    photos = load({"training": tiny})
    assert photos.splits == before.splits and photos.classes == before.classes
    (note,) = photos.notes
    assert note.startswith(f"hidden and system files: {len(places) * len(SYSTEM + FOLDERS)} (")
    assert "\r" not in note and note.endswith("; they are left out")


def test_a_name_that_is_like_a_system_files_is_a_photo(tiny: Path) -> None:
    for name in ("Icon", "Thumbs.db.jpg", "my desktop.ini.png", "__MACOSX.jpg", "a.b"):
        shutil.copy(tiny / "train" / "brick" / "000.jpg", tiny / "train" / "brick" / name)
    photos = load({"training": tiny})
    assert len(photos.splits["train"]) == 13 and not photos.notes


def test_files_that_are_not_photos_by_their_suffix_are_left_out_and_reported(tiny: Path) -> None:
    for name in ("000.jpg.json", "001.jpg.JSON", "a.txt", "IMG_1.MOV"):
        (tiny / "train" / "brick" / name).write_text("x")
    (tiny / "README.md").write_text("x")
    os.mkfifo(tiny / "train" / "brick" / "pipe")
    photos = load({"training": tiny})
    assert len(photos.splits["train"]) == 8
    (note,) = photos.notes
    assert note.startswith("files that are not photos: 2 .json, 1 .txt, 1 .mov, 1 without a suffix, 1 .md (") or (
        "2 .json" in note and "1 without a suffix" in note and "1 .md" in note
    )


@pytest.mark.parametrize(
    "name", ["000.jpg~", "000.JPG_original", "000.jpg.orig", "000.jpg.crdownload", "000.jpg.pp3", "000.jpg.lnk"]
)
def test_copies_before_an_edit_and_what_programs_leave_beside_photos_are_left_out(tiny: Path, name: str) -> None:
    shutil.copy(tiny / "train" / "brick" / "000.jpg", tiny / "train" / "brick" / name)
    photos = load({"training": tiny})
    assert len(photos.splits["train"]) == 8
    (note,) = photos.notes
    assert note.startswith("files that are not photos: 1 .") and name in note


def test_subfolders_of_a_class_are_read_in_the_order_of_torchvisions_image_folder(tiny: Path) -> None:

    train = tiny / "train"
    for place in ("brick/b", "brick/a/deep", "brick/a b", "brick/.hidden", "coffee/b"):
        shutil.copytree(tiny / "test" / "brick", train / place)
    (train / "coffee" / "link").symlink_to(tiny / "validation" / "coffee")
    photos = load({"train": train, "validation": tiny / "validation"})
    shutil.rmtree(train / "brick" / ".hidden")  # files that ImageFolder would read
    assert photos.classes == ("brick", "coffee")
    expected = [  # in the order of torchvision.datasets.folder.make_dataset
        (f"{root}/{name}", label)
        for label, folder in enumerate(photos.classes)
        for root, _, names in sorted(os.walk(train / folder, followlinks=True))
        for name in sorted(names)
    ]
    assert [(str(photo.path), photo.label) for photo in photos.splits["train"]] == expected
    assert len(photos.splits["train"]) == 8 + 5 * 2
    assert any(note.startswith("photos in subfolders of a class's folder: 10 (") for note in photos.notes)


def test_a_link_to_a_folder_above_it_is_reported_and_not_followed_without_end(tiny: Path) -> None:
    (tiny / "train" / "brick" / "again").symlink_to(tiny / "train" / "brick")
    photos = load({"training": tiny})
    assert len(photos.splits["train"]) == 8 and "files that are not photos: 1 without" in photos.notes[0]


def test_empty_classes_and_loose_files_are_reported(tiny: Path) -> None:
    (tiny / "train" / "cat").mkdir()
    (tiny / "train" / "dog" / "later").mkdir(parents=True)
    (tiny / "train" / "dog" / "readme.txt").touch()
    (tiny / "test" / "cat").mkdir()
    for place in (tiny / "train" / "loose.jpg", tiny / "train" / "loose", tiny / "top.jpg"):
        shutil.copy(tiny / "train" / "brick" / "000.jpg", place)
    photos = load({"training": tiny})
    assert photos.classes == ("brick", "coffee") and len(photos.splits["train"]) == 8
    assert photos.notes == (
        "class folders without photos: 3 (train/cat, train/dog, test/cat); they are left out",
        "files beside the class folders: 3 (train/loose, train/loose.jpg, tiny/top.jpg); they are left out, put each into the "
        "folder of its class",
        "files that are not photos: 1 .txt (dog/readme.txt); they are left out",
    )


def test_a_class_that_is_empty_in_train_and_has_photos_elsewhere_is_refused(tiny: Path) -> None:
    (tiny / "train" / "cat").mkdir()
    shutil.copytree(tiny / "validation" / "brick", tiny / "validation" / "cat")
    with pytest.raises(DataError, match=r"the class 'cat' is in .*validation but not in .*train; add photos of it"):
        load({"training": tiny})


@pytest.mark.parametrize("flat", ["train", "test", "."])
def test_photos_without_class_folders_are_refused_as_what_they_are(tiny: Path, flat: str) -> None:
    for photo in sorted((tiny / flat).glob("**/*.jpg")):
        photo.rename(tiny / flat / f"{photo.parent.name}-{photo.parent.parent.name}-{photo.name}")
    for folder in sorted((tiny / flat).glob("**/*/"), reverse=True):
        folder.rmdir()
    count = {"train": 8, "test": 4, ".": 16}[flat]
    with pytest.raises(
        DataError, match=rf"holds {count} photos that are in no class folder \(.*000\.jpg, .*; put each into a"
    ):
        load({"training": tiny})


def test_one_class_folder_with_folders_in_it_gets_a_hint(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny / "train", tmp_path / "all" / "images")
    with pytest.raises(
        DataError, match=r"only the class 'images'.*; if the folders in .*all/images are the classes, name"
    ):
        load({"training": tmp_path / "all"})


def test_names_that_look_the_same_are_one_class_in_every_split(tiny: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    for split, name in (("train", composed), ("validation", decomposed), ("test", composed)):
        (tiny / split / "coffee").rename(tiny / split / name)
    shutil.copytree(tiny / "test" / composed, tiny / "train" / decomposed)
    photos = load({"training": tiny})
    assert photos.classes == (composed, "brick") and len(photos.splits["train"]) == 8 + 2
    assert photos.notes == (
        "classes whose folders are spelt with different bytes but look the same: 'Café'; each is one class",
    )


@pytest.mark.parametrize(
    "other", ["Brick", "brick ", "b rick", "br\u200bick", "\uff22\uff32\uff29\uff23\uff2b", "brick_"]
)
def test_names_that_differ_by_case_or_blanks_get_a_warning_or_a_hint(tiny: Path, other: str) -> None:
    (tiny / "test" / "brick").rename(tiny / "test" / other)
    with pytest.raises(DataError, match=r"is in .*test but not in .*train, which has 'brick'; give both one name"):
        load({"training": tiny})
    shutil.copytree(tiny / "train" / "brick", tiny / "train" / other)
    (note,) = load({"training": tiny}).notes
    assert repr(other) in note and "'brick'" in note and "differ only by case or blanks" in note


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            b"caf\xe9",
            r"train: the class name 'caf\\udce9' is not valid UTF-8 and cannot be written in an answer; rename",
        ),
        (b"a\nb", r"the class name 'a\\nb' holds control characters"),
        (b"a\x1b[31mb", r"holds control characters"),
        (b"a\x7f", r"holds control characters"),
        ("a\u2028b".encode(), r"holds control characters"),
        (b"  ", r"the class name '  ' is blank; rename the class"),
        ("\u200b".encode(), r"the class name '\\u200b' is blank; rename the class"),
        ("\u3000\ufeff \u2060".encode(), r"is blank; rename the class"),
        ("\u3164".encode(), r"is blank; rename the class"),
        ("\u2800\ufe0f".encode(), r"is blank; rename the class"),
    ],
)
def test_a_class_name_that_cannot_be_written_is_refused(tiny: Path, name: bytes, message: str) -> None:
    os.rename(os.fsencode(tiny / "train" / "brick"), os.fsencode(tiny / "train") + b"/" + name)  # noqa: PTH104
    with pytest.raises(DataError, match=message):
        load({"training": tiny})


@pytest.mark.parametrize("name", ["_", "-", "0", "\u2764\ufe0f", "\U0001f9d1\u200d\U0001f680", "\ue000", "\U0001fae8"])
def test_a_class_name_of_one_sign_is_kept(tiny: Path, name: str) -> None:
    for split in ("train", "validation", "test"):
        (tiny / split / "brick").rename(tiny / split / name)
    assert set(load({"training": tiny}).classes) == {name, "coffee"}


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        load({"training": tmp_path / "absent"})


def test_a_folder_without_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train photos in"):
        load({"training": tmp_path})


def test_one_class_is_refused(tiny: Path) -> None:
    shutil.rmtree(tiny / "train" / "coffee")
    with pytest.raises(DataError, match="only the class 'brick'"):
        load({"training": tiny})


def test_a_class_that_training_lacks_is_refused(tiny: Path) -> None:
    (tiny / "validation" / "coffee").rename(tiny / "validation" / "tea")
    with pytest.raises(DataError, match=r"the class 'tea' is in .*validation but not in .*train"):
        load({"training": tiny})


def test_an_empty_split_is_refused(tiny: Path) -> None:
    shutil.rmtree(tiny / "test")
    (tiny / "test" / "brick").mkdir(parents=True)
    with pytest.raises(DataError, match="test holds no photos"):
        load({"training": tiny})


def test_a_refusal_says_what_was_left_out_of_the_class_folders(tiny: Path) -> None:
    shutil.rmtree(tiny / "train" / "brick")
    (tiny / "train" / "brick").mkdir()
    for name in ("1.mat", "2.part", "3.R"):
        (tiny / "train" / "brick" / name).touch()
    told = r"; class folders without photos: 1 \(train/brick\).*; files that are not photos: 1 \.mat, 1 \.part, 1 \.r \(brick/"
    with pytest.raises(DataError, match="only the class 'coffee'.*" + told):
        load({"train": tiny / "train"})
    shutil.copytree(tiny / "train" / "coffee", tiny / "train" / "tea")
    with pytest.raises(DataError, match="the class 'brick' is in .*validation but not in .*train.*" + told):
        load({"training": tiny})


def test_a_refusal_names_the_files_of_a_folder_or_split_that_holds_no_photos(tiny: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for photo in (tiny / split).glob("*/*"):
            photo.rename(photo.with_suffix(".pickle"))
        with pytest.raises(DataError, match=r"no.* photos.*; files that are not photos: \d \.pickle \("):
            load({"train": tiny / "validation"} | {split: tiny / split})
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "photos.zip").touch()
    with pytest.raises(
        DataError,
        match=r"no train photos in .*: 1 \.zip \(packed/photos\.zip\); they are left out, unpack what",
    ):
        load({"training": tmp_path / "packed"})


@pytest.mark.parametrize("place", ["train.csv", "train.tsv", "train/labels.txt", "train/labels.XLSX"])
def test_flat_photos_beside_a_list_that_is_not_read_name_the_list(tiny: Path, place: str) -> None:
    for photo in sorted((tiny / "train").glob("*/*")):
        photo.rename(tiny / "train" / f"{photo.parent.name}-{photo.name}")
    for label in ("brick", "coffee"):
        (tiny / "train" / label).rmdir()
    (tiny / place).touch()
    named = "/".join((tiny / place).parts[-2:])
    with pytest.raises(
        DataError,
        match=rf"8 photos that are in no class folder.*; {named} is not read: a manifest is a \.csv, .*\.lst in .*tiny/train$",
    ):
        load({"training": tiny})

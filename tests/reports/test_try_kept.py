"""The try page keeps photos in folders that training reads, each photo once, and changes no other file."""

import hashlib
from pathlib import Path

import pytest

from classifier.errors import DataError, PhotoError
from classifier.photos import load_photo_set
from reports.try_page.kept import Kept, file_name, folder_name

CLASSES = ("brick", "coffee")


@pytest.fixture
def photo(samples: Path) -> bytes:
    return (samples / "test" / "coffee" / "000.jpg").read_bytes()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_photo_is_kept_in_its_class_folder_under_its_name_and_digest(tmp_path: Path, photo: bytes) -> None:
    path = Kept(tmp_path).keep(photo, "Meine Tasse (1).JPG", "coffee", CLASSES)
    assert str(path) == f"coffee/Meine-Tasse-1-{hashlib.sha256(photo).hexdigest()[:12]}.jpg"
    assert files(tmp_path) == ["coffee", str(path)] and (tmp_path / path).read_bytes() == photo


def test_another_class_moves_it_and_undo_removes_it(tmp_path: Path, photo: bytes) -> None:
    kept = Kept(tmp_path)
    first, second = (kept.keep(photo, "a.jpg", label, CLASSES) for label in CLASSES)
    assert files(tmp_path) == ["coffee", str(second)] and first.name == second.name
    assert kept.keep(photo, "a.jpg", "coffee", CLASSES) == second
    assert kept.forget(photo) and files(tmp_path) == []
    assert not kept.forget(photo)


def test_what_was_there_before_is_neither_written_anew_nor_removed(tmp_path: Path, photo: bytes) -> None:
    before = tmp_path / Kept(tmp_path).keep(photo, "a.jpg", "brick", CLASSES)
    (tmp_path / "coffee").mkdir()
    kept = Kept(tmp_path)
    kept.keep(photo, "a.jpg", "brick", CLASSES)
    moved = kept.keep(photo, "a.jpg", "coffee", CLASSES)
    assert kept.forget(photo) and not (tmp_path / moved).exists()
    assert before.exists() and (tmp_path / "coffee").is_dir()


def test_training_reads_what_was_kept(tmp_path: Path, tiny: Path) -> None:
    kept = Kept(tmp_path / "kept")
    for path in sorted((tiny / "train").glob("*/*.jpg")):
        kept.keep(path.read_bytes(), path.name, path.parent.name, CLASSES)
    found = load_photo_set({"training": tmp_path / "kept"}, validation_share=0.25, seed=1)
    assert found.classes == CLASSES and sum(map(len, found.splits.values())) == 8


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8 half a photo"])
def test_bytes_that_training_could_not_read_are_not_kept(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PhotoError):
        Kept(tmp_path).keep(data, "a.jpg", "coffee", CLASSES)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_into_is_named(tmp_path: Path, photo: bytes) -> None:
    (tmp_path / "coffee").touch()
    with pytest.raises(
        DataError, match=r"coffee/a-\w+\.jpg cannot be written: Not a directory; make room, or name another"
    ):
        Kept(tmp_path).keep(photo, "a.jpg", "coffee", CLASSES)


@pytest.mark.parametrize("label", ["tea", "../coffee", "/etc", "", "Coffee"])
def test_a_class_that_the_model_has_not_named_is_refused(tmp_path: Path, photo: bytes, label: str) -> None:
    with pytest.raises(DataError, match="the model has no class"):
        Kept(tmp_path / "kept").keep(photo, "a.jpg", label, CLASSES)
    assert files(tmp_path) == []


@pytest.mark.parametrize("label", ["..", ".", "a/b", ".hidden", "~$x", "Thumbs.db", "train", "Validation", "x" * 256])
def test_a_class_that_training_would_not_read_from_a_folder_of_its_name_is_refused(
    tmp_path: Path, photo: bytes, label: str
) -> None:
    with pytest.raises(DataError, match=r"cannot be the name of a folder of photos; keep the photo yourself"):
        Kept(tmp_path / "kept").keep(photo, "a.jpg", label, [label])
    assert files(tmp_path) == []


def test_a_class_name_may_hold_anything_else() -> None:
    for label in ("<b>&amp;", "a\\b", "Å", "日本", "con", "x" * 255, "a b"):
        assert folder_name(label) == label


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "etc-passwd-0123456789ab"),
        (".bashrc", "bashrc-0123456789ab"),
        ("photo.html", "photo-html-0123456789ab"),
        ("a.tar.PNG", "a-tar-0123456789ab.png"),
        ("", "photo-0123456789ab"),
        ("日本.webp", "photo-0123456789ab.webp"),
        ("x" * 300 + ".jpeg", "x" * 60 + "-0123456789ab.jpeg"),
        ("a\0b\n.jpg", "a-b-0123456789ab.jpg"),
    ],
)
def test_a_file_name_keeps_what_is_plain_of_it(name: str, kept: str) -> None:
    assert file_name(name, "0123456789abcdef") == kept

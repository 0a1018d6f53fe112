"""Paths in manifests: their spellings, the refusal of paths that lead out of the folder, and the common prefix of paths in S3."""

import re
from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.paths import Below, shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "cat").mkdir(parents=True)
    (tmp_path / "data" / "cat" / "1.jpg").touch()
    (tmp_path / "data-private").mkdir()
    (tmp_path / "data-private" / "a.jpg").touch()
    return tmp_path / "data"


def test_a_neighbour_whose_name_begins_as_the_folders_does_is_outside(folder: Path) -> None:
    (folder / "near").symlink_to(folder.parent / "data-private")
    (folder / "near.jpg").symlink_to(folder.parent / "data-private" / "a.jpg")
    for written, reason in (
        ("../data-private/a.jpg", "leads out of"),
        ("near/a.jpg", "leads out of"),
        ("near.jpg", "leads out of"),
        (f"{folder}-private/a.jpg", "is absolute; write it relative to"),
    ):
        with pytest.raises(DataError, match=f"line 2: the path {re.escape(shown(written))} {reason}"):
            Below(folder, [written]).find(written, "line 2")


def test_the_folder_may_be_the_root_of_all(folder: Path) -> None:
    written = str(folder / "cat" / "1.jpg").removeprefix("/")
    real = Path("/", written).resolve()
    assert Below(Path("/"), [written]).find(written, "line 2") == (Path("/", written), str(real))


def test_a_bucket_is_not_a_folder_of_its_objects(folder: Path) -> None:
    (folder / "bucket" / "cat").mkdir(parents=True)
    (folder / "bucket" / "cat" / "1.jpg").touch()
    found, _ = Below(folder, ["s3://bucket/cat/1.jpg"]).find("s3://bucket/cat/1.jpg", "line 2")
    assert found == folder / "cat" / "1.jpg"


@pytest.mark.parametrize(("stored", "written"), [("\u00e9.jpg", "e\u0301.jpg"), ("e\u0301.jpg", "\u00e9.jpg")])
def test_accents_may_be_composed_on_one_side_alone(folder: Path, stored: str, written: str) -> None:
    (folder / stored).touch()
    assert Below(folder, [written]).find(written, "line 2")[0] == folder / stored


def test_sixty_characters_of_a_wrong_value_are_shown() -> None:
    assert shown("x" * 58) == f"'{'x' * 58}'"
    assert shown("x" * 59) == f"'{'x' * 59}..."


@pytest.mark.parametrize(
    ("written", "real"), [("cat/.", "cat"), ("cat/..", ""), ("cat/", "cat"), ("./cat/1.jpg", "cat/1.jpg")]
)
def test_a_path_that_ends_at_a_folder_is_that_folder(folder: Path, written: str, real: str) -> None:
    assert Below(folder, [written]).find(written, "line 2") == (folder / written, str((folder / real).resolve()))
    for outside in ("..", "cat/../.."):
        with pytest.raises(DataError, match="leads out of"):
            Below(folder, [outside]).find(outside, "line 2")

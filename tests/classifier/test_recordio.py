"""Training on RecordIO files has the same result as training on their photos; an error names the file and the record."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.errors import DataError, PhotoError
from classifier.images import read_photo
from classifier.photos import load_photo_set
from classifier.recordio import list_records, read_record, read_record_photo
from launch.check import survey
from tests.conftest import Run, run_training
from tests.recordio import MARK, labelled, packed, part, record, write_records
from train.config import Config

Train = Callable[..., Run]
SPLITS = {"train": ("train",), "validation": ("validation", "val")}


def listed(*files: Path) -> dict[str, list[bytes]]:
    return {label: [read_photo(path) for path in paths] for label, paths in list_records(files, SPLITS).items()}


def test_classes_are_the_numbers_in_numeric_order_over_all_files(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [(b"ten", 10), (b"nine", 9)])
    write_records(tmp_path / "b.rec", [(b"another ten", 10), (b"", 2)])
    found = listed(tmp_path / "a.rec", tmp_path / "b.rec")
    assert found == {"2": [b""], "9": [b"nine"], "10": [b"ten", b"another ten"]} and list(found) == ["2", "9", "10"]


@pytest.mark.parametrize("length", range(9))
def test_photos_of_any_length_come_back_as_they_were(tmp_path: Path, length: int) -> None:
    write_records(tmp_path / "a.rec", [(bytes(range(length)), 0), (b"next", 1)])
    assert listed(tmp_path / "a.rec") == {"0": [bytes(range(length))], "1": [b"next"]}


@pytest.mark.parametrize(
    "photo",
    [MARK, MARK + b"x", b"1234" + MARK, MARK * 3, b"1234" + MARK + b"5678" + MARK + b"9", b"1" + MARK + b"23"],
    ids=lambda photo: photo.hex(),
)
def test_a_photo_that_holds_the_mark_comes_back_from_its_parts(tmp_path: Path, photo: bytes) -> None:
    write_records(tmp_path / "a.rec", [(photo, 3), (b"next", 4)])
    assert listed(tmp_path / "a.rec") == {"3": [photo], "4": [b"next"]}


def test_a_label_whose_bytes_are_the_mark_is_read_from_two_parts(tmp_path: Path) -> None:
    (label,) = struct.unpack("<f", MARK)
    data = record(packed(b"photo", [label]))
    assert data[4:8] == struct.pack("<I", 1 << 29 | 24)
    (tmp_path / "a.rec").write_bytes(data)
    with pytest.raises(DataError, match=r"record 1 .* has the label -1\.8"):
        listed(tmp_path / "a.rec")


def test_one_label_in_an_array_counts_like_a_number(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(record(packed(b"photo", [7.0])))
    assert listed(tmp_path / "a.rec") == {"7": [b"photo"]}


GOOD = record(packed(b"photo", 1.0))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.rec holds no record; make it again with im2rec"),
        (GOOD[:-1], r"a.rec, record 1 \(at byte 0\) is cut off; copy the file again"),
        (GOOD + GOOD[:36], r"record 2 \(at byte 40\) is cut off"),
        (GOOD * 3 + GOOD[:5], r"record 4 \(at byte 120\) is cut off"),
        (
            GOOD * 2 + b"\xff\xd8\xff\xe0 a photo",
            r"record 3 \(at byte 80\) is damaged: no record begins or continues there",
        ),
        (GOOD + bytes(4), r"record 2 \(at byte 40\) is cut off"),
        (GOOD + part(2, b"middle"), "record 2 .* is damaged"),
        (GOOD + part(3, b"last"), "record 2 .* is damaged"),
        (GOOD + part(7, b"unknown"), "record 2 .* is damaged"),
        (GOOD + part(1, b"first") + GOOD, "record 2 .* is damaged"),
        (GOOD + part(1, b"first"), "record 2 .* is cut off"),
        (GOOD + MARK + struct.pack("<I", (1 << 29) - 1) + b"x", "record 2 .* is longer than 400,000,000 bytes"),
        (GOOD + MARK + struct.pack("<I", 399_999_999) + b"x", "record 2 .* is cut off"),
        (record(b"tiny"), "record 1 .* does not hold a photo as im2rec packs it; make the file with im2rec"),
        (record(b"\xff\xd8\xff\xe0" + bytes(40)), "record 1 .* does not hold a photo as im2rec packs it"),
        (record(packed(b"x", [1.0, 0.0, 1.0])), "record 1 .* has 3 labels; training needs one"),
        (
            record(packed(b"x", 0.5)),
            "record 1 .* has the label 0.5; a class is a whole number from 0, correct the list",
        ),
        (record(packed(b"x", -1.0)), "record 1 .* has the label -1;"),
        (record(packed(b"x", float("nan"))), "record 1 .* has the label nan;"),
        (record(packed(b"x", float("inf"))), "record 1 .* has the label inf;"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_record(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.rec").write_bytes(data)
    with pytest.raises(DataError, match=message):
        listed(tmp_path / "a.rec")


def test_a_record_in_endless_parts_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    # A record in 90 parts of 5 MB, in a sparse file.
    with (tmp_path / "a.rec").open("wb") as file:
        for number in range(90):
            file.write(MARK + struct.pack("<I", (2 if number else 1) << 29 | 5_000_000))
            file.seek(5_000_000, 1)
        file.write(part(3, b""))
    with (tmp_path / "a.rec").open("rb") as file, pytest.raises(DataError, match="is longer than 400,000,000 bytes"):
        read_record(file, "a.rec", keep=28)


def test_a_file_that_changes_after_it_was_listed_costs_the_photo(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [(b"photo", 0), (b"second", 1)])
    photos = list_records([tmp_path / "a.rec"], SPLITS)["1"]
    write_records(tmp_path / "a.rec", [(b"photo", 0)])
    with pytest.raises(PhotoError, match="cannot be read: its file has become shorter"):
        read_photo(photos[0])
    (tmp_path / "a.rec").write_bytes(bytes(100))
    with pytest.raises(PhotoError, match="record2@40 is damaged"):
        read_photo(photos[0])
    with pytest.raises(PhotoError, match=r"a\.rec is not a folder"):
        read_photo(tmp_path / "a.rec" / "photo.jpg")


def test_files_of_two_splits_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("flowers-train.rec", "flowers_val.rec"):
        write_records(tmp_path / name, [(b"a", 0), (b"b", 1)])
    with pytest.raises(
        DataError, match=r"holds flowers-train.rec and flowers_val.rec, which are of two splits; put each"
    ):
        load_photo_set({"train": tmp_path}, validation_share=0.5, seed=1)


def test_what_is_beside_the_files_is_reported(tmp_path: Path) -> None:
    write_records(tmp_path / "train.rec", [(b"a", 0), (b"b", 1), (b"c", 0), (b"d", 1)])
    for name in ("train.idx", "train.lst", ".hidden.rec", "._train.rec"):
        (tmp_path / name).write_text("0\t0.0\tcat/1.jpg\n")
    (tmp_path / "cat").mkdir()
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "a.lst").touch()
    channels = {"train": tmp_path, "train_lst": tmp_path / "list"}
    photos = load_photo_set(channels, validation_share=0.5, seed=1)
    assert photos.classes == ("0", "1") and len(photos.splits["train"]) == len(photos.splits["validation"]) == 2
    unread = [note.partition(" is not read; the photos come from ")[0] for note in photos.notes[:-1]]
    assert unread == [str(tmp_path / name) for name in ("list", "train.lst", "cat", "list")]


def test_a_file_below_a_folder_where_it_is_not_read_is_named(tmp_path: Path) -> None:
    write_records(tmp_path / "part-1" / "a.rec", [(b"a", 0), (b"b", 1)])
    with pytest.raises(DataError, match=rf"part-1/a\.rec is not read, because .* in {tmp_path} itself; move it there"):
        load_photo_set({"train": tmp_path}, validation_share=0.5, seed=1)


def test_a_channel_that_holds_a_folder_for_each_split_may_hold_records(tmp_path: Path) -> None:
    for split, numbers in (("train", (0, 1)), ("validation", (0,)), ("test", (1,))):
        write_records(tmp_path / split / "a.rec", [(b"photo", number) for number in numbers])
    photos = load_photo_set({"training": tmp_path}, validation_share=0.5, seed=1)
    assert {name: len(held) for name, held in photos.splits.items()} == {"train": 2, "validation": 1, "test": 1}
    write_records(tmp_path / "test" / "a.rec", [(b"photo", 5)])
    with pytest.raises(DataError, match=r"the class '5' is in .*test/a.rec but not in .*train/a.rec"):
        load_photo_set({"training": tmp_path}, validation_share=0.5, seed=1)


def as_records(folder: Path, target: Path) -> Path:
    for split in ("train", "validation", "test"):
        write_records(target / split / "photos.rec", labelled(folder / split))
    return target


@pytest.mark.slow
def test_records_train_and_fine_tune_like_the_photos_in_them(tiny: Path, tmp_path: Path) -> None:
    records = as_records(tiny, tmp_path / "records")
    more = {"finetune-epochs": "1", "precision": "fp32"}
    run = run_training(tmp_path / "records-job", {"training": records}, more, mode="FastFile")
    assert run.status == 0, run.errors
    assert run.record("job")["classes"] == ["0", "1"]
    plain = run_training(tmp_path / "plain-job", {"training": tiny}, more | {"finetune-epochs": "0"})
    losses = [r.record("epoch", stage="head", epoch=1)["validation_loss"] for r in (run, plain)]
    assert run.record("job")["photos"] == plain.record("job")["photos"]
    # All photos are in one batch, so their order changes only the last digits of a sum.
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_a_photo_in_a_record_that_cannot_be_decoded_is_named(tiny: Path, tmp_path: Path, train: Train) -> None:
    records = as_records(tiny, tmp_path / "records")
    photos = labelled(tiny / "train")
    write_records(records / "train" / "photos.rec", [*photos[:3], (b"no photo", 1.0), *photos[3:]])
    run = train(records, **{"max-unreadable": "50"})
    assert run.status == 0, run.errors
    assert "photos.rec/record4@" in run.output and "not an image" in run.output


def test_a_damaged_file_stops_training_with_a_sentence(tiny: Path, tmp_path: Path, train: Train) -> None:
    records = as_records(tiny, tmp_path / "records")
    file = records / "train" / "photos.rec"
    file.write_bytes(file.read_bytes()[:-100])
    run = train(records)
    assert run.status == 1 and "Traceback" not in run.errors
    assert "photos.rec, record 8 (at byte " in run.failure and "is cut off; copy the file again" in run.failure


def test_data_check_reads_records(tiny: Path, tmp_path: Path) -> None:
    findings = survey(as_records(tiny, tmp_path / "records"), Config())
    assert not findings["fatal"] and findings["splits"]["train"] == {"photos": 8, "classes": {"0": 4, "1": 4}}
    assert findings["in_two_splits"] == [] == survey(tiny, Config())["in_two_splits"]


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.rec").mkdir()
    with pytest.raises(DataError, match=r"a\.rec cannot be read \(Is a directory\); make it a file that you may read"):
        listed(tmp_path / "a.rec")
    with pytest.raises(PhotoError, match=r"^cannot be read: No such file or directory$"):
        read_record_photo(tmp_path / "gone.rec" / "record1@0")

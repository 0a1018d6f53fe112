"""Manifests: CSV, JSON Lines and .lst become classes of photos; an error names the line and the mistake in it."""

import re
import shutil
import unicodedata
from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.manifest import read_manifest
from classifier.photos import load_photo_set
from tests.conftest import byoc, run_training


def flat(split: Path, target: Path) -> list[tuple[str, str]]:
    """Copy a split's photos into the one folder target/photos and return their relative paths and labels."""
    rows = []
    for photo in sorted(split.glob("*/*")):
        name = f"photos/{photo.parent.name}-{photo.name}"
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target / name)
        rows.append((name, photo.parent.name))
    return rows


def write_csv(folder: Path, rows: list[tuple[str, str]]) -> None:
    (folder / "photos.csv").write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))


def read(folder: Path, name: str, text: str) -> dict[str, list[str]]:
    manifest = folder / name
    manifest.write_bytes(text.encode())
    return {
        label: [str(path.relative_to(folder)) for path in paths]
        for label, paths in read_manifest(manifest, folder).items()
    }


def test_a_csv_may_hold_more_columns_in_any_order_quotes_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = '\ufefflabel, size,path\r\ndog,1,b.jpg\r\n\r\n"cat, big",2, "a, b.jpg"\r\n dog ,3,./sub/../a.jpg\r\n'
    assert read(tmp_path, "photos.csv", text) == {"cat, big": ["a, b.jpg"], "dog": ["b.jpg", "sub/../a.jpg"]}


@pytest.mark.parametrize("name", ["photos.jsonl", "photos.manifest"])
def test_json_lines_take_text_and_whole_numbers_as_labels(tmp_path: Path, name: str) -> None:
    text = '{"path": "b.jpg", "label": "Zoë", "more": [1]}\n\n{"path": "a.jpg", "label": 7}\n'
    assert read(tmp_path, name, text) == {"7": ["a.jpg"], "Zoë": ["b.jpg"]}


def test_the_classes_of_a_lst_are_its_numbers_in_numeric_order(tmp_path: Path) -> None:
    text = "5\t10\tx/a.jpg\n1\t9\tb.jpg\n2\t2.000000\tc d.jpg\n"
    classes = read(tmp_path, "train.lst", text)
    assert list(classes) == ["2", "9", "10"] and classes["2"] == ["c d.jpg"] and classes["10"] == ["x/a.jpg"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "path;label\r\ncat/1 a.jpg;0\r\n\r\ndog/2.jpg;1\r\n"),
        ("a.csv", "sep=;\r\npath;label\r\ncat/1 a.jpg;0\r\ndog/2.jpg;1\r\n"),
        ("a.csv", '\ufeff"SEP=|"\nlabel|path\n0|cat/1 a.jpg\n1|dog/2.jpg\n'),
        ("a.csv", "sep=\t\npath\tlabel\ncat/1 a.jpg\t0\ndog/2.jpg\t1\n"),
        ("a.csv", "path,label\ncat/1 a.jpg ,0\n dog/2.jpg\t, 1 \n"),
        ("a.csv", 'path,label\n" s3://bucket/cat/1 a.jpg",0\n"s3://bucket/dog/2.jpg ",1\n'),
        ("a.jsonl", '{"path": " cat/1 a.jpg", "label": 0}\n{"path": "{folder}/dog/2.jpg ", "label": 1}\n'),
        ("a.lst", "0\t0\tcat/1 a.jpg  \n1\t1\t dog/2.jpg\r\n"),
        ("a.csv", "\ufeffLabel\tPATH\n0\tcat/1 a.jpg\n1\tdog/2.jpg\n"),
        ("a.csv", 'path,label\n"cat/1 a.jpg","0"\n"dog/2.jpg","1"\n'),
        ("a.csv", "path,label\ncat\\1 a.jpg,0\n.\\dog\\2.jpg,1\n"),
        ("a.csv", "path,label\n{folder}/cat/1 a.jpg,0\n{real}/dog/2.jpg,1\n"),
        ("a.csv", "path,label\n/opt/ml/input/data/train/cat/1 a.jpg,0\n/opt/ml/input/data/train/dog/2.jpg,1\n"),
        ("a.csv", "path,label\ns3://bucket/pets/cat/1 a.jpg,0\ns3://bucket/pets/dog/2.jpg,1\n"),
        ("a.jsonl", '{"path": "cat\\\\1 a.jpg", "label": 0}\r\n{"path": "s3://b/dog/2.jpg", "label": 1}\r\n'),
        ("a.lst", "0 0 cat/1 a.jpg\r\n1 1.0 dog/2.jpg\r\n"),
        ("a.lst", '0\t0\t"cat/1 a.jpg"\n1\t1\tdog\\2.jpg\n'),
        ("a.lst", "0\t0\ts3://bucket/cat/1 a.jpg\n1\t1\ts3://bucket/dog/2.jpg\n"),
    ],
)
def test_what_spreadsheets_windows_and_notebooks_write_is_read(tmp_path: Path, name: str, text: str) -> None:
    real = tmp_path / "real"
    for photo in ("cat/1 a.jpg", "dog/2.jpg"):
        (real / photo).parent.mkdir(parents=True)
        (real / photo).touch()
    folder = tmp_path / "split"
    folder.symlink_to(real)
    text = text.replace("{folder}", str(folder)).replace("{real}", str(real))
    found = read(folder, name, text)
    assert {label: [Path(path).as_posix() for path in paths] for label, paths in found.items()} == {
        "0": ["cat/1 a.jpg"],
        "1": ["dog/2.jpg"],
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "path,label\ns3://b/p/cat/gone.jpg,0\ns3://b/p/cat/1.jpg,0\n"),
        ("a.jsonl", '{"source-ref": "s3://b/p/gone.jpg", "c": 0}\n{"source-ref": "s3://b/p/cat/1.jpg", "c": 0}\n'),
        ("a.lst", "0\t0\t/opt/ml/input/data/x/gone.jpg\n1\t0\tcat/2.jpg\n2\t0\t/opt/ml/input/data/x/cat/1.jpg\n"),
    ],
)
def test_the_first_photo_that_is_there_tells_what_comes_before_the_paths(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").touch()
    (found,) = read(tmp_path, name, text).values()
    assert "cat/1.jpg" in found and any(path.endswith("gone.jpg") for path in found)


def test_a_file_with_a_backslash_in_its_name_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a\\b.jpg").touch()
    assert read(tmp_path, "photos.csv", "path,label\na\\b.jpg,cat\n") == {"cat": ["a\\b.jpg"]}


def test_a_file_with_blanks_at_the_ends_of_its_name_is_that_file(tmp_path: Path) -> None:
    for name in (" a.jpg", "a.jpg", "b.jpg ", "b.jpg"):
        (tmp_path / name).touch()
    text = 'path,label\n" a.jpg",cat\nb.jpg ,cat\na.jpg,dog\nb.jpg,dog\n'
    assert read(tmp_path, "a.csv", text) == {"cat": [" a.jpg", "b.jpg "], "dog": ["a.jpg", "b.jpg"]}


def test_accents_may_be_composed_in_the_manifest_and_not_on_disk(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Zoë/é.jpg")
    (tmp_path / decomposed).parent.mkdir()
    (tmp_path / decomposed).touch()
    text = f"path,label\nZoë/é.jpg,Zoë\nb.jpg,{unicodedata.normalize('NFD', 'Zoë')}\n"
    assert read(tmp_path, "photos.csv", text) == {"Zoë": [decomposed, "b.jpg"]}


def test_system_files_that_a_manifest_lists_are_left_out_and_reported(tiny: Path) -> None:
    rows = [(f"{photo.parent.name}/{photo.name}", photo.parent.name) for photo in (tiny / "train").glob("*/*")]
    write_csv(tiny / "train", [*rows, ("brick/._000.jpg", "brick"), ("Thumbs.db", "coffee")])
    (tiny / "train" / "._photos.csv").touch()
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)
    assert len(photos.splits["train"]) == 8
    assert photos.notes == ("hidden and system files: 2 (brick/._000.jpg, train/Thumbs.db); they are left out",)


def test_photos_that_the_manifest_does_not_list_are_reported(tiny: Path) -> None:
    train = tiny / "train"
    rows = [(f"{photo.parent.name}/{photo.name}", photo.parent.name) for photo in sorted(train.glob("*/00[01].jpg"))]
    write_csv(train, [*rows, ("again/brick/002.jpg", "brick"), ("./coffee/../coffee/002.jpg", "coffee")])
    (train / "again").symlink_to(train)
    (train / "coffee" / "labels.txt").touch()
    (train / "coffee" / ".hidden.jpg").touch()
    shutil.copy(train / "coffee" / "003.jpg", train / "flat.jpg")
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)
    assert len(photos.splits["train"]) == 6
    assert photos.notes == (
        "photos that the manifest does not list: 3 (brick/003.jpg, coffee/003.jpg, train/flat.jpg); they are left out",
    )


def test_a_photo_listed_twice_with_one_label_counts_once(tmp_path: Path) -> None:
    assert read(tmp_path, "photos.csv", "path,label\na.jpg,cat\n./a.jpg,cat\n") == {"cat": ["a.jpg"]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "a.csv, line 1: the header '' has no column 'path'"),
        ("a.csv", "file,label\n", "a.csv, line 1: the header 'file,label' has no column 'path'; a manifest starts with"),
        ("a.csv", "path;name\n", "the header 'path;name' has no column 'path'"),
        ("a.csv", "path,class\n", "has no column 'label'"),
        ("a.csv", "path,label\na.jpg,cat\nb.jpg, \n", "a.csv, line 3: the label of 'b.jpg' is empty; name its class"),
        ("a.csv", "sep=;\npath;name\n", "a.csv, line 2: the header 'path;name' has no column 'label'"),
        ("a.csv", "sep=;\npath;label\na;b;c\n", "a.csv, line 3: 'a;b;c' has 3 values, the header 2"),
        ("a.csv", "sep=;\npath;label\n/etc/a.jpg;cat\n", "a.csv, line 3: the path '/etc/a.jpg' is absolute"),
        ("a.csv", "sep=;\n", "a.csv, line 2: the header '' has no column 'path'"),
        ("a.csv", "path,label\n,cat\n", "a.csv, line 2: the path is empty; name a photo below"),
        ("a.csv", "path,label\na,b.jpg,cat\n", "line 2: 'a,b.jpg,cat' has 3 values, the header 2; put a value"),
        ("a.csv", "path,label\na.jpg\n", "line 2: 'a.jpg' has 1 values"),
        ("a.csv", 'path,label\n"a.jpg"x,cat\n', "a.csv, line 2: not valid CSV ("),
        ("a.csv", 'path,label\n"a.jpg,cat\n', "a.csv, line 2: not valid CSV ("),
        ("a.csv", "path,label,Label\na.jpg,cat,dog\n", "line 1: the header 'path,label,Label' has 2 columns 'label'; leave one"),
        ("a.csv", "path;PATH ;label; path\na;b;cat;c\n", "has 3 columns 'path'; leave one of them or rename the others"),
        ("a.jsonl", '{"path": "a", "label": "b", "label": "c"}\n', "(it holds 'label' twice); write {"),
        ("a.jsonl", '{"path": "a", "label": "b", "path": "c"}\n', "cannot be read as JSON (it holds 'path' twice); write {"),
        ("a.manifest", '{"source-ref": "s3://b/here.jpg", "c": 1, "c": 2}\n', "(it holds 'c' twice)"),
        (
            "a.manifest",
            '{"source-ref": "s3://b/here.jpg", "c": 1, "c-metadata": {"class-name": "cat", "class-name": "dog"}}\n',
            "(it holds 'class-name' twice)",
        ),
        ("a.csv", "path,label\n/etc/a.jpg,cat\n", "line 2: the path '/etc/a.jpg' is absolute; write it relative to"),
        ("a.csv", "path,label\nx/../../a.jpg,cat\n", "line 2: the path 'x/../../a.jpg' leads out of"),
        ("a.csv", "path,label\n../split-private/a.jpg,cat\n", "the path '../split-private/a.jpg' leads out of"),
        ("a.csv", "path,label\nnear/a.jpg,cat\n", "the path 'near/a.jpg' leads out of"),
        ("a.csv", "path,label\n..\\split-private\\a.jpg,cat\n", "split-private\\\\a.jpg' leads out of"),
        ("a.csv", "path,label\n\\etc\\passwd,cat\n", "etc\\\\passwd' leads out of"),
        ("a.csv", "path,label\nC:\\photos\\a.jpg,cat\n", "photos\\\\a.jpg' names another place; put the photos below"),
        ("a.csv", "path,label\nhttps://x.test/a.jpg,cat\n", "the path 'https://x.test/a.jpg' names another place"),
        ("a.csv", "path,label\ns3://b/c/gone.jpg,cat\n", "line 2: no file below"),
        ("a.csv", "path,label\ns3://b/c/here.jpg,cat\ns3://b/d/here.jpg,dog\n", "does not begin with s3://b/c/ as those"),
        ("a.csv", "path,label\n/opt/ml/input/data/train/gone.jpg,cat\n", "line 2: no file below"),
        ("a.jsonl", '{"path": "a.jpg", "label": "cat\\udc80"}\n', "line 1: the class name 'cat\\udc80' is not valid UTF-8"),
        ("a.jsonl", '{"path": "a.jpg", "label": "a\\nb"}\n', "the class name 'a\\nb' holds control characters and cannot be"),
        ("a.jsonl", '{"path": "a.jpg", "label": "\\u200b"}\n', "line 1: the class name '\\u200b' is blank; rename the class"),
        ("a.csv", 'path,label\na.jpg,"a\tb"\n', "line 2: the class name 'a\\tb' holds control characters"),
        ("a.csv", "path,label\nlink/a.jpg,cat\n", "line 2: the path 'link/a.jpg' leads out of"),
        ("a.csv", "path,label\nphoto.jpg,cat\n", "line 2: the path 'photo.jpg' leads out of"),
        (
            "a.csv",
            "path,label\na.jpg,cat\nb.jpg,cat\n./a.jpg,dog\n",
            "line 4: './a.jpg' has the label 'dog' here and 'cat' in line 2; keep one of them",
        ),
        ("a.jsonl", '{"path": "a.jpg", "label": "cat"}\n{"path": \n', "a.jsonl, line 2: '{\"path\":' cannot be read as JSON ("),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1: '[[["),
        ("a.jsonl", "[1]\n", "line 1: '[1]' is not a JSON object; write {"),
        ("a.jsonl", '{"file": "a.jpg", "label": 1}\n', "\"label\": 1}' has no 'path'; write {"),
        ("a.jsonl", '{"path": "a.jpg"}\n', "has no 'label'"),
        ("a.jsonl", '{"path": 3, "label": "cat"}\n', "line 1: the path 3 is not text"),
        ("a.jsonl", '{"path": "a.jpg", "label": null}\n', "the label None is neither text nor a whole number"),
        ("a.jsonl", '{"path": "a.jpg", "label": true}\n', "the label True is neither"),
        ("a.jsonl", '{"path": "a.jpg", "label": ""}\n', "line 1: the label of 'a.jpg' is empty"),
        ("a.jsonl", '{"path": "a\\u0000.jpg", "label": "cat"}\n', "line 1: the path 'a\\x00.jpg' cannot be a file's name"),
        ("a.jsonl", '{"path": "a\\udc80.jpg", "label": "cat"}\n', "cannot be a file's name"),
        (
            "a.jsonl",
            '{"path": "s3://b/c/gone.jpg", "label": 1}\n{"path": "s3://b/\\udc80\\u0000.jpg", "label": 1}\n',
            "line 1: no file below",
        ),
        ("a.lst", "1\t0\n", "a.lst, line 1: '1\\t0' has 2 columns; write three with tabs"),
        ("a.lst", "1\t0\t1\ta.jpg\n", "has 4 columns"),
        ("a.lst", "1\tcat\ta.jpg\n", "line 1: the class 'cat' is not a whole number from 0"),
        ("a.lst", "1\t-1\ta.jpg\n", "the class '-1' is not a whole number"),
        ("a.lst", "1\t0.5\ta.jpg\n", "the class '0.5' is not a whole number"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_one_sentence(tmp_path: Path, name: str, text: str, message: str) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    (tmp_path / "outside.jpg").touch()
    (folder / "link").symlink_to(tmp_path)
    (folder / "photo.jpg").symlink_to(tmp_path / "outside.jpg")
    (tmp_path / "split-private").mkdir()
    (tmp_path / "split-private" / "a.jpg").touch()
    (folder / "near").symlink_to(tmp_path / "split-private")
    (folder / "here.jpg").touch()
    with pytest.raises(DataError, match=re.escape(message)):
        read(folder, name, text)


def test_a_manifest_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("path,label\na.jpg,Zoë\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 text .*; save it as UTF-8"):
        read_manifest(tmp_path / "a.csv", tmp_path)


def test_two_manifests_in_one_split_are_refused(tiny: Path) -> None:
    for name in ("a.csv", "b.jsonl"):
        (tiny / "train" / name).touch()
    with pytest.raises(DataError, match=r"train holds 2 manifests \(a\.csv, b\.jsonl\); leave one of them"):
        load_photo_set({"training": tiny}, validation_share=0.1, seed=0)


def test_a_manifest_without_photos_is_refused(tiny: Path) -> None:
    (tiny / "train" / "a.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"a\.csv holds no photos; training needs at least two classes"):
        load_photo_set({"training": tiny}, validation_share=0.1, seed=0)


@pytest.mark.parametrize(
    ("name", "line", "hint"),
    [
        ("a.csv", "{split}/{label}/{file},{label}\n", ", as brick/000.jpg$"),
        ("a.lst", "0\t{split}\tx/{file}\n", "train$"),
    ],
)
def test_a_manifest_of_which_no_file_is_there_says_what_its_paths_are_relative_to(
    tiny: Path, name: str, line: str, hint: str
) -> None:
    rows = [
        line.format(split="train" if name == "a.csv" else n % 2, label=photo.parent.name, file=photo.name)
        for n, photo in enumerate(sorted((tiny / "train").glob("*/*")))
    ]
    (tiny / "train" / name).write_text("path,label\n" * (name == "a.csv") + "".join(rows))
    with pytest.raises(
        DataError,
        match=r"none of the [84] files that .*train/a\.\w+ lists is there, as \w+/.*000.jpg; write .* relative to .*"
        + hint,
    ):
        load_photo_set({"training": tiny}, validation_share=0.1, seed=0)


def test_a_list_without_its_photos_or_a_channel_without_its_list_is_refused(tiny: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    channels = {"train": tiny / "train", "train_lst": lists}
    with pytest.raises(DataError, match=r"lists holds no \.lst file; put the list of the photos in .*train there"):
        load_photo_set(channels, validation_share=0.1, seed=0)
    channels = {"train": tiny / "train", "validation_lst": lists}
    with pytest.raises(
        DataError, match="lists photos, but there are none; add them as a folder or channel named valid"
    ):
        load_photo_set(channels, validation_share=0.1, seed=0)


def test_a_manifest_and_class_folders_give_the_same_photo_set(tiny: Path) -> None:
    by_folders = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)
    for split in ("train", "test"):
        paths = [(f"{photo.parent.name}/{photo.name}", photo.parent.name) for photo in (tiny / split).glob("*/*")]
        write_csv(tiny / split, paths)
    assert load_photo_set({"training": tiny}, validation_share=0.1, seed=0) == by_folders


@pytest.mark.slow
def test_a_job_trains_on_a_csv_and_a_missing_file_counts_as_unreadable(tiny: Path, tmp_path: Path) -> None:
    folders = {split: tmp_path / "flat" / split for split in ("train", "validation", "test")}
    for split, folder in folders.items():
        rows = flat(tiny / split, folder)
        write_csv(folder, [*rows, ("photos/absent.jpg", "brick")] if split == "test" else rows)
    run = run_training(tmp_path / "opt-ml", folders, {"max-unreadable": "10"})
    assert run.status == 0, run.errors
    job = run.record("job")
    assert job["classes"] == ["brick", "coffee"] and job["notes"] == []
    assert job["photos"] == {"train": 8, "validation": 4, "test": 5} and run.output.count("left out ") == 1
    assert run.record("result", split="test")["count"] == 4
    done = byoc("data", "check", tmp_path / "flat")
    assert "test             5 photos in 2 classes" in done.stdout and "absent.jpg; cannot be read" in done.stdout


@pytest.mark.slow
def test_a_job_trains_on_lists_in_channels_of_their_own(tiny: Path, tmp_path: Path) -> None:
    channels = {name: tmp_path / name for name in ("train", "train_lst", "validation", "validation_lst")}
    numbers = {"brick": 10, "coffee": 9}
    for split in ("train", "validation"):
        rows = flat(tiny / split, channels[split])
        channels[f"{split}_lst"].mkdir()
        lines = [f"{index}\t{numbers[label]}\t{path}\n" for index, (path, label) in enumerate(rows)]
        (channels[f"{split}_lst"] / f"{split}.lst").write_text("".join(lines))
    run = run_training(tmp_path / "opt-ml", channels, {})
    assert run.status == 0, run.errors
    job = run.record("job")
    assert job["classes"] == ["9", "10"] and job["photos"] == {"train": 8, "validation": 4} and job["notes"] == []


@pytest.mark.slow
def test_a_wrong_line_fails_a_job_and_the_check_with_the_same_sentence(tiny: Path, tmp_path: Path) -> None:
    write_csv(tiny / "train", [("brick/000.jpg", "brick"), ("../test/brick/000.jpg", "brick")])
    run = run_training(tmp_path / "opt-ml", {"train": tiny / "train"}, {})
    assert run.status == 1 and "photos.csv, line 3: the path '../test/brick/000.jpg' leads out of" in run.failure
    assert "Traceback" not in run.errors
    done = byoc("data", "check", tiny)
    assert done.returncode == 1 and "line 3: the path '../test/brick/000.jpg' leads out of" in done.stdout

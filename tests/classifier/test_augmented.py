"""Augmented manifests as files: addresses in S3 become the channel's photos, and metadata becomes classes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import DataError
from classifier.manifest import read_manifest
from launch.check import survey
from tests.conftest import Run
from train.config import Config

Train = Callable[..., Run]
BUCKET = "s3://bucket/some/prefix"


def ground_truth(source: str, number: int, name: str | None, **more: Any) -> dict[str, Any]:
    """Return a line as Ground Truth writes it for a labelling job named animals."""
    about = {
        "class-name": name,
        "job-name": "labeling-job/animals",
        "confidence": 0.94,
        "human-annotated": "yes",
        "creation-date": "2026-11-01T10:00:00.000000",
        "type": "groundtruth/image-classification",
    }
    return {"source-ref": source, "animals": number, "animals-metadata": about, **more}


def read(folder: Path, *lines: dict[str, Any], name: str = "output.manifest") -> dict[str, list[str]]:
    for line in lines:
        photo = folder / str(line.get("source-ref")).removeprefix(f"{BUCKET}/")
        if "s3:" not in str(photo) and str(photo).startswith(f"{folder}/"):
            photo.parent.mkdir(parents=True, exist_ok=True)
            photo.touch()
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        label: [str(path.relative_to(folder)) for path in paths]
        for label, paths in read_manifest(folder / name, folder).items()
    }


@pytest.mark.parametrize("name", ["output.manifest", "train.jsonl"])
def test_the_classes_of_ground_truth_are_their_names(tmp_path: Path, name: str) -> None:
    lines = [
        ground_truth(f"{BUCKET}/a/1.jpg", 1, "dog"),
        ground_truth(f"{BUCKET}/a/2.jpg", 0, "cat, big"),
        ground_truth(f"{BUCKET}/b/c/1.jpg", 1, "dog"),
        ground_truth(f"{BUCKET}/3.jpg", 2, "007"),
    ]
    found = read(tmp_path, *lines, name=name)
    assert found == {"007": ["3.jpg"], "cat, big": ["a/2.jpg"], "dog": ["a/1.jpg", "b/c/1.jpg"]}


@pytest.mark.parametrize("label", ["class", "label", "species"])
def test_without_metadata_numbers_are_the_classes_in_numeric_order(tmp_path: Path, label: str) -> None:
    values = ["10", 9, "2.0", 10.0, "9"]
    lines = [{"source-ref": f"{BUCKET}/{number}.jpg", label: value} for number, value in enumerate(values)]
    found = read(tmp_path, *lines)
    assert list(found) == ["2", "9", "10"] and found["10"] == ["0.jpg", "3.jpg"]


def test_texts_and_truth_values_are_classes_too(tmp_path: Path) -> None:
    lines = [{"source-ref": f"{BUCKET}/{n}.jpg", "is-a-cat": v} for n, v in enumerate([True, False, "true", "maybe"])]
    assert read(tmp_path, *lines) == {"false": ["1.jpg"], "maybe": ["3.jpg"], "true": ["0.jpg", "2.jpg"]}


def test_the_label_is_the_attribute_whose_metadata_names_a_class(tmp_path: Path) -> None:
    boxes: dict[str, Any] = {"boxes": {"annotations": []}, "boxes-metadata": {"class-map": {"0": "x"}}, "id": 17}
    lines = [ground_truth(f"{BUCKET}/{n}.jpg", n, name, **boxes) for n, name in enumerate(["cat", "dog"])]
    assert list(read(tmp_path, *lines)) == ["cat", "dog"]


CAT = {"source-ref": f"{BUCKET}/1.jpg", "class": 0}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"source-ref": 7, "class": 0}], "line 1: the source-ref 7 is not text; write s3://bucket/photo.jpg"),
        (
            [{"source-ref": "s3://other/9.jpg", "class": 0}],
            "line 1: no file below .* has the end of the path 's3://other/9",
        ),
        ([{"source-ref": "s3://other", "class": 0}], "line 1: no file below .* has the end of the path 's3://other'"),
        ([{"source-ref": "s3://other/" + 300 * "x", "class": 0}], "line 1: no file below .* has the end of the path"),
        ([{"source-ref": "s3://other/\0", "class": 0}], "line 1: the path .* cannot be a file's name"),
        ([CAT, {"source-ref": "s3://other/1.jpg", "class": 1}], f"line 2: the path .* does not begin with {BUCKET}/"),
        ([CAT, {"source-ref": f"{BUCKET}/../x.jpg", "class": 1}], "line 2: the path .* leads out of"),
        ([CAT, {"source-ref": f"{BUCKET}/2.jpg"}], "line 2: .* has no 'class', the label of the first photo; add it"),
        ([{"source-ref": f"{BUCKET}/1.jpg"}], 'line 1: .* has no label; add one, as in "class": "0"'),
        ([{**CAT, "size": 3}], "line 1: 'class' and 'size' may both be the label; leave one of them"),
        ([{**CAT, "class": [0, 2]}], r"line 1: the photo has the label \[0, 2\]; training needs one class a photo"),
        ([{**CAT, "class": None}], "line 1: the photo has the label null; training needs one class a photo"),
        ([{**CAT, "class": 0.5}], "line 1: the photo has the label 0.5; a class number is whole, from 0"),
        ([{**CAT, "class": "-1"}], 'line 1: the photo has the label "-1"; a class number is whole, from 0'),
        ([{**CAT, "class": " "}], "line 1: the photo has an empty label; name its class or remove it"),
        ([ground_truth(f"{BUCKET}/1.jpg", 0, "")], "line 1: the photo has an empty label"),
        (
            [CAT, {"source-ref": f"{BUCKET}/2.jpg", "class": 1, "class-metadata": {"class-name": "dog"}}],
            "line 2: the photo has a class-name, other than the photos before it; give it to all or to none",
        ),
        (
            [ground_truth(f"{BUCKET}/1.jpg", 0, "cat"), {"source-ref": f"{BUCKET}/2.jpg", "animals": 1}],
            "line 2: the photo has no class-name, other than the photos before it",
        ),
        (
            [{**CAT, "class": -1, "class-metadata": {"failure-reason": "ClientError: no such key"}}],
            r'line 1: the photo was never labelled \(failure-reason "ClientError: no such key"\); remove it',
        ),
        ([CAT, {**CAT, "class": 1}], "line 2: '.*1.jpg' has the label '1' here and '0' in line 1; keep one of them"),
        (
            [{**CAT, "animals": 1, "animals-metadata": {"class-name": "a"}, "x": 1, "x-metadata": {"class-name": "b"}}],
            "line 1: 'animals' and 'x' may both be the label",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, lines: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, *lines)


def manifest(folder: Path) -> None:
    """Give each split of a folder of class folders an augmented manifest with a separate S3 prefix."""
    for split in folder.iterdir():
        lines = []
        for photo in sorted(split.glob("*/*")):
            source = f"s3://bucket/data/{split.name}/{photo.parent.name}/{photo.name}"
            lines.append(ground_truth(source, 0, f"a {photo.parent.name}"))
        (split / "output.manifest").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_an_augmented_manifest_trains_and_data_check_reads_it(tiny: Path, train: Train) -> None:
    manifest(tiny)
    findings = survey(tiny, Config())
    assert not findings["fatal"] and findings["splits"]["train"] == {
        "photos": 8,
        "classes": {"a brick": 4, "a coffee": 4},
    }
    run = train(tiny)
    assert run.status == 0, run.errors
    assert run.record("job")["classes"] == ["a brick", "a coffee"]

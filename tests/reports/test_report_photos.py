"""The section on photos and the photos of confused pairs, as the page and the JSON file hold them."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from reports.page.document import Gallery, Section
from reports.report import make, write
from reports.sources.records import read_records
from tests.conftest import Run, needs_torch
from tests.reports.made import CLASSES, done, healthy, job, judged, record
from tests.reports.made import write as write_records
from tests.reports.photo_records import answer, jpeg, mislabelled, near_duplicates, photo, some, thumbnails

MATRIX = [[30, 8, 0], [3, 30, 0], [0, 0, 30]]


def records(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [job(), *judged("validation", MATRIX), *judged("test", MATRIX), *more, done()]


def section(folder: Path, name: str, *more: dict[str, Any]) -> Section:
    sections = make(write_records(folder, records(*more))).sections
    return next(one for one in sections if one.id == name)


def gallery(found: Section, title: str) -> Gallery:
    return next(one for one in found.galleries if one.title == title)


def test_the_section_shows_each_list_with_thumbnails_and_what_it_means(tmp_path: Path) -> None:
    found = section(tmp_path, "photos", *some())
    assert [one.title for one in found.galleries] == [
        "Photos that look mislabelled",
        "Near-duplicates across splits",
        "Most wrong photos of test",
        "Least certain photos of test",
        "Most wrong photos of validation",
        "Least certain photos of validation",
    ]
    (first, *_) = gallery(found, "Photos that look mislabelled").groups
    assert first.pictures[0].words == "labelled beagle, looks like pug (train, score 0.95)"
    assert first.pictures[0].photo.jpeg == jpeg()
    (pair, _) = gallery(found, "Near-duplicates across splits").groups
    assert [one.photo.split for one in pair.pictures] == ["train", "test"]
    wrong = gallery(found, "Most wrong photos of test").groups
    assert [group.pictures[0].words for group in wrong] == [
        "beagle, taken for pug (89 %)",
        "beagle, taken for pug (88 %)",
    ]
    unsure = gallery(found, "Least certain photos of test").groups
    assert unsure[0].pictures[0].words == "beagle, predicted rightly (86 %)"
    assert [table.title for table in found.tables] == [
        "Photos that look mislabelled, as a table",
        "Near-duplicates across splits, as a table",
    ]


def test_the_confused_pairs_are_shown_the_largest_first_and_cells_of_the_matrix_lead_to_them(tmp_path: Path) -> None:
    found = section(tmp_path, "result", *some())
    groups = gallery(found, "Photos of confused pairs of test").groups
    assert [(group.id, len(group.pictures)) for group in groups] == [("pair-0-1", 2), ("pair-1-0", 1)]
    assert groups[0].heading == "beagle taken for pug: 2 of 8 photos"
    matrix = next(chart for chart in found.charts if chart.id == "matrix")
    assert set(matrix.links) == {(1, 0, "pair-0-1"), (0, 1, "pair-1-0")}  # x is the predicted class
    assert "A click or Enter on a cell leads to its photos; cells with photos: 2." in matrix.sentence


def test_the_json_file_lists_the_photos_without_thumbnails(tmp_path: Path) -> None:
    written = write(write_records(tmp_path, records(*some())))
    text = written.facts.read_text()
    photos = json.loads(text)["photos"]
    assert photos["suspects"]["photos"][0] == {
        "photo": {"path": "training/train/beagle/000.jpg", "split": "train", "label": "beagle"},
        "suggestion": "pug",
        "score": 0.95,
    }
    assert photos["duplicates"]["pairs"][0]["second"]["split"] == "test"
    assert {tuple(one["reasons"]) for one in photos["answers"]} >= {("wrong", "confused"), ("uncertain",)}
    assert '"jpeg"' not in text and "galleries" not in text
    page = written.page.read_text()
    assert page.count("data:image/jpeg;base64,") == page.count("<img ") > 10


def test_what_was_not_judged_is_said(tmp_path: Path) -> None:
    none = section(tmp_path / "a", "photos")
    assert none.galleries == () and "The records hold no photos" in none.missing[0]
    few = section(tmp_path / "b", "photos", mislabelled([], judged=0))
    assert few.missing == ("No label was judged: at least two classes with five photos each are needed.",)
    part = section(tmp_path / "c", "photos", mislabelled([], judged=1000, of=5000))
    assert part.missing[0].startswith("The labels of 1,000 of 5,000 photos were judged")
    alike = section(tmp_path / "d", "photos", near_duplicates([], count=39_000))
    assert "39,000 of 40,000 pairs of photos have a cosine above 0.95" in alike.missing[0]


MARKUP = '"><script>alert(1)</script>'


def test_names_of_photos_and_classes_that_are_markup_stay_text(tmp_path: Path) -> None:
    bad = photo(1, "train", MARKUP, suggestion=MARKUP, score=0.9) | {"path": f"training/{MARKUP}.jpg"}
    wrong = answer(1, "test", MARKUP, "pug", "wrong", "confused")
    shown = [mislabelled([bad]), thumbnails("test", [wrong])]
    names = (MARKUP, *CLASSES[1:])
    folder = write_records(tmp_path, [job(classes=names), *judged("test", MATRIX, names), *shown, done()])
    text = write(folder).page.read_text()
    without = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "<script>" not in without and html.unescape(without).count(MARKUP) > 5


@pytest.mark.parametrize(
    "jpeg",
    [
        'x" onerror="alert(1)',
        "data:text/html,hello",
        "PHN2Zz4=",  # an SVG
        "/9j/" + "A" * 20_000,
        3,
        None,
    ],
)
def test_a_thumbnail_that_is_not_a_small_jpeg_is_not_shown(tmp_path: Path, jpeg: object) -> None:
    bad = photo(1, "train", "pug", suggestion="beagle", score=0.9) | {"jpeg": jpeg}
    text = write(write_records(tmp_path, records(mislabelled([bad])))).page.read_text()
    assert "no thumbnail" in text and "<img" not in text


def test_the_page_stays_small_whatever_number_of_photos_the_records_hold(tmp_path: Path) -> None:
    large = "/9j/" + "A" * 9_000
    suspects = [photo(n, "train", "pug", suggestion="beagle", score=0.9) | {"jpeg": large} for n in range(3000)]
    answers = [answer(n, "test", "pug", "beagle", "wrong", "confused", jpeg=large) for n in range(3000)]
    found = make(write_records(tmp_path, records(mislabelled(suspects), thumbnails("test", answers))))
    written = write(tmp_path)
    assert len(written.page.read_text()) < 8_000_000
    assert found.photos.suspects and len(found.photos.suspects.photos) == 400


@pytest.mark.parametrize(
    "damaged",
    [
        {"kind": "mislabelled", "photos": []},
        {"kind": "near_duplicates", "pairs": "none"},
        {"kind": "thumbnails", "photos": []},
    ],
)
def test_a_record_without_what_it_must_hold_is_named_and_left_out(tmp_path: Path, damaged: dict[str, object]) -> None:
    folder = write_records(tmp_path, [*healthy(), {"version": 1, **damaged}])
    run = read_records(folder / "output" / "data" / "records.jsonl")
    assert run.missing == (f"1 records of kind {damaged['kind']} lack required members and were left out.",)


def test_photos_without_a_path_or_a_number_are_left_out_of_their_list(tmp_path: Path) -> None:
    shown = photo(1, "train", "pug", suggestion="beagle", score=0.9)
    held = [shown, {**shown, "path": ""}, {**shown, "score": "high"}, 7, None]
    found = section(tmp_path, "photos", record("mislabelled", photos=held, judged=10, count=1, of=10))
    assert len(gallery(found, "Photos that look mislabelled").groups) == 1


def test_calibration_is_a_chart_of_the_bins_that_hold_photos(tmp_path: Path) -> None:
    held = judged("test", MATRIX)
    held[0]["calibration"] = {
        "count": [0] * 12 + [10, 0, 80],
        "hits": [0] * 12 + [9, 0, 80],
        "confidence": [None] * 12 + [0.83, None, 0.99],
    }
    sections = make(write_records(tmp_path, [job(), *held, done()])).sections
    chart = next(chart for chart in sections[0].charts if chart.id == "calibration")
    assert chart.x == ("80 to 87", "93 to 100")
    right, sure = chart.lines
    assert right.values == (90, 100) and sure.values == (83, 99)
    assert right.low[0] is not None and right.high[0] is not None and right.low[0] < 60 < 98 < right.high[0]
    assert "classes is 97.2 %" in chart.sentence and "98.9 % of these predictions are right" in chart.sentence


@pytest.mark.parametrize("held", [{}, {"count": [1], "hits": [2], "confidence": [0.5]}, {"count": [1, 2], "hits": [1]}])
def test_bins_that_do_not_fit_together_are_left_out(tmp_path: Path, held: dict[str, object]) -> None:
    result = judged("test", MATRIX)
    result[0]["calibration"] = held
    sections = make(write_records(tmp_path, [job(), *result, done()])).sections
    assert all(chart.id != "calibration" for chart in sections[0].charts)


@needs_torch
def test_a_real_run_shows_its_photos_and_its_calibration(trained: Run, tmp_path: Path) -> None:
    report = write(trained.base, tmp_path / "page.html").report
    titles = [one.title for held in report.sections for one in held.galleries]
    assert "Least certain photos of test" in titles and "Near-duplicates across splits" in titles
    assert any(chart.id == "calibration" for chart in report.sections[0].charts)
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    assert report.missing == ()

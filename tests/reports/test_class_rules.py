"""Rules on classes, each with records that must trigger it and records that must not, including AWS's published test vectors."""

from pathlib import Path

import pytest

from reports.report import read
from reports.rules.classes import pairs
from reports.rules.intervals import wilson
from reports.rules.thresholds import OURS, SAGEMAKER, Thresholds
from tests.reports.made import job, judged, verdict, write

TEN = tuple(f"class {number}" for number in range(10))


def matrix(folder: Path, rows: list[list[int]], classes: tuple[str, ...]) -> Path:
    return write(folder, [job(classes=classes), *judged("test", rows, classes)])


def identity(photos: int = 1) -> list[list[int]]:
    return [[photos * (row == column) for column in range(10)] for row in range(10)]


def test_the_published_identity_is_quiet_and_one_of_ten_wrong_fires(tmp_path: Path) -> None:
    assert verdict("Confusion", matrix(tmp_path / "right", identity(), TEN), SAGEMAKER).state == "quiet"
    wrong = identity()
    wrong[9] = [1] + [0] * 9
    found = verdict("Confusion", matrix(tmp_path / "wrong", wrong, TEN), SAGEMAKER)
    assert found.state == "triggered" and "'class 0' (1 of 2 right)" in found.sentence


def test_one_confused_photo_is_not_a_finding_of_our_rule(tmp_path: Path) -> None:
    wrong = identity()
    wrong[9] = [1] + [0] * 9
    assert verdict("Confusion", matrix(tmp_path, wrong, TEN)).state == "quiet"


def test_a_pair_is_found_when_its_whole_interval_is_high(tmp_path: Path) -> None:
    rows = identity(40)
    rows[3][3], rows[3][7] = 20, 20  # 20 of 40 photos; the interval is 35 to 65 %
    rows[4][4], rows[4][5] = 36, 4  # 4 of 40 photos; the interval is 4 to 23 %
    found = verdict("Confusion", matrix(tmp_path, rows, TEN))
    assert (found.state, found.episodes) == ("triggered", 1)
    assert "20 of 40 photos of 'class 3' are taken for 'class 7' (95 % interval 35 to 65 %)" in found.sentence


def test_a_hundred_and_twenty_classes_with_usual_mistakes_fire_for_sagemaker_only(tmp_path: Path) -> None:
    names = tuple(f"breed {number}" for number in range(120))
    rows = [[0] * 120 for _ in names]
    for place, row in enumerate(rows):
        row[place], row[(place + 1) % 120], row[(place + 7) % 120] = 8, 1, 1
    folder = matrix(tmp_path, rows, names)
    assert verdict("Confusion", folder).state == "quiet"
    assert verdict("Confusion", folder, SAGEMAKER).state == "triggered"


def test_pairs_come_with_the_surest_first(tmp_path: Path) -> None:
    rows = [[10, 10, 0], [3, 0, 0], [0, 1, 99]]
    run = read(write(tmp_path, [job(), *judged("test", rows)]))[0].run
    assert run is not None
    found = pairs(run, run.splits[0])
    assert [(pair.truth, pair.prediction, pair.photos, pair.of) for pair in found] == [
        ("pug", "beagle", 3, 3),
        ("beagle", "pug", 10, 20),
        ("whippet", "pug", 1, 100),
    ]


@pytest.mark.parametrize("limits", [OURS, SAGEMAKER], ids=["ours", "sagemaker"])
def test_the_published_990_to_10_fires_and_equal_classes_do_not(tmp_path: Path, limits: Thresholds) -> None:
    unequal = matrix(tmp_path / "unequal", [[990, 0], [0, 10]], ("many", "few"))
    found = verdict("ClassImbalance", unequal, limits)
    assert found.state == "triggered" and "99 times as many" in found.sentence
    assert (
        verdict("ClassImbalance", matrix(tmp_path / "equal", [[500, 0], [0, 500]], ("a", "b")), limits).state == "quiet"
    )


def test_a_class_that_is_mostly_missed_is_found_by_its_interval(tmp_path: Path) -> None:
    found = verdict("ClassImbalance", matrix(tmp_path / "many", [[40, 0], [38, 2]], ("seen", "missed")))
    assert found.state == "triggered" and "'missed' (2 of 40 right)" in found.sentence
    assert "--set class-weights=balanced" in found.advice
    few = verdict("ClassImbalance", matrix(tmp_path / "few", [[44, 0], [6, 2]], ("seen", "missed")))
    assert few.state == "quiet"  # the interval of 6 wrong photos of 8 begins at 41 %


def test_few_photos_are_not_judged_and_counted(tmp_path: Path) -> None:
    folder = matrix(tmp_path, [[99, 0], [0, 1]], ("a", "b"))
    assert verdict("ClassImbalance", folder).state == "triggered"
    found = verdict("ClassImbalance", folder, SAGEMAKER)
    assert (found.state, found.points) == ("not judged", 100)


def test_without_a_matrix_nothing_is_judged(tmp_path: Path) -> None:
    folder = write(tmp_path, [job()])
    for rule in ("Confusion", "ClassImbalance"):
        assert verdict(rule, folder).sentence == "No confusion matrix was recorded."


def test_test_photos_are_judged_before_those_of_validation(tmp_path: Path) -> None:
    good, bad = [[20, 0, 0], [0, 20, 0], [0, 0, 20]], [[0, 20, 0], [0, 20, 0], [0, 0, 20]]
    found = verdict("Confusion", write(tmp_path, [job(), *judged("validation", good), *judged("test", bad)]))
    assert found.state == "triggered" and found.sentence.startswith("test:")


def test_intervals_are_those_that_training_records() -> None:
    # Wilson's interval of 109 of 126, as in a result record of the demo.
    assert wilson(109, 126) == pytest.approx((0.79453, 0.91403), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(9, 9)[1] == pytest.approx(1) and wilson(0, 9)[0] == pytest.approx(0)

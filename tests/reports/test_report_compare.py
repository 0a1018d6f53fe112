"""Two runs side by side: which is better and how sure that is, both curves in one chart, and what differs."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import DataError
from reports.comparison import compare
from reports.page.document import Report
from reports.rules.intervals import difference
from tests.conftest import byoc
from tests.reports.browsing import DESKTOP, Visit, chromium, needs_chromium
from tests.reports.made import Record, course, done, job, judged, metrics, record, write

LOSSES = [2.0, 1.0, 0.6, 0.4, 0.3]
GOOD, POOR = [[95, 5], [5, 95]], [[70, 30], [30, 70]]
NAMES = ("beagle", "pug")


def run(folder: Path, matrix: list[list[int]], losses: list[float] = LOSSES, **values: Any) -> Path:
    first = job(classes=NAMES, **values)
    return write(folder, [first, *course(losses, losses), *judged("test", matrix, NAMES), done()])


def settings(**changed: float) -> dict[str, Any]:
    held: dict[str, Any] = job()["hyperparameters"]
    return {"hyperparameters": held | {name.replace("_", "-"): value for name, value in changed.items()}}


def compared(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> Report:
    return compare(run(folder / "one", **{"matrix": POOR} | first), run(folder / "two", **{"matrix": GOOD} | second))


def tables(report: Report) -> dict[str, Any]:
    return {table.title: table for section in report.sections for table in section.tables}


def verdict(report: Report) -> tuple[str, str]:
    (one,) = report.judged
    return one.ours.state, one.ours.sentence


def test_the_interval_of_a_difference_is_the_published_one() -> None:
    # Newcombe 1998, table II, example a: 56 of 70 against 48 of 80, method 10.
    low, high = difference((48, 80), (56, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference((56, 70), (48, 80)) == pytest.approx((-high, -low))
    assert difference((0, 0), (0, 0)) == (-1, 1)


def test_a_run_that_is_surely_better_is_named(tmp_path: Path) -> None:
    report = compared(tmp_path, {}, settings(lr=0.1))
    assert report.headline.startswith("On test two is better by 25.0 points (95 % interval of the difference +17")
    assert report.title == "one against two"


def test_a_difference_that_may_be_chance_is_reported_as_undecided(tmp_path: Path) -> None:
    report = compared(tmp_path, {"matrix": [[93, 7], [6, 94]]}, settings(lr=0.1))
    assert report.headline.startswith("On test the difference between the two is not certain: 1.5 points")


def test_one_chart_holds_the_curves_of_both(tmp_path: Path) -> None:
    report = compared(tmp_path, {}, {"losses": [1.9, 0.9, 0.5], **settings(lr=0.1)})
    charts = {chart.id: chart for section in report.sections for chart in section.charts}
    loss = charts["loss"]
    assert [line.name for line in loss.lines] == [
        "one: training",
        "one: validation",
        "two: training",
        "two: validation",
    ]
    assert loss.x == ("head 1", "head 2", "head 3", "head 4", "head 5")
    assert loss.lines[2].values == (1.9, 0.9, 0.5, None, None)
    steps = charts["steps"]
    assert [len(line.values) for line in steps.lines] == [50, 50]
    assert steps.lines[1].values[29] is not None and steps.lines[1].values[30] is None


def test_what_differs_is_listed_and_what_does_not_is_counted(tmp_path: Path) -> None:
    photos = {"photos": {"train": 600, "test": 200}, "libraries": {"torch": "2.14.0"}}
    found = tables(compared(tmp_path, {}, settings(lr=0.1) | photos))
    assert found["Hyperparameters that differ"].rows == (("lr", "0.01", "0.1"),)
    assert ("photos of train", "300", "600") in found["Data that differ"].rows
    assert found["Versions that differ"].rows == (("torch", "2.13.0", "2.14.0"),)
    assert found["Parts of the jobs"].rows[0] == ("features", 6.0, 6.0, 0.0)


def test_classes_that_changed_most_come_first(tmp_path: Path) -> None:
    rows = tables(compared(tmp_path, {"matrix": [[90, 10], [60, 40]]}, settings(lr=0.1)))[
        "Classes that changed most"
    ].rows
    assert [row[0] for row in rows] == ["pug", "beagle"] and rows[0][-1] == pytest.approx(0.55)


def test_findings_of_both_runs_are_side_by_side(tmp_path: Path) -> None:
    stuck = [2.0, 1.999, 1.998, 1.997, 1.996]
    rows = tables(compared(tmp_path, {"losses": stuck}, settings(lr=0.1)))[
        "Rules that find something in one of the runs"
    ].rows
    (row,) = (row for row in rows if row[0] == "LossNotDecreasing")
    assert row[2].startswith("triggered: head") and row[3].startswith("quiet: head")


@pytest.mark.parametrize(
    ("second", "state", "said"),
    [
        (settings(lr=0.1), "triggered", "although the runs differ in lr"),
        ({"losses": [1.5, 1.4, 0.6, 0.4, 0.3]}, "triggered", "classes and versions are the same"),
        ({"losses": [1.5, 1.4, 0.6, 0.4, 0.3], **settings(lr=0.1)}, "quiet", "They differ in lr"),
        ({}, "quiet", "Their settings and versions are the same"),
        ({"losses": [2.0005, 1.0, 0.6, 0.4, 0.3]}, "quiet", "0.025 %"),
    ],
)
def test_runs_that_should_differ_and_do_not_are_found(
    tmp_path: Path, second: dict[str, Any], state: str, said: str
) -> None:
    found = verdict(compared(tmp_path, {"matrix": GOOD}, second))
    assert found[0] == state and said in found[1], found


def test_a_search_is_compared_by_its_best_trial(tmp_path: Path) -> None:
    trials: list[Record] = [
        record(
            "trial",
            number=number,
            hyperparameters={"lr": lr},
            validation_accuracy=accuracy,
            validation_loss=1.0,
            seconds=1,
        )
        for number, lr, accuracy in ((1, 0.5, 0.6), (2, 0.05, 0.8), (3, 0.005, 0.7))
    ]
    search = write(
        tmp_path / "search",
        [job(classes=NAMES), *trials, *course(LOSSES, LOSSES), *judged("test", GOOD, NAMES), done()],
    )
    report = compare(run(tmp_path / "one", POOR), search)
    assert tables(report)["Hyperparameters that differ"].rows == (("lr", "0.01", "0.05"),)
    assert ("search, trials", "3; the best trial is compared") in report.sections[0].facts


def test_a_tuning_run_is_compared_by_its_best_trial(tmp_path: Path) -> None:
    run(tmp_path / "tuned" / "002", GOOD)
    best = {
        "trial": 2,
        "hyperparameters": {"lr": "0.05"},
        "validation_accuracy": 0.8,
        "validation_loss": 1.0,
        "seconds": 1,
    }
    (tmp_path / "tuned" / "tuning.json").write_text(
        json.dumps([best, {**best, "trial": 1, "validation_accuracy": 0.5}])
    )
    report = compare(run(tmp_path / "one", POOR), tmp_path / "tuned")
    assert "On test tuned is better by 25.0 points" in report.headline
    assert tables(report)["Hyperparameters that differ"].rows == (("lr", "0.01", "0.05"),)


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    report = compare(run(tmp_path / "a" / "job", POOR), run(tmp_path / "b" / "job", GOOD))
    assert report.title == "a/job against b/job"


def test_runs_without_a_result_or_epochs_say_so(tmp_path: Path) -> None:
    report = compare(write(tmp_path / "one", [job()]), write(tmp_path / "two", [done()]))
    assert report.headline == "The two runs were not judged on a split of the same name."
    assert verdict(report)[0] == "not judged"
    assert any(sentence.startswith("one: No epoch was recorded") for sentence in report.missing)
    assert [section.id for section in report.sections if section.missing] == ["result", "learning", "each", "differs"]


def test_profiler_output_alone_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two runs are compared by their records"):
        compare(run(tmp_path / "one", GOOD), metrics(tmp_path / "two", [90.0] * 30, [10.0] * 30))


def test_the_command_writes_the_comparison_into_the_second_run(tmp_path: Path) -> None:
    first, second = run(tmp_path / "one", POOR), run(tmp_path / "two", GOOD, **settings(lr=0.1))
    ran = byoc("report", first, second)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("On test two is better by 25.0 points")
    assert f"page: {second}/compare.html\nfacts: {second}/compare.json\n" in ran.stdout
    assert byoc("report", first, second).stdout == ran.stdout  # the comparison is not taken for a record


@needs_chromium
def test_the_page_on_two_runs_draws_and_complains_of_nothing(tmp_path: Path) -> None:
    first, second = run(tmp_path / "<b>one", POOR), run(tmp_path / "two", GOOD, **settings(lr=0.1))
    assert byoc("report", first, second).returncode == 0
    with chromium() as browser:
        visit = Visit(browser, second / "compare.html", DESKTOP)
        assert visit.draw_all() == ["accuracy", "loss", "accuracies", "steps"]
        assert visit.complaints == []
        assert visit.texts("h1") == ["<b>one against two"]
    facts = json.loads((second / "compare.json").read_text())
    assert [section["id"] for section in facts["sections"]] == ["result", "learning", "each", "differs", "time"]
    assert dataclasses.asdict(compare(first, second)).keys() | {"format"} == facts.keys()

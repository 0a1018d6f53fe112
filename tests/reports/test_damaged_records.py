"""Records that are damaged, doubled, out of order or impossible: the report says so, and shows no number that cannot be right."""

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.comparison import compare
from reports.page.render import html, json_text
from reports.report import make, read
from tests.reports.made import Record, done, epoch, healthy, job, judged, metric, record, write

BYOC = Path(sys.executable).parent / "byoc"
BROKEN: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    float("nan"),
    10**400,
    -5.5,
    "x",
    "",
    [],
    {},
    [[]],
    {"a": 1},
    "\ud800",
    3.7,
)


def steps(first: int, seconds: list[Any], **values: Any) -> Record:
    numbers = list(range(first, first + len(seconds)))
    return record("steps", stage="head", epoch=1, step=numbers, seconds=seconds, **values)


def machine(folder: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write the records of a run, and beside them those of its machine."""
    write(folder, healthy())
    values = {"host": "algo-1", "memory_limit_bytes": 1000, **columns}
    text = json.dumps(record("system", **values)) + "\n"
    (folder / "output" / "data" / "system-algo-1.jsonl").write_text(text)
    return folder


def times(count: int, apart: float = 0.5) -> list[float]:
    return [1_700_000_000 + apart * place for place in range(count)]


def spoil(value: Any, dice: random.Random) -> None:
    """Replace one member of a record, at any depth, with another value."""
    while isinstance(value, dict | list) and value:
        key = dice.choice(list(value)) if isinstance(value, dict) else dice.randrange(len(value))
        if not (isinstance(value[key], dict | list) and value[key] and dice.random() < 0.75):
            value[key] = dice.choice(BROKEN)
            return
        value = value[key]


def test_records_of_which_any_members_are_replaced_give_a_report_with_possible_shares(tmp_path: Path) -> None:
    dice = random.Random(1)
    held = [*healthy(), steps(1, [0.1] * 5, wait=[0.05] * 5)]
    for number in range(60):
        records = json.loads(json.dumps(held))
        for one in dice.choices(records, k=3):
            spoil(one, dice)
        made = make(write(tmp_path / str(number), records))
        html(made)
        facts = json.loads(json_text(made))
        for section in facts["sections"]:
            for table in section["tables"] + [chart["table"] for chart in section["charts"]]:
                places = [place for place, column in enumerate(table["columns"]) if column["form"] == "percent"]
                shares = [row[place] for row in table["rows"] for place in places if row[place] is not None]
                assert all(0 <= share <= 1 for share in shares), table["title"]


@pytest.mark.parametrize("broken", ["x", 10**400, True, None, -1, 1e308, [1]], ids=repr)
def test_one_damaged_number_affects_no_other_number_of_its_column(tmp_path: Path, broken: Any) -> None:
    run = read(write(tmp_path, [job(), steps(1, [0.25, broken, 0.5])]))[0].run
    assert run is not None
    seconds = run.measured.steps[0].seconds
    assert (seconds[0], np.isnan(seconds[1]) or broken is True, seconds[2]) == (0.25, True, 0.5)


def test_steps_that_come_again_count_once_and_in_their_order(tmp_path: Path) -> None:
    records = [job(), steps(4, [0.4, 0.5, 0.6]), steps(1, [0.1, 0.2, 0.3, 0.9])]
    run = read(write(tmp_path, records))[0].run
    assert run is not None
    (held,) = run.measured.steps
    assert held.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert held.seconds.tolist() == [0.1, 0.2, 0.3, 0.9, 0.5, 0.6]


def test_a_file_that_holds_its_lines_twice_is_read_once_and_says_so(tmp_path: Path) -> None:
    batches = record("batches", stage="features", split="train", photos=[8], read=[1], move=[1], forward=[1])
    folder = write(tmp_path, [*healthy(), batches, batches])
    run = read(folder)[0].run
    assert run is not None and run.measured.passes[0].photos == 8
    assert any("1 line repeats an earlier one; each counts once." in sentence for sentence in run.missing)


@pytest.mark.parametrize("broken", [10**400, "1e400", "nan", [10**400], {"a": 1}], ids=lambda value: repr(value)[:9])
def test_a_setting_of_any_size_gives_a_report_and_a_comparison(tmp_path: Path, broken: Any) -> None:
    trials = [
        record("trial", number=number, hyperparameters={"lr": broken if number == 2 else 0.1}, validation_accuracy=0.5)
        for number in range(1, 12)
    ]
    (first, *others) = healthy()
    first["hyperparameters"] |= {"lr": broken, "batch-size": broken, "epochs": broken}
    folder = write(tmp_path / "one", [first, *trials, *others])
    tuned = [{"trial": 1, "hyperparameters": {"lr": broken, "epochs": 3}, "validation_accuracy": 0.5}]
    (write(tmp_path / "other", healthy()) / "tuning.json").write_text(json.dumps(tuned))
    for report in (make(folder), make(tmp_path / "other"), compare(folder, tmp_path / "other")):
        assert html(report) and json_text(report)


def test_a_trial_that_is_recorded_again_counts_once(tmp_path: Path) -> None:
    trials = [
        record("trial", number=number, hyperparameters={}, validation_accuracy=accuracy)
        for number, accuracy in ((2, 0.5), (1, 0.6), (2, 0.7))
    ]
    run = read(write(tmp_path, [job(), *trials]))[0].run
    assert run is not None and [(one.number, one.accuracy) for one in run.trials] == [(1, 0.6), (2, 0.7)]


def test_a_result_that_contradicts_its_confusion_matrix_is_named(tmp_path: Path) -> None:
    records = judged("test", [[40, 0, 0], [0, 40, 0], [0, 0, 40]])
    assert read(write(tmp_path / "whole", [job(), *records]))[0].run is not None
    assert not any("contradict" in sentence for sentence in make(tmp_path / "whole").missing)
    records[0]["accuracy"] = 0.8
    (said,) = [one for one in make(write(tmp_path / "other", [job(), *records])).missing if "contradict" in one]
    assert "accuracy of 80.0 % of 120 photos, its confusion matrix 100.0 % of 120" in said


def test_an_accuracy_that_is_no_share_is_left_out_and_named(tmp_path: Path) -> None:
    records = judged("test", [[40, 0, 0], [0, 40, 0], [0, 0, 40]])
    records[0]["accuracy"] = 7.5
    report = make(write(tmp_path, [job(), *records]))
    assert "1 records of kind result lack required members and were left out." in report.missing
    assert "7.5" not in json_text(report) and "750.0 %" not in html(report)


def test_parts_that_take_longer_than_the_whole_are_named_and_still_add_up(tmp_path: Path) -> None:
    report = make(write(tmp_path, [job(), done(features=60.0, head=40.0, total=10.0)]))
    assert any("parts of the job took 100 seconds together, but the whole job 10" in one for one in report.missing)
    chart = next(chart for section in report.sections for chart in section.charts if chart.id == "parts")
    assert "60 % or 60 s" in chart.sentence


def test_a_clock_that_was_set_back_is_named(tmp_path: Path) -> None:
    first, second = job(), done()
    second["time"] = first["time"] - 3600
    report = make(write(tmp_path, [first, second]))
    assert any("3,600 seconds older than the record before it" in sentence for sentence in report.missing)
    facts = [name for section in report.sections for name, _ in section.facts]
    assert "Until the last record" not in facts


def test_a_machine_whose_clock_jumps_is_shown_in_order_and_named(tmp_path: Path) -> None:
    jumping = [*times(10), *(moment - 100 for moment in times(10))]
    report = make(machine(tmp_path / "back", {"times": jumping, "cpu0": [50.0] * 20}))
    assert any("the clock was set back by 104 seconds" in sentence for sentence in report.missing)
    jumping = [*(moment - 7200 for moment in times(10)), *times(10)]
    report = make(machine(tmp_path / "gap", {"times": jumping, "cpu0": [50.0] * 20}))
    assert any("has a gap of 2.0 hours" in sentence for sentence in report.missing)


def test_a_use_that_is_impossible_is_left_out_and_named(tmp_path: Path) -> None:
    columns = {"times": times(4), "cpu0": [50, 1e9, 50, -3], "memory_bytes": [500, 500, 1e30, 500]}
    evidence, missing = read(machine(tmp_path, columns))
    assert evidence.profile is not None
    assert {row.resource: row.maximum for row in evidence.profile.usage} == {"CPU": 50, "CPU memory": 50}
    assert any("2 values above 200 % are impossible, and were left out." in sentence for sentence in missing)


def test_an_impossible_point_of_the_profiler_is_left_out_and_named(tmp_path: Path) -> None:
    points = [metric("cpu", "cpu0", "CPUUtilization", value, 1 + place) for place, value in enumerate((50, 1e9, -4))]
    (tmp_path / "points.json").write_text("\n".join(map(json.dumps, points)))
    evidence, missing = read(tmp_path)
    assert evidence.profile is not None and evidence.profile.usage[0].maximum == 50
    assert any("2 points are of an unknown kind, or hold an impossible number" in one for one in missing)


def test_an_empty_file_of_a_machine_is_named(tmp_path: Path) -> None:
    folder = machine(tmp_path, {"times": times(3), "cpu0": [1, 2, 3]})
    (folder / "output" / "data" / "system-algo-1.jsonl").write_text("")
    assert any("system-algo-1.jsonl holds no record of the machine." in sentence for sentence in make(folder).missing)


def test_points_of_a_short_job_that_lie_close_together_stay_apart(tmp_path: Path) -> None:
    columns = {"times": times(50, 0.1), "cpu0": list(range(50)), "cpu1": list(range(50))}
    report = make(machine(tmp_path, columns))
    time = next(section for section in report.sections if section.id == "time")
    chart = next(chart for chart in time.charts if chart.id.startswith("line-"))
    assert chart.sentence.startswith("Over 4.9 s: mean of 2 devices: median 24.5 %")
    assert "Profiler output" not in [name for section in report.sections for name, _ in section.facts]
    assert next(row[-1] for table in time.tables for row in table.rows if row[1] == "CPU") == 50


def test_records_that_hold_commands_to_a_terminal_print_none_of_them(tmp_path: Path) -> None:
    red = "\x1b[31mred\a"
    names = [red, f"{red} 2", "pug"]
    losses = [epoch(number, 0.5 - number / 40, 0.5 + number / 10, stage=red) for number in range(1, 9)]
    records = [job(classes=names), *losses, *judged("test", [[1, 39, 0], [39, 1, 0], [0, 0, 40]], names)]
    folder = write(tmp_path, [*records, {"kind": red, "version": red, "time": 1}])
    said = subprocess.run([BYOC, "report", folder], capture_output=True, text=True, check=True).stdout
    assert "\\x1b[31mred" in said and said.count("\n") > 3
    assert [letter for letter in said if not letter.isprintable() and letter != "\n"] == []

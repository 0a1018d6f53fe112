"""Reading the output of SageMaker's profiler: files made by these tests, and real files."""

import gzip
import json
from pathlib import Path

import pytest

from reports.report import make
from reports.sources.profiler import read_profile
from reports.sources.traces import spans
from tests.reports.made import metrics, trace
from tests.reports.real import REAL, REPORTS, needs_real

TRACES = sorted((REAL / "traces").iterdir()) if REAL.is_dir() else []


def test_system_metrics_become_series_of_each_device(tmp_path: Path) -> None:
    profile = read_profile(metrics(tmp_path, [10, 20, 30], [40, 50, 60]))
    assert profile is not None
    held = {(one.device, one.measure): list(one.values) for one in profile.series}
    assert held["gpu0", "gpu"] == [10, 20, 30] and held["cpu0", "cpu"] == [40, 50, 60]
    assert held["network", "receive"] == [1e6] * 3  # the platform's points alone, because they include the algorithm's
    rows = {row.resource: row for row in profile.usage}
    assert rows["CPU"].p50 == (50 + 5) / 2 and rows["GPU gpu0"].maximum == 30


def test_compressed_metrics_are_read_like_plain_ones(tmp_path: Path) -> None:
    plain = read_profile(metrics(tmp_path / "plain", [10, 20], [40, 50]))
    (path,) = (tmp_path / "plain").rglob("*.json")
    packed = tmp_path / "packed" / f"{path.name}.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    read = read_profile(packed.parent)
    assert plain is not None and read is not None and read.usage == plain.usage


def test_damaged_metrics_give_the_lines_that_are_whole(tmp_path: Path) -> None:
    metrics(tmp_path, [10, 20], [40, 50])
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:-30])
    profile = read_profile(tmp_path)
    assert profile is not None and len(profile.series) > 4
    assert any("1 of 16 lines are damaged" in sentence for sentence in profile.missing)


def test_files_of_jobs_that_are_days_apart_are_named_and_nothing_is_drawn_between_them(tmp_path: Path) -> None:
    metrics(tmp_path, [10, 20, 30, 40], [40, 50, 60, 70])
    (path,) = tmp_path.rglob("*.json")
    later = path.read_text().replace('"Timestamp": 17', '"Timestamp": 18')
    (tmp_path / "later.json").write_text("\n".join(line for line in later.splitlines() if "GPUUtilization" in line))
    report = make(tmp_path)
    assert any("have a gap of 27,777.8 hours" in sentence for sentence in report.missing)
    charts = [chart for section in report.sections for chart in section.charts]
    (memory,) = [chart for chart in charts if chart.title == "algo-1: Memory in use"]
    assert memory.lines[0].values == (30.0,) * 4
    (gpu,) = [chart for chart in charts if chart.title == "algo-1: GPU use"]
    assert gpu.lines[0].values == (10, 20, 30, 40) * 2


def test_a_device_without_a_point_has_no_value_made_up(tmp_path: Path) -> None:
    metrics(tmp_path, [10, 20, 30, 40], [40, 50, 60, 70])
    (path,) = tmp_path.rglob("*.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [one for one in lines if one["Name"] != "cpu1" or one["Timestamp"] < 1_700_000_001]
    path.write_text("\n".join(map(json.dumps, kept)))
    profile = read_profile(tmp_path)
    assert profile is not None
    cpu = next(row for row in profile.usage if row.resource == "CPU")
    # The first moment is (40 + 5) / 2; at the second only cpu0 has a point.
    assert (cpu.minimum, cpu.maximum) == (22.5, 70)


def test_points_of_no_known_kind_are_counted(tmp_path: Path) -> None:
    metrics(tmp_path, [10], [40])
    (path,) = tmp_path.rglob("*.json")
    path.write_text(
        path.read_text() + '{"Type": "moon", "Name": "m", "Dimension": "Phase", "Value": 1, "Timestamp": 1}\n'
    )
    profile = read_profile(tmp_path)
    assert profile is not None and any("1 points are of an unknown kind" in sentence for sentence in profile.missing)


def test_phases_add_up_to_a_hundred_percent_even_where_steps_overlap(tmp_path: Path) -> None:
    events = [
        {"name": "Step:ModeKeys.TRAIN", "pid": 1, "ph": "X", "ts": 0, "dur": 6_000_000},
        {"name": "Step:ModeKeys.EVAL", "pid": 2, "ph": "X", "ts": 4_000_000, "dur": 4_000_000},
        {"name": "Step:ModeKeys.TRAIN", "pid": 1, "ph": "X", "ts": 9_000_000, "dur": 1_000_000},
    ]
    (tmp_path / "timeline.json").write_text(json.dumps(events))
    profile = read_profile(tmp_path)
    assert profile is not None
    assert profile.phases == pytest.approx({"TRAIN": 70, "EVAL": 20, "between steps": 10})


def test_steps_of_a_trace_are_counted_by_node_and_phase(tmp_path: Path) -> None:
    profile = read_profile(trace(tmp_path, [0.5, 0.5, 1.0]))
    assert profile is not None
    (steps,) = profile.steps
    assert (steps.node, steps.phase, steps.count, steps.p50, steps.maximum) == ("algo-1-7", "TRAIN", 3, 0.5, 1.0)
    assert profile.phases == {"TRAIN": 100.0, "between steps": 0.0}


def test_a_trace_that_was_cut_off_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    trace(tmp_path, [0.5] * 5)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:-60])
    profile = read_profile(tmp_path)
    assert profile is not None and len(profile.spans) == 4
    assert any("damaged or cut off: 4 complete events" in sentence for sentence in profile.missing)


def test_begin_and_end_events_are_joined_and_open_ones_left_out() -> None:
    events = [
        {"ph": "B", "name": "outer", "pid": 1, "ts": 0},
        {"ph": "B", "name": "inner", "pid": 1, "ts": 10},
        {"ph": "E", "pid": 1, "ts": 30},
        {"ph": "E", "pid": 1, "ts": 50},
        {"ph": "B", "name": "never ends", "pid": 1, "ts": 60},
        {"ph": "E", "pid": 2, "ts": 70},
    ]
    found, _ = spans(json.dumps({"traceEvents": events}), "a")
    assert {(span.name, round(span.seconds * 1e6)) for span in found} == {("outer", 50), ("inner", 20)}


def test_a_verdict_that_is_not_valid_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "BatchSize.json").write_text('{"RuleTriggered": 1, ')
    profile = read_profile(tmp_path)
    assert profile is not None and profile.verdicts == ()
    assert any("this verdict of SageMaker is missing" in sentence for sentence in profile.missing)


def test_files_of_other_kinds_are_named_and_not_read(tmp_path: Path) -> None:
    metrics(tmp_path, [10], [40])
    (tmp_path / "holiday.json").write_text('{"place": "Rügen"}')
    profile = read_profile(tmp_path)
    assert profile is not None
    assert any(
        sentence == "Not read, because they are not files of the profiler: holiday.json."
        for sentence in profile.missing
    )


@needs_real
@pytest.mark.parametrize("folder", [*REPORTS, *TRACES], ids=lambda path: path.name)
def test_every_real_folder_and_file_gives_a_report_that_says_what_is_missing(folder: Path) -> None:
    report = make(folder)
    assert report.headline and report.missing
    assert {section.id for section in report.sections} == {"result", "photos", "learning", "time", "job"}
    time = next(section for section in report.sections if section.id == "time")
    assert time.charts or time.tables or time.missing


@needs_real
def test_the_damaged_real_file_gives_its_whole_lines() -> None:
    profile = read_profile(REAL / "traces" / "1591160699.algo-1.json.corrupt")
    assert profile is not None and sum(len(one.times) for one in profile.series) == 13
    assert any("1 of 14 lines are damaged" in sentence for sentence in profile.missing)


@needs_real
@pytest.mark.parametrize("folder", REPORTS, ids=lambda path: path.name)
def test_what_sagemaker_said_is_kept_as_it_said_it(folder: Path) -> None:
    profile = read_profile(folder)
    assert profile is not None and len(profile.verdicts) == 11
    for one in profile.verdicts:
        said = json.loads((folder / "profiler-reports" / f"{one.rule}.json").read_text())
        assert (one.triggered, one.violations, one.points) == (
            said["RuleTriggered"],
            said["Violations"],
            said["Datapoints"],
        )


@needs_real
def test_a_negative_share_of_the_time_is_named_and_the_rest_adds_up() -> None:
    profile = read_profile(REAL / "r1")
    assert profile is not None
    assert sum(profile.phases.values()) == pytest.approx(100) and min(profile.phases.values()) >= 0
    assert any("-4.12 %" in sentence for sentence in profile.missing)


@pytest.mark.parametrize("damage", [-3, None, "5", 1e300])
def test_a_histogram_of_gpus_with_a_bin_that_holds_no_count_is_left_out(tmp_path: Path, damage: object) -> None:
    uses = {"gpu0": [900, 30, 70], "gpu1": [880, 40, 80], "gpu2": [30, 900, damage]}
    details = {"RuleTriggered": 0, "Violations": 0, "Details": {"algo-1": {"workloads": uses}}}
    (tmp_path / "LoadBalancing.json").write_text(json.dumps(details))
    report = make(tmp_path)
    (verdict,) = [one.ours.sentence for one in report.judged if one.rule == "LoadBalancing"]
    assert verdict.startswith("Of 2 GPUs, algo-1 gpu0 and algo-1 gpu1 differ most")
    assert report.headline == "The one rule that could be judged finds nothing."

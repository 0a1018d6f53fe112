"""The report's part on training's own records of steps, passes, traces and machines. A damaged record affects no other record."""

import gzip
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from reports.page.document import Chart, Section
from reports.report import make, read
from tests.reports.made import Record, healthy, metrics, record, verdict, write
from tests.reports.measuring import machine, steps


def time_section(folder: Path) -> Section:
    return next(section for section in make(folder).sections if section.id == "time")


def chart(section: Section, title: str) -> Chart:
    return next(one for one in section.charts if one.title == title)


def run(*more: Record) -> list[Record]:
    first, *others = healthy()
    return [first, *more, *others]


def test_the_parts_of_a_stages_steps_add_up_to_100_percent(tmp_path: Path) -> None:
    section = time_section(write(tmp_path, run(steps("head", 1, [0.2] * 10), steps("head", 2, [0.2] * 10))))
    found = chart(section, "Parts of the steps of head")
    assert found.x[:3] == ("waiting for photos", "forward", "backward") and found.x[-1] == "rest"
    assert sum(value or 0 for value in found.lines[0].values) == pytest.approx(100, abs=0.01)
    assert found.sentence.startswith("The 20 steps took 4 s. Most of this time went into forward: 40 % or 1.6 s.")


def test_the_longest_steps_are_named_with_what_took_longest_in_them(tmp_path: Path) -> None:
    slow = steps("finetune", 1, [0.1] * 50 + [2.0], wait=0.9, forward=0.05, backward=0.05, optimizer=0.0)
    section = time_section(write(tmp_path, run(slow)))
    table = next(one for one in section.tables if one.title == "Longest steps")
    assert table.rows[0][:4] == ("finetune", 1, 51, 2.0) and table.rows[0][4] == pytest.approx(20)
    assert table.rows[0][5] == "waiting for photos" and len(table.rows) == 12


def test_steps_that_are_written_again_after_an_interruption_count_once(tmp_path: Path) -> None:
    evidence, _ = read(write(tmp_path, run(steps("head", 1, [0.1] * 4), steps("head", 1, [0.2] * 4))))
    assert evidence.run is not None
    (held,) = evidence.run.measured.steps
    assert held.seconds.tolist() == [0.2] * 4


def test_the_feature_pass_is_shown_by_its_parts(tmp_path: Path) -> None:
    batches = record(
        "batches", stage="features", split="train", photos=[8, 8], read=[0.3, 0.3], move=[0, 0], forward=[0.1, 0.1]
    )
    found = chart(time_section(write(tmp_path, run(batches))), "Parts of the feature pass")
    assert found.sentence.startswith(
        "16 photos in 2 batches took 800 ms, summed over lanes, most of it for reading and decoding: 75 %"
    )


def test_the_operators_of_traced_steps_are_shown_as_their_mean_with_the_names_of_the_traces(tmp_path: Path) -> None:
    def trace(step: int, times: float) -> Record:
        rows = [
            {"name": f"aten::op{place}", "calls": 2, "seconds": times * place, "gpu_seconds": 0} for place in range(30)
        ]
        return record("operators", stage="head", epoch=1, step=step, trace=f"trace-head-{step}.json.gz", operators=rows)

    found = chart(time_section(write(tmp_path, run(trace(3, 0.01), trace(4, 0.02)))), "Operators of head")
    assert found.x[0] == "aten::op29" and len(found.x) == 15 and len(found.table.rows) == 30
    assert found.lines[0].values[0] == pytest.approx(29 * 0.015) and found.table.rows[0][1] == 2
    assert "Traced: step 3, 4." in found.sentence and "trace-head-4.json.gz" in found.sentence


@pytest.mark.parametrize(
    "broken",
    [
        record("steps", stage="head", epoch=1, step=[1, 2], seconds=[0.1]),
        record("steps", stage="head", epoch=1, step=[1], seconds=["a"]),
        record("steps", stage="head", epoch=1, step=[[1]], seconds=[[0.1]]),
        record("steps", epoch=1, step=[1], seconds=[0.1]),
        record("batches", stage="features", split="train", photos=[8], read=[0.1], forward=[0.1]),
        record("operators", stage="head", step=1, operators=[{"calls": 3}, 7]),
        record("inputs", split="train", photos=0, mean=[0.1], std=[1]),
        record("inputs", split="train", photos=5, mean=[0.1], std=[]),
    ],
)
def test_a_record_without_what_it_must_hold_is_named_and_left_out(tmp_path: Path, broken: Record) -> None:
    report = make(write(tmp_path, run(broken)))
    assert f"1 records of kind {broken['kind']} lack required members and were left out." in report.missing


def test_numbers_that_are_not_known_or_far_too_large_are_left_out_of_sums(tmp_path: Path) -> None:
    odd = steps("head", 1, [0.1, 0.1]) | {"wait": [None, 1e300], "seconds": [0.1, None]}
    evidence, _ = read(write(tmp_path, run(odd)))
    assert evidence.run is not None
    (held,) = evidence.run.measured.steps
    assert np.isnan(held.parts["wait"]).all() and np.isnan(held.seconds).tolist() == [False, True]
    chart(time_section(tmp_path), "Parts of the steps of head")


COLUMNS = {
    "cpu0": [50.0] * 600,
    "cpu1": [None] + [70.0] * 599,
    "busiest_core_percent": [70.0] * 600,
    "io_wait_percent": [1.0] * 600,
    "memory_bytes": [4e9] * 600,
    "receive": [None] + [1e6] * 599,
    "gpu0_percent": [95.0] * 600,
    "gpu0_memory_activity_percent": [40.0] * 600,
    "gpu0_memory_bytes": [12e9] * 600,
}


def test_the_machines_of_a_run_are_shown_as_those_of_sagemakers_profiler_are(tmp_path: Path) -> None:
    section = time_section(machine(write(tmp_path, healthy()), COLUMNS))
    titles = {one.title for one in section.charts}
    assert {
        f"algo-1: {name}" for name in ("GPU use", "GPU memory used", "GPU memory activity", "Memory in use")
    } <= titles
    assert {"algo-1: CPU use, mean of the cores", "algo-1: use of the cores", "algo-1: Network received"} <= titles
    assert "median 12 GB" in chart(section, "algo-1: GPU memory used").sentence
    assert "median 50 %" in chart(section, "algo-1: Memory in use").sentence
    sizes = next(one for one in section.tables if one.title == "GPU memory used (bytes)")
    assert sizes.rows[0][:2] == ("algo-1", "GPU memory used gpu0") and section.missing == ()


def test_rules_on_gpus_are_judged_by_our_own_records(tmp_path: Path) -> None:
    busy = machine(write(tmp_path / "busy", healthy()), COLUMNS)
    assert verdict("LowGPUUtilization", busy).state == "quiet"
    starved = COLUMNS | {"gpu0_percent": [3.0] * 600, "busiest_core_percent": [99.0] * 600}
    idle = machine(write(tmp_path / "idle", healthy()), starved)
    assert verdict("LowGPUUtilization", idle).state == "triggered"
    assert verdict("CPUBottleneck", idle).state == "triggered"  # the busiest core decides, although the means are low
    waiting = machine(
        write(tmp_path / "disk", healthy()), COLUMNS | {"gpu0_percent": [3.0] * 600, "io_wait_percent": [80.0] * 600}
    )
    assert verdict("IOBottleneck", waiting).state == "triggered"
    # A GPU whose memory is full has no room for a larger batch, however small its use.
    full = COLUMNS | {"gpu0_percent": [30.0] * 600, "gpu0_memory_bytes": [15.9e9] * 600}
    assert verdict("BatchSize", machine(write(tmp_path / "full", healthy()), full)).state == "quiet"
    free = full | {"gpu0_memory_bytes": [3e9] * 600, "cpu1": [50.0] * 600}
    assert verdict("BatchSize", machine(write(tmp_path / "free", healthy()), free)).state == "triggered"


@pytest.mark.parametrize(
    ("used", "state"),
    [
        ([4e9 + 1e7 * place for place in range(600)], "triggered"),
        ([4e9] * 300 + [12e9] * 300, "quiet"),  # a second stage
        ([4e9] * 600, "quiet"),
        ([4e9 + 1e4 * place for place in range(600)], "quiet"),
        ([4e9] * 10, "not judged"),
    ],
)
def test_gpu_memory_that_grows_all_the_time_is_found_by_the_bytes_in_use(
    tmp_path: Path, used: list[float], state: str
) -> None:
    columns = {name: values[: len(used)] for name, values in COLUMNS.items()} | {"gpu0_memory_bytes": used}
    assert verdict("GPUMemoryIncrease", machine(write(tmp_path, healthy()), columns)).state == state


def test_without_a_gpu_the_rules_on_gpus_say_so(tmp_path: Path) -> None:
    columns = {name: values for name, values in COLUMNS.items() if "gpu" not in name}
    folder = machine(write(tmp_path, healthy()), columns, gpu_memory_limit_bytes=[])
    for rule in ("LowGPUUtilization", "CPUBottleneck", "GPUMemoryIncrease"):
        assert verdict(rule, folder).sentence == "The system metrics hold no data of a GPU."


def test_all_hosts_are_shown_and_a_containers_own_limit_is(tmp_path: Path) -> None:
    folder = write(tmp_path, healthy())
    for host in ("algo-1", "algo-2"):
        machine(folder, COLUMNS | {"cpu_percent": [80.0] * 600}, host=host, cpu_limit_cores=1.5)
    titles = {one.title for one in time_section(folder).charts}
    assert {f"{host}: CPU use, share of the container's limit" for host in ("algo-1", "algo-2")} <= titles


def test_the_points_of_the_first_seconds_weigh_no_more_than_later_ones(tmp_path: Path) -> None:
    times = [1.7e9 + 0.1 * place for place in range(100)] + [1.7e9 + 10 + 0.5 * place for place in range(100)]
    folder = write(tmp_path, healthy())
    machine(folder, {"gpu0_percent": [0.0] * 100 + [90.0] * 100})
    path = folder / "output/data/system-algo-1.jsonl"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"times": times}) + "\n")
    evidence, _ = read(folder)
    assert evidence.profile is not None
    (one,) = evidence.profile.series
    assert len(one.values) == 120 and one.values.tolist() == [0.0] * 20 + [90.0] * 100


def test_sagemakers_own_points_come_first(tmp_path: Path) -> None:
    folder = machine(metrics(write(tmp_path, healthy()), [95] * 60, [40] * 60), COLUMNS)
    evidence, _ = read(folder)
    assert evidence.profile is not None and {one.device for one in evidence.profile.series} >= {"cpu0", "network"}
    assert "gpu_memory_used" not in {one.measure for one in evidence.profile.series}


def test_damaged_lines_and_other_records_affect_no_other_line(tmp_path: Path) -> None:
    folder = machine(write(tmp_path, healthy()), COLUMNS)
    path = folder / "output/data/system-algo-1.jsonl"
    whole = json.loads(path.read_text())
    odd = [whole | {"times": []}, whole | {"version": 2}, {"kind": "other"}, whole | {"cpu0": [1.0], "new": "x"}]
    path.write_text(path.read_text() + "".join(json.dumps(one) + "\n" for one in odd) + '{"kind": "sys')
    evidence, missing = read(folder)
    assert evidence.profile is not None and len(evidence.profile.series) > 5
    assert any("3 records are not of kind system, or hold no times" in sentence for sentence in missing)
    assert any("1 line could not be read" in sentence for sentence in missing)


def test_our_files_are_not_taken_for_damaged_files_of_the_profiler(tmp_path: Path) -> None:
    folder = machine(write(tmp_path, healthy()), COLUMNS)
    trace = {"traceEvents": [{"name": "aten::mm", "ph": "X", "ts": 1, "dur": 5, "pid": 1, "tid": 1}]}
    (folder / "output/data/trace-head-3.json.gz").write_bytes(gzip.compress(json.dumps(trace).encode()))
    evidence, missing = read(folder)
    assert evidence.profile is not None and evidence.profile.spans == () and missing == ()


def test_machines_are_read_from_the_archive_of_a_sagemaker_job(tmp_path: Path) -> None:
    folder = machine(write(tmp_path / "made", healthy()), COLUMNS)
    with tarfile.open(tmp_path / "output.tar.gz", "w:gz") as archive:
        for path in sorted((folder / "output/data").iterdir()):
            archive.add(path, path.name)
    evidence, _ = read(tmp_path / "output.tar.gz")
    assert evidence.profile is not None and {one.host for one in evidence.profile.series} == {"algo-1"}


def test_why_gpus_were_not_measured_is_said(tmp_path: Path) -> None:
    columns = {name: values for name, values in COLUMNS.items() if not name.startswith("gpu")}
    report = make(machine(write(tmp_path, healthy()), columns, gpus_missing="ModuleNotFoundError: nvidia-ml-py"))
    assert any("The use of the GPUs of algo-1 was not recorded: ModuleNotFoundError" in one for one in report.missing)

"""Rules on machines and steps, each with records that must trigger it and records that must not, and AWS's real verdicts."""

import json
import math
from pathlib import Path

import pytest

from reports.report import read
from reports.rules.devices import distance
from reports.rules.snapshots import snapshots
from reports.rules.thresholds import OURS, SAGEMAKER, Thresholds
from reports.sources.profiler import read_profile
from tests.reports.made import course, epoch, job, judge_one, metrics, record, trace, verdict, write
from tests.reports.real import REAL, REPORTS, needs_real

MANY = 1200  # points; SageMaker's rules need fewer to fire
BOTH = pytest.mark.parametrize("limits", [OURS, SAGEMAKER], ids=["ours", "sagemaker"])


@BOTH
def test_an_idle_gpu_is_found_and_a_busy_one_is_not(tmp_path: Path, limits: Thresholds) -> None:
    idle = verdict("LowGPUUtilization", metrics(tmp_path / "idle", [5] * MANY, [50] * MANY), limits)
    assert idle.state == "triggered" and "median 5 %" in idle.sentence
    busy = verdict("LowGPUUtilization", metrics(tmp_path / "busy", [95] * MANY, [50] * MANY), limits)
    assert (busy.state, busy.points) == ("quiet", MANY)


def test_a_gpu_that_was_never_used_is_named_as_such(tmp_path: Path) -> None:
    assert "Nothing was computed" in verdict("LowGPUUtilization", metrics(tmp_path, [0] * 50, [50] * 50)).advice


def test_a_gpu_that_waits_in_between_is_found_by_ours_over_the_whole_run(tmp_path: Path) -> None:
    gpu = [100 if place % 3 == 0 else 0 for place in range(MANY)]
    assert verdict("LowGPUUtilization", metrics(tmp_path, gpu, [50] * MANY)).state == "triggered"


def test_the_start_of_a_run_is_not_judged(tmp_path: Path) -> None:
    assert verdict("LowGPUUtilization", metrics(tmp_path, [0] * 10 + [95] * 100, [50] * 110)).state == "quiet"


@pytest.mark.parametrize("rule", ["LowGPUUtilization", "CPUBottleneck", "IOBottleneck", "BatchSize"])
def test_a_short_job_is_judged_by_ours_and_not_by_sagemakers_patience(tmp_path: Path, rule: str) -> None:
    folder = metrics(tmp_path, [5] * 100, [95] * 100, io=80)
    assert verdict(rule, folder).state != "not judged"
    assert (verdict(rule, folder, SAGEMAKER).state, verdict(rule, folder, SAGEMAKER).points) == ("not judged", 100)


@BOTH
def test_a_full_core_beside_an_idle_gpu_is_a_cpu_bottleneck(tmp_path: Path, limits: Thresholds) -> None:
    starving = metrics(tmp_path / "starving", [5] * MANY, [95] * MANY)
    assert verdict("CPUBottleneck", starving, limits).state == "triggered"
    assert verdict("CPUBottleneck", metrics(tmp_path / "idle", [5] * MANY, [50] * MANY), limits).state == "quiet"
    assert verdict("CPUBottleneck", metrics(tmp_path / "busy", [95] * MANY, [95] * MANY), limits).state == "quiet"


def test_a_third_of_starved_snapshots_is_enough_for_ours_alone(tmp_path: Path) -> None:
    gpu = [5 if place % 3 == 0 else 95 for place in range(MANY)]
    folder = metrics(tmp_path, gpu, [95] * MANY)
    assert verdict("CPUBottleneck", folder).state == "triggered"
    assert verdict("CPUBottleneck", folder, SAGEMAKER).state == "quiet"


@BOTH
def test_waiting_for_the_disk_beside_an_idle_gpu_is_an_io_bottleneck(tmp_path: Path, limits: Thresholds) -> None:
    assert (
        verdict("IOBottleneck", metrics(tmp_path / "slow", [5] * MANY, [20] * MANY, io=80), limits).state == "triggered"
    )
    assert verdict("IOBottleneck", metrics(tmp_path / "fast", [5] * MANY, [20] * MANY, io=2), limits).state == "quiet"


@BOTH
def test_room_on_all_devices_asks_for_a_larger_batch(tmp_path: Path, limits: Thresholds) -> None:
    assert verdict("BatchSize", metrics(tmp_path / "room", [40] * MANY, [30] * MANY), limits).state == "triggered"
    assert verdict("BatchSize", metrics(tmp_path / "gpu", [90] * MANY, [30] * MANY), limits).state == "quiet"
    # The mean of the cores counts: 100 % and 5 % are 52.5 %.
    assert verdict("BatchSize", metrics(tmp_path / "cpu", [40] * MANY, [100] * MANY), limits).state == "triggered"


def test_advice_names_the_batch_of_a_run_of_ours(tmp_path: Path) -> None:
    folder = metrics(write(tmp_path, [job()]), [5] * 100, [20] * 100)
    assert "--set batch-size=128" in verdict("BatchSize", folder).advice
    assert "--set" not in verdict("BatchSize", metrics(tmp_path / "other", [5] * 100, [20] * 100)).advice


@BOTH
def test_hosts_of_unequal_load_are_found_and_equal_ones_are_not(tmp_path: Path, limits: Thresholds) -> None:
    for node, use in (("algo-1", 95), ("algo-2", 15)):
        metrics(tmp_path / "unequal", [use] * MANY, [50] * MANY, node=node)
        metrics(tmp_path / "equal", [90] * MANY, [50] * MANY, node=node)
    found = verdict("LoadBalancing", tmp_path / "unequal", limits)
    assert found.state == "triggered" and "algo-1 gpu0 and algo-2 gpu0" in found.sentence
    assert verdict("LoadBalancing", tmp_path / "equal", limits).state == "quiet"
    assert verdict("LoadBalancing", metrics(tmp_path / "one", [9] * MANY, [9] * MANY), limits).state == "not judged"


def test_the_distance_of_histograms_is_the_root_of_the_divergence() -> None:
    assert distance([5, 0], [0, 5]) == pytest.approx(math.sqrt(math.log(2)))
    assert distance([2, 3], [4, 6]) == 0 and distance([0, 0], [1, 1]) == 0


def test_growing_memory_activity_is_a_verdict_of_sagemakers_alone(tmp_path: Path) -> None:
    gpu = [20] * (MANY - 15) + [60] * 15  # the memory activity is half of the GPU's use
    folder = metrics(tmp_path / "grows", gpu, [50] * MANY)
    found = verdict("GPUMemoryIncrease", folder, SAGEMAKER)
    assert found.state == "triggered" and "grew by 20.0" in found.sentence
    assert (
        verdict("GPUMemoryIncrease", metrics(tmp_path / "flat", [60] * MANY, [50] * MANY), SAGEMAKER).state == "quiet"
    )
    assert verdict("GPUMemoryIncrease", folder).state == "not judged"


def test_points_that_are_not_of_one_moment_are_not_compared(tmp_path: Path) -> None:
    metrics(tmp_path, [5] * 30, [95] * 30)
    (path,) = tmp_path.rglob("*.json")
    lines = [
        line for line in path.read_text().splitlines() if '"cpu0"' not in line or '"Timestamp": 1700000000.0001' in line
    ]
    path.write_text("\n".join(lines))
    profile = read_profile(tmp_path)
    assert profile is not None
    (host,) = snapshots(profile)
    assert (host.cpu[0] == [95, 5]).all() and math.isnan(host.cpu[1][0]) and host.cpu[1][1] == 5
    assert verdict("CPUBottleneck", tmp_path).state == "quiet"


def test_long_steps_are_found_by_both_sets_each_in_its_way(tmp_path: Path) -> None:
    far = trace(tmp_path / "far", [0.1] * 1000 + [5.0] * 12)
    assert verdict("StepOutlier", far).state == verdict("StepOutlier", far, SAGEMAKER).state == "triggered"
    near = trace(tmp_path / "near", [0.1] * 1000 + [0.2] * 12)
    assert verdict("StepOutlier", near).state == "quiet"
    assert verdict("StepOutlier", near, SAGEMAKER).state == "triggered"
    # Our rule does not report long steps that cost 6 % of the time, as they occur on a machine with other work.
    cheap = trace(tmp_path / "cheap", [0.1] * 1000 + [0.6] * 13)
    assert (
        verdict("StepOutlier", cheap).state == "quiet"
        and "6.0 % of the steps' time" in verdict("StepOutlier", cheap).sentence
    )
    assert verdict("StepOutlier", cheap, SAGEMAKER).state == "triggered"
    even = trace(tmp_path / "even", [0.1, 0.11] * 500)
    assert verdict("StepOutlier", even).state == verdict("StepOutlier", even, SAGEMAKER).state == "quiet"


def test_long_steps_that_lose_less_than_ten_seconds_in_all_are_not_a_finding(tmp_path: Path) -> None:
    # Steps with one photo take a fraction of a millisecond. Whenever another program runs, some of them take a hundred times as long.
    for name, seconds, state in (("short", 0.02, "quiet"), ("long", 1.0, "triggered")):
        steps = [0.0002] * 1000 + [seconds] * 20
        folder = write(tmp_path / name, [job(), epoch(1, 1.0, 1.0, step_seconds=steps)])
        found = verdict("StepOutlier", folder)
        assert found.state == state and f"longest {seconds:.4g} s" in found.sentence
        assert verdict("StepOutlier", folder, SAGEMAKER).state == "triggered"


def test_few_steps_are_not_judged(tmp_path: Path) -> None:
    found = verdict("StepOutlier", trace(tmp_path, [0.1] * 20), SAGEMAKER)
    assert (found.state, found.points) == ("not judged", 20)


def test_the_steps_of_a_run_are_judged_without_its_first(tmp_path: Path) -> None:
    steps = [30.0] + [0.1] * 9
    records = [job(), epoch(1, 1.0, 1.0, step_seconds=steps), *[epoch(n, 1.0, 1.0) for n in range(2, 12)]]
    found = verdict("StepOutlier", write(tmp_path, records))
    assert (found.state, found.points) == ("quiet", 109)


def test_a_late_first_step_is_found(tmp_path: Path) -> None:
    late = trace(metrics(tmp_path / "late", [50] * 2700, [50] * 2700), [0.1] * 10, start=1_700_000_000 + 1260)
    assert verdict("MaxInitializationTime", late, SAGEMAKER).state == "triggered"
    soon = trace(metrics(tmp_path / "soon", [50] * 2700, [50] * 2700), [0.1] * 10, start=1_700_000_000 + 60)
    assert verdict("MaxInitializationTime", soon, SAGEMAKER).state == "quiet"
    assert "1.0 minutes" in verdict("MaxInitializationTime", soon).sentence


def test_a_trace_of_another_job_says_nothing_of_the_start(tmp_path: Path) -> None:
    folder = trace(metrics(tmp_path, [50] * 50, [50] * 50), [0.1] * 10, start=1_800_000_000)
    assert verdict("MaxInitializationTime", folder).state == "not judged"


def test_waiting_for_photos_is_found_by_our_own_rule(tmp_path: Path) -> None:
    falling = [1.0 / number for number in range(1, 8)]
    slow = write(tmp_path / "slow", [job(), *course(falling, falling, data_wait_share=0.6)])
    found = verdict("DataWait", slow)
    assert found.state == "triggered" and "8.4 s (60 %)" in found.sentence
    assert verdict("DataWait", write(tmp_path / "fast", [job(), *course(falling, falling)])).state == "quiet"
    short = write(tmp_path / "short", [job(), epoch(1, 1.0, 1.0, data_wait_share=0.9)])
    assert verdict("DataWait", short).state == "not judged"
    assert judge_one("DataWait", read(slow)[0], SAGEMAKER) is None


def said(folder: Path, rule: str, details: dict[str, object]) -> None:
    """Write a verdict file of SageMaker's."""
    folder.mkdir(parents=True, exist_ok=True)
    verdict_of = {"RuleTriggered": 0, "Violations": 0, "Details": details, "Datapoints": 500, "RuleParameters": ""}
    (folder / f"{rule}.json").write_text(json.dumps(verdict_of))


def loaders(folder: Path, workers: int, gpu: float) -> Path:
    said(folder, "Dataloader", {"num_workers": workers, "cores": 8, "dataloading_time": {"p50": 1.5}})
    use = {"algo-1": {"max": 100, "p99": 90, "p95": 80, "p50": gpu, "min": 0}}
    said(folder, "OverallSystemUsage", {"GPU": use})
    return folder


def test_few_loaders_beside_an_idle_gpu_are_found(tmp_path: Path) -> None:
    found = verdict("Dataloader", loaders(tmp_path / "none", 0, 2))
    assert found.state == "triggered" and "in the training process itself" in found.sentence
    assert "getting a batch took 1.50 s" in found.sentence and "num_workers=8" in found.advice
    assert (
        "2 processes load photos beside the training process"
        in verdict("Dataloader", loaders(tmp_path / "few", 2, 2)).sentence
    )


def test_enough_loaders_and_a_busy_gpu_are_quiet(tmp_path: Path) -> None:
    assert verdict("Dataloader", loaders(tmp_path / "many", 8, 2)).state == "quiet"
    assert verdict("Dataloader", loaders(tmp_path / "busy", 0, 95)).state == "quiet"
    assert verdict("Dataloader", loaders(tmp_path / "theirs", 0, 2), SAGEMAKER).state == "not judged"


def test_without_system_metrics_nothing_is_said_of_machines(tmp_path: Path) -> None:
    folder = write(tmp_path, [job(), record("done", seconds={"total": 1.0})])
    for rule in ("LowGPUUtilization", "CPUBottleneck", "LoadBalancing", "BatchSize", "Dataloader"):
        assert verdict(rule, folder).state == "not judged"


@needs_real
@pytest.mark.parametrize("folder", REPORTS, ids=lambda path: path.name)
def test_our_computation_with_sagemakers_values_agrees_with_what_sagemaker_said(folder: Path) -> None:
    evidence, _ = read(folder)
    assert evidence.profile is not None
    said = {one.rule: one for one in evidence.profile.verdicts}
    for rule in ("CPUBottleneck", "IOBottleneck", "LowGPUUtilization", "LoadBalancing", "GPUMemoryIncrease"):
        found = judge_one(rule, evidence, SAGEMAKER)
        assert found is not None
        if found.state != "not judged" and not (rule == "CPUBottleneck" and folder.name == "r4"):
            assert (found.state == "triggered") == (said[rule].triggered > 0), (rule, found.sentence)


@needs_real
def test_a_bottleneck_of_early_scans_alone_is_quiet_for_the_whole_job() -> None:
    # SageMaker's rule fired in 11 early scans of r4; over the whole job 11 % of the snapshots were starved.
    found = verdict("CPUBottleneck", REAL / "r4", SAGEMAKER)
    assert found.state == "quiet" and "(11.0 %)" in found.sentence


@needs_real
def test_eleven_thousand_scans_of_growing_memory_are_two_episodes_at_most() -> None:
    assert verdict("GPUMemoryIncrease", REAL / "r3", SAGEMAKER).episodes == 2


@needs_real
@pytest.mark.parametrize(
    ("name", "state"),
    [("r2", "triggered"), ("r3", "triggered"), ("r4", "quiet"), ("r6", "triggered"), ("r7", "not judged")],
)
def test_idle_gpus_of_real_jobs_are_the_first_finding(name: str, state: str) -> None:
    assert verdict("LowGPUUtilization", REAL / name).state == state

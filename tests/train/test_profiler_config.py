"""profilerconfig.json as the platform writes it: the interval of the machine's measurements, and the folder of traces."""

import json
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import ConfigError
from tests.conftest import run_training
from train.places import Profiling, read_places

# Small enough that a step takes milliseconds.
JOB = {"backbone": "timm/test_efficientnet", "weights": "random", "epochs": "1", "batch-size": "4"}


def profiling(base: Path, config: Any) -> Profiling:
    folder = base / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profilerconfig.json").write_text(json.dumps(config))
    return read_places(base).profiling


def test_without_the_file_the_machine_is_measured_twice_a_second(tmp_path: Path) -> None:
    assert read_places(tmp_path).profiling == Profiling(seconds=0.5, folder=None)


def test_interval_and_path_are_read_as_the_platform_writes_them(tmp_path: Path) -> None:
    config = {
        "S3OutputPath": "s3://bucket/jobs",
        "LocalPath": "/opt/ml/output/profiler/",
        "ProfilingIntervalInMilliseconds": 1000,
        "ProfilingParameters": {"DetailedProfilingConfig": "{}"},
    }
    assert profiling(tmp_path, config) == Profiling(seconds=1.0, folder=tmp_path / "output" / "profiler")
    inner = {"ProfilingIntervalInMilliseconds": "200", "ProfilingParameters": {"LocalPath": "/mnt/profiler"}}
    assert profiling(tmp_path, inner) == Profiling(seconds=0.2, folder=Path("/mnt/profiler"))
    assert profiling(tmp_path, {"S3OutputPath": "s3://bucket/jobs"}) == Profiling()


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_traces_stay_beside_the_records_where_the_platform_copies_no_folder(tmp_path: Path, value: object) -> None:
    config = {"LocalPath": "/opt/ml/output/profiler"}
    assert profiling(tmp_path, {"DisableProfiler": value, **config}) == Profiling()
    assert profiling(tmp_path, {"DisableProfiler": False, **config}).folder == tmp_path / "output" / "profiler"


@pytest.mark.parametrize("value", [99, "often", 3_600_001, True, [500], 1.5])
def test_an_interval_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path, value: object) -> None:
    with pytest.raises(
        ConfigError, match=r"ProfilingIntervalInMilliseconds is .* in .*profilerconfig.json; it must be a whole"
    ):
        profiling(tmp_path, {"ProfilingIntervalInMilliseconds": value})


def test_a_path_that_is_not_absolute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"LocalPath is 'profiler' in .*; it must be an absolute path, as in /opt/ml/output/profiler"
    ):
        profiling(tmp_path, {"LocalPath": "profiler"})


@pytest.mark.parametrize(
    ("config", "given", "measured"),
    [
        # byoc starts its jobs with SageMaker's profiler off, and their report still needs the records.
        ({"DisableProfiler": True}, {}, True),
        ({}, {"system-metrics": "off"}, False),
    ],
)
def test_a_job_measures_its_machine_unless_its_own_hyperparameter_says_no(
    tiny: Path, tmp_path: Path, config: dict[str, Any], given: dict[str, str], measured: bool
) -> None:
    base = tmp_path / "opt-ml"
    profiling(base, config)
    run = run_training(base, {"training": tiny}, JOB | given)
    assert run.status == 0, run.errors
    assert (base / "output/data/system-localhost.jsonl").exists() == measured


def test_traces_lie_where_the_platform_copies_them_from_and_statistics_are_recorded_when_asked_for(
    tiny: Path, tmp_path: Path
) -> None:
    base = tmp_path / "opt-ml"
    profiling(base, {"LocalPath": "/opt/ml/output/profiler"})
    more = {"trace-steps": "2", "tensor-stats-steps": "1", "finetune-epochs": "1", "finetune-batch-size": "4"}
    run = run_training(base, {"training": tiny}, JOB | more)
    assert run.status == 0, run.errors
    traces = sorted(path.name for path in (base / "output/profiler").iterdir())
    assert traces == ["trace-finetune-2.json.gz", "trace-head-2.json.gz"]
    layers = {one["stage"]: one["layers"] for one in run.records if one["kind"] == "activations"}
    assert any("share_dead" in values or values["min"] < 0 for values in layers["finetune"].values())
    assert {one["stage"] for one in run.records if one["kind"] == "steps"} == {"head", "finetune"}
    assert {one["stage"] for one in run.records if one["kind"] == "batches"} == {"features", "evaluation"}

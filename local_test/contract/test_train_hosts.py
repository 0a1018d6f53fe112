"""Training on two hosts, whose names may resolve late."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from local_test.contract.clause import API, CONFIGURATION, OUTPUT, clause
from local_test.contract.job import Ended, Job, model_files
from local_test.contract.platforms import Platform

Seen = Callable[[str], None]
HOSTS = ["algo-1", "algo-2"]


@pytest.fixture(scope="module")
def hosts(
    platform: Platform,
    channels: dict[str, Path],
    hyperparameters: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Ended]:
    """A job of two hosts, each with its own folders."""
    folder = tmp_path_factory.mktemp("hosts")
    return platform.run_hosts(
        [
            Job(folder=folder / host, channels=channels, hyperparameters=hyperparameters, hosts=HOSTS, host=host)
            for host in HOSTS
        ]
    )


@clause("two hosts train together and both end with exit status 0, though one starts late", CONFIGURATION)
def test_two_hosts_train_together(hosts: list[Ended], seen: Seen) -> None:
    seen(", ".join(f"{host} exit status {ended.status}" for host, ended in zip(HOSTS, hosts, strict=True)))
    reasons = [ended.job.failure.split("\n")[0] or ended.last_line for ended in hosts if ended.status != 0]
    assert not reasons, reasons[0][:200]
    assert any(model_files(ended.job.model) for ended in hosts), "no host left a model"


@clause(
    "with two hosts the tuner's objective is printed once an epoch, by one host only",
    API.format("HyperParameterTuningJob"),
)
def test_one_host_prints_the_objective(
    hosts: list[Ended], pytestconfig: pytest.Config, hyperparameters: dict[str, str], seen: Seen
) -> None:
    counts = [len(re.findall(pytestconfig.getoption("--objective"), ended.log)) for ended in hosts]
    seen(f"{counts} values in {hyperparameters['epochs']} epochs")
    assert sorted(counts) == [0, int(hyperparameters["epochs"])], "not once an epoch from one host"


@clause("two hosts leave one artifact, because files with the same name would overwrite each other in S3", OUTPUT)
def test_two_hosts_leave_one_artifact(hosts: list[Ended], seen: Seen) -> None:
    assert all(ended.status == 0 for ended in hosts), "the job failed"
    assert any(model_files(ended.job.model) for ended in hosts), "no host left a model"
    for name in ("model", "output/data"):
        folders = [ended.job.folder / name for ended in hosts]
        files = [{path.relative_to(folder) for path in model_files(folder)} for folder in folders]
        seen(f"{name}: {len(files[0])} and {len(files[1])} files")
        clash = sorted(map(str, files[0] & files[1]))
        assert not clash, f"both hosts write {', '.join(clash[:3])} to {name}"

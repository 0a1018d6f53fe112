"""The rules Dataloader and MaxInitializationTime on our own records: what triggers them, what must not, and what they cannot judge."""

from pathlib import Path

import pytest

from reports.report import read
from reports.rules.cost import Price, finding_cost
from reports.rules.loaders import dataloader
from reports.rules.steps import initialization
from reports.rules.thresholds import OURS, SAGEMAKER
from reports.rules.verdict import Evidence, Verdict
from reports.sagemaker_job import SageMakerJob
from tests.reports.cases import FALLING
from tests.reports.made import Record, course, done, job, verdict, write
from tests.reports.measuring import machine, steps

GPU = {"gpu0_percent": [8.0] * 600, "cpu0": [90.0] * 600}


def loading(folder: Path, loaders: int, waits: float, stage: str = "finetune") -> Path:
    """Write a run of 20 s of steps on a host with eight cores."""
    return write(
        folder, [job(cores=8, loaders=loaders), *course(FALLING, FALLING, stage=stage, data_wait_share=waits), done()]
    )


def test_fine_tuning_that_waits_for_too_few_loaders_is_found_with_the_time_that_it_lost(tmp_path: Path) -> None:
    found = verdict("Dataloader", loading(tmp_path, 2, 0.6))
    assert found.state == "triggered" and found.seconds == pytest.approx(12) and found.loss == pytest.approx(0.6)
    assert found.sentence == (
        "2 processes or threads load photos, on a host with 8 cores, while 60 % of fine-tuning's time was spent waiting for photos."
    )
    assert "OMP_NUM_THREADS" in found.advice


def test_enough_loaders_or_no_waiting_is_not_a_finding(tmp_path: Path) -> None:
    assert verdict("Dataloader", loading(tmp_path / "all", 8, 0.6)).state == "quiet"
    assert verdict("Dataloader", loading(tmp_path / "most", 6, 0.6)).state == "quiet"
    assert verdict("Dataloader", loading(tmp_path / "fast", 2, 0.2)).state == "quiet"


def test_a_gpu_that_has_little_to_do_beside_too_few_loaders_is_found(tmp_path: Path) -> None:
    found = verdict("Dataloader", machine(loading(tmp_path / "idle", 2, 0.1, "head"), GPU))
    assert found.state == "triggered" and "median use of a GPU was 8 %" in found.sentence
    busy = machine(loading(tmp_path / "busy", 2, 0.1, "head"), GPU | {"gpu0_percent": [80.0] * 600})
    assert verdict("Dataloader", busy).state == "quiet"
    short = {name: values[:10] for name, values in GPU.items()}
    assert verdict("Dataloader", machine(loading(tmp_path / "short", 2, 0.1, "head"), short)).state == "quiet"


def test_without_fine_tuning_and_gpu_nothing_tells_whether_loaders_were_waited_for(tmp_path: Path) -> None:
    found = verdict("Dataloader", loading(tmp_path, 2, 0.6, "head"))
    assert (
        found.state == "not judged"
        and "without fine-tuning and without a GPU, the records cannot show" in found.sentence
    )


def test_records_that_do_not_count_loaders_are_not_judged(tmp_path: Path) -> None:
    found = verdict("Dataloader", write(tmp_path, [job(), *course(FALLING, FALLING, stage="finetune"), done()]))
    assert found.state == "not judged" and found.sentence.startswith("The records do not hold the number of processes")


@pytest.mark.parametrize(("loaders", "state"), [(2, "triggered"), (6, "quiet"), (8, "quiet"), (17, "triggered")])
def test_with_sagemakers_thresholds_the_number_alone_decides(tmp_path: Path, loaders: int, state: str) -> None:
    evidence, _ = read(loading(tmp_path, loaders, 0.0))
    assert dataloader(evidence, SAGEMAKER).state == state


def started(folder: Path, *records: Record, seconds: float | None = None) -> Evidence:
    """Read a run whose job record was written at 1.7e9 s. With `seconds`, the whole job took that long."""
    # The job began 20 s before its first record.
    end = [done(total=seconds) | {"time": 1.7e9 - 20 + seconds}] if seconds else []
    return read(write(folder, [job(), *records, *course(FALLING, FALLING), *end]))[0]


def at(second: float, values: Record) -> Record:
    return values | {"time": 1.7e9 + second}


def judged(evidence: Evidence) -> Verdict:
    return initialization(evidence, OURS)


def test_the_time_until_the_first_step_counts_from_the_start_of_the_program(tmp_path: Path) -> None:
    # The steps took 4 s: the first began 306 s after the first record, and the program 20 s before that.
    late = started(tmp_path / "late", at(310, steps("head", 1, [0.4] * 10)), seconds=1000)
    found = judged(late)
    assert found.state == "triggered" and found.seconds == pytest.approx(326) and found.loss == pytest.approx(0.326)
    assert found.sentence == "The first photos or step came 5.4 minutes after the job began, later than 5 minutes."
    cost = finding_cost("MaxInitializationTime", found, late, Price(hour=3600, currency="USD", source="--price"))
    assert cost is not None and cost.money == pytest.approx(326)
    unfinished = judged(started(tmp_path / "unfinished", at(310, steps("head", 1, [0.4] * 10))))
    assert unfinished.state == "triggered" and unfinished.seconds == pytest.approx(306)


def test_a_job_that_begins_soon_is_quiet_however_long_it_runs(tmp_path: Path) -> None:
    photos: Record = {"photos": [8], "read": [0.3], "move": [0], "forward": [0.1]}
    batches = steps("features", 1, [0.1]) | {"kind": "batches", "split": "train"} | photos
    soon = judged(started(tmp_path, at(8, batches), at(4000, steps("head", 1, [0.4] * 10)), seconds=5000))
    assert soon.state == "quiet" and soon.sentence == "The first photos or step came 0.5 minutes after the job began."


def test_what_sagemaker_downloads_before_counts_too(tmp_path: Path) -> None:
    evidence = started(tmp_path, at(10, steps("head", 1, [0.4] * 10)), seconds=500)
    phases = (("Starting", 90.0), ("Downloading", 300.0), ("Training", 500.0))
    described = SageMakerJob(
        name="dogs",
        kind="training job",
        status="Completed",
        reason="",
        ended=True,
        facts=(),
        hyperparameters={},
        phases=phases,
    )
    found = judged(Evidence(run=evidence.run, profile=None, job=described))
    assert found.state == "triggered" and found.seconds == pytest.approx(326)
    assert "5.4 minutes after the job began, including 5.0 minutes of SageMaker's download" in found.sentence


def test_old_records_without_steps_do_not_show_when_training_began(tmp_path: Path) -> None:
    assert judged(started(tmp_path, seconds=5000)).state == "not judged"

"""Training: start, outcome, failure text and configuration files."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_test.contract import images
from local_test.contract.clause import (
    API,
    CONFIGURATION,
    DOCKERFILE,
    LOCAL_MODE,
    OUTCOME,
    OUTPUT,
    OWN,
    SERVERLESS,
    clause,
)
from local_test.contract.conditions import Conditions
from local_test.contract.job import Ended, Job, model_files
from local_test.contract.platforms import Platform

Seen = Callable[[str], None]
MakeJob = Callable[..., Job]


@clause("`docker run IMAGE train` runs the job; exit status 0 means that the job completed", DOCKERFILE)
def test_the_argument_train_runs_the_job(trained: Ended, seen: Seen) -> None:
    seen(trained.succeeded())


@clause("the entry point is in exec form, so that the program gets the signals, and is not tini", DOCKERFILE)
def test_the_entry_point_is_in_exec_form(image: str, seen: Seen) -> None:
    entry, command = images.entry(image)
    seen(f"ENTRYPOINT {entry}, CMD {command}")
    assert not images.shell_form(entry) and not images.shell_form(command), "a shell gets the signals"
    assert not entry or "tini" not in entry[0], "tini is confused by the arguments train and serve"


@clause("without an argument the image trains, because SDK v3's local mode sets no command", LOCAL_MODE)
def test_without_an_argument_the_image_trains(platform: Platform, job: MakeJob, seen: Seen) -> None:
    seen(platform.run(job(), Conditions(command=())).succeeded())


@clause("the image is for linux/amd64 and holds no NVIDIA driver", DOCKERFILE)
def test_the_image_holds_no_driver(image: str, seen: Seen) -> None:
    seen(images.platform(image))
    assert images.platform(image) == "linux/amd64", "endpoints and jobs run on linux/amd64"
    found = images.drivers(image)
    assert not found, f"it holds {found[0]}"


@clause("/opt/ml/model holds the artifact, without symbolic links", OUTPUT)
def test_the_artifact_is_in_the_model_folder(trained: Ended, seen: Seen) -> None:
    trained.succeeded()
    links = [path.name for path in trained.job.model.rglob("*") if path.is_symlink()]
    seen(", ".join(path.name for path in model_files(trained.job.model)[:6]))
    assert not links, f"symbolic link {links[:1]}"


@clause("any user may read the artifact, because a serverless endpoint may serve it without root", SERVERLESS)
def test_any_user_may_read_the_artifact(trained: Ended, seen: Seen) -> None:
    trained.succeeded()
    modes = {path.name: f"{path.stat().st_mode & 0o777:o}" for path in model_files(trained.job.model)}
    seen(", ".join(f"{name} {mode}" for name, mode in list(modes.items())[:6]))
    assert all(int(mode, 8) & 0o004 for mode in modes.values()), "a file of the artifact can be read only by its owner"


@clause("a job that succeeds leaves no failure text", OUTCOME)
def test_success_leaves_no_failure_text(trained: Ended, seen: Seen) -> None:
    trained.succeeded()
    failure = trained.failure()
    seen("no /opt/ml/output/failure" if not failure else failure[:80])
    assert not failure, "there is a failure text, although the exit status is 0"


@clause("files that are not results go to /tmp, and the image's other folders stay unchanged", CONFIGURATION)
def test_scratch_goes_to_tmp(trained: Ended, seen: Seen) -> None:
    trained.succeeded()
    # A folder that contains a changed path also counts as changed; such folders are left out.
    allowed = ("/tmp", "/opt/ml", "/run", "/dev")
    changes = trained.changes()
    paths = [path for path in changes if not path.startswith(allowed)]
    strays = [path for path in paths if not any(other.startswith(f"{path}/") for other in changes)]
    seen(f"{len(changes)} changed paths")
    assert not strays, f"changed: {', '.join(strays[:3])}"


@clause(
    "the tuner's objective is printed once an epoch, for as many epochs as the hyperparameter `epochs` sets",
    API.format("HyperParameterTuningJob"),
)
def test_the_objective_is_printed_once_an_epoch(
    trained: Ended, pytestconfig: pytest.Config, hyperparameters: dict[str, str], seen: Seen
) -> None:
    trained.succeeded()
    found = re.findall(pytestconfig.getoption("--objective"), trained.log)
    seen(f"{len(found)} values in {hyperparameters['epochs']} epochs: {', '.join(found[:3])}")
    assert len(found) == int(hyperparameters["epochs"]), "not once an epoch"


@clause("hyperparameters arrive as strings, quoted as JSON by the SDK", CONFIGURATION)
def test_hyperparameters_quoted_as_json_are_understood(
    platform: Platform, job: MakeJob, hyperparameters: dict[str, str], seen: Seen
) -> None:
    # The SDK sends a text as a JSON string, and a number without quotes.
    quoted = {
        name: value if re.fullmatch(r"[-+0-9.e]+|true|false", value) else f'"{value}"'
        for name, value in hyperparameters.items()
    }
    seen(platform.run(job(more=quoted)).succeeded())


@clause(
    "a job works with hyperparameters that the platform, its SDK and its tuner add",
    API.format("HyperParameterTuningJob"),
)
def test_hyperparameters_of_the_platform_are_ignored(platform: Platform, job: MakeJob, seen: Seen) -> None:
    added = {
        "_tuning_objective_metric": "validation:accuracy",
        "sagemaker_job_name": '"contract"',
        "sagemaker_region": '"us-east-1"',
        "sagemaker_container_log_level": "20",
        "sagemaker_enable_cloudwatch_metrics": "false",
    }
    seen(platform.run(job(more=added)).succeeded())


@clause("a job with an unknown hyperparameter fails, and its failure text names the hyperparameter", OWN)
def test_an_unknown_hyperparameter_is_refused_by_name(platform: Platform, job: MakeJob, seen: Seen) -> None:
    ended = platform.run(job(more={"epohcs-typed-wrongly": "3"}))
    seen(f"exit status {ended.status}; {ended.job.failure.splitlines()[0][:160] if ended.job.failure else 'no text'}")
    assert ended.status, "exit status 0"
    assert "epohcs-typed-wrongly" in ended.job.failure.split("\n")[0], "the first line does not name the hyperparameter"


@clause(
    "a job works with the configuration files, keys and folders that newer versions of the platform add", CONFIGURATION
)
def test_newer_configuration_is_no_obstacle(platform: Platform, job: MakeJob, seen: Seen) -> None:
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.g5.xlarge", "hosts": ["algo-1"]}
    newer = {
        "current_instance_type": "ml.g5.xlarge",
        "current_group_name": "homogeneousCluster",
        "current_instance_group": group,
        "instance_groups": [group],
        "topology": [],
    }
    laid_out = job(resources=newer)
    files: dict[str, Any] = {
        "init-config.json": {"inputMode": "FILE"},
        "trainingjobconfig.json": {"TrainingJobName": "contract"},
        "metric-definition-regex.json": [],
        "upstreamoutputdataconfig.json": [],
        "profilerconfig.json": {"DisableProfiler": True},
        "checkpointconfig.json": {"LocalPath": "/opt/ml/checkpoints"},
    }
    for name, value in files.items():
        laid_out.write(name, value)
    # SDK v3 mounts a channel for its drivers, so not every folder is a channel of photos.
    drivers = laid_out.folder / "sm_drivers"
    drivers.mkdir()
    (drivers / "sm_train.sh").write_text("exit 0\n")
    mounted = Conditions(options=("--volume", f"{drivers}:/opt/ml/input/data/sm_drivers:ro"))
    seen(platform.run(laid_out, mounted).succeeded())


@clause(
    "a job needs no more configuration than local mode writes: input modes, hosts, string hyperparameters", LOCAL_MODE
)
def test_the_least_configuration_is_enough(
    platform: Platform, job: MakeJob, channels: dict[str, Path], seen: Seen
) -> None:
    least = job(inputs={name: {"TrainingInputMode": "File"} for name in channels})
    seen(platform.run(least).succeeded())


@clause("the image needs none of its own files below /opt/ml, because the platform may hide that folder", DOCKERFILE)
def test_nothing_the_image_needs_lies_below_opt_ml(platform: Platform, job: MakeJob, seen: Seen) -> None:
    laid_out = job()
    empty = laid_out.folder / "empty"
    empty.mkdir(mode=0o777)
    seen(platform.run(laid_out, Conditions(options=("--volume", f"{empty}:/opt/ml"))).succeeded())


@clause("a job works with 100 environment entries of 512 characters", API.format("CreateTrainingJob"))
def test_a_full_environment_is_no_obstacle(platform: Platform, job: MakeJob, seen: Seen) -> None:
    full = Conditions(environment={f"CONTRACT_{number}": "x" * 512 for number in range(100)})
    seen(platform.run(job(), full).succeeded())


@pytest.fixture(scope="module")
def failed(platform: Platform, hyperparameters: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A job whose channels hold no photos."""
    folder = tmp_path_factory.mktemp("failed")
    channels = {name: folder / name for name in ("train", "validation")}
    for path in channels.values():
        path.mkdir(mode=0o755)
        (path / "notes.txt").write_text("a channel of S3 has at least one object\n")
    return platform.run(Job(folder / "job", channels, hyperparameters))


@clause("a job that fails ends with a status other than 0 and writes the reason to /opt/ml/output/failure", OUTCOME)
def test_a_failed_job_says_why(failed: Ended, seen: Seen) -> None:
    seen(f"without photos: exit status {failed.status}, {len(failed.job.failure)} characters of text")
    assert failed.status, "exit status 0"
    assert failed.job.failure.strip(), "no /opt/ml/output/failure"


@clause("the failure text begins with the reason, and has at most 1,024 characters", OWN)
def test_the_failure_text_begins_with_the_reason(failed: Ended, seen: Seen) -> None:
    text = failed.job.failure.strip()
    first = text.split("\n")[0]
    seen(f"first line: {first[:160]!r}")
    hollow = ("Traceback", "Framework Error", "ExecuteUserScriptError", "Algorithm Error")
    assert first and not first.startswith(hollow) and 'ErrorMessage ""' not in text, (
        "the text does not begin with the reason"
    )
    assert len(text) <= 1024, f"{len(text)} characters, of which the platform keeps 1,024"

"""What a notebook calls: each function is there, and refuses a mistake before it asks the SDK for anything."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launch
from classifier.errors import ConfigError, DataError
from launch.aws.session import Session

ROLE = "arn:aws:iam::123456789012:role/local"


@pytest.fixture
def notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The session of a notebook that has asked nobody yet."""
    return launch.session(
        region="us-east-1", role=ROLE, bucket="photos", train_image="train:cpu", serve_image="serve:1"
    )


def test_every_function_that_launch_offers_is_there_and_loaded_when_it_is_used() -> None:
    assert all(callable(getattr(launch, name)) and name in dir(launch) for name in launch._OFFERED)
    code = "import launch, sys; print({'boto3', 'PIL', 'launch.aws'} & set(sys.modules), hasattr(launch, 'nothing'))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() False\n"


def test_a_notebooks_settings_win_over_byoc_toml_and_are_checked(folder: Path) -> None:
    (folder / "byoc.toml").write_text(f'region = "eu-west-1"\nrole = "{ROLE}"\nbucket = "theirs"\n')
    found = launch.session(bucket="mine", serve_types=("ml.m5.xlarge",)).settings
    assert (found.region, found.bucket, found.serve_types) == ("eu-west-1", "mine", ("ml.m5.xlarge",))
    assert found.file == folder / "byoc.toml"
    with pytest.raises(ConfigError, match="there is no setting buckets; they are profile, region, "):
        launch.session(buckets="mine")
    with pytest.raises(ConfigError, match="bucket is 's3://mine'; it must be a bucket's name"):
        launch.session(bucket="s3://mine")


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda session: launch.estimator(session, {"epoch": "3"}), "epoch"),
        (lambda session: launch.estimator(session, {}, name="dogs_1"), "TrainingJobName"),
        (
            lambda session: launch.tuner(session, {"lr": "0.1"}, vary=["lr=0.01:0.1"]),
            "lr is varied, and --set gives it",
        ),
        (lambda session: launch.tuner(session, {}, vary=["lr=0.1:0.01"]), "0.1 is not below 0.01"),
        (lambda session: launch.tuner(session, {}, max_jobs=0), "MaxNumberOfTrainingJobs"),
        (lambda session: launch.model(session, "model.tar.gz"), "ModelDataUrl"),
    ],
)
def test_a_mistake_is_found_before_the_sdk_is_needed(
    notebook: Session, make: Callable[[Session], Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make(notebook)


def test_a_python_without_the_sdk_says_where_to_get_it(notebook: Session) -> None:
    with pytest.raises(ConfigError, match=r"this Python has no SageMaker SDK v2 .*; make notebook opens"):
        launch.estimator(notebook, {"epochs": "3"})


def test_photos_that_training_would_refuse_are_an_error(tiny: Path) -> None:
    assert launch.check_photos(tiny).endswith("training can start")
    for photo in (tiny / "train" / "brick").iterdir():
        photo.write_bytes(b"no photo")
    with pytest.raises(DataError, match="brick"):
        launch.check_photos(tiny)

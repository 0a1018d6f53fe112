"""Verbs as functions, as a notebook calls them; test_train_and_deploy shows what they do."""

import subprocess
import sys
from pathlib import Path

import pytest

import launch
from classifier.errors import ConfigError, DataError

ROLE = "arn:aws:iam::123456789012:role/local"


def test_every_function_that_launch_offers_is_there_and_loaded_when_it_is_used() -> None:
    assert all(callable(getattr(launch, name)) for name in launch.__all__ if name != "verbs")
    assert launch.verbs.__name__ == "launch.verbs"
    code = "import launch, sys; print({'boto3', 'PIL', 'launch.aws'} & set(sys.modules), hasattr(launch, 'nothing'))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() False\n"


def test_a_notebooks_settings_win_over_byoc_toml_and_are_checked(folder: Path) -> None:
    (folder / "byoc.toml").write_text(f'region = "eu-west-1"\nrole = "{ROLE}"\nbucket = "theirs"\n')
    found = launch.session(bucket="mine", serve_types=("ml.m5.xlarge",)).settings
    assert (found.region, found.bucket, found.serve_types) == ("eu-west-1", "mine", ("ml.m5.xlarge",))
    assert found.file == folder / "byoc.toml"
    with pytest.raises(ConfigError, match="there is no setting buckets; the settings are profile, region, "):
        launch.session(buckets="mine")
    with pytest.raises(ConfigError, match="bucket is 's3://mine'; it must be a bucket's name"):
        launch.session(bucket="s3://mine")


def test_photos_that_training_would_refuse_are_an_error(tiny: Path) -> None:
    assert launch.verbs.check_photos(tiny).endswith("training can start")
    for photo in (tiny / "train" / "brick").iterdir():
        photo.write_bytes(b"no photo")
    with pytest.raises(DataError, match="brick"):
        launch.verbs.check_photos(tiny)

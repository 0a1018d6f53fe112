"""Hosting from start to end with the real serving program, a real model and real photos. The SDK sends the requests if it is installed."""

import json
from pathlib import Path

import pytest

from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.predict import predict
from tests.aws.hosted import BUCKET, TOML, Hosted
from tests.sagemaker.conftest import Emulator

# One worker, since this machine may have few cores.
SMALL = ["--env", "SAGEMAKER_MODEL_SERVER_WORKERS=1"]


@pytest.fixture
def user(account: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> Hosted:
    """A user of an emulator that runs the real programs."""
    (account / "byoc.toml").write_text(TOML)
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    return Hosted(emulator, capsys, Session(Settings(region="us-east-1", bucket=BUCKET)))


@pytest.mark.long
def test_photos_are_answered_as_the_program_answers_them_by_itself(
    user: Hosted, model: Path, samples: Path, url: str, folder: Path
) -> None:
    photos = sorted((samples / "test").glob("*/000.jpg"))[:3]
    said = user.json("deploy", model, "--endpoint", "real", "--photo", photos[0], *SMALL, "--yes", "--sender", "auto")
    expected = [predict(url, photo)[0] for photo in photos]
    assert said["trial"]["label"] == expected[0][0]["label"]
    lines = user.byoc("predict", *photos, "--endpoint", "real").splitlines()
    assert lines == [line for line in user.byoc("predict", *photos, "--url", url).splitlines()]
    (folder / "batch").mkdir()
    for number, photo in enumerate(photos):
        (folder / "batch" / f"{number}.jpg").write_bytes(photo.read_bytes())
    override = 'CreateModel.PrimaryContainer.Environment={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}'
    arguments = ["transform", "batch", "--model", model, "--out", "answers", "--override", override, "--yes"]
    user.byoc(*arguments, "--sender", "auto")
    entries = [json.loads(line) for line in (folder / "answers" / "predictions.jsonl").read_text().splitlines()]
    for entry, best in zip(entries, expected, strict=True):
        found = {item["label"]: item["probability"] for item in entry["predictions"][0]}
        assert found == pytest.approx({item["label"]: item["probability"] for item in best}, abs=1e-4)
    user.byoc("delete", "real", "--yes")
    assert user.session.client("sagemaker").list_models()["Models"] == []

"""The driver's verbs as functions for notebooks. They do the same as the commands, but print no plan and ask no question."""

from dataclasses import replace
from pathlib import Path

import pytest

import launch
from launch.aws.errors import AwsError
from launch.aws.hosting.wanted import Wanted
from launch.aws.senders import sdk
from launch.aws.specification import Channel, Identity, Machines, Training
from tests.aws.hosted import BUCKET, Hosted, emulator, hosted, photo  # noqa: F401
from tests.sagemaker.conftest import ROLE


@pytest.fixture(autouse=True)
def without_the_sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without the SDK, which takes seconds to import; tests/aws/test_senders.py tests the SDK's requests."""
    monkeypatch.setattr(sdk, "PYTHON", tmp_path / "missing")


def test_an_endpoints_life_in_functions(hosted: Hosted, photo: Path) -> None:
    verbs, account = launch.verbs, launch.session()
    first = verbs.deploy(account, Wanted(endpoint="life", model=hosted.model("first")), photo)
    assert (first.kind, first.updated) == ("real-time", False) and first.trial
    version = verbs.register(account, hosted.model("second"), "dogs", "better")
    assert version.status == "PendingManualApproval" and verbs.approve(account, version.arn).status == "Approved"
    second = verbs.deploy(account, Wanted(endpoint="life", group="dogs"), photo)
    assert second.updated and verbs.predict(account, "life", photo)[0][0]["label"] == "second"
    assert [entry.config for entry in verbs.history(account, "life")] == [second.config, first.config]
    assert (
        verbs.rollback(account, "life").config == first.config
        and verbs.predict(account, "life", photo)[0][0]["label"] == "first"
    )
    assert (
        ["life"]
        == [row.name for row in verbs.jobs(account) if row.kind == "endpoint"]
        == [item.name for item in verbs.leftovers(account)]
    )
    assert verbs.delete(account, "life").endpoints == ("life",) and verbs.leftovers(account) == []
    assert {row.name: row.state for row in verbs.check(account)}["region"] == "ok"


@pytest.mark.slow
def test_a_job_in_functions(hosted: Hosted, folder: Path) -> None:
    account = launch.session()
    photos = launch.verbs.upload(account, _folder(folder / "photos"))
    training = Training(
        name="works",
        image=account.settings.train_image,
        identity=Identity(role=ROLE),
        machines=Machines(types=("ml.m5.large",)),
        channels=(Channel(name="training", uri=photos.uri),),
        output=f"s3://{BUCKET}/output",
    )
    assert launch.verbs.train(account, training).artifact == f"s3://{BUCKET}/output/works/output/model.tar.gz"
    assert not launch.verbs.stop(account, "works").requested
    with pytest.raises(AwsError, match="training job fails failed"):
        launch.verbs.train(account, replace(training, name="fails", environment={"DO": "fail"}))


def _folder(place: Path) -> Path:
    (place / "train" / "cat").mkdir(parents=True)
    (place / "train" / "cat" / "1.jpg").write_bytes(b"\xff\xd8 a photo")
    return place

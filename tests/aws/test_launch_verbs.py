"""The driver's verbs as functions, for notebooks: the same as the commands, without a plan and without a question."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

import launch
from launch.aws.errors import AwsError
from launch.aws.hosting.wanted import Wanted
from launch.aws.settings import load
from launch.aws.specification import Channel, Identity, Machines, Training
from tests.aws.hosted import BUCKET, Hosted, emulator, hosted, photo  # noqa: F401
from tests.sagemaker.conftest import ROLE


@pytest.mark.slow
def test_an_endpoints_life_in_functions(hosted: Hosted, photo: Path) -> None:
    verbs = launch.verbs
    first = verbs.deploy(Wanted(endpoint="life", model=hosted.model("first")), photo)
    assert (first.kind, first.updated) == ("real-time", False) and first.trial
    version = verbs.register(hosted.model("second"), "dogs", "better")
    assert version.status == "PendingManualApproval" and verbs.approve(version.arn).status == "Approved"
    second = verbs.deploy(Wanted(endpoint="life", group="dogs"), photo)
    assert second.updated and verbs.predict("life", photo)[0][0]["label"] == "second"
    assert [entry.config for entry in verbs.history("life")] == [second.config, first.config]
    assert verbs.rollback("life").config == first.config and verbs.predict("life", photo)[0][0]["label"] == "first"
    assert (
        ["life"] == [row.name for row in verbs.jobs() if row.kind == "endpoint"] == [item.name for item in verbs.left()]
    )
    assert verbs.delete("life").endpoints == ("life",) and verbs.left() == []
    assert {row.name: row.state for row in verbs.check()}["region"] == "ok"


@pytest.mark.slow
def test_a_job_in_functions(hosted: Hosted, folder: Path) -> None:
    photos = launch.verbs.upload(_folder(folder / "photos"))
    training = Training(
        name="works",
        image=load(Namespace()).train_image,
        identity=Identity(role=ROLE),
        machines=Machines(types=("ml.m5.large",)),
        channels=(Channel(name="training", uri=photos.uri),),
        output=f"s3://{BUCKET}/output",
    )
    assert launch.verbs.train(training).artifact == f"s3://{BUCKET}/output/works/output/model.tar.gz"
    assert not launch.verbs.stop("works").told
    with pytest.raises(AwsError, match="training job fails failed"):
        launch.verbs.train(replace(training, name="fails", environment={"DO": "fail"}))


def _folder(place: Path) -> Path:
    (place / "train" / "cat").mkdir(parents=True)
    (place / "train" / "cat" / "1.jpg").write_bytes(b"\xff\xd8 a photo")
    return place

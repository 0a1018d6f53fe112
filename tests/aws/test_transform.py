"""`byoc transform` and the model registry against the local SageMaker."""

import json
from pathlib import Path

import pytest

from launch.aws.hosting import endpoint
from tests.aws.hosted import BUCKET, Hosted, emulator, hosted, photo  # noqa: F401


@pytest.fixture
def photos(folder: Path, photo: Path) -> Path:
    """A folder with two photos and a file that macOS leaves in folders."""
    (folder / "photos" / "b").mkdir(parents=True)
    for name in ("a.jpg", "b/c.jpg"):
        (folder / "photos" / name).write_bytes(photo.read_bytes())
    (folder / "photos" / ".DS_Store").write_bytes(b"junk")
    return folder / "photos"


def test_a_folder_is_answered_into_a_folder(hosted: Hosted, photos: Path, folder: Path) -> None:
    told = hosted.byoc("transform", photos, "--model", hosted.model("first"), "--out", "answers", "--yes")
    assert "a.jpg: first 0.7500\nb/c.jpg: first 0.7500\n2 of 2 files answered: answers/predictions.jsonl\n" in told
    entries = [json.loads(line) for line in (folder / "answers" / "predictions.jsonl").read_text().splitlines()]
    assert [entry["file"] for entry in entries] == ["a.jpg", "b/c.jpg"]
    assert entries[0]["predictions"] == [[{"label": "first", "probability": 0.75}]]
    models = hosted.session.client("sagemaker").list_models(NameContains="transform-")["Models"]
    assert models == []


def test_a_photo_that_is_refused_is_named_and_the_others_are_answered(
    hosted: Hosted, photos: Path, folder: Path
) -> None:
    (photos / "no.jpg").write_bytes(b"text")
    done = hosted.byoc("transform", photos, "--model", hosted.model("first"), "--out", "some", "--yes", status=1)
    assert "2 of 3 files answered" in done
    assert hosted.errors == "no.jpg: the body is not a usable photo: not an image\n"
    entries = [json.loads(line) for line in (folder / "some" / "predictions.jsonl").read_text().splitlines()]
    assert entries[2] == {"file": "no.jpg", "error": "the body is not a usable photo: not an image"}


def test_a_prefix_is_answered_into_a_prefix_by_a_model_that_is_there(hosted: Hosted) -> None:
    said = hosted.deploy("batch", "there")
    s3 = hosted.session.client("s3")
    s3.put_object(Bucket=BUCKET, Key="in/x.jpg", Body=b"\xff\xd8 a photo")
    arguments = ["transform", f"s3://{BUCKET}/in", "--model", said["models"][0], "--out", f"s3://{BUCKET}/out", "--yes"]
    done = hosted.json(*arguments)
    assert [(answer["file"], answer["error"]) for answer in done["answers"]] == [("x.jpg", "")]
    key = f"{done['output']}/x.jpg.out".removeprefix(f"s3://{BUCKET}/")
    assert json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())["predictions"][0]["label"] == "there"
    assert endpoint.model(hosted.session, said["models"][0])
    override = "CreateModel.EnableNetworkIsolation=true"
    hosted.byoc(*arguments, "--override", override, status=1)
    assert hosted.errors == (
        "byoc: --override CreateModel: this command does not send CreateModel; it sends CreateTransformJob\n"
    )
    detached = hosted.byoc(*arguments, "--detach")
    assert "byoc logs transform-" in detached and "--follow" in detached


def test_a_dry_run_of_a_transform_shows_what_our_image_needs(hosted: Hosted, photos: Path) -> None:
    shown = hosted.json("transform", photos, "--model", hosted.model("first"), "--out", "new", "--dry-run")
    sent = {call["operation"]: call["request"] for call in shown["requests"]}
    job = sent["CreateTransformJob"]
    assert job["ModelName"] == sent["CreateModel"]["ModelName"]
    assert job["TransformInput"]["ContentType"] == "application/x-image"
    assert job["TransformOutput"]["Accept"] == "application/json"
    assert "BatchStrategy" not in job and "MaxPayloadInMB" not in job  # the container answers with these values itself


def test_a_model_that_does_not_start_fails_the_job_with_its_last_lines(hosted: Hosted, photos: Path) -> None:
    override = 'CreateModel.PrimaryContainer.Environment={"START": "fail"}'
    arguments = ["transform", photos, "--model", hosted.model("first"), "--out", "none", "--yes"]
    hosted.byoc(*arguments, "--override", override, status=1)
    assert "failed" in hosted.errors and "this program does not start: no weights" in hosted.errors
    assert hosted.session.client("sagemaker").list_models(NameContains="transform-")["Models"] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent", "--model", "MODEL", "--out", "x"], "holds no files"),
        (["photos", "--model", "nobody", "--out", "x"], "neither a folder here nor a training job"),
        (["photos", "--model", "MODEL", "--out", "photos"], "is not a new or empty folder"),
        (["photos", "--model", "MODEL", "--out", "x", "--detach"], "leave --detach out"),
        (["photos", "--model", "MODEL", "--out", "x", "--instance", "ml.m5.larg"], "ml.m5.large"),
    ],
)
def test_what_cannot_be_transformed_is_refused(hosted: Hosted, photos: Path, arguments: list[str], text: str) -> None:
    model = hosted.model("first")
    hosted.byoc("transform", *(model if word == "MODEL" else word for word in arguments), "--yes", status=1)
    assert text in hosted.errors and len(hosted.errors.splitlines()) == 1


def test_a_version_is_registered_approved_and_deployed(hosted: Hosted) -> None:
    model = hosted.model("registered")
    hosted.byoc("register", model, "--group", "my_dogs", "--dry-run", status=1)
    assert hosted.errors.count("\n") == 1 and "write at most 63 letters" in hosted.errors and "--group" in hosted.errors
    shown = hosted.json("register", model, "--group", "dogs", "--dry-run")
    assert [call["operation"] for call in shown["requests"]] == ["CreateModelPackageGroup", "CreateModelPackage"]
    said = hosted.json("register", model, "--group", "dogs", "--about", "the first one")
    assert (said["group"], said["status"]) == ("dogs", "PendingManualApproval")
    hosted.byoc("deploy", "--package", said["arn"], "--endpoint", "registered", "--yes", status=1)
    assert "approve it first: byoc approve" in hosted.errors
    hosted.byoc("deploy", "--group", "dogs", "--endpoint", "registered", "--yes", status=1)
    assert "has no approved version" in hosted.errors
    assert "is Approved" in hosted.byoc("approve", said["arn"], "--why", "it was tried")
    deployed = hosted.json("deploy", "--package", said["arn"], "--endpoint", "registered", "--yes")
    assert deployed["trial"]["label"] == "registered"
    second = hosted.json("register", hosted.model("second"), "--group", "dogs")
    assert second["arn"] != said["arn"]
    hosted.byoc("approve", second["arn"])
    assert hosted.json("deploy", "--group", "dogs", "--endpoint", "registered", "--yes")["trial"]["label"] == "second"
    assert hosted.json("approve", second["arn"], "--reject")["status"] == "Rejected"
    assert (
        hosted.json("deploy", "--group", "dogs", "--endpoint", "registered", "--yes")["trial"]["label"] == "registered"
    )


def test_only_a_version_can_be_approved(hosted: Hosted) -> None:
    hosted.byoc("approve", "arn:aws:sagemaker:us-east-1:123456789012:model-package/nobody/1", status=1)
    assert "nobody/1" in hosted.errors
    hosted.byoc("approve", "dogs", status=1)
    assert "ARN" in hosted.errors or "arn" in hosted.errors

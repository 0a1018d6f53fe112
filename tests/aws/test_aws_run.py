"""`byoc run --on sagemaker` against the local SageMaker, with small programs."""

import json
from pathlib import Path

import pytest

from tests.aws.hosted import BUCKET, Hosted, emulator, hosted, left, photo  # noqa: F401

SEARCH = ["--trials", "2", "--choice", "lr=0.25,0.5", "--strategy", "Grid", "--instance", "ml.m5.large"]
RUN = ["run", "--on", "sagemaker", "--data", f"s3://{BUCKET}/photos/", *SEARCH, "--sender", "boto3", "--yes"]


@pytest.fixture(autouse=True)
def photos(hosted: Hosted) -> None:
    """Files in S3 that the small programs accept as photos."""
    s3 = hosted.session.client("s3")
    for split in ("train", "validation", "test"):
        for name in ("cat/1.jpg", "dog/1.jpg"):
            s3.put_object(Bucket=BUCKET, Key=f"photos/{split}/{name}", Body=b"\xff\xd8 a photo")


def test_a_run_tunes_trains_with_the_best_deploys_and_predicts(hosted: Hosted, folder: Path) -> None:
    done = hosted.json(*RUN, "--name", "whole", "--out", "here")
    assert done["best_trial"]["hyperparameters"] == {"lr": "0.25"}
    assert done["training"]["results"]["test"]["accuracy"] == 0.75
    found = [(entry["truth"], entry["label"]) for entry in done["predictions"]]
    assert found == [("cat", "lr 0.25"), ("dog", "lr 0.25")]
    assert done["endpoint"]["trial"]["label"] == "lr 0.25"
    assert (folder / "here" / "model" / "model.json").exists()
    job = hosted.session.client("sagemaker").describe_training_job(TrainingJobName="whole-train")
    for arn in (job["TrainingJobArn"], hosted.describe("whole")["EndpointArn"]):
        tags = hosted.session.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
        assert {"Key": "byoc:run", "Value": "whole"} in tags and {"Key": "team", "Value": "dogs"} in tags
    assert "deleted endpoint whole" in hosted.byoc("delete", "--all-of-run", "whole", "--yes")
    assert left(hosted, "whole") == []
    hosted.byoc("delete", "--all-of-run", "whole", "--yes", status=1)
    assert "hosts nothing" in hosted.errors


def test_delete_after_leaves_no_endpoint(hosted: Hosted) -> None:
    told = hosted.byoc(*RUN, "--name", "short", "--delete-after")
    assert "cat" in told and "lr 0.25" in told and "nothing of the run costs money" in told
    assert left(hosted, "short") == []


def test_a_step_that_fails_says_how_to_go_on(hosted: Hosted) -> None:
    hosted.byoc(*RUN, "--name", "broken", "--serve-env", "START=fail", status=1)
    assert "ping health check" in hosted.errors and "byoc delete --all-of-run broken" in hosted.errors
    hosted.byoc("delete", "--all-of-run", "broken", "--yes")
    hosted.byoc(*RUN, "--name", "untrained", "--env", "DO=fail", status=1)
    assert "All training jobs failed" in hosted.errors and "--best-of" not in hosted.errors
    assert left(hosted, "untrained") == []


def test_the_plan_sums_up_what_all_steps_cost(hosted: Hosted, folder: Path) -> None:
    hours = {"training": {"ml.m5.large": 0.1}, "hosting": {"ml.m5.large": 0.1}}
    prices = {"region": "us-east-1", "currency": "USD", "read": "2026-11-01", "hours": hours}
    (folder / "prices-us-east-1.json").write_text(json.dumps(prices))
    shown = hosted.json(*RUN, "--max-run", "3600", "--dry-run")
    assert shown["cost"]["at_most"] == pytest.approx(0.1 * (2 + 1 + 730))
    assert hosted.json(*RUN, "--max-run", "3600", "--delete-after", "--dry-run")["cost"]["at_most"] == pytest.approx(
        0.4
    )
    operations = [call["operation"] for call in shown["requests"]]
    assert operations == [
        "CreateHyperParameterTuningJob",
        "CreateTrainingJob",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ]


def test_each_step_of_a_run_takes_the_overrides_of_its_own_requests(hosted: Hosted) -> None:
    chosen = {
        "CreateHyperParameterTuningJob.Autotune": {"Mode": "Enabled"},
        "CreateTrainingJob.RemoteDebugConfig": {"EnableRemoteDebug": True},
        "CreateModel.EnableNetworkIsolation": True,
        "CreateEndpointConfig.KmsKeyId": "alias/dogs",
    }
    texts = [word for name, value in chosen.items() for word in ("--override", f"{name}={json.dumps(value)}")]
    sent = {call["operation"]: call["request"] for call in hosted.json(*RUN, *texts, "--dry-run")["requests"]}
    for name, value in chosen.items():
        operation, member = name.split(".")
        assert sent[operation][member] == value


def test_a_newcomer_without_an_account_sees_the_plan_and_what_is_missing(
    hosted: Hosted, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "byoc.toml").unlink()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    shown = hosted.json(*RUN, "--dry-run")
    missing = " ".join(shown["missing"])
    for what in ("no region", "no role", "no bucket", "no train image", "no serve image"):
        assert what in missing
    hosted.byoc(*RUN, status=1)
    assert "no region" in hosted.errors


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--detach"], "leave --detach out"),
        (["--name", "a-name-that-is-much-too-long-for-it"], "at most 24 characters"),
        (["--serve-instance", "ml.m5.larg"], "ml.m5.large"),
        (["--serve-env", "NAME"], "NAME=VALUE"),
        (["--override", "UpdateEndpoint.DeploymentConfig={}"], "this verb does not send UpdateEndpoint"),
    ],
)
def test_what_cannot_run_is_refused(hosted: Hosted, more: list[str], text: str) -> None:
    hosted.byoc(*RUN, *more, status=1)
    assert text in hosted.errors

"""`byoc deploy` with the local SageMaker: endpoints of each kind, updates, autoscaling and alarms."""

import json
from pathlib import Path

import pytest

from launch.aws.hosting import endpoint, scaling, update
from launch.aws.requests import updating
from tests.aws.hosted import BUCKET, Hosted, emulator, hosted, photo  # noqa: F401
from tests.aws.standin import Answers, answering


def test_an_endpoint_is_made_and_answers_a_photo(hosted: Hosted, photo: Path) -> None:
    said = hosted.deploy("made", "first", "--photo", photo)
    assert said["trial"]["label"] == "first" and said["trial"]["photo"] == "photo.jpg"
    assert hosted.describe("made")["EndpointStatus"] == "InService"
    assert hosted.byoc("predict", photo, "--endpoint", "made") == f"{photo}: first 0.7500\n"


def test_without_a_photo_the_packaged_one_is_sent(hosted: Hosted) -> None:
    assert hosted.deploy("packaged", "first")["trial"]["photo"] == "photo.jpg"


def test_a_folder_here_is_packed_and_uploaded_once(hosted: Hosted, folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text("{}")
    (folder / "model" / "name").write_text("packed")
    (folder / "model" / ".DS_Store").write_text("junk")
    said = hosted.json("deploy", "model", "--endpoint", "uploaded", "--yes")
    assert said["trial"]["label"] == "packed"
    s3 = hosted.session.client("s3")
    (entry,) = s3.list_objects_v2(Bucket=BUCKET, Prefix="byoc/models/")["Contents"]
    again = hosted.json("deploy", "model", "--endpoint", "uploaded", "--yes")
    (same,) = s3.list_objects_v2(Bucket=BUCKET, Prefix="byoc/models/")["Contents"]
    assert again["updated"] and same == entry


def test_a_dry_run_shows_the_requests_and_sends_nothing(hosted: Hosted) -> None:
    model = hosted.model("first")
    shown = hosted.json("deploy", model, "--endpoint", "dry", "--instance", "ml.m5.large,ml.c5.large", "--dry-run")
    sent = {call["operation"]: call["request"] for call in shown["requests"]}
    assert list(sent) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    (variant,) = sent["CreateEndpointConfig"]["ProductionVariants"]
    assert [pool["InstanceType"] for pool in variant["InstancePools"]] == ["ml.m5.large", "ml.c5.large"]
    assert sent["CreateModel"]["PrimaryContainer"]["ModelDataUrl"] == model
    assert {"Key": "byoc:endpoint", "Value": "dry"} in sent["CreateEndpoint"]["Tags"]
    assert {"Key": "team", "Value": "dogs"} in sent["CreateModel"]["Tags"]
    assert "no endpoint" in hosted.byoc("endpoints", "dry", status=1) + hosted.errors


def test_the_plan_says_what_a_month_costs(hosted: Hosted, folder: Path) -> None:
    prices = {
        "region": "us-east-1",
        "currency": "USD",
        "read": "2026-11-01",
        "hours": {"hosting": {"ml.m5.large": 0.1}},
    }
    (folder / "prices-us-east-1.json").write_text(json.dumps(prices))
    shown = hosted.json(
        "deploy", hosted.model("first"), "--endpoint", "dear", "--count", "2", "--autoscale", "2:3", "--dry-run"
    )
    assert shown["cost"]["at_most"] == pytest.approx(3 * 0.1 * 730) and shown["cost"]["monthly"]


def test_an_update_takes_overrides_of_its_own(hosted: Hosted) -> None:
    hosted.deploy("changed", "first")
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    value = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    policy = f"UpdateEndpoint.DeploymentConfig={json.dumps(value)}"
    shown = hosted.json("deploy", hosted.model("second"), "--endpoint", "changed", "--override", policy, "--dry-run")
    update = next(call["request"] for call in shown["requests"] if call["operation"] == "UpdateEndpoint")
    assert update["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert update["RetainAllVariantProperties"] is True
    assert update["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DataCaptureConfig"}]
    hosted.byoc("deploy", hosted.model("second"), "--endpoint", "new", "--override", policy, "--dry-run", status=1)
    assert "this command does not send UpdateEndpoint; it sends CreateModel, " in hosted.errors


def test_a_cuda_image_on_a_gpu_gets_the_ami_with_its_driver(hosted: Hosted, folder: Path) -> None:
    toml = (folder / "byoc.toml").read_text().replace("byoc-classifier-serve:cpu", "byoc-classifier-serve:cuda")
    (folder / "byoc.toml").write_text(toml)
    for more, ami in (
        (["--instance", "ml.g5.xlarge"], "al2023-ami-sagemaker-inference-gpu-4-1"),
        (["--instance", "ml.g5.xlarge", "--inference-ami", "none"], None),
        (["--instance", "ml.m5.large"], None),
    ):
        shown = hosted.json("deploy", hosted.model("first"), "--endpoint", "gpu", *more, "--dry-run")
        config = next(call["request"] for call in shown["requests"] if call["operation"] == "CreateEndpointConfig")
        assert config["ProductionVariants"][0].get("InferenceAmiVersion") == ami
    assert "CUDA" in shown["warnings"][0]


def test_an_update_answers_as_before_until_the_new_model_does_and_keeps_the_scaled_count(
    hosted: Hosted, photo: Path
) -> None:
    first = hosted.deploy("updated", "first", "--autoscale", "1:3", "--env", "SOME=thing")
    hosted.session.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="updated", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    )
    while hosted.describe("updated")["EndpointStatus"] != "InService":
        pass
    said = hosted.json("deploy", hosted.model("second"), "--endpoint", "updated", "--yes", "--detach")
    assert said["trial"] is None
    labels = [hosted.label("updated", photo)]
    while labels[-1] != "second":
        labels.append(hosted.label("updated", photo))
    assert labels == ["first"] * (len(labels) - 1) + ["second"]
    while (now := hosted.describe("updated"))["EndpointStatus"] != "InService":
        pass
    assert now["EndpointConfigName"] == said["config"] != first["config"]
    assert now["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    made = hosted.session.client("sagemaker").describe_model(ModelName=said["models"][0])
    assert made["PrimaryContainer"]["Environment"] == {"SOME": "thing"}
    (kept,) = scaling.registered(hosted.session, "updated")
    assert (kept.low, kept.high) == (1, 3)


def test_another_instance_type_takes_the_scaling_away_and_brings_it_back(hosted: Hosted) -> None:
    hosted.deploy("moved", "first", "--autoscale", "1:3", "--target", "30")
    (before,) = scaling.registered(hosted.session, "moved")
    hosted.deploy("moved", "second", "--instance", "ml.c5.large")
    (after,) = scaling.registered(hosted.session, "moved")
    assert (after.low, after.high) == (before.low, before.high)
    target = "TargetTrackingScalingPolicyConfiguration"
    assert after.policies[0][target] == before.policies[0][target]
    assert after.policies[0][target]["TargetValue"] == 30
    assert hosted.config("moved")["InstanceType"] == "ml.c5.large"


@pytest.mark.parametrize("moment", ["before-send", "after-call"])
def test_ctrl_c_while_an_update_is_sent_leaves_the_scaling(hosted: Hosted, moment: str) -> None:
    name = f"stopped-{moment}"
    hosted.deploy(name, "first", "--autoscale", "1:3")
    (before,) = scaling.registered(hosted.session, name)

    def stop(**_: object) -> None:
        raise KeyboardInterrupt

    found = endpoint.find(hosted.session, name)
    assert found
    change = update.Change(found=found, request=updating.update(name, found.config), unregister=(before,))
    hosted.session.client("sagemaker").meta.events.register(f"{moment}.sagemaker.UpdateEndpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        update.send(hosted.session, change)
    assert [(one.low, one.high) for one in scaling.registered(hosted.session, name)] == [(1, 3)]


def test_a_quota_that_an_endpoint_exceeds_is_warned_of(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    hosted.deploy("narrow", "first")
    quota = {"QuotaName": "ml.m5.large for endpoint usage", "QuotaCode": "L-1", "Value": 1}
    answers: Answers = {
        "ListServiceQuotas": lambda request: {"Quotas": [quota]},
        "GetServiceQuota": lambda request: {"Quota": quota},
    }
    with answering(answers) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.url)
        first = hosted.json("deploy", hosted.model("first"), "--endpoint", "alone", "--dry-run")
        second = hosted.json("deploy", hosted.model("first"), "--endpoint", "narrow", "--dry-run")
    assert first["quota"] == "ml.m5.large for endpoint usage: 1, the plan needs 1" and not first["warnings"]
    # The old instance and the new one run side by side.
    assert second["warnings"][0].startswith("the quota of ml.m5.large for endpoint usage: 1, and the plan needs 2;")


def test_alarms_are_made_and_guard_the_next_update(hosted: Hosted) -> None:
    hosted.deploy("watched", "first", "--alarms", "--alarm-ms", "500")
    cloudwatch = hosted.session.client("cloudwatch")
    alarms = {
        alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms(AlarmNamePrefix="watched-")["MetricAlarms"]
    }
    assert set(alarms) == {"watched-errors", "watched-slow"}
    assert alarms["watched-slow"]["Threshold"] == 500_000  # microseconds
    hosted.deploy("watched", "second", "--bake", "0")
    policy = hosted.describe("watched")["LastDeploymentConfig"]
    assert [alarm["AlarmName"] for alarm in policy["AutoRollbackConfiguration"]["Alarms"]] == list(alarms)


def test_an_alarm_in_the_baking_time_rolls_the_update_back_and_the_command_says_so(hosted: Hosted, photo: Path) -> None:
    first = hosted.deploy("baked", "first", "--alarms")
    cloudwatch = hosted.session.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName="baked-errors", StateValue="ALARM", StateReason="a test")
    hosted.byoc("deploy", hosted.model("second"), "--endpoint", "baked", "--yes", "--bake", "600", status=1)
    assert "rolled back" in hosted.errors and "baked-errors" in hosted.errors
    assert hosted.describe("baked")["EndpointConfigName"] == first["config"]
    assert hosted.label("baked", photo) == "first"


def test_a_serverless_endpoint_has_its_size_and_keeps_it(hosted: Hosted) -> None:
    said = hosted.deploy("serverless", "first", "--serverless", "--memory", "2048", "--concurrency", "3")
    assert said["kind"] == "serverless"
    assert hosted.config("serverless")["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 3}
    again = hosted.deploy("serverless", "second")
    assert again["kind"] == "serverless" and again["trial"]["label"] == "second"
    assert hosted.config("serverless")["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 3}


def test_a_multi_model_endpoint_answers_for_the_archive_that_is_named(hosted: Hosted, photo: Path) -> None:
    for name in ("a", "b"):
        source = hosted.model(name).removeprefix(f"s3://{BUCKET}/")
        copied = {"Bucket": BUCKET, "Key": source}
        hosted.session.client("s3").copy_object(Bucket=BUCKET, Key=f"fleet/{name}.tar.gz", CopySource=copied)
    said = hosted.json("deploy", "--endpoint", "fleet", "--multi-model", f"s3://{BUCKET}/fleet", "--yes")
    assert said["kind"] == "multi-model" and said["trial"]["label"] == "a"
    assert hosted.label("fleet", photo, "--target-model", "b.tar.gz") == "b"
    hosted.byoc("predict", photo, "--endpoint", "fleet", "--target-model", "nowhere.tar.gz", status=1)
    assert "nowhere.tar.gz" in hosted.errors


def test_an_asynchronous_endpoint_answers_through_s3_and_scales_to_zero(hosted: Hosted, photo: Path) -> None:
    said = hosted.deploy("queued", "first", "--async", "--scale-to-zero", "--autoscale", "0:2", "--concurrency", "2")
    assert said["kind"] == "async" and said["trial"]["label"] == "first"
    output = hosted.describe("queued")["AsyncInferenceConfig"]["OutputConfig"]
    assert output["S3OutputPath"] == f"s3://{BUCKET}/byoc/endpoints/queued/answers"
    assert output["S3FailurePath"] == f"s3://{BUCKET}/byoc/endpoints/queued/failures"
    (scaled,) = scaling.registered(hosted.session, "queued")
    assert (scaled.low, scaled.high, len(scaled.policies)) == (0, 2, 2)
    assert scaling.alarms(hosted.session, "queued") == ["queued-wake"]
    no_photo = photo.with_name("no.jpg")
    no_photo.write_bytes(b"text")
    assert hosted.byoc("predict", photo, no_photo, "--endpoint", "queued", status=1) == f"{photo}: first 0.7500\n"
    assert hosted.errors == f"{no_photo}: the body is not a usable photo: not an image\n"
    keys = [
        e["Key"]
        for e in hosted.session.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="byoc/endpoints/queued/")["Contents"]
    ]
    assert keys and not [key for key in keys if "/requests/" in key]


def test_scaling_alarms_and_life_of_an_endpoint_change_without_an_update(hosted: Hosted) -> None:
    before = hosted.deploy("around", "first")
    said = hosted.json("deploy", "--endpoint", "around", "--autoscale", "1:2", "--alarms", "--life", "2", "--yes")
    assert said["config"] == before["config"] and said["until"]
    assert hosted.describe("around")["EndpointConfigName"] == before["config"]
    shown = hosted.json("endpoints", "around")
    assert shown["scaled"][0]["high"] == 2 and len(shown["alarms"]) == 2
    assert "its life ends at" in hosted.byoc("endpoints", "around")


def test_capture_is_kept_by_an_update_and_ended_by_0(hosted: Hosted) -> None:
    hosted.deploy("captured", "first", "--capture", "50")
    hosted.deploy("captured", "second")
    assert hosted.describe("captured")["DataCaptureConfig"]["CurrentSamplingPercentage"] == 50
    hosted.deploy("captured", "third", "--capture", "0")
    assert "DataCaptureConfig" not in hosted.describe("captured")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["MODEL", "--endpoint", "no_underscores"], "as in no-underscores"),
        (["absent/folder"], "does not exist"),
        (["no-such-job"], "neither a folder here nor a training job"),
        (["s3://byoc-tests/absent/model.tar.gz"], "there is no s3://byoc-tests/absent/model.tar.gz"),
        (["s3://byoc-tests/absent/model.zip"], "is not an archive"),
        (["MODEL", "--package", "arn:aws:sagemaker:us-east-1:123456789012:model-package/x/1"], "keep only one of them"),
        (["MODEL", "--autoscale", "0:2"], "keeps at least one instance"),
        (["MODEL", "--autoscale", "3:2"], "must be at least 3"),
        (["MODEL", "--autoscale", "many"], "write two numbers"),
        (["MODEL", "--autoscale", "1:2", "--count", "3"], "is outside of"),
        (["MODEL", "--autoscale", "1:2", "--detach"], "leave --detach out"),
        (["MODEL", "--target", "3"], "add --autoscale"),
        (["MODEL", "--autoscale", "1:2", "--target", "nan"], "must be a number above 0"),
        (["MODEL", "--scale-to-zero"], "is for an asynchronous endpoint"),
        (["MODEL", "--serverless", "--autoscale", "1:2"], "scales by itself"),
        (["MODEL", "--serverless", "--instance", "ml.m5.large"], "has no instances"),
        (["MODEL", "--serverless", "--memory", "1500"], "steps of 1024"),
        (["MODEL", "--memory", "1024"], "add --serverless"),
        (["MODEL", "--capture", "101"], "percentage"),
        (["MODEL", "--life", "0"], "more than 0"),
        (["MODEL", "--bake", "4000"], "from 0 to 3600"),
        (["MODEL", "--stay"], "add --life"),
        (["MODEL", "--env", "NAME"], "NAME=VALUE"),
        (["MODEL", "--photo", "absent.jpg"], "is not a file"),
        (["MODEL", "--instance", "ml.m5.larg"], "ml.m5.large"),
        (["--multi-model", "s3://byoc-tests/nothing/"], "no archive below"),
        (["--endpoint", "absent", "--alarms"], "there is no endpoint absent"),
        (["MODEL", "--override", "CreateEndpoint.EndpointName=\"x\""], "--endpoint"),
    ],
)  # fmt: skip
def test_what_cannot_be_deployed_is_refused_in_one_sentence(hosted: Hosted, arguments: list[str], text: str) -> None:
    model = hosted.model("first")
    hosted.byoc("deploy", *(model if word == "MODEL" else word for word in arguments), "--yes", status=1)
    assert text in hosted.errors and len(hosted.errors.splitlines()) == 1


def test_another_kind_of_an_endpoint_is_refused(hosted: Hosted) -> None:
    hosted.deploy("fixed", "first")
    hosted.byoc("deploy", hosted.model("first"), "--endpoint", "fixed", "--serverless", "--yes", status=1)
    assert "is real-time and cannot become serverless" in hosted.errors
    hosted.byoc("deploy", "--endpoint", "fixed", "--yes", status=1)
    assert "name a MODEL, or pass --autoscale" in hosted.errors

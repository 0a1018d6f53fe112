"""`byoc delete`, `byoc rollback` and `byoc endpoints` against the local SageMaker."""

from pathlib import Path

import pytest

from launch.aws.hosting import endpoint
from tests.aws.hosted import Hosted, emulator, hosted, left, photo  # noqa: F401


def test_delete_takes_all_that_was_made_for_an_endpoint(hosted: Hosted) -> None:
    hosted.deploy("whole", "first", "--autoscale", "1:2", "--alarms")
    hosted.deploy("whole", "second", "--bake", "0")
    shown = hosted.json("delete", "whole", "--dry-run")
    operations = [call["operation"] for call in shown["requests"]]
    assert operations == [
        "DeleteScalingPolicy",
        "DeregisterScalableTarget",
        "DeleteAlarms",
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "DeleteEndpointConfig",
        "DeleteModel",
        "DeleteModel",
    ]
    # Two configurations, two models, two alarms, a scaling target and the endpoint.
    assert len(left(hosted, "whole")) == 8
    told = hosted.byoc("delete", "whole", "--yes")
    assert "deleted endpoint whole" in told and "stay in S3" in told
    assert left(hosted, "whole") == []
    hosted.byoc("delete", "whole", "--yes", status=1)
    assert "no endpoint, configuration or model is called whole" in hosted.errors


def test_delete_asks_and_sends_nothing_where_nobody_answers(hosted: Hosted) -> None:
    hosted.deploy("asked", "first")
    hosted.byoc("delete", "asked", status=1)
    assert "pass --yes" in hosted.errors
    assert hosted.describe("asked")["EndpointStatus"] == "InService"


def test_what_a_live_endpoint_uses_is_not_deleted(hosted: Hosted) -> None:
    said = hosted.deploy("used", "first")
    for name in (said["config"], said["models"][0]):
        hosted.byoc("delete", name, "--yes", status=1)
        assert "is used by the endpoint used" in hosted.errors and "byoc delete used" in hosted.errors
    older = hosted.deploy("used", "second")["config"]
    assert older != said["config"]
    hosted.byoc("delete", said["config"], "--yes")
    assert endpoint.configuration(hosted.session, said["config"]) is None


def test_a_model_that_another_endpoint_uses_stays(hosted: Hosted) -> None:
    said = hosted.deploy("lender", "first")
    client = hosted.session.client("sagemaker")
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": said["models"][0],
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName="borrowed", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="borrower", EndpointConfigName="borrowed")
    done = hosted.json("delete", "lender", "--yes")
    assert done["models"] == [] and "the endpoint borrower uses it" in done["kept"][0]
    assert endpoint.model(hosted.session, said["models"][0])
    hosted.byoc("delete", "borrower", "--yes")
    assert endpoint.find(hosted.session, "borrower") is None


def test_what_is_left_of_a_deleted_endpoint_is_found(hosted: Hosted) -> None:
    hosted.deploy("orphan", "first", "--autoscale", "1:2", "--alarms")
    client = hosted.session.client("sagemaker")
    client.delete_endpoint(EndpointName="orphan")
    while endpoint.find(hosted.session, "orphan"):
        pass
    hosted.byoc("delete", "orphan", "--yes")
    assert left(hosted, "orphan") == []


def test_an_endpoint_that_lost_its_configuration_says_so_and_can_be_deleted(hosted: Hosted) -> None:
    said = hosted.deploy("lost", "first")
    hosted.session.client("sagemaker").delete_endpoint_config(EndpointConfigName=said["config"])
    assert "AWS can neither patch nor update it" in hosted.byoc("endpoints", "lost")
    hosted.byoc("deploy", hosted.model("second"), "--endpoint", "lost", "--yes", status=1)
    assert "has lost its configuration" in hosted.errors
    hosted.byoc("delete", "lost", "--yes")
    assert left(hosted, "lost") == []


def test_delete_expired_takes_what_is_over_its_time(hosted: Hosted) -> None:
    hosted.deploy("short", "first", "--life", "0.0001")
    hosted.deploy("longer", "first", "--life", "5")
    told = {line.split(":")[0]: line for line in hosted.byoc("jobs", "--leftovers").splitlines()}
    assert "its life ended at" in told["endpoint short"] and "its life" not in told["endpoint longer"]
    hosted.byoc("delete", "--expired", "--yes")
    assert left(hosted, "short") == [] and left(hosted, "longer")
    assert "has reached the end of its life" in hosted.byoc("delete", "--expired", "--yes")
    hosted.byoc("delete", "longer", "--yes")


def test_deploy_with_stay_deletes_the_endpoint_when_its_life_ends(hosted: Hosted) -> None:
    hosted.deploy("stayed", "first", "--life", "0.0001", "--stay")
    assert left(hosted, "stayed") == []


def test_rollback_goes_back_and_forth_and_history_says_what_is_known(hosted: Hosted, photo: Path) -> None:
    first = hosted.deploy("rolled", "first", "--autoscale", "1:3")
    second = hosted.deploy("rolled", "second")
    assert hosted.label("rolled", photo) == "second"
    said = hosted.json("rollback", "rolled", "--photo", photo, "--yes")
    assert (said["config"], said["before"], said["trial"]["label"]) == (first["config"], second["config"], "first")
    entries = hosted.json("endpoints", "rolled", "--history")
    found = {entry["config"]: (entry["serves"], entry["served_before"]) for entry in entries}
    assert found == {second["config"]: (False, True), first["config"]: (True, False)}
    text = hosted.byoc("endpoints", "rolled", "--history")
    assert "AWS keeps no history" in text and "made/first/model.tar.gz" in text
    assert "serves" in hosted.byoc("rollback", "rolled", "--yes")
    assert hosted.label("rolled", photo) == "second"
    third = hosted.deploy("rolled", "third")
    hosted.byoc("rollback", "rolled", "--to", first["config"], "--yes")
    assert hosted.label("rolled", photo) == "first"
    hosted.byoc("rollback", "rolled", "--to", first["config"], "--yes", status=1)
    assert "serves" in hosted.errors and "already" in hosted.errors
    hosted.session.client("sagemaker").delete_model(ModelName=third["models"][0])
    hosted.byoc("rollback", "rolled", "--to", third["config"], "--yes", status=1)
    assert "a model of" in hosted.errors and "was deleted" in hosted.errors


def test_there_is_no_rollback_without_an_earlier_configuration(hosted: Hosted) -> None:
    hosted.deploy("single", "first")
    for name, text in (("single", "has no earlier configuration"), ("absent", "there is no endpoint absent")):
        hosted.byoc("rollback", name, "--yes", status=1)
        assert text in hosted.errors


def test_endpoints_are_listed(hosted: Hosted) -> None:
    hosted.deploy("listed", "first")
    assert any(line.startswith("listed ") and "InService" in line for line in hosted.byoc("endpoints").splitlines())
    assert len(hosted.json("endpoints", "--most", "1")) == 1
    hosted.byoc("endpoints", "absent", status=1)
    assert "there is no endpoint absent in us-east-1" in hosted.errors


@pytest.mark.parametrize("arguments", [[], ["name", "--expired"]])
def test_delete_wants_exactly_one_thing(hosted: Hosted, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        hosted.byoc("delete", *arguments)
    assert caught.value.code == 2

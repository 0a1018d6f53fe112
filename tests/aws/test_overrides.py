"""--override: any member of the API that no option sets, checked before it is sent."""

from typing import Any

import pytest

from classifier.errors import ConfigError
from launch.aws import check, overrides
from launch.aws.requests import calls
from tests.aws.specifications import HOSTING, TRAINING, changed

ROUTING = 'CreateEndpointConfig.ProductionVariants.0.RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}'


def trained(*texts: str) -> dict[str, Any]:
    """Return the request of a training job with overrides."""
    ((_, request),) = calls(changed(TRAINING, overrides=overrides.parse(texts)))
    return request


def test_a_member_is_set_at_any_depth_and_the_rest_stays() -> None:
    plain = trained()
    request = trained(
        "CreateTrainingJob.RemoteDebugConfig.EnableRemoteDebug=true",
        "CreateTrainingJob.StoppingCondition.MaxPendingTimeInSeconds=7200",
        'CreateTrainingJob.OutputDataConfig={"CompressionType": "NONE"}',
        'CreateTrainingJob.AlgorithmSpecification.ContainerArguments=["train", "-v"]',
        "CreateTrainingJob.ProfilerConfig=null",
    )
    assert request["RemoteDebugConfig"] == {"EnableRemoteDebug": True}
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxPendingTimeInSeconds": 7200}
    assert request["OutputDataConfig"] == {"S3OutputPath": "s3://photos/output", "CompressionType": "NONE"}
    assert request["AlgorithmSpecification"]["ContainerArguments"] == ["train", "-v"]
    assert request["AlgorithmSpecification"]["TrainingImage"] == TRAINING.image
    assert "ProfilerConfig" not in request and plain["ProfilerConfig"]
    check.check("CreateTrainingJob", request)


def test_a_place_in_a_list_is_a_number() -> None:
    found = dict(calls(changed(HOSTING, overrides=overrides.parse([ROUTING]))))["CreateEndpointConfig"]
    assert found["ProductionVariants"][0]["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    assert found["ProductionVariants"][0]["ModelName"] == "dogs-1"
    beyond = overrides.parse(["CreateEndpointConfig.ProductionVariants.1.EnableSSMAccess=true"])
    with pytest.raises(ConfigError, match="the list has 1 entries, so the index 1 does not exist"):
        calls(changed(HOSTING, overrides=beyond))


def test_null_inside_an_object_removes_a_member() -> None:
    request = trained('CreateTrainingJob.ResourceConfig={"VolumeSizeInGB": null, "InstanceCount": 2}')
    assert request["ResourceConfig"] == {"InstanceType": "ml.m5.large", "InstanceCount": 2}


@pytest.mark.parametrize(
    "text, problem",
    [
        ("CreateTrainingJob", "write Operation.Member=JSON"),
        ("CreateTrainingJob.=1", "write Operation.Member=JSON"),
        ("CreateTrainJob.RetryStrategy=1", "this verb does not send CreateTrainJob; did you mean CreateTrainingJob?"),
        ("DeleteModel.ModelName=1", "this verb does not send DeleteModel"),
        ("CreateTrainingJob.InfraCheckConfg=1", "has no member InfraCheckConfg; did you mean InfraCheckConfig?"),
        (
            "CreateTrainingJob.InfraCheckConfig.Enable=true",
            "CreateTrainingJob.InfraCheckConfig has no member Enable; it is one of EnableInfraCheck",
        ),
        ("CreateTrainingJob.EnableNetworkIsolation.Yes=1", "is a boolean, which has no members"),
        (
            "CreateTrainingJob.InputDataConfig.train.ContentType=1",
            "is a list; write an index, as in CreateTrainingJob.Input",
        ),
        (
            "CreateTrainingJob.OutputDataConfig.KmsKeyId=alias/a",
            'alias/a is not valid JSON; a text needs quotes, as in "alias/a"',
        ),
        (
            'CreateTrainingJob.TrainingJobName="a"',
            "TrainingJobName links requests to each other and is set by --name",
        ),
        ("CreateTrainingJob.Tags=[]", "is set by --tag, or tags in byoc.toml: the same on every request"),
        ('CreateModel.ModelName="a"', "is set by --endpoint"),
        ('CreateEndpointConfig.ProductionVariants.0.ModelName="a"', "is set by --endpoint"),
        ("CreateEndpointConfig.ProductionVariants=[]", "is set by --endpoint"),
        ('CreateEndpoint.EndpointConfigName="a"', "is set by --endpoint"),
        ('CreateHyperParameterTuningJob.WarmStartConfig.WarmStartType="a"', "is set by --warm-start"),
    ],
)
def test_what_cannot_be_overridden_is_refused_with_a_remedy(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        overrides.parse([text])
    assert str(caught.value).startswith(f"--override {text}: ") and problem in str(caught.value)


def test_all_problems_come_at_once_and_a_verb_names_what_it_sends() -> None:
    with pytest.raises(ConfigError) as caught:
        overrides.parse(["a", "CreateModel.Containers=[]", ROUTING], ["CreateModel"])
    first, second = str(caught.value).split("\n")
    assert "write Operation.Member=JSON" in first
    assert "this verb does not send CreateEndpointConfig" in second


def test_an_overridden_value_that_aws_would_refuse_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"StoppingCondition.MaxPendingTimeInSeconds is 1; at least 1800 is allowed"):
        check.check("CreateTrainingJob", trained("CreateTrainingJob.StoppingCondition.MaxPendingTimeInSeconds=1"))


def test_every_reserved_member_exists() -> None:
    for operation, members in overrides.RESERVED.items():
        for member in members:
            with pytest.raises(ConfigError, match="is set by"):
                overrides.parse([f"{operation}.{member.replace('*', '0')}=1"], [operation])

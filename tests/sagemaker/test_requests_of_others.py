"""Requests in the forms that others send to AWS are accepted or refused by name, each as expected (others.py names the sources)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sagemaker.conftest import ROLE, refusal
from tests.sagemaker.hosting import SERVE_IMAGE, Hosting
from tests.sagemaker.others import (
    CAPTURE,
    DATA,
    GUIDE,
    NAMES,
    SCORE,
    TAGS,
    TRANSFORM,
    describe,
    hosted,
    kept,
    training,
    tuning,
    variant,
)


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    yield from hosted(tmp_path_factory.mktemp("others"))


def debugged(name: str) -> dict[str, Any]:
    """Return a training job's request with Debugger and profiler."""
    every = {"CollectionName": "losses", "CollectionParameters": {"save_interval": "500"}}
    rule = {"RuleConfigurationName": "NotDecreasing", "RuleEvaluatorImage": "rules:latest"}
    report = {"RuleConfigurationName": "Report", "RuleEvaluatorImage": "rules:latest"}
    return training(
        name,
        DebugHookConfig={"S3OutputPath": "s3://data/hook", "CollectionConfigurations": [every]},
        DebugRuleConfigurations=[{**rule, "RuleParameters": {"rule_to_invoke": "LossNotDecreasing"}}],
        ProfilerConfig={"S3OutputPath": "s3://data/profiler/", "ProfilingIntervalInMilliseconds": 500},
        ProfilerRuleConfigurations=[{**report, "RuleParameters": {"rule_to_invoke": "ProfilerReport"}}],
    )


CONTAINER = {"ContainerHostname": "trees", "Image": SERVE_IMAGE, "Environment": {"a": "1", "b": "2"}}
ACCEPTED: dict[str, list[dict[str, Any]]] = {
    "training_job": [training("training"), debugged("debugged")],
    "hyper_parameter_tuning_job": [tuning("tuning", SCORE), tuning("guide", SCORE, **GUIDE)],
    "transform_job": [TRANSFORM],
    "model": [
        {"ModelName": "one", "PrimaryContainer": {**CONTAINER, "ModelDataUrl": DATA}},
        {
            "ModelName": "listed",
            "Containers": [{**CONTAINER, "ModelDataUrl": DATA, "ImageConfig": {"RepositoryAccessMode": "Platform"}}],
        },
        {"ModelName": "bare", "PrimaryContainer": {"ContainerHostname": "trees", "Image": SERVE_IMAGE}},
    ],
    "endpoint_config": [
        {"EndpointConfigName": "single", "ProductionVariants": [variant("one", InitialInstanceCount=2)]},
        {"EndpointConfigName": "several", "ProductionVariants": [variant("one"), variant("two")]},
        {
            "EndpointConfigName": "captured",
            "ProductionVariants": [variant("AllTraffic")],
            "DataCaptureConfig": CAPTURE,
        },
    ],
}


@pytest.mark.parametrize(
    "kind, request_",
    [pytest.param(kind, one, id=one[NAMES[kind]]) for kind, several in ACCEPTED.items() for one in several],
)
def test_a_request_that_aws_accepts_is_accepted_and_described_as_it_was(
    hosting: Hosting, kind: str, request_: dict[str, Any]
) -> None:
    role = {"ExecutionRoleArn": ROLE} if kind == "model" else {}
    created = getattr(hosting.sagemaker, f"create_{kind}")(**request_, **role, Tags=TAGS)
    answer = describe(hosting, kind, request_[NAMES[kind]])
    assert kept(request_, answer), json.dumps(answer, default=str)
    (arn,) = [value for member, value in created.items() if member.endswith("Arn")]
    assert hosting.sagemaker.list_tags(ResourceArn=arn)["Tags"] == TAGS
    if kind.endswith("_job"):
        assert "Completed" in answer.values(), json.dumps(answer, default=str)


def test_what_only_a_built_in_algorithm_may_leave_out_is_refused(hosting: Hosting) -> None:
    code, text = refusal(hosting.sagemaker.create_hyper_parameter_tuning_job, **tuning("builtin", []))
    assert code == "ValidationException"
    assert text.startswith("A metric is required for this hyperparameter tuning job objective.")


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"InstancePools": [{"InstanceType": "ml.c5.large", "Priority": 1}]}, "InstancePools"),
        ({"ModelName": None}, "inference components"),
    ],
)
def test_variants_that_aws_accepts_and_the_emulator_lacks_are_refused_by_name(
    hosting: Hosting, changes: dict[str, Any], named: str
) -> None:
    changed = {member: value for member, value in variant("one", **changes).items() if value is not None}
    request = {"EndpointConfigName": "lacking", "ProductionVariants": [changed]}
    code, text = refusal(hosting.sagemaker.create_endpoint_config, **request)
    assert code == "NotEmulated" and named in text


def test_model_packages_with_and_without_a_group_are_accepted(hosting: Hosting) -> None:
    sagemaker = hosting.sagemaker
    specification = {
        "Containers": [{"Image": SERVE_IMAGE, "ModelDataUrl": DATA}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
        "SupportedTransformInstanceTypes": ["ml.m5.large"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
    }
    job = {member: value for member, value in TRANSFORM.items() if member not in ("TransformJobName", "ModelName")}
    validated = {
        "ModelPackageDescription": "trees",
        "InferenceSpecification": specification,
        "ValidationSpecification": {
            "ValidationRole": ROLE,
            "ValidationProfiles": [{"ProfileName": "profile", "TransformJobDefinition": job}],
        },
    }
    sagemaker.create_model_package_group(ModelPackageGroupName="group", ModelPackageGroupDescription="trees", Tags=TAGS)
    waiting = {"ModelPackageGroupName": "group", "ModelApprovalStatus": "PendingManualApproval"}
    versioned = sagemaker.create_model_package(**waiting, **validated)["ModelPackageArn"]
    alone = sagemaker.create_model_package(ModelPackageName="alone", **validated, Tags=TAGS)["ModelPackageArn"]
    for arn in (versioned, alone):
        answer = sagemaker.describe_model_package(ModelPackageName=arn)
        assert kept(specification, answer["InferenceSpecification"]), answer
    assert versioned.endswith(":model-package/group/1") and alone.endswith(":model-package/alone")


def test_an_update_to_a_model_whose_data_are_gone_leaves_the_old_configuration(hosting: Hosting) -> None:
    hosting.endpoint("kept", {"ModelName": "model"})
    gone = hosting.model("gone")
    hosting.s3.delete_object(Bucket="models", Key="gone/model.tar.gz")
    hosting.config("faulty", {"ModelName": gone})
    hosting.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="faulty")
    assert hosting.sagemaker.describe_endpoint(EndpointName="kept")["EndpointStatus"] in ("Updating", "InService")
    answer = hosting.settled("kept")
    assert answer["EndpointStatus"] == "InService" and answer["EndpointConfigName"] == "kept"
    assert answer["FailureReason"]

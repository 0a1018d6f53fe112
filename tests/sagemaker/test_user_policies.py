"""The emulator checks the policies of an IAM user in every request, for every service; other keys may do everything."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import ROLE, Emulator, training_request

Clients = Callable[[str], Any]


def user(emulator: Emulator, name: str, *statements: dict[str, Any]) -> Clients:
    """Make a user with one policy and return a function that makes the user's clients."""
    iam = emulator.client("iam")
    iam.create_user(UserName=name)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
    iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return lambda service: boto3.client(
        service,
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )


def test_a_user_may_do_what_the_policy_names_and_nothing_else(emulator: Emulator) -> None:
    job = "arn:aws:sagemaker:*:*:training-job/mine-*"
    clients = user(emulator, "reader", {"Action": "sagemaker:DescribeTrainingJob", "Resource": job})
    with pytest.raises(ClientError, match="Requested resource not found"):
        clients("sagemaker").describe_training_job(TrainingJobName="mine-1")
    with pytest.raises(
        ClientError, match=r"AccessDenied.*sagemaker:DescribeTrainingJob on resource: .*training-job/other"
    ):
        clients("sagemaker").describe_training_job(TrainingJobName="other")
    assert clients("sts").get_caller_identity()["Arn"]


@pytest.mark.parametrize(
    ("service", "operation", "request_", "action"),
    [
        ("sagemaker", "list_training_jobs", {}, "sagemaker:ListTrainingJobs"),
        ("sagemaker", "list_model_packages", {}, "sagemaker:ListModelPackages"),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"x"}, "sagemaker:InvokeEndpoint"),
        ("s3", "list_objects_v2", {"Bucket": "b"}, "s3:ListBucket"),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x" * 300_000}, "s3:PutObject"),
        ("s3", "get_object", {"Bucket": "b", "Key": "k"}, "s3:GetObject"),
        ("s3", "delete_objects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}]}}, "s3:DeleteObject"),
        ("s3", "create_bucket", {"Bucket": "b"}, "s3:CreateBucket"),
        ("iam", "get_role", {"RoleName": "r"}, "iam:GetRole"),
        ("logs", "filter_log_events", {"logGroupName": "/aws/sagemaker/TrainingJobs"}, "logs:FilterLogEvents"),
        ("ecr", "describe_images", {"repositoryName": "rr"}, "ecr:DescribeImages"),
        ("cloudwatch", "delete_alarms", {"AlarmNames": ["a"]}, "cloudwatch:DeleteAlarms"),
        (
            "application-autoscaling",
            "describe_scalable_targets",
            {"ServiceNamespace": "sagemaker"},
            "application-autoscaling:DescribeScalableTargets",
        ),
    ],
)
def test_each_service_is_checked_under_iams_name_of_the_action(
    emulator: Emulator, service: str, operation: str, request_: dict[str, Any], action: str
) -> None:
    clients = user(
        emulator, f"none-{service}-{operation}".replace("_", "-"), {"Action": "nothing:Atall", "Resource": "*"}
    )
    with pytest.raises(ClientError, match=f"AccessDenied.*not authorized to perform: {action} on resource"):
        getattr(clients(service), operation)(**request_)


@pytest.mark.parametrize("missing", ["sagemaker:CreateTrainingJob", "sagemaker:AddTags", "iam:PassRole", None])
def test_creating_a_job_needs_the_permissions_that_aws_names(emulator: Emulator, missing: str | None) -> None:
    actions = {"sagemaker:CreateTrainingJob", "sagemaker:AddTags", "iam:PassRole"} - {missing}
    passed = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    statements = [
        {"Action": sorted(actions - {"iam:PassRole"}), "Resource": "*"},
        *([{"Action": "iam:PassRole", "Resource": ROLE, "Condition": passed}] if "iam:PassRole" in actions else []),
    ]
    clients = user(emulator, f"maker-{(missing or 'all').replace(':', '-')}", *statements)
    request = training_request("job", Tags=[{"Key": "a", "Value": "b"}])
    # The bucket does not exist, but SageMaker looks for it only after it has checked the policies.
    with pytest.raises(ClientError, match=f"not authorized to perform: {missing}" if missing else "bucket|S3"):
        clients("sagemaker").create_training_job(**request)


def test_the_actions_that_a_user_needed_are_listed(emulator: Emulator) -> None:
    clients = user(emulator, "watched", {"Action": "s3:ListAllMyBuckets", "Resource": "*"})
    clients("s3").list_buckets()
    with pytest.raises(ClientError):
        clients("s3").head_bucket(Bucket="b")
    listed = json.load(urllib.request.urlopen(f"{emulator.url}/_local/permissions"))[
        "arn:aws:iam::123456789012:user/watched"
    ]
    assert listed == [
        {"action": "s3:ListAllMyBuckets", "resource": "*", "allowed": True},
        {"action": "s3:ListBucket", "resource": "arn:aws:s3:::b", "allowed": False},
    ]

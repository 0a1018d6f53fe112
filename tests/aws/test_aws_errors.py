"""A refusal by AWS becomes one sentence with a remedy. Refused credentials have their own exit status."""

from pathlib import Path
from typing import Any

import botocore.exceptions as problems
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from launch.aws import buckets
from launch.aws.errors import CREDENTIALS_STATUS, AwsError, CredentialsError, explained
from launch.aws.session import Session
from launch.aws.settings import Settings
from tests.aws.wire import answering, json_error

# The texts are AWS's own, from public reports.
REFUSALS = [
    (
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sagemaker:CreateTrainingJob on resource: "
        "arn:aws:sagemaker:us-east-1:123456789012:training-job/x because no identity-based policy allows the "
        "sagemaker:CreateTrainingJob action",
        "you lack the permission sagemaker:CreateTrainingJob on "
        "arn:aws:sagemaker:us-east-1:123456789012:training-job/x; ask for it to be added to your permissions; `byoc "
        "setup policy` writes all permissions that byoc needs",
    ),
    (
        "AccessDeniedException",
        "User: me is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/byoc because no "
        "identity-based policy allows the iam:PassRole action",
        "you may not give this role to SageMaker, iam:PassRole on arn:aws:iam::123456789012:role/byoc is missing",
    ),
    (
        "AccessDeniedException",
        "User: me is not authorized to perform: sagemaker:CreateTrainingJob on resource: x with an explicit deny in a service "
        "control policy",
        "a policy of your organisation denies sagemaker:CreateTrainingJob on x",
    ),
    (
        "ResourceLimitExceeded",
        "The account-level service limit 'ml.p3.2xlarge for training job usage' is 0 Instances, with current utilization of 0 "
        "Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota.",
        "your quota for ml.p3.2xlarge for training job usage is 0; ask for more in the console: Service Quotas, AWS services, "
        "Amazon SageMaker, 'ml.p3.2xlarge for training job usage', or use another instance type",
    ),
    ("ValidationException", "Invalid\n  value.", "AWS refuses the request, ValidationException: Invalid value"),
    ("ThrottlingException", "Rate exceeded", "AWS limits this account's requests (Throttling)"),
    ("ResourceNotFound", "Requested resource not found.", "it does not exist (Requested resource not found)"),
    (
        "ResourceInUse",
        "Cannot update in-progress endpoint",
        "Cannot update in-progress endpoint; wait until it has ended",
    ),
    ("InternalFailure", "", "AWS failed (InternalFailure); try again in a minute"),
    ("NoSuchBucket", "The specified bucket does not exist", "the bucket does not exist; correct --bucket"),
    ("Odd", "", "AWS refuses the request, Odd"),
]


def refusal(code: str, message: str = "", operation: str = "CreateTrainingJob") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def said(error: BaseException) -> AwsError:
    with pytest.raises(AwsError) as raised, explained("training job x"):
        raise error
    text = str(raised.value)
    assert text.startswith("training job x: ") and "\n" not in text
    return raised.value


@pytest.mark.parametrize(
    ("code", "message", "sentence"), REFUSALS, ids=[f"{code}-{n}" for n, (code, *_) in enumerate(REFUSALS)]
)
def test_a_refusal_is_one_sentence_with_the_remedy(code: str, message: str, sentence: str) -> None:
    error = said(refusal(code, message))
    assert sentence in str(error)
    assert (error.code, error.exit_status) == (code, 1)


@pytest.mark.parametrize(
    "code",
    [
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
    ],
)
def test_credentials_that_aws_does_not_accept_have_their_own_status(code: str) -> None:
    error = said(refusal(code, "The security token included in the request is expired"))
    assert isinstance(error, CredentialsError) and error.exit_status == CREDENTIALS_STATUS == 3
    assert "renew them with `aws sso login`" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        problems.NoCredentialsError(),
        problems.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
        problems.ProfileNotFound(profile="work"),
        problems.CredentialRetrievalError(provider="sso", error_msg="no token"),
        problems.SSOTokenLoadError(error_msg="Token for https://x does not exist"),
        problems.UnauthorizedSSOTokenError(),
        problems.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_are_not_there_have_their_own_status(error: BotoCoreError) -> None:
    assert said(error).exit_status == CREDENTIALS_STATUS


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            problems.EndpointConnectionError(endpoint_url="https://api.sagemaker.eu-centrl-1.amazonaws.com/"),
            "this version of boto3 knows no SageMaker in region eu-centrl-1; correct --region, or region in byoc.toml",
        ),
        (
            problems.EndpointConnectionError(endpoint_url="https://api.sagemaker.eu-central-1.amazonaws.com/"),
            "api.sagemaker.eu-central-1.amazonaws.com does not answer; check the network and its proxy, or correct the region",
        ),
        (
            problems.ReadTimeoutError(endpoint_url="https://x.amazonaws.com/"),
            "the connection to x.amazonaws.com was lost",
        ),
        (
            problems.ProxyConnectionError(proxy_url="http://p:1"),
            "the proxy http://p:1 does not answer; correct HTTPS_PROXY",
        ),
        (
            problems.SSLError(endpoint_url="https://x/", error="e"),
            "the certificate of x is not trusted; if a proxy intercepts HTTPS",
        ),
        (problems.NoRegionError(), "no region is named; write region in byoc.toml, or pass --region"),
        (problems.ParamValidationError(report="Missing: 'A'\nMissing: 'B'"), "not valid, Missing: 'A' Missing: 'B'"),
        (problems.DataNotFoundError(data_path="x"), "Unable to load data for: x"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_request_that_did_not_arrive_is_one_sentence_too(error: BotoCoreError, sentence: str) -> None:
    assert sentence in str(said(error))


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), explained("x"):
        raise ZeroDivisionError


def test_a_refusal_over_http_is_reported_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(
        400, json_error("ExpiredTokenException", "The security token included in the request is expired")
    ) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        with pytest.raises(CredentialsError, match="x: the AWS credentials have expired"), explained("x"):
            Session(Settings(region="us-east-1")).client("sagemaker").list_training_jobs()


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (
            403,
            {"x-amz-bucket-region": "eu-west-1"},
            "bucket photos in eu-west-1 exists, and you may not use it: it belongs to",
        ),
        (403, {}, "bucket photos exists, and you may not use it"),
        (404, {}, "bucket photos: the bucket does not exist; correct --bucket"),
        (400, {}, "bucket photos: S3 refuses the request; the credentials may have expired"),
        (200, {"x-amz-bucket-region": "eu-west-1"}, "bucket photos is in eu-west-1, and SageMaker works in us-east-1"),
        (301, {"x-amz-bucket-region": "us-east-1"}, "bucket photos: the bucket is in another region, us-east-1"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_reported_with_its_region(
    status: int, headers: dict[str, str], sentence: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(status, headers=headers) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        with pytest.raises(AwsError) as raised:
            buckets.check(Session(Settings(region="us-east-1")), "photos")
    assert sentence in str(raised.value)


def test_keys_of_the_environment_are_not_used_where_a_profile_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = OFPROFILE\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "ambient-token")

    def signed_with(settings: Settings) -> dict[str, Any]:
        with answering(200, b'{"TrainingJobSummaries": []}') as wire:
            monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
            Session(settings).client("sagemaker").list_training_jobs()
        return wire.requests[0]

    named = signed_with(Settings(region="us-east-1", profile="work"))
    assert "Credential=OFPROFILE/" in named["Authorization"] and "X-Amz-Security-Token" not in named
    ambient = signed_with(Settings(region="us-east-1"))
    assert "Credential=AMBIENT/" in ambient["Authorization"] and ambient["X-Amz-Security-Token"] == "ambient-token"


def test_a_profile_that_is_not_there_is_reported(folder: Path) -> None:
    with pytest.raises(CredentialsError, match=r"work.* could not be found; correct --profile or profile in byoc.toml"):
        Session(Settings(region="us-east-1", profile="work"))


def test_a_configuration_that_cannot_be_read_is_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("region = eu-central-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(AwsError, match=r"your AWS configuration: Unable to parse config file: .*config"):
        Session(Settings(region="us-east-1"))

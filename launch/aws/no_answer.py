"""Requests that AWS has not answered: there are no credentials, the region is wrong, or the network has failed."""

import re
from typing import Any

from botocore import exceptions
from botocore.exceptions import BotoCoreError

from launch.aws.errors import AwsError, CredentialsError, one_line

# Newer errors of botocore are found by name, because an older botocore lacks them.
EXPIRED = (
    "SSOError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "TokenRetrievalError",
    "LoginError",
    "RefreshWithMFAUnsupportedError",
    "NoAuthTokenError",
)
LOGIN = "renew them with `aws sso login`, `aws login` or `aws configure`, with --profile if you use a profile"
REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d+)\.")


def explain(error: BotoCoreError, what: str) -> AwsError:
    """Return our error for an error about `what` that botocore raised."""
    return _credentials(error, what) or _network(error, what) or AwsError(f"{what}: {one_line(error)}")


def _credentials(error: BotoCoreError, what: str) -> CredentialsError | None:
    name = type(error).__name__
    if isinstance(error, exceptions.NoCredentialsError):
        remedy = "run `aws configure` or `aws sso login`, or name a profile with --profile or in byoc.toml"
        return CredentialsError(f"{what}: no AWS credentials were found; {remedy}", name)
    if isinstance(error, exceptions.PartialCredentialsError):
        return CredentialsError(
            f"{what}: the AWS credentials are not complete, {one_line(error)}; add the missing part", name
        )
    if isinstance(error, exceptions.ProfileNotFound):
        remedy = "correct --profile or profile in byoc.toml; `aws configure list-profiles` lists them"
        return CredentialsError(f"{what}: {one_line(error)}; {remedy}", name)
    if isinstance(error, exceptions.CredentialRetrievalError | exceptions.MetadataRetrievalError):
        remedy = "correct your AWS configuration, or log in again"
        return CredentialsError(f"{what}: AWS credentials could not be loaded, {one_line(error)}; {remedy}", name)
    if any(kind.__name__ in EXPIRED for kind in type(error).__mro__):
        return CredentialsError(f"{what}: the AWS credentials have expired ({one_line(error)}); {LOGIN}", name)
    return None


def _network(error: BotoCoreError, what: str) -> AwsError | None:
    name = type(error).__name__
    address = str(_details(error).get("endpoint_url", "AWS"))
    host = address.partition("://")[2].partition("/")[0] or address
    if isinstance(error, exceptions.NoRegionError):
        return AwsError(f"{what}: no region is named; write region in byoc.toml, or pass --region", name)
    if isinstance(error, exceptions.InvalidRegionError | exceptions.UnknownEndpointError):
        return AwsError(f"{what}: {one_line(error)}; correct --region, or region in byoc.toml", name)
    if isinstance(error, exceptions.ProxyConnectionError):
        proxy = _details(error).get("proxy_url", "")
        return AwsError(f"{what}: the proxy {proxy} does not answer; correct HTTPS_PROXY, or unset it", name)
    if isinstance(error, exceptions.SSLError):
        remedy = "if a proxy intercepts HTTPS, name its certificate in AWS_CA_BUNDLE"
        return AwsError(f"{what}: the certificate of {host} is not trusted; {remedy}", name)
    if isinstance(error, exceptions.EndpointConnectionError):
        return AwsError(f"{what}: {host} does not answer; {_region_remedy(host)}", name)
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        remedy = "check the network and try again; jobs and endpoints in AWS keep running"
        return AwsError(f"{what}: the connection to {host} was lost ({name}); {remedy}", name)
    if isinstance(error, exceptions.ParamValidationError):
        report = _details(error).get("report", error)
        return AwsError(f"{what}: the request is not valid, {one_line(report)}", name)
    return None


def _region_remedy(host: str) -> str:
    from boto3 import Session

    found = REGION.search(host)
    if found is None:
        return "check the network and its proxy"
    regions = set(Session().get_available_regions("sagemaker"))
    if found[1] in regions:
        return f"check the network and its proxy, or correct the region, {found[1]}"
    return f"this version of boto3 knows no SageMaker in region {found[1]}; correct --region, or region in byoc.toml"


def _details(error: BotoCoreError) -> dict[str, Any]:
    return dict(getattr(error, "kwargs", {}))

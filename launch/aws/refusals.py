"""Explains requests that AWS has refused. Each error code gets one sentence with a remedy."""

import re

from botocore.exceptions import ClientError

from launch.aws.errors import AwsError, CredentialsError, code_of, one_line
from launch.aws.no_answer import LOGIN

EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "ExpiredTokenError",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnauthorizedException",  # SSO's code for a session that has ended
}
INVALID = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "AuthFailure",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
}
CLOCK = {"RequestTimeTooSkewed"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized"}
THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
}
QUOTA = {"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "LimitExceeded"}
ABSENT = {
    "NoSuchEntity",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "RepositoryNotFoundException",
    "ImageNotFoundException",
    "NoSuchKey",
}
TAKEN = {"ResourceInUse", "ConflictException", "ResourceConflictException", "EntityAlreadyExists"}
CAPACITY = {"InsufficientCapacityException", "CapacityError", "InsufficientInstanceCapacity"}
UNAVAILABLE = {"InternalFailure", "InternalServerError", "InternalServiceError", "ServiceUnavailable", "InternalError"}
OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}

ACTION = re.compile(r"not authorized to perform:? ?([a-z0-9-]+:[A-Za-z0-9*]+)")
RESOURCE = re.compile(r"on resource:? ?(\S+)")
LIMIT = re.compile(r"service limit '([^']+)' is ([\d.]+)")
# S3 may say only "Access Denied", and its operations have other names than IAM's actions.
ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "CreateBucket": "s3:CreateBucket",
}
PASS_ROLE = "iam:PassRole"


def explain(error: ClientError, what: str) -> AwsError:
    """Return our error for AWS's error about `what`."""
    code, said = code_of(error), one_line(error.response.get("Error", {}).get("Message", ""))
    if code in EXPIRED:
        return CredentialsError(f"{what}: the AWS credentials have expired; {LOGIN}", code)
    if code in INVALID:
        text = f"{what}: AWS does not accept the credentials ({code}); {LOGIN}"
        return CredentialsError(text, code)
    if code in CLOCK:
        return CredentialsError(f"{what}: this machine's clock differs from AWS's; correct it", code)
    return AwsError(f"{what}: {_sentence(error, code, said)}", code)


def action_of(error: ClientError) -> str:
    """Return the IAM action that a refused request needs. AWS's text names it, or else it follows from the operation."""
    said = str(error.response.get("Error", {}).get("Message", ""))
    if found := ACTION.search(said):
        return found[1]
    operation = str(error.operation_name)
    return ACTIONS.get(operation, operation)


def _sentence(error: ClientError, code: str, said: str) -> str:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in DENIED or code == "403":
        return _denied(error, said)
    if code in QUOTA:
        return _quota(said)
    if code in THROTTLED:
        return "AWS limits this account's requests (Throttling), and ten attempts have failed; wait a minute, then try again"
    if code == "NoSuchBucket" or (code == "404" and error.operation_name == "HeadBucket"):
        return "the bucket does not exist; correct --bucket or bucket in byoc.toml, or let `byoc setup` make it"
    if code in OTHER_REGION or code == "301":
        return f"the bucket is in another region{_region(error)}; use a bucket in your region, or pass the bucket's region with --region"
    if code in CAPACITY:
        return f"AWS has no such instance free ({said}); try again later, or name several types, --instance a,b,c"
    if code in ABSENT or code == "404" or "could not find" in said.lower() or "not found" in said.lower():
        return f"it does not exist ({said or code}); check the name and the region"
    if code in TAKEN:
        forever = "unique" in said or "already exist" in said
        remedy = "use another name" if forever else "wait until it has ended, or use another name"
        return f"{said or 'it is in use, or the name is taken'}; {remedy}"
    if code == "NotEmulated":
        return said
    if code in UNAVAILABLE or status >= 500:
        return f"AWS failed ({code}); try again in a minute"
    return f"AWS refuses the request, {code}: {said}" if said else f"AWS refuses the request, {code or status}"


def _denied(error: ClientError, said: str) -> str:
    action = action_of(error)
    found = RESOURCE.search(said)
    place = f" on {found[1]}" if found and found[1] != "*" else ""
    if "explicit deny" in said:
        return (
            f"a policy of your organisation denies {action}{place}; ask the person who manages your account's policies"
        )
    remedy = "ask for it to be added to your permissions; `byoc setup policy` writes all permissions that byoc needs"
    if action == PASS_ROLE:
        return f"you may not give this role to SageMaker, {action}{place} is missing; {remedy}"
    return f"you lack the permission {action}{place}; {remedy}"


def _quota(said: str) -> str:
    found = LIMIT.search(said)
    if not found:
        return f"{said}; ask for more in the console: Service Quotas, AWS services, Amazon SageMaker"
    name, limit = found[1], found[2].removesuffix(".0")
    return (
        f"your quota for {name} is {limit}; ask for more in the console: Service Quotas, AWS services, Amazon SageMaker, "
        f"{name!r}, or use another instance type"
    )


def _region(error: ClientError) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region", "")
    return f", {region}" if region else ""

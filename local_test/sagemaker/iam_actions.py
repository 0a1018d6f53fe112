"""The IAM actions that a request needs, and the resources that it needs them for.

Source: AWS's service authorisation reference. An action has the operation's name except in S3 and in the runtime. CreateX with
tags also needs sagemaker:AddTags. A request that hands over a role also needs iam:PassRole.
"""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from moto.iam.models import iam_backends
from werkzeug.wrappers import Request

from local_test.sagemaker.settings import ACCOUNT

PREFIXES = {"monitoring": "cloudwatch"}  # services whose signatures have another name than their IAM actions
SMITHY = re.compile(r"/service/[^/]+/operation/([A-Za-z]+)")
INVOKED = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
RUNTIME = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
WITH_TAGS = {"PutMetricAlarm", "RegisterScalableTarget"}  # these need TagResource too if they have tags
OF_RESOURCE = re.compile(r"(Create|Describe|Delete|Stop|Update)([A-Za-z]+)")
# The member in which an operation names its resource, and the kind of resource in the ARN.
KINDS = {
    "TrainingJob": "training-job",
    "HyperParameterTuningJob": "hyper-parameter-tuning-job",
    "TransformJob": "transform-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
    "ModelPackage": "model-package",
    "ModelPackageGroup": "model-package-group",
}
# S3: the actions on a bucket and on an object, by the method and by the parameter that names a subresource.
BUCKET = {
    ("HEAD", ""): "ListBucket",
    ("GET", ""): "ListBucket",
    ("PUT", ""): "CreateBucket",
    ("DELETE", ""): "DeleteBucket",
    ("POST", "delete"): "DeleteObject",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "tagging"): "GetBucketTagging",
    ("PUT", "tagging"): "PutBucketTagging",
    ("GET", "publicAccessBlock"): "GetBucketPublicAccessBlock",
    ("PUT", "publicAccessBlock"): "PutBucketPublicAccessBlock",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("GET", "versions"): "ListBucketVersions",
}
OBJECT = {
    ("HEAD", ""): "GetObject",
    ("GET", ""): "GetObject",
    ("PUT", ""): "PutObject",
    ("PUT", "uploadId"): "PutObject",
    ("POST", "uploads"): "PutObject",
    ("POST", "uploadId"): "PutObject",
    ("DELETE", ""): "DeleteObject",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
PARTS = {part for _, part in (*BUCKET, *OBJECT) if part}


@dataclass(frozen=True)
class RequiredAction:
    """An action that the user's policies must allow, for one of `resources`; `context` holds the condition keys that are known."""

    action: str
    resources: tuple[str, ...] = ("*",)
    context: Mapping[str, str] = field(default_factory=dict)


def of_request(request: Request, service: str, region: str) -> list[RequiredAction]:
    """Return the actions that a request needs; every one has to be allowed."""
    if service == "s3":
        return _s3(request)
    if service in ("iam", "sts"):
        return _of_query(service, _raw(request))
    if found := INVOKED.fullmatch(request.path):
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{found[1].lower()}"
        return [RequiredAction(f"sagemaker:{RUNTIME[found[2]]}", (arn,))]
    operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    if found := SMITHY.fullmatch(request.path):
        operation = found[1]
    if service == "sagemaker":
        return _sagemaker(operation, _json(request), region)
    body, prefix = _json(request), PREFIXES.get(service, service)
    resources = _elsewhere(service, body, region)
    tagged = [RequiredAction(f"{prefix}:TagResource", resources)] if operation in WITH_TAGS and body.get("Tags") else []
    return [RequiredAction(f"{prefix}:{operation}", resources), *tagged]


def _sagemaker(operation: str, body: dict[str, Any], region: str) -> list[RequiredAction]:
    def arn(kind: str, name: str) -> str:
        return name if name.startswith("arn:") else f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{name.lower()}"

    found = OF_RESOURCE.fullmatch(operation)
    what = found[2] if found else ""
    resource = "*"
    if what in KINDS and (name := body.get(f"{what}Name") or body.get(f"{what}Arn")):
        resource = arn(KINDS[what], name)
    elif operation == "CreateModelPackage" and (name := body.get("ModelPackageGroupName")):
        resource = arn("model-package-group", name)
    elif operation == "ListTrainingJobsForHyperParameterTuningJob":
        resource = arn("hyper-parameter-tuning-job", body.get("HyperParameterTuningJobName", ""))
    elif operation in ("AddTags", "ListTags", "DeleteTags"):
        resource = body.get("ResourceArn", "*")
    needed = [RequiredAction(f"sagemaker:{operation}", (resource,))]
    if operation in ("CreateEndpoint", "UpdateEndpoint"):
        needed.append(
            RequiredAction(f"sagemaker:{operation}", (arn("endpoint-config", body.get("EndpointConfigName", "")),))
        )
    if operation.startswith("Create") and body.get("Tags"):
        needed.append(RequiredAction("sagemaker:AddTags", (resource,)))
    definitions = [body, body.get("TrainingJobDefinition") or {}, *(body.get("TrainingJobDefinitions") or [])]
    for holder in definitions if operation.startswith("Create") else ():
        if role := holder.get("RoleArn") or holder.get("ExecutionRoleArn"):
            needed.append(RequiredAction("iam:PassRole", (role,), {"iam:PassedToService": "sagemaker.amazonaws.com"}))
    return needed


def _elsewhere(service: str, body: dict[str, Any], region: str) -> tuple[str, ...]:
    """Return the resource of a request to another service, as AWS's reference writes it."""
    match service:
        case "logs":
            return (f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{body.get('logGroupName', '')}",)
        case "ecr":
            return (f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{body.get('repositoryName', '')}",)
        case "monitoring":
            names = body.get("AlarmNames") or [body.get("AlarmName") or "*"]
            return (f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{names[0]}",)
        case "application-autoscaling" if "ResourceId" in body:
            return (f"arn:aws:application-autoscaling:{region}:{ACCOUNT}:scalable-target/{body['ResourceId']}",)
    return ("*",)


def _of_query(service: str, raw: bytes) -> list[RequiredAction]:
    body = {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
    resource = "*"
    if name := body.get("RoleName"):
        roles = [role.arn for role in iam_backends[ACCOUNT]["aws"].roles.values() if role.name == name]
        resource = (roles or [f"arn:aws:iam::{ACCOUNT}:role/{name}"])[0]
    needed = [RequiredAction(f"{service}:{body.get('Action', '')}", (resource,))]
    if body.get("Action") == "CreateRole" and "Tags.member.1.Key" in body:
        needed.append(RequiredAction("iam:TagRole", (resource,)))
    return needed


def _s3(request: Request) -> list[RequiredAction]:
    host = request.headers.get("Host", "").partition(".s3")
    bucket, _, key = (f"{host[0]}{request.path}" if host[1] else request.path.lstrip("/")).partition("/")
    if not bucket:
        return [RequiredAction("s3:ListAllMyBuckets")]
    part = next((name for name in request.args if name in PARTS), "")
    table, resource = (OBJECT, f"arn:aws:s3:::{bucket}/{key}") if key else (BUCKET, f"arn:aws:s3:::{bucket}")
    action = table.get((request.method, part), f"{request.method}-{part}")
    if not key and action == "DeleteObject":
        resource += "/*"
    needed = [RequiredAction(f"s3:{action}", (resource,))]
    if source := request.headers.get("x-amz-copy-source"):
        needed.append(RequiredAction("s3:GetObject", (f"arn:aws:s3:::{source.lstrip('/')}",)))
    return needed


def _raw(request: Request) -> bytes:
    """Return a request's body, which stays readable for others."""
    raw: bytes = request.get_data(cache=True, parse_form_data=False)
    request.environ["wsgi.input"] = io.BytesIO(raw)
    request.environ["CONTENT_LENGTH"] = str(len(raw))
    request.environ.pop("wsgi.input_terminated", None)
    return raw


def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(_raw(request) or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

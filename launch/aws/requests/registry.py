"""The model registry: a group of versions, a version, and its approval."""

from collections.abc import Mapping
from typing import Any

from launch.aws.requests.members import present, tags
from launch.aws.specification import Version

# The content types that our serving program accepts and returns (docs/serving.md).
TAKES = ("application/x-image", "image/jpeg", "image/png", "image/webp", "application/json")
ANSWERS = ("application/json",)


def group(name: str, tagged: Mapping[str, str]) -> dict[str, Any]:
    """Return the request for a group of versions."""
    members = {
        "ModelPackageGroupName": name,
        "ModelPackageGroupDescription": "image classifiers",
        "Tags": tags(tagged),
    }
    return present(members)


def version(wanted: Version) -> dict[str, Any]:
    """Return the request for a version, which waits for approval. A version takes its tags from its group."""
    container = {
        "Image": wanted.image,
        "ModelDataUrl": wanted.data,
        "Environment": dict(wanted.environment) or None,
    }
    members = {
        "ModelPackageGroupName": wanted.group,
        "ModelPackageDescription": wanted.about or None,
        "InferenceSpecification": {
            "Containers": [present(container)],
            "SupportedContentTypes": list(TAKES),
            "SupportedResponseMIMETypes": list(ANSWERS),
        },
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": dict(wanted.facts) or None,
    }
    return present(members)


def approval(package: str, *, approved: bool, why: str = "") -> dict[str, Any]:
    """Return the request that approves or rejects a version."""
    status = "Approved" if approved else "Rejected"
    members = {"ModelPackageArn": package, "ModelApprovalStatus": status, "ApprovalDescription": why or None}
    return present(members)

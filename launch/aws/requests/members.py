"""Members that several requests share."""

from collections.abc import Mapping
from typing import Any

from launch.aws.specification import Security


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def tags(pairs: Mapping[str, str]) -> list[dict[str, str]] | None:
    """Return tags as a list of Key and Value, the form of every create call; None if there are no tags."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()] or None


def vpc(security: Security) -> dict[str, list[str]] | None:
    """Return the VpcConfig of a job or a model, or None if the user names no network."""
    if not (security.subnets or security.groups):
        return None
    return {"SecurityGroupIds": list(security.groups), "Subnets": list(security.subnets)}

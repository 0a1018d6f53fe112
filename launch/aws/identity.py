"""The identity that requests carry: the role that SageMaker assumes, as a whole ARN, with tags and security settings."""

from typing import Any

from classifier.errors import ConfigError
from launch.aws.errors import AwsError, explain, explained
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Identity, Security

SERVICE = "sagemaker.amazonaws.com"
SHOWN = 5  # the most roles that an error lists


def identity(session: Session) -> Identity:
    """Return the identity that every request carries. The role is looked up by its name, because its ARN may have a path.

    Raises ConfigError if no role is named, and AwsError for a role that does not exist or that may not be looked up.
    """
    settings = session.settings
    return Identity(role=role(session), tags=dict(settings.tags), security=security(settings))


def role(session: Session) -> str:
    """Return the role's ARN."""
    named = session.settings.role
    if not named:
        raise ConfigError("no role is named; write role in byoc.toml, pass --role, or let `byoc setup` make one")
    if named.startswith("arn:"):
        return named
    what = f"role {named}"
    try:
        return str(session.client("iam").get_role(RoleName=named)["Role"]["Arn"])
    except Exception as error:
        problem = explain(error, what)
        if problem is None:
            raise
        if problem.code == "NoSuchEntity":
            raise AwsError(f"the account has no role {named}; {_usable(session)}", problem.code) from None
        if problem.code.startswith("AccessDenied"):
            raise AwsError(f"{problem}, or write the role's whole ARN in byoc.toml", problem.code) from None
        raise problem from None


def security(settings: Settings) -> Security:
    """Return the network and encryption settings of jobs and endpoints."""
    return Security(
        isolation=settings.isolation,
        subnets=settings.subnets,
        groups=settings.security_groups,
        encrypt_traffic=settings.encrypt_traffic,
        volume_key=settings.volume_key,
        output_key=settings.output_key,
    )


def usable_roles(session: Session) -> list[str]:
    """Return the ARNs of the account's roles that SageMaker can assume."""
    with explained("the account's roles"):
        pages = session.client("iam").get_paginator("list_roles").paginate()
        return [entry["Arn"] for page in pages for entry in page["Roles"] if trusts(entry["AssumeRolePolicyDocument"])]


def trusts(policy: dict[str, Any]) -> bool:
    """Return whether a role's trust policy lets SageMaker assume the role."""
    statements = policy.get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        named = [services] if isinstance(services, str) else services
        if statement.get("Effect") == "Allow" and SERVICE in named:
            return True
    return False


def _usable(session: Session) -> str:
    try:
        roles = usable_roles(session)
    except AwsError:
        return "correct role in byoc.toml"
    if not roles:
        return "SageMaker can assume no role of this account; let `byoc setup` make one"
    more = f" and {len(roles) - SHOWN} more" if len(roles) > SHOWN else ""
    return f"SageMaker can assume {', '.join(roles[:SHOWN])}{more}; write one in byoc.toml"

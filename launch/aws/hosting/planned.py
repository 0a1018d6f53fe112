"""The plan of a deployment: its requests and its cost in a month."""

from typing import Any

from launch.aws import check, cost, overrides, plan, prices, quotas
from launch.aws.cost import Bound
from launch.aws.hosting import scaling, update
from launch.aws.hosting.design import Deployment
from launch.aws.requests import hosting as requests
from launch.aws.requests import updating
from launch.aws.requests.hosting import VARIANT
from launch.aws.session import Session
from launch.aws.specification import Hosting

# The operations of SageMaker that a deployment may send. Their requests are checked before they are sent.
OURS = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint")


def calls(deployment: Deployment, change: update.Change | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the requests of a deployment, in the order in which they are sent."""
    found: list[tuple[str, dict[str, Any]]] = []
    if hosting := deployment.hosting:
        found += [
            ("CreateModel", requests.model(hosting.model)),
            ("CreateEndpointConfig", requests.endpoint_config(hosting)),
            ("UpdateEndpoint", change.request) if change else ("CreateEndpoint", requests.endpoint(hosting)),
        ]
    if deployment.alarms:
        found += scaling.alarm_calls(deployment.endpoint, VARIANT, deployment.alarms, deployment.tags)
    if deployment.scale:
        found += scaling.calls(deployment.endpoint, VARIANT, deployment.scale)
    return found


def changed(session: Session, deployment: Deployment) -> update.Change | None:
    """Return the update of an existing endpoint; None if the endpoint is new, or if its model does not change."""
    before, hosting = deployment.before, deployment.hosting
    if not (before and hosting):
        return None
    guards = scaling.guards(session, deployment.endpoint)
    if deployment.alarms:
        guards = list(scaling.alarm_names(deployment.endpoint))
    # Application Auto Scaling refuses an update that changes the instance type of a scaled variant (AWS's guide).
    moved = hosting.types != before.types
    return update.Change(
        found=before.endpoint,
        request=updating.update(
            deployment.endpoint,
            hosting.config,
            keep_count=deployment.keep_count,
            alarms=guards,
            bake=deployment.bake,
            overrides=hosting.overrides,
        ),
        unregister=tuple(scaling.registered(session, deployment.endpoint)) if moved else (),
    )


def planned(session: Session, deployment: Deployment, change: update.Change | None) -> plan.Plan:
    """Return the plan that is shown before anything is sent; raises ConfigError for requests that AWS would refuse."""
    sent = calls(deployment, change)
    overrides.check_sent(deployment.overrides, [operation for operation, _ in sent])
    check.check_all([call for call in sent if call[0] in OURS])
    hosting, before = deployment.hosting, deployment.before
    kind = hosting.kind if hosting else before.kind if before else "real-time"
    lines = [("endpoint", f"{deployment.endpoint}, {kind}, in {session.region}")]
    if before:
        lines.append(("serves now", f"{before.endpoint.config} with {', '.join(before.models)}"))
    if hosting:
        lines += _of_hosting(deployment, hosting)
    if deployment.scale:
        scale = deployment.scale
        what = "waiting requests" if scale.queue else "requests a minute"
        lines.append(("autoscaling", f"{scale.low} to {scale.high} instances, at {scale.target:g} {what} of each"))
    if change and change.unregister:
        lines.append(
            (
                "autoscaling",
                "is removed for the update, because the instance type changes, and is registered again after it",
            )
        )
    if deployment.alarms:
        lines.append(("alarms", ", ".join(scaling.alarm_names(deployment.endpoint))))
    if deployment.until:
        lines.append(("life", f"until {deployment.until:%Y-%m-%d %H:%M} UTC by a tag, which AWS does not enforce"))
    verb = "update" if before else "make"
    read = _quotas(session, deployment)
    lines += [("quota", str(one)) for one in read]
    return plan.Plan(
        title=f"{verb} the endpoint {deployment.endpoint}",
        lines=tuple(lines),
        requests=tuple(sent),
        cost=_cost(session, deployment),
        warnings=(*deployment.notes, *(f"the quota of {one}" for one in read if one.short)),
    )


def _of_hosting(deployment: Deployment, hosting: Hosting) -> list[tuple[str, str]]:
    source, model = deployment.artifact, hosting.model
    lines = [("model", source.where if source else model.package)]
    if source and source.here:
        lines.append(("upload", source.uri))
    if model.image:
        lines.append(("image", model.image))
    if hosting.serverless:
        size = hosting.serverless
        lines.append(("size", f"{size.memory_mb} MB, {size.concurrency} answers at a time"))
    else:
        several = " (the first that AWS has)" if len(hosting.types) > 1 else ""
        lines.append(("instances", f"{hosting.count} x {', '.join(hosting.types)}{several}"))
    if hosting.inference_ami:
        lines.append(("AMI", hosting.inference_ami))
    if hosting.asynchronous:
        lines.append(("answers", f"{hosting.asynchronous.output}, failures {hosting.asynchronous.failures}"))
    if hosting.capture:
        lines.append(("capture", f"{hosting.capture.percent} % of requests and answers into {hosting.capture.uri}"))
    if deployment.before:
        lines.append(
            ("update", "the new instances answer before the old ones end; AWS rolls back if the new ones do not start")
        )
    return lines


def _quotas(session: Session, deployment: Deployment) -> list[quotas.Quota]:
    """Return the quotas for all instances that the endpoint needs at one time.

    During an update, the old and the new instances run together.
    """
    hosting, before = deployment.hosting, deployment.before
    types = hosting.types if hosting else before.types if before else ()
    most = deployment.scale.high if deployment.scale else 0
    needed = max(hosting.count if hosting else 0, most)
    if hosting and before and set(types) & set(before.types):
        needed = max(hosting.count + sum(before.endpoint.counts.values()), most)
    return quotas.read(session, "endpoint", types, needed) if types and needed else []


def _cost(session: Session, deployment: Deployment) -> Bound:
    known, before, scale = prices.load(session.settings, session.region), deployment.before, deployment.scale
    most = scale.high if scale else 0
    if deployment.hosting:
        if before and not scale:  # an update keeps the existing autoscaling
            most = max((found.high for found in scaling.registered(session, deployment.endpoint)), default=0)
        return cost.endpoint(known, deployment.hosting, most)
    if before is None or scale is None:
        return Bound(amount=0.0, why="the endpoint's instances stay as they are", monthly=True)
    return cost.month(cost.hour(known, "async" if scale.queue else "hosting", before.types, most))

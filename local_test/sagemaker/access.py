"""Checks which actions the policies of an IAM user allow, for every service. moto evaluates the policies.

Only the keys that CreateAccessKey has made for a user are checked; all other keys may do everything. Signatures are not
checked. The emulator records the actions that a user has needed, and GET /_local/permissions lists them. On AWS the user needs
a policy that allows these actions.
"""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, IAMUserAccessKey, PermissionResult
from moto.iam.models import iam_backends
from werkzeug.wrappers import Request, Response

from local_test.sagemaker import iam_actions
from local_test.sagemaker.iam_actions import RequiredAction
from local_test.sagemaker.settings import ACCOUNT

KEY = re.compile(r"Credential=([^/]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")
FREE = {"sts:GetCallerIdentity"}  # on AWS these actions need no permission, and a Deny of them has no effect


@dataclass
class Access:
    """Checks the requests of users. `needed` records for each user, action and resource whether the action was allowed."""

    needed: dict[str, dict[tuple[str, str], bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, request: Request) -> Response | None:
        """Return the refusal of a request that the user's policies do not allow; None if they allow it."""
        signed = KEY.search(request.headers.get("Authorization", ""))
        if signed is None or not iam_backends[ACCOUNT]["aws"].users:
            return None
        try:
            # moto's arguments: account, partition, key, headers
            user = IAMUserAccessKey(ACCOUNT, "aws", signed[1], {})
        except CreateAccessKeyFailure:
            return None
        policies = [IAMPolicy(policy) for policy in user.collect_policies()]
        for action in iam_actions.of_request(request, signed[3], signed[2]):
            allowed = action.action in FREE or any(_allows(policies, action, resource) for resource in action.resources)
            with self._lock:
                self.needed.setdefault(user.arn, {})[action.action, action.resources[0]] = allowed
            if not allowed:
                return _denied(request, signed[3], user.arn, action)
        return None

    def listed(self) -> dict[str, list[dict[str, Any]]]:
        """Return the actions that users have needed, as plain values."""
        with self._lock:
            return {
                user: [
                    {"action": action, "resource": resource, "allowed": allowed}
                    for (action, resource), allowed in sorted(actions.items())
                ]
                for user, actions in self.needed.items()
            }

    def clear(self) -> None:
        with self._lock:
            self.needed.clear()


def _allows(policies: list[IAMPolicy], needed: RequiredAction, resource: str) -> bool:
    """Return whether at least one policy allows an action, and no policy denies it."""
    results = [policy.is_action_permitted(needed.action, resource, None, dict(needed.context)) for policy in policies]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def _denied(request: Request, service: str, user: str, needed: RequiredAction) -> Response:
    text = (
        f"User: {user} is not authorized to perform: {needed.action} on resource: {needed.resources[0]} because no "
        f"identity-based policy allows the {needed.action} action"
    )
    while request.stream.read(65536):  # read all of it: a client that is still sending would not read the answer
        pass
    if service == "s3":
        return _xml(f"<Error><Code>AccessDenied</Code><Message>{text}</Message></Error>")
    if service in ("iam", "sts"):
        inner = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{text}</Message></Error>"
        return _xml(f"<ErrorResponse>{inner}</ErrorResponse>")
    body: Mapping[str, str] = {"__type": "AccessDeniedException", "message": text}
    headers = {"x-amzn-errortype": "AccessDeniedException"}
    return Response(json.dumps(body), 400, headers, content_type="application/x-amz-json-1.1")


def _xml(text: str) -> Response:
    return Response(text, 403, content_type="application/xml")

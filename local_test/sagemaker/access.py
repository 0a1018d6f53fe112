"""What the policies of an IAM user allow, for every service, by moto's evaluation of policies.

Only the keys that CreateAccessKey has made for a user are checked; all other keys may do everything. Signatures are not
checked. What a user has asked for is kept, and GET /_local/permissions tells it: the policy that a program needs.
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

from local_test.sagemaker import asked
from local_test.sagemaker.asked import Asked
from local_test.sagemaker.settings import ACCOUNT

KEY = re.compile(r"Credential=([^/]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")
FREE = {"sts:GetCallerIdentity"}  # AWS: no permission is needed, and a Deny has no effect


@dataclass
class Access:
    """What users have asked for so far: by user, action and resource, whether it was allowed."""

    told: dict[str, dict[tuple[str, str], bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, request: Request) -> Response | None:
        """Return the refusal of a request that the user's policies do not allow, or None."""
        signed = KEY.search(request.headers.get("Authorization", ""))
        if signed is None or not iam_backends[ACCOUNT]["aws"].users:
            return None
        try:
            # moto's arguments: account, partition, key, headers
            user = IAMUserAccessKey(ACCOUNT, "aws", signed[1], {})
        except CreateAccessKeyFailure:
            return None
        policies = [IAMPolicy(policy) for policy in user.collect_policies()]
        for wanted in asked.of_request(request, signed[3], signed[2]):
            allowed = wanted.action in FREE or any(_allows(policies, wanted, resource) for resource in wanted.resources)
            with self._lock:
                self.told.setdefault(user.arn, {})[wanted.action, wanted.resources[0]] = allowed
            if not allowed:
                return _denied(request, signed[3], user.arn, wanted)
        return None

    def listed(self) -> dict[str, list[dict[str, Any]]]:
        """Return what users have asked for as plain values."""
        with self._lock:
            return {
                user: [
                    {"action": action, "resource": resource, "allowed": allowed}
                    for (action, resource), allowed in sorted(told.items())
                ]
                for user, told in self.told.items()
            }

    def clear(self) -> None:
        with self._lock:
            self.told.clear()


def _allows(policies: list[IAMPolicy], wanted: Asked, resource: str) -> bool:
    """Return whether one policy allows an action and none denies it."""
    results = [policy.is_action_permitted(wanted.action, resource, None, dict(wanted.context)) for policy in policies]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def _denied(request: Request, service: str, user: str, wanted: Asked) -> Response:
    text = (
        f"User: {user} is not authorized to perform: {wanted.action} on resource: {wanted.resources[0]} because no "
        f"identity-based policy allows the {wanted.action} action"
    )
    while request.stream.read(65536):  # a client that is still sending would not read the answer
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

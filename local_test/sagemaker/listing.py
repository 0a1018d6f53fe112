"""The filters, order and pages that SageMaker's List actions have in common."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from local_test.sagemaker.errors import invalid
from local_test.sagemaker.store import Resource

Entry = TypeVar("Entry")
PAGE = 100  # the largest MaxResults in the API model, which is also the default


def seconds(value: float | str) -> float:
    """Return a time as seconds since 1970. Most clients send a number, and some send ISO 8601."""
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(value)


def page(
    resources: Iterable[Resource], request: dict[str, Any], status: str, descending: bool = False
) -> tuple[list[Resource], dict[str, str]]:
    """Return the resources of one page, and NextToken if more follow. `status` names the member for StatusEquals and
    SortBy=Status; `descending` is the action's default order (API reference, SortOrder of each action).
    """
    found = [resource for resource in resources if _wanted(resource, request, status)]
    order = request.get("SortOrder", "Descending" if descending else "Ascending")
    found.sort(key=_key(request.get("SortBy", "CreationTime"), status), reverse=order == "Descending")
    return pages(found, request)


def pages(found: Sequence[Entry], request: dict[str, Any]) -> tuple[list[Entry], dict[str, str]]:
    """Return the entries of the page that a request asks for, and NextToken if more follow."""
    start = _start(request.get("NextToken"))
    end = start + request.get("MaxResults", PAGE)
    return list(found[start:end]), ({"NextToken": _token(end)} if end < len(found) else {})


def _wanted(resource: Resource, request: dict[str, Any], status: str) -> bool:
    answer = resource.answer
    created, modified = answer["CreationTime"], answer["LastModifiedTime"]
    return (
        request.get("NameContains", "") in resource.name
        and request.get("StatusEquals", answer.get(status)) == answer.get(status)
        and ("CreationTimeAfter" not in request or created > seconds(request["CreationTimeAfter"]))
        and ("CreationTimeBefore" not in request or created < seconds(request["CreationTimeBefore"]))
        and ("LastModifiedTimeAfter" not in request or modified > seconds(request["LastModifiedTimeAfter"]))
        and ("LastModifiedTimeBefore" not in request or modified < seconds(request["LastModifiedTimeBefore"]))
    )


def _key(by: str, status: str) -> Callable[[Resource], Any]:
    def key(resource: Resource) -> Any:
        answer = resource.answer
        first = {"Name": resource.name, "Status": answer.get(status)}.get(by, answer["CreationTime"])
        return first, answer["CreationTime"]

    return key


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from {start}".encode()).decode()


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, number = base64.urlsafe_b64decode(token).decode().split()
        if word == "from" and number.isdecimal():
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise invalid(f"NextToken '{token}' is not a token that a List action returned")

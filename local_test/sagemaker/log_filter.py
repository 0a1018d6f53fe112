"""FilterLogEvents with logStreamNamePrefix. moto ignores this member, so a client would read the lines of other jobs; therefore
the request is changed to name each stream with the prefix.
"""

from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError

TARGET = "Logs_20140328.FilterLogEvents"


def translated(request: dict[str, Any], cloud: Cloud) -> dict[str, Any] | None:
    """Return a request whose answer by moto is AWS's answer to `request`; None if no stream has the prefix.

    Events of several streams come in the order of their times, regardless of `interleaved` (API, FilterLogEvents).
    """
    wanted = {**request, "interleaved": True}
    prefix = wanted.pop("logStreamNamePrefix", None)
    if prefix is None:
        return wanted
    if request.get("logStreamNames"):
        raise ApiError("InvalidParameterException", "logStreamNames and logStreamNamePrefix exclude each other")
    streams = cloud.logs.names(request.get("logGroupName", ""), prefix)
    if streams is None:
        return wanted  # moto then answers that the group does not exist
    return {**wanted, "logStreamNames": streams} if streams else None

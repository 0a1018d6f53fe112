"""The defaults that AWS adds to the request of a training job, or to a tuning job's definition, as Describe shows them."""

from collections.abc import Mapping
from typing import Any

FLAGS = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
CHANNEL = {"CompressionType": "None", "RecordWrapperType": "None"}


def filled(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with AWS's default flags and default members of channels."""
    found: dict[str, Any] = {**dict.fromkeys(FLAGS, False), **request}
    if request.get("InputDataConfig"):
        found["InputDataConfig"] = [{**CHANNEL, **channel} for channel in request["InputDataConfig"]]
    return found

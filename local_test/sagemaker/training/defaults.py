"""What AWS adds to the request of a training job, or to a definition of a tuning job, as its Describe answers show."""

from collections.abc import Mapping
from typing import Any

FLAGS = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
CHANNEL = {"CompressionType": "None", "RecordWrapperType": "None"}


def filled(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with the flags, and the members of its channels, that AWS answers where it names none."""
    found: dict[str, Any] = {**dict.fromkeys(FLAGS, False), **request}
    if request.get("InputDataConfig"):
        found["InputDataConfig"] = [{**CHANNEL, **channel} for channel in request["InputDataConfig"]]
    return found

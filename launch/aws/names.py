"""The names of jobs, models, configurations and endpoints: byoc makes all of them, and all match the API's patterns. The SDK
would make names from the image's name, which do not match if the image is named by its digest.
"""

import re
from datetime import datetime

LONGEST = 63  # TrainingJobName, ModelName, EndpointConfigName, EndpointName and TransformJobName of the API
LONGEST_TUNING = 32  # HyperParameterTuningJobName: its training jobs' names append to it
ILLEGAL = re.compile(r"[^a-zA-Z0-9]+")


def job(stem: str, now: datetime, longest: int = LONGEST) -> str:
    """Return a new name, `stem` and the time to a millisecond: letters, digits and single hyphens."""
    stamp = f"{now:%y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"
    return f"{_legal(stem, longest - len(stamp) - 1)}-{stamp}"


def endpoint(stem: str) -> str:
    """Return an endpoint's name, which stays the same over all deployments."""
    return _legal(stem, LONGEST)


def _legal(stem: str, longest: int) -> str:
    return ILLEGAL.sub("-", stem).strip("-")[:longest].rstrip("-") or "byoc"

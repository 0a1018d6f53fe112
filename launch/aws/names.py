"""The names of jobs, models, configurations and endpoints. byoc makes all of them, and all match the API's patterns.

The SDK would make names from the image's name. Those do not match if the image is named by its digest.
"""

import re
from datetime import datetime

# The most characters of TrainingJobName, ModelName, EndpointConfigName, EndpointName and TransformJobName (API).
LONGEST = 63
LONGEST_TUNING = 32  # the most characters of HyperParameterTuningJobName; the names of its training jobs begin with it and are longer
ALLOWED = "letters, digits and single hyphens"  # the characters of all these names, in words
ILLEGAL = re.compile(r"[^a-zA-Z0-9]+")
PATTERN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")  # the API's pattern of all these names, without their length


def job(stem: str, now: datetime, longest: int = LONGEST) -> str:
    """Return a new name: `stem` and the time to a millisecond, in letters, digits and single hyphens."""
    stamp = f"{now:%y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"
    return f"{_legal(stem, longest - len(stamp) - 1)}-{stamp}"


def endpoint(stem: str) -> str:
    """Return an endpoint's name. It stays the same over all deployments."""
    return _legal(stem, LONGEST)


def is_legal(name: str, longest: int = LONGEST) -> bool:
    """Return whether the API's pattern allows a name. Nothing in AWS has another name."""
    return len(name) <= longest and PATTERN.fullmatch(name) is not None


def _legal(stem: str, longest: int) -> str:
    return ILLEGAL.sub("-", stem).strip("-")[:longest].rstrip("-") or "byoc"

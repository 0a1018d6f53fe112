"""The parameters with which a job sends its requests: from its own request, else from the container, else defaults (G23 batch-code)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
SECONDS, RETRIES = 600, 3  # the defaults (API, ModelClientConfig)


@dataclass(frozen=True)
class Parameters:
    """The three parameters of sending, the time for a request, and the number of retries."""

    concurrent: int
    payload: int  # the most MB of a payload
    strategy: str  # MULTI_RECORD or SINGLE_RECORD
    seconds: float
    retries: int

    @classmethod
    def of(cls, request: Mapping[str, Any], answered: bytes | None) -> "Parameters":
        """Return the parameters of a request; `answered` is the container's answer to /execution-parameters, or None."""
        said = _object(answered)
        client = request.get("ModelClientConfig") or {}
        strategy = STRATEGIES.get(request.get("BatchStrategy", ""), said.get("BatchStrategy", "MULTI_RECORD"))
        return cls(
            concurrent=max(1, request.get("MaxConcurrentTransforms") or int(said.get("MaxConcurrentTransforms", 1))),
            payload=request.get("MaxPayloadInMB") or int(said.get("MaxPayloadInMB", 6)),
            strategy=strategy,
            seconds=client.get("InvocationsTimeoutInSeconds", SECONDS),
            retries=client.get("InvocationsMaxRetries", RETRIES),
        )


def variables(request: Mapping[str, Any]) -> dict[str, str]:
    """Return the job's variables for the container's environment, only for parameters that the request sets (C 3.5)."""
    said = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": STRATEGIES.get(request.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
    }
    return {"SAGEMAKER_BATCH": "true", **{name: str(value) for name, value in said.items() if value is not None}}


def _object(answered: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(answered or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

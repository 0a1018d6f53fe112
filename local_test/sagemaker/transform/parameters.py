"""How a job sends its requests: what its request says, else what the container says, else the defaults (G23 batch-code)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
SECONDS, RETRIES = 600, 3  # API, ModelClientConfig


@dataclass(frozen=True)
class Parameters:
    """The three parameters of sending, and how long and often a request is tried."""

    concurrent: int
    payload: int  # MB
    strategy: str  # MULTI_RECORD or SINGLE_RECORD
    seconds: float
    retries: int

    @classmethod
    def of(cls, request: Mapping[str, Any], answered: bytes | None) -> "Parameters":
        """Return the parameters of a request, and of what /execution-parameters answered; None when it has no such page."""
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
    """Return what the container's environment says of the job: only what the request says (C 3.5)."""
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

"""The metrics of invocations in CloudWatch (guide, monitoring-cloudwatch: AWS/SageMaker)."""

import time

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.fleet import Variant
from local_test.sagemaker.metrics import Point

NAMESPACE = "AWS/SageMaker"
MICRO = 1_000_000  # latencies are in microseconds


def record(cloud: Cloud, endpoint: str, variant: Variant, status: int, model: float, overhead: float) -> None:
    """Count an invocation: the container answered with `status`, 0 for no answer, after `model` seconds."""
    values = {
        "Invocations": 1,
        "InvocationsPerInstance": 1 / max(1, len(variant.instances)),
        "ModelLatency": model * MICRO,
        "OverheadLatency": max(0.0, overhead) * MICRO,
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status >= 500 or status == 0),
    }
    _put(cloud, endpoint, variant, values)


def record_loading(cloud: Cloud, endpoint: str, variant: Variant, hit: bool, seconds: float, loaded: int) -> None:
    """Count the use of a model of a multi-model endpoint."""
    values = {"ModelCacheHit": float(hit), "LoadedModelCount": float(loaded)}
    if not hit:
        values["ModelLoadingWaitTime"] = seconds * MICRO
    _put(cloud, endpoint, variant, values)


def _put(cloud: Cloud, endpoint: str, variant: Variant, values: dict[str, float]) -> None:
    now = time.time()
    points = [Point(name, value, now) for name, value in values.items()]
    cloud.metrics.put(NAMESPACE, {"EndpointName": endpoint, "VariantName": variant.name}, points)

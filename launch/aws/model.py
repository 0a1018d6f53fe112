"""botocore's model of SageMaker's API: the members of each request. Loading it takes 0.1 s of CPU and no network."""

import functools
from typing import Any

import botocore.model

from launch.aws.session import models


@functools.cache
def service() -> Any:
    """Return the model of the API that the installed botocore knows."""
    return botocore.model.ServiceModel(models().load_service_model("sagemaker", "service-2"))


def request_shape(operation: str) -> Any:
    """Return the shape of an operation's request."""
    return service().operation_model(operation).input_shape

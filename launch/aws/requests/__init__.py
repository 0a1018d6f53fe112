"""Builds the requests of the API from a specification, as plain data. There is one module for each kind of specification."""

from typing import Any

from launch.aws.requests import hosting, training, transform, tuning
from launch.aws.specification import Hosting, Training, Transform, Tuning

Call = tuple[str, dict[str, Any]]  # an operation and its request
Wanted = Training | Tuning | Hosting | Transform


def calls(wanted: Wanted) -> list[Call]:
    """Return the requests in the order in which they are sent; an endpoint needs three."""
    if isinstance(wanted, Training):
        return [("CreateTrainingJob", training.training_job(wanted))]
    if isinstance(wanted, Tuning):
        return [("CreateHyperParameterTuningJob", tuning.tuning_job(wanted))]
    if isinstance(wanted, Transform):
        return [("CreateTransformJob", transform.transform_job(wanted))]
    return [
        ("CreateModel", hosting.model(wanted.model)),
        ("CreateEndpointConfig", hosting.endpoint_config(wanted)),
        ("CreateEndpoint", hosting.endpoint(wanted)),
    ]

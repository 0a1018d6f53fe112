"""The driver, command `byoc`: check data, tune, train, serve and predict. Imports neither torch nor the serving program.

Notebooks get SageMaker's SDK objects filled in by `launch.estimator`, `launch.tuner`, `launch.model` and `launch.channels`
(launch/aws/notebook.py), and the verbs as functions by `launch.verbs`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch import verbs
    from launch.aws.notebook import channels, estimator, model, tuner

__all__ = ["channels", "estimator", "model", "tuner", "verbs"]


def __getattr__(name: str) -> Any:
    # Only what is asked for is imported: boto3 takes 0.1 s, the SDK 2 s.
    if name == "verbs":
        return importlib.import_module("launch.verbs")
    if name in __all__:
        return getattr(importlib.import_module("launch.aws.notebook"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

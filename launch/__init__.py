"""The driver, command `byoc`: check data, tune, train, serve and predict. Imports neither torch nor the serving program.

A notebook gets the account's session from `launch.session`. It gets ready-made objects of SageMaker's SDK from `launch.estimator`,
`launch.tuner`, `launch.model` and `launch.channels` (notebook.py). `launch.verbs` has a function for each verb.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch import verbs
    from launch.aws.notebook import channels, estimator, model, session, tuner

__all__ = ["channels", "estimator", "model", "session", "tuner", "verbs"]


def __getattr__(name: str) -> Any:
    # Nothing is imported before it is used, because importing boto3 takes 0.1 s, and the SDK 2 s.
    if name == "verbs":
        return importlib.import_module("launch.verbs")
    if name in __all__:
        return getattr(importlib.import_module("launch.aws.notebook"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

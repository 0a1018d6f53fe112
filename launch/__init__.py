"""The driver, command `byoc`: check data, tune, train, serve and predict. Imports neither torch nor the serving program.

Notebooks get SageMaker's SDK objects filled in by `launch.estimator`, `launch.tuner`, `launch.model` and `launch.channels`
(launch/aws/notebook.py), what else a notebook needs as functions over a `launch.session` (launch/aws/notebook_functions.py), and each
verb of the command line as a function of `launch.verbs`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch import verbs
    from launch.aws.account.upload import upload
    from launch.aws.jobs.best import best_of
    from launch.aws.jobs.follow import follow
    from launch.aws.notebook import channels, estimator, model, tuner
    from launch.aws.notebook_functions import check_photos, delete, epochs, leftovers, session

__all__ = [
    "best_of",
    "channels",
    "check_photos",
    "delete",
    "epochs",
    "estimator",
    "follow",
    "leftovers",
    "model",
    "session",
    "tuner",
    "upload",
    "verbs",
]
ELSEWHERE = {
    "best_of": "launch.aws.jobs.best",
    "follow": "launch.aws.jobs.follow",
    "upload": "launch.aws.account.upload",
    **dict.fromkeys(("check_photos", "delete", "epochs", "leftovers", "session"), "launch.aws.notebook_functions"),
}


def __getattr__(name: str) -> Any:
    # Only what is asked for is imported: boto3 takes 0.1 s, the SDK 2 s.
    if name == "verbs":
        return importlib.import_module("launch.verbs")
    if name in __all__:
        return getattr(importlib.import_module(ELSEWHERE.get(name, "launch.aws.notebook")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

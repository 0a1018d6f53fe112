"""The driver, command `byoc`: check data, tune, train, serve and predict. Imports neither torch nor the serving program.

For notebooks it offers SageMaker's SDK objects filled in, and one function a verb; launch/aws/notebook.py says what each does:

    session = launch.session()                                   # byoc.toml, and BYOC_ variables
    photos = launch.upload(session, Path("photos"))
    estimator = launch.estimator(session, {"epochs": "5"})       # sagemaker.estimator.Estimator
    estimator.fit({"training": photos.uri}, wait=False)
    launch.follow(session, "training", estimator.latest_training_job.name).check()
"""

import importlib
from typing import Any

# Loaded when a name is used: the command line imports this package for every verb.
_OFFERED = {
    "best_of": "launch.aws.jobs.best",
    "check_photos": "launch.aws.notebook",
    "delete": "launch.aws.notebook",
    "epochs": "launch.aws.notebook",
    "estimator": "launch.aws.notebook",
    "follow": "launch.aws.jobs.follow",
    "leftovers": "launch.aws.notebook",
    "model": "launch.aws.notebook",
    "session": "launch.aws.notebook",
    "tuner": "launch.aws.notebook",
    "upload": "launch.aws.account.upload",
}


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])

"""Chooses the SDK's instance type for local mode: `local`, or `local_gpu`, which gives containers the machine's GPUs."""

import os

from classifier.errors import ConfigError
from launch.gpus import wanted
from local_test.stop import LocalModeError


def instance_type(image: str) -> str:
    """Return the SDK's instance type for an image; the environment variable GPUS decides as in launch.gpus."""
    try:
        return "local_gpu" if wanted(image, os.environ.get("GPUS") or "auto") else "local"
    except ConfigError as error:
        raise LocalModeError(str(error)) from error

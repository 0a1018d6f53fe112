"""Decides whether a container gets this machine's GPUs: by default if the image is built for CUDA and there is a GPU.

`python3 -m launch.gpus IMAGE` prints the options for `docker run`, or nothing. GPUS=all or GPUS=none overrides the default.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from classifier.device import VERSION_FILE
from classifier.errors import ConfigError

CHOICES = ("auto", "all", "none")
# NCCL, which connects several GPUs of one host, needs more shared memory than Docker's default of 64 MB.
OPTIONS = ("--gpus", "all", "--shm-size", "1g")


def wanted(image: str, choice: str = "auto", driver: Path = VERSION_FILE) -> bool:
    """Return whether the container gets the GPUs. Raises ConfigError if `choice` is not in CHOICES."""
    if choice not in CHOICES:
        raise ConfigError(f"gpus is {choice!r}; it must be one of {', '.join(CHOICES)}")
    if choice != "auto":
        return choice == "all"
    return driver.exists() and _for_cuda(image)


def _for_cuda(image: str) -> bool:
    """Return whether an image is built for CUDA. Images with CUDA set NVIDIA_VISIBLE_DEVICES."""
    command = ["docker", "image", "inspect", "--format", "{{json .Config.Env}}", image]
    found = subprocess.run(command, capture_output=True, check=False)
    variables = (json.loads(found.stdout) or []) if found.returncode == 0 else []
    return any(variable.startswith("NVIDIA_VISIBLE_DEVICES=") for variable in variables)


if __name__ == "__main__":
    try:
        print(*OPTIONS if wanted(sys.argv[1], os.environ.get("GPUS") or "auto") else ())
    except ConfigError as error:
        sys.exit(str(error))

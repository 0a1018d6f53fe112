"""Runs the training program inside its image on this machine: `docker run` with the mounts that SageMaker makes."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from classifier.errors import ConfigError
from launch.gpus import OPTIONS

# Each container has this label with the folder of its job. A container that a killed driver left behind can then be found and removed.
LABEL = "byoc-classifier.job"


def training_image(name: str) -> str:
    """Return the image that `--image` names: the name itself, or the training image in a file that ends in .json.

    build_and_push.sh writes that file. Raises ConfigError if the file is missing or holds no training image.
    """
    if not name.endswith(".json"):
        return name
    try:
        uri = json.loads(Path(name).read_text())["train"]["uri"]
    except FileNotFoundError:
        raise ConfigError(f"{name} is missing; push the images with ./build_and_push.sh, which writes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{name} holds no training image ({error!r}); push it: ./build_and_push.sh train") from error
    return str(uri)


def check(image: str) -> None:
    """Raise ConfigError if the image is not on this machine and cannot be pulled. Only images named by digest are pulled."""
    try:
        found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
        if found.returncode and "@sha256:" in image:
            found = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigError("--image needs Docker, which is not installed; install it or leave --image out") from None
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["docker gave no reason"])[-1]
        raise ConfigError(f"image {image} cannot be run ({reason}); build it with make build, or name another image")


def command(
    image: str,
    base: Path,
    channels: Mapping[str, Path],
    feature_cache: Path,
    settings: Mapping[str, str],
    *,
    gpus: bool = False,
) -> list[str]:
    """Return the command for one job in the folder `base`, which is laid out as /opt/ml.

    The files that the job writes will belong to this user. `settings` are environment variables of the program.
    """
    base, feature_cache = base.resolve(), feature_cache.resolve()
    for folder in (base / "model", base / "output" / "data", feature_cache):
        folder.mkdir(parents=True, exist_ok=True)
    options = ["--rm", "--label", f"{LABEL}={base}", "--user", f"{os.getuid()}:{os.getgid()}", "--network", "none"]
    options += [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    options += OPTIONS if gpus else ()
    mounts = [f"{base}/input/config:/opt/ml/input/config:ro"]
    mounts += [f"{folder.resolve()}:/opt/ml/input/data/{name}:ro" for name, folder in channels.items()]
    mounts += [f"{base}/model:/opt/ml/model", f"{base}/output:/opt/ml/output", f"{feature_cache}:/tmp/features"]
    options += [part for mount in mounts for part in ("--volume", mount)]
    return ["docker", "run", *options, image, "train", "--feature-cache", "/tmp/features"]

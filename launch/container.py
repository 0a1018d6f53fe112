"""The training program inside its image: `docker run` with the platform's mounts, on this machine."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from classifier.errors import ConfigError
from launch.gpus import OPTIONS

# Every container carries the folder of its job, so that what a killed driver leaves can be found and removed.
LABEL = "byoc-classifier.job"


def training_image(name: str) -> str:
    """Return the image that `--image` names: a name that Docker knows, or in a file `*.json` the one that was pushed.

    Raises ConfigError when the file that build_and_push.sh writes is missing or holds no training image.
    """
    if not name.endswith(".json"):
        return name
    try:
        uri = json.loads(Path(name).read_text())["train"]["uri"]
    except FileNotFoundError:
        raise ConfigError(f"{name} is missing; ./build_and_push.sh writes it when it has pushed the images") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{name} holds no training image ({error!r}); push it: ./build_and_push.sh train") from error
    return str(uri)


def check(image: str) -> None:
    """Raise ConfigError when the image cannot be run; one that was pushed is pulled where it is not here."""
    try:
        found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
        if found.returncode and "@sha256:" in image:
            found = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigError("--image needs Docker, which is not installed; install it or leave --image out") from None
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["docker gave no reason"])[-1]
        raise ConfigError(f"image {image} cannot be run ({reason}); build it with make build, or name another")


def command(
    image: str,
    base: Path,
    channels: Mapping[str, Path],
    feature_cache: Path,
    threads: int | None,
    *,
    gpus: bool = False,
) -> list[str]:
    """Return the command for one job over the folder `base`, laid out as /opt/ml; what it writes belongs to the user."""
    base, feature_cache = base.resolve(), feature_cache.resolve()
    for folder in (base / "model", base / "output" / "data", feature_cache):
        folder.mkdir(parents=True, exist_ok=True)
    options = ["--rm", "--label", f"{LABEL}={base}", "--user", f"{os.getuid()}:{os.getgid()}", "--network", "none"]
    options += ["--env", f"OMP_NUM_THREADS={threads}"] if threads else []
    options += OPTIONS if gpus else ()
    mounts = [f"{base}/input/config:/opt/ml/input/config:ro"]
    mounts += [f"{folder.resolve()}:/opt/ml/input/data/{name}:ro" for name, folder in channels.items()]
    mounts += [f"{base}/model:/opt/ml/model", f"{base}/output:/opt/ml/output", f"{feature_cache}:/tmp/features"]
    options += [part for mount in mounts for part in ("--volume", mount)]
    return ["docker", "run", *options, image, "train", "--feature-cache", "/tmp/features"]

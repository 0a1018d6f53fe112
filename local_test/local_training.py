"""A training job in local mode: the SDK's generic Estimator over one or more containers on this machine."""

import argparse
import subprocess
from pathlib import Path
from typing import Any

from local_test.leftovers import Leftovers
from local_test.stop import LocalModeError, Stop

ROLE = "arn:aws:iam::111111111111:role/local"  # any well-formed name will do
SPLITS = ("train", "validation", "valid", "val", "test")


def train(options: argparse.Namespace, session: Any, work: Path, leftovers: Leftovers, stop: Stop) -> int:
    """Train and unpack model/ and output/ below options.out; raises LocalModeError with the job's failure text."""
    from sagemaker.estimator import Estimator

    estimator = Estimator(
        image_uri=options.image,
        role=ROLE,
        instance_count=options.hosts,
        instance_type="local",
        sagemaker_session=session,
        hyperparameters=dict(_pair(text) for text in options.hyperparameters),
    )
    error: Exception | None = None
    try:
        if not stop.is_set():
            estimator.fit(_channels(options.data.resolve()))
    except Exception as raised:  # the SDK raises RuntimeError, and whatever a missing container makes of it
        error = raised
    if stop.is_set():
        print("stopped; nothing is left", flush=True)
        return 128 + stop.number
    for archive in (work / "containers").glob("*/compressed_artifacts/*.tar.gz"):
        target = options.out / archive.name.removesuffix(".tar.gz")
        target.mkdir(parents=True, exist_ok=True)
        # tar, since tarfile of Debian 12's Python has no filter yet; the files are to be the user's.
        subprocess.run(["tar", "-xzf", str(archive), "-C", str(target), "--no-same-owner"], check=True)
    failure = options.out / "output" / "failure"
    if error or failure.exists():
        # The SDK says only which status compose ended with; the job's own words are in its archive.
        text = failure.read_text() if failure.exists() else f"the job failed and left no failure text ({error})"
        raise LocalModeError(text.strip())
    model = options.out / "model"
    print(f"done, {model} is the artifact; serve it: local_test/serve_local.sh {model}", flush=True)
    return 0


def _channels(data: Path) -> dict[str, str]:
    """Return the splits as channels, or all of it as the channel training."""
    found = {name: data / name for name in SPLITS if (data / name).is_dir()}
    return {name: f"file://{path}" for name, path in (found or {"training": data}).items()}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise LocalModeError(f"--set {text!r} must read NAME=VALUE, as in --set epochs=2")
    return name, value

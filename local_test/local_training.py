"""A training job in local mode: the SDK's generic Estimator over one or more containers on this machine."""

import argparse
import json
from pathlib import Path
from typing import Any

from classifier.archives import unpack
from classifier.errors import ArchiveError
from local_test.code import copied
from local_test.gpus import instance_type
from local_test.leftovers import Leftovers
from local_test.stop import LocalModeError, Stop

ROLE = "arn:aws:iam::111111111111:role/local"  # any well-formed ARN works


def train(options: argparse.Namespace, session: Any, work: Path, leftovers: Leftovers, stop: Stop) -> int:
    """Train and unpack model/ and output/ below options.out; raises LocalModeError with the job's failure text."""
    from sagemaker.estimator import Estimator

    settings, script = dict(_pair("--set", text) for text in options.hyperparameters), _script(options, work)
    if "/" in script.get("entry_point", ""):
        # The SDK's local mode drops the folder from the script's name, so the hyperparameters that it would send are set here.
        program, code = script.pop("entry_point"), script.pop("source_dir")
        settings |= {
            "sagemaker_program": json.dumps(program),
            "sagemaker_submit_directory": json.dumps(f"file://{code}"),
        }
    estimator = Estimator(
        image_uri=options.image,
        role=ROLE,
        instance_count=options.hosts,
        instance_type=instance_type(options.image),
        sagemaker_session=session,
        hyperparameters=settings,
        **script,
    )
    error: Exception | None = None
    try:
        if not stop.is_set():
            pairs = (_pair("--channel", text) for text in options.channels)
            estimator.fit({name: f"file://{Path(folder).resolve()}" for name, folder in pairs})
    except Exception as raised:  # the SDK raises RuntimeError, or any other error if a container is missing
        error = raised
    if stop.is_set():
        print("stopped; nothing is left", flush=True)
        return 128 + stop.number
    for archive in (work / "containers").glob("*/compressed_artifacts/*.tar.gz"):
        try:
            unpack(archive, options.out / archive.name.removesuffix(".tar.gz"))
        except ArchiveError as refused:
            raise LocalModeError(f"the job's results cannot be kept: {refused}") from refused
    failure = options.out / "output" / "failure"
    if error or failure.exists():
        # The SDK's error has only the exit status of compose; the job's failure text is in the job's archive.
        text = failure.read_text() if failure.exists() else f"the job failed and left no failure text ({error})"
        raise LocalModeError(text.strip())
    model = options.out / "model"
    print(f"done, {model} is the artifact; serve it: local_test/serve_local.sh {model}", flush=True)
    return 0


def _script(options: argparse.Namespace, work: Path) -> dict[str, str]:
    """Return the estimator's arguments for a user's script, as in a notebook."""
    if not options.script:
        return {}
    name, folder = copied(options.script, options.source_dir, work / "code")
    return {"entry_point": name, "source_dir": str(folder)}


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise LocalModeError(f"{option} {text!r} must read NAME=VALUE, as in --set epochs=2")
    return name, value

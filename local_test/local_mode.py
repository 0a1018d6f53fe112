"""Runs SageMaker local mode with SDK v2: offline, without credentials, and without leaving anything behind.

    .venv-sdk/bin/python -m local_test.local_mode train --image IMAGE --channel NAME=DIR... --out DIR [--script FILE]
    .venv-sdk/bin/python -m local_test.local_mode serve --image IMAGE --model DIR [--port N] [--code FILE]
    .venv-sdk/bin/python -m local_test.local_mode transform --image IMAGE --model DIR --photos DIR --out DIR [--port N]

train_local.sh, serve_local.sh and transform_local.sh call it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from local_test import local_endpoint, local_training, local_transform
from local_test.leftovers import Leftovers
from local_test.stop import LocalModeError, Stop

# Without an opt-out the SDK calls AWS, fails, and logs a traceback.
CONFIG = "SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n"


def main() -> int:
    """Run one command. Return the exit status: 0, 1 after an error, or 128 plus the signal's number."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="byoc-local-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        leftovers = Leftovers(work / "containers", options.image)
        stop = Stop(leftovers.remove_containers)
        try:
            session = _session(work, options)
            return int(options.call(options, session, work, leftovers, stop))
        except LocalModeError as error:
            if not stop.is_set():
                print(f"local mode: {error}", file=sys.stderr, flush=True)
            return 128 + stop.number if stop.is_set() else 1
        finally:
            leftovers.remove()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="SageMaker local mode, offline.")
    verbs = parser.add_subparsers(required=True)
    train, serve = verbs.add_parser("train"), verbs.add_parser("serve")
    train.add_argument("--channel", action="append", default=[], metavar="NAME=DIR", dest="channels")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--hosts", type=int, default=1)
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="hyperparameters")
    train.add_argument("--script")
    train.add_argument("--source-dir", type=Path)
    train.set_defaults(call=local_training.train)
    serve.add_argument("--model", type=Path, required=True)
    serve.add_argument("--code")
    serve.add_argument("--source-dir", type=Path)
    serve.add_argument("--port", type=int, default=8080)
    serve.set_defaults(call=local_endpoint.serve)
    transform = verbs.add_parser("transform")
    transform.add_argument("--model", type=Path, required=True)
    transform.add_argument("--photos", type=Path, required=True)
    transform.add_argument("--out", type=Path, required=True)
    transform.add_argument("--port", type=int, default=8080)
    transform.set_defaults(call=local_transform.transform)
    for verb in (train, serve, transform):
        verb.add_argument("--image", required=True)
    return parser


def _session(work: Path, options: argparse.Namespace) -> Any:
    """Return the SDK's local session, configured to make no call to AWS and to use only our folder."""
    for command, remedy in (
        (["docker", "info"], "Docker does not answer; install and start it"),
        (
            ["docker", "image", "inspect", options.image],
            f"there is no image {options.image}; build it with make build DEVICE=cpu, or name another",
        ),
    ):
        if shutil.which("docker") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            raise LocalModeError(remedy)
    _compose_on_path(work)
    (work / "containers").mkdir()
    (work / "config.yaml").write_text(CONFIG)
    # The SDK would write credentials in plain text into the compose file, and pass them to the containers.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(work / "config.yaml"),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }
    from sagemaker.local import LocalSession

    session = LocalSession()
    # Without local_code the SDK calls AWS for the name of its default bucket.
    local = {"local_code": True, "container_root": str(work / "containers")}
    session.config = {"local": local | ({"serving_port": options.port} if "port" in options else {})}
    return session


def _compose_on_path(work: Path) -> None:
    """Help the SDK find compose.

    The SDK accepts `docker compose` only in version 2. Otherwise it runs the command `docker-compose`, which this function makes.
    """
    found = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    if (found.returncode == 0 and "v2" in found.stdout) or shutil.which("docker-compose"):
        return
    if found.returncode:
        raise LocalModeError("Docker Compose is not installed; install it (Debian: docker-compose), or use --plain")
    command = work / "bin" / "docker-compose"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nexec docker compose "$@"\n')
    command.chmod(0o755)
    os.environ["PATH"] = f"{command.parent}:{os.environ['PATH']}"


if __name__ == "__main__":
    sys.exit(main())

"""Lets a user's programs use the emulator: runs a command with its environment, or prints lines to paste into a shell."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local_test.sagemaker import identity
from local_test.sagemaker.certificates import Authority
from local_test.sagemaker.environment import of_command
from local_test.sagemaker.proxy import Proxy
from local_test.sagemaker.settings import REGION, Settings
from local_test.sagemaker.signals import Signals

NOT_FOUND = 127  # the exit status of a shell for a missing command


def run(command: Sequence[str], settings: Settings, signals: Signals) -> int:
    """Run a command whose requests to AWS lead to the emulator, and return its exit status."""
    with tempfile.TemporaryDirectory(prefix="byoc-") as folder:
        authority = Authority(Path(folder))
        proxy = Proxy(authority, settings.port)
        variables = of_command(os.environ, identity.keys(), proxy.port, Path(folder), authority.certificate)
        # With this variable byoc waits less between two requests than AWS demands.
        variables["BYOC_EMULATOR"] = settings.url
        try:
            process = subprocess.Popen(list(command), env=variables)
        except OSError as error:
            print(f"byoc: {command[0]} cannot be started: {error.strerror}", file=sys.stderr)
            return NOT_FOUND
        try:
            return signals.wait_for(process)
        finally:
            proxy.end()


def greet(settings: Settings) -> None:
    """Print the lines that a person pastes to use the emulator."""
    lines = {
        "AWS_ENDPOINT_URL": settings.url,
        "AWS_DEFAULT_REGION": REGION,
        **identity.keys().environment,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    print(f"SageMaker on this machine: {settings.url}; its objects and jobs are in {settings.data}")
    print("\nA shell:\n  export " + " ".join(f"{name}={value}" for name, value in lines.items()))
    print(f"\nPython:\n  import os; os.environ.update({lines!r})")
    print("\nThe aws command, in that shell:\n  aws sagemaker list-training-jobs")
    print("\nCtrl-C ends the emulator and all that it has started.", flush=True)

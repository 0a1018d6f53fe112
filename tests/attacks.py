"""Shared parts of the attacks on a running server: bytes that run code when they are unpickled, and an endpoint with many models."""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.ports import free_port
from tests.server import SERVE, wait_for
from tests.wire import Answer, ask


class Bomb:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def pickled_npy(path: Path) -> bytes:
    """Return a NumPy file whose array makes the file `path` when it is unpickled."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(path)], dtype=object), allow_pickle=True)
    assert not path.exists()
    return buffer.getvalue()


class Endpoint:
    """A multi-model endpoint. A test may fill its folder of models as the platform, or an attacker, would."""

    def __init__(self, url: str, models: Path, artifact: Path) -> None:
        self.url, self.models, self.artifact = url, models, artifact

    def put(self, name: str) -> Path:
        """Lay out a good model and return its folder, which the test may damage."""
        return Path(shutil.copytree(self.artifact, self.models / name / "model"))

    def load(self, name: Any, url: Any = None) -> Answer:
        order = {"model_name": name, "url": f"{self.models}/{name}/model" if url is None else url}
        return ask(self.url, "POST", "/models", json.dumps(order).encode(), {"Content-Type": "application/json"})

    def loaded(self) -> list[str]:
        return [item["modelName"] for item in ask(self.url, "GET", "/models").json["models"]]


@contextlib.contextmanager
def attacked(base: Path, artifact: Path) -> Iterator[Endpoint]:
    """Start a multi-model endpoint below `base`, which may open only a few files, and stop it at the end."""
    (base / "models").mkdir()
    port = free_port()
    environment = os.environ | {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BASE_DIR": str(base)}
    command = [*SERVE, "--port", str(port)]

    def few_files() -> None:  # a low limit, as in some systems' services
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, preexec_fn=few_files)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, url)
        yield Endpoint(url, base / "models", artifact)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(300)
        finally:
            process.kill()

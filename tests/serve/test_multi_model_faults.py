"""Faults of a multi-model endpoint, over HTTP: a full disk, a stop during a load, an unload while a request's body arrives."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.gate import Gate
from tests.multi_model import Endpoint
from tests.ports import free_port
from tests.server import started, until, wait_for
from tests.wire import LEAK

MULTI = {"SAGEMAKER_MULTI_MODEL": "true"}


@pytest.fixture
def models(model: Path, tmp_path: Path) -> Path:
    for name in ("first", "second"):
        shutil.copytree(model, tmp_path / "models" / name / "model")
    return tmp_path


@pytest.mark.slow
def test_a_model_for_which_the_disk_has_no_room_is_507_and_the_others_serve(
    models: Path, photo: bytes, disk: Path
) -> None:
    port, gate = free_port(), Gate(models)
    gate.open()
    variables = MULTI | {"SAGEMAKER_BASE_DIR": str(models), "TMPDIR": str(disk)} | gate.variables
    with started(models, port, models, **variables) as process, contextlib.ExitStack() as stack:
        wait_for(process, f"http://127.0.0.1:{port}")
        endpoint = Endpoint(port, models / "models", process.pid)
        assert endpoint.load("first")[0] == 200
        filler = stack.enter_context((disk / "filler").open("wb", buffering=0))
        left = os.statvfs(disk)
        # With 5 MB left the load is refused before it starts; with 60 MB left the preparation fills the disk and fails.
        for room in (5 << 20, 60 << 20):
            filler.truncate(0)
            filler.seek(0)
            free = left.f_bavail * left.f_frsize - room
            while free > 0:
                free -= filler.write(bytes(min(free, 1 << 20)))
            if room > 10 << 20:
                gate.close()
                filling = threading.Thread(target=_fill_once_models_are_loading, args=(disk, 2, gate))
                filling.start()
            status, answer = endpoint.load("second")
            assert status == 507 and not LEAK.search(answer["message"]), answer
            assert ("MB are left" in answer["message"]) == (room < 10 << 20), answer
            status, answer = endpoint.ask("POST", "/models/first/invoke", photo, "image/jpeg")
            assert status == 200 and answer["predictions"][0]["label"] == "coffee"
        filling.join()
        filler.close()
        (disk / "filler").unlink()
        (disk / "more").unlink()
        assert endpoint.load("second")[0] == 200


def _folders(temporary: Path) -> list[Path]:
    """Return the folders of the models that are loaded or being loaded."""
    return list(temporary.glob("byoc-*/store/*"))


def _fill_once_models_are_loading(folder: Path, count: int, gate: Gate) -> None:
    until("the models are loaded", lambda: len(_folders(folder)) == count)
    with pytest.raises(OSError), (folder / "more").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    gate.open()


@pytest.mark.slow
def test_a_stop_while_a_model_is_loaded_ends_without_a_traceback(models: Path) -> None:
    port = free_port()
    with started(models, port, models, SAGEMAKER_BASE_DIR=str(models), **MULTI) as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        endpoint = Endpoint(port, models / "models", process.pid)
        answers: list[tuple[int, Any]] = []
        loading = threading.Thread(target=lambda: answers.append(endpoint.load("first")))
        loading.start()
        until("the model is being loaded", lambda: len(_folders(models)) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
        loading.join()
        assert answers and answers[0][0] in (200, 503)
    assert "Traceback" not in (models / "log.txt").read_text()


@pytest.mark.slow
def test_a_body_that_arrives_after_its_model_was_unloaded_is_404(models: Path, photo: bytes) -> None:
    port = free_port()
    with started(models, port, models, SAGEMAKER_BASE_DIR=str(models), **MULTI) as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        endpoint = Endpoint(port, models / "models", process.pid)
        assert endpoint.load("first")[0] == 200
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            head = f"POST /models/first/invoke HTTP/1.1\r\nHost: a\r\nContent-Length: {len(photo)}\r\n\r\n"
            connection.sendall(head.encode() + photo[:100])
            # An answer to a later request shows that the server has read the beginning of the body.
            assert endpoint.ask("GET", "/ping")[0] == 200
            assert endpoint.ask("DELETE", "/models/first")[0] == 200
            connection.sendall(photo[100:])
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 404 and "unloaded" in json.load(answer)["message"]
    # The model server has answered the request to unload the model.
    assert (
        "refused" not in (models / "log.txt").read_text() and "did not answer" not in (models / "log.txt").read_text()
    )

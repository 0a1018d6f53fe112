"""Faults of a running server, over HTTP: workers killed under load, a full disk, damaged artifacts."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.processes import left
from tests.server import ask, instances, metric, post, send, serve, started, until, wait_for, workers


@pytest.mark.slow
def test_a_worker_killed_under_load_costs_at_most_its_request(model: Path, photo: bytes, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2") as process:
        wait_for(process, url)
        until("both are ready", lambda: len(workers(process.pid)) == 2 and metric(url, "byoc_workers_ready") == 2)
        answers: list[tuple[int, str]] = []
        over = threading.Event()

        def client() -> None:
            while not over.is_set():
                status, answer = post(url, photo)
                answers.append((status, answer["predictions"][0]["label"] if status == 200 else answer["message"]))

        clients = [threading.Thread(target=client) for _ in range(4)]
        for thread in clients:
            thread.start()
        until("they are answered", lambda: len(answers) > 10)
        workers(process.pid)[0].kill()
        until("it is replaced", lambda: metric(url, "byoc_worker_restarts_total") == 1)
        count = len(answers)
        until("requests are answered after the replacement", lambda: len(answers) > count + 10)
        over.set()
        for thread in clients:
            thread.join()
        failed = [answer for answer in answers if answer[0] != 200]
        assert len(failed) <= 1 and all(status == 503 for status, _ in failed), failed
        assert {label for status, label in answers if status == 200} == {"coffee"}


@pytest.mark.slow
def test_requests_whose_clients_have_gone_are_not_computed(model: Path, photo: bytes, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    body = instances(*[photo] * 64)
    with started(model, port, tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="1") as process:
        wait_for(process, url)
        [worker] = workers(process.pid)

        def spent() -> float:
            times = worker.cpu_times()
            return times.user + times.system

        before = spent()
        assert ask(url, body, Content_Type="application/json")[0] == 200
        one, before = spent() - before, spent()
        worker.suspend()  # so that all requests wait
        for client in [send(url, body, "application/json") for _ in range(20)]:
            client.close()
        until("all requests are cancelled", lambda: metric(url, 'byoc_requests_total{code="499"}') == 20)
        worker.resume()
        assert post(url, photo)[0] == 200
        # The model server had two of the 20 requests, so only these were computed: the worker's and the next one.
        assert spent() - before < 6 * one


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB, which is almost full."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False).returncode:
        pytest.skip("this machine does not allow mounting")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_at_the_start_ends_the_program_with_one_sentence(model: Path, small_disk: Path) -> None:
    done = serve(model, "--port", str(free_port()), TMPDIR=str(small_disk))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("serving failed: ") and "MB left, 100 are needed" in done.stderr


@pytest.mark.slow
def test_a_disk_that_fills_up_later_costs_nothing(model: Path, photo: bytes, disk: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path, TMPDIR=str(disk), SAGEMAKER_MODEL_SERVER_WORKERS="2") as process:
        wait_for(process, url)
        # A worker that is killed while it still loads would not count as a restart.
        until("both are ready", lambda: metric(url, "byoc_workers_ready") == 2)
        with pytest.raises(OSError), (disk / "filler").open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        for _ in range(20):
            status, answer = post(url, photo)
            assert status == 200 and answer["predictions"][0]["label"] == "coffee"
        workers(process.pid)[0].kill()
        until("a worker is replaced although the disk is full", lambda: metric(url, "byoc_worker_restarts_total") == 1)
        until("as many workers are ready as before", lambda: metric(url, "byoc_workers_ready") == 2)
        status, answer = post(url, photo)
        assert status == 200 and answer["predictions"][0]["label"] == "coffee"
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


def test_a_path_that_is_too_long_for_sockets_ends_the_program_with_one_sentence(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    done = serve(model, "--port", str(free_port()), TMPDIR=str(folder))
    assert done.returncode == 1 and "is too long a path for Unix sockets" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(folder.iterdir())


def flip(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def drop(folder: Path) -> None:
    (folder / "selftest.safetensors").unlink()


def age(folder: Path) -> None:
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(document | {"format_version": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "model.safetensors does not match its checksum"),
        (drop, "selftest.safetensors is missing"),
        (age, "has format version 99"),
    ],
)
def test_a_damaged_artifact_ends_the_program_with_one_sentence(
    model: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "model"))
    damage(broken)
    done = serve(broken, "--port", str(free_port()))
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "SAGEMAKER_BIND_TO_PORT",
            "80a",
            "SAGEMAKER_BIND_TO_PORT is '80a'; it must be a whole number from 0 to 65,535",
        ),
        (
            "SAGEMAKER_MULTI_MODEL",
            "perhaps",
            "SAGEMAKER_MULTI_MODEL is 'perhaps'; it must be true or false, yes or no, on or off, 1 or 0",
        ),
        (
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
            "image/png",
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT 'image/png' is not a form of an answer; use one of application/json, ",
        ),
        ("BYOC_BACKEND", "tensorrt", "BYOC_BACKEND, or --backend, is 'tensorrt'; it must be one of auto, "),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_program_with_one_sentence(
    model: Path, name: str, value: str, message: str
) -> None:
    done = serve(model, "--port", "1", **{name: value})
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_front_that_is_killed_while_it_loads_takes_the_model_server_with_it(model: Path, tmp_path: Path) -> None:
    with started(model, free_port(), tmp_path) as process:
        until("Java runs", lambda: bool(javas(process.pid)))
        found = javas(process.pid)
        process.kill()
        assert found and not left(found)


def javas(pid: int) -> list[psutil.Process]:
    """Return the Java processes that a server has started."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a process that has just ended
            if "java" in child.name():
                found.append(child)
    return found

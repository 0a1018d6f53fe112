"""A model is prepared, registered with the model server, and unregistered again."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classifier.errors import ArtifactError, UserError
from serve import model_workers
from serve.memory import NoRoom
from serve.model_workers import ModelWorkers
from serve.status import Failure, StatusWriter, alive
from serve.worker_api import WorkerRequest
from tests.model_parts import ABSENT, PHOTO, Parts
from tests.standin import Said, answer, java, prepared_for


def test_code_is_loaded_unchanged_and_its_workers_learn_how_to_answer(parts_with_code: Parts) -> None:
    parts, artifact = parts_with_code, parts_with_code.folder / "artifact"
    parts.model.settings = replace(parts.model.settings, timeout=7, top_k=3, accept="text/x", given_batch_size=4)

    def manager(method: str) -> Said:
        if method == "POST":
            parts.mark(f"{os.getpid()}.ready")
        return 200, b"{}"

    parts.stand_in.manager = manager
    parts.run(parts.model.load)
    assert parts.model.ready
    folder, settings = parts.folder / "store" / "m0", parts.model.settings
    assert json.loads((folder / "settings.json").read_text()) == {
        "model_dir": str(artifact),
        "prepared": f"{folder}/prepared",
        "code": f"{artifact}/code",
        "program": f"{artifact}/code/inference.py",
        "accept": "text/x",
        "threads": settings.threads,
        "decoders": settings.decoders,
        "top_k": 3,
        "max_pixels": settings.max_pixels,
        "timeout": 7,
    }
    assert json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text()) == {
        "specificationVersion": "1.0",
        "model": {"modelName": "m0", "handler": "serve.handler:handle"},
    }
    [order] = [query for method, _, query in parts.stand_in.orders if method == "POST"]
    assert order["url"] == "m0" and order["model_name"] == "m0" and order["response_timeout"] == "8"
    assert (order["initial_workers"], order["batch_size"]) == ("1", "1")  # code answers one request at a time
    assert not (folder / "prepared").exists()


def test_a_warning_names_what_the_code_asks_for(parts_with_code: Parts, caplog: pytest.LogCaptureFixture) -> None:
    (parts_with_code.folder / "artifact" / "code" / "requirements.txt").write_text("no-such-package\n")
    parts_with_code.run(lambda: parts_with_code.model.start())
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "missing here: no-such-package;" in caplog.messages[0]


def clock(monkeypatch: pytest.MonkeyPatch, *times: float) -> list[float]:
    """Let the model's clock return `times` one after another; return the list of the times not read yet."""
    left = list(times)
    monkeypatch.setattr(model_workers, "time", SimpleNamespace(monotonic=lambda: left.pop(0)))
    return left


def test_a_load_that_fails_or_takes_too_long_ends_with_the_reason(
    parts_with_code: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_with_code
    times = clock(monkeypatch, 1000, 1299.9, 1300, 1300.1)
    with pytest.raises(ArtifactError, match=r"^no worker was ready within 300 s$"):
        parts.run(parts.model.load)
    assert not times
    parts.model = ModelWorkers("m1", parts.folder / "artifact", parts.server, parts.model.settings)
    clock(monkeypatch, *range(100))

    def manager(method: str) -> Said:
        if method == "POST":
            StatusWriter(parts.folder / "store" / "m1").failed(Failure(reason="no weights"))
        return 200, b"{}"

    parts.stand_in.manager = manager
    with pytest.raises(ArtifactError, match=r"^no weights$"):
        parts.run(parts.model.load)


def test_the_model_server_has_twice_as_many_requests_as_its_workers_take(parts_with_code: Parts) -> None:
    parts = parts_with_code
    parts.model.settings = replace(parts.model.settings, given_workers=2, given_batch_size=3)
    free = asyncio.Event()
    most = now = 0

    async def worker(request: WorkerRequest, body: bytes) -> Said:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await free.wait()
        now -= 1
        return answer()

    async def asks() -> None:
        await parts.model.start()
        given_up = asyncio.create_task(parts.model.ask(b"", PHOTO))
        others = [asyncio.create_task(parts.model.ask(b"", PHOTO)) for _ in range(14)]
        while most < 12:
            await asyncio.sleep(0.01)
        given_up.cancel()  # the request keeps its place until it is computed
        with contextlib.suppress(asyncio.CancelledError):
            await given_up
        await asyncio.sleep(0.1)
        assert len(parts.stand_in.requests) == now == 12
        free.set()
        await asyncio.gather(*others)
        assert len(parts.stand_in.requests) == 15 and most == 12

    parts.stand_in.worker = worker
    parts.run(asks)


def test_unloading_ends_the_workers_and_waits_for_them(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    parts.model._registered = True
    with subprocess.Popen(["sleep", "600"]) as loading, subprocess.Popen(["sleep", "600"]) as ready:
        parts.mark(f"{loading.pid}.loading", f"{ready.pid}.ready", f"{ABSENT}.loading")

        async def asks() -> None:
            unloading = asyncio.create_task(parts.model.unload())
            while loading.poll() is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert parts.model.gone and not unloading.done()
            # Unloading kills the worker that is still loading; the model server ends the ready one.
            assert loading.poll() == -9 and ready.poll() is None
            ready.kill()
            await asyncio.wait_for(unloading, 60)

        parts.run(asks)
    assert parts.stand_in.orders == [("DELETE", "/models/m0", {})] and not caplog.messages


def test_unloading_waits_for_a_worker_that_does_not_end_as_long_as_for_a_load(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.mark(f"{os.getpid()}.ready")
    times = clock(monkeypatch, 1000, 1299.9, 1300)
    parts.run(lambda: parts.model.unload())
    assert not times


def test_unloading_what_the_model_server_does_not_know_is_but_a_warning(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.run(lambda: parts.model.unload())
    assert not parts.stand_in.orders and not caplog.messages
    parts.model._registered = True
    parts.stand_in.manager = lambda method: (404, b"unknown")
    parts.run(lambda: parts.model.unload())
    assert caplog.messages == ["the model server refused DELETE /models/m0: unknown"]


@pytest.mark.parametrize(
    ("script", "kind", "reason"),
    [
        ("echo first >&2; echo 'no weights ' >&2; exit 1", ArtifactError, "no weights"),
        ("exit 2", ArtifactError, "it wrote nothing"),
        ("echo the disk is full >&2; exit 3", NoRoom, "the disk is full"),
        (f"echo {'x' * 601} >&2; exit 1", ArtifactError, "x" * 600),
        ("kill -9 $$", NoRoom, "preparing {artifact} was killed, most likely because memory ran out; give it more"),
    ],
)
def test_what_prevents_the_preparation_is_reported(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, script: str, kind: type[Exception], reason: str
) -> None:
    java(parts.folder / "python", script, monkeypatch)
    monkeypatch.setattr(sys, "executable", str(parts.folder / "python" / "jdk" / "bin" / "java"))
    with pytest.raises(UserError) as raised:
        asyncio.run(parts.model._prepare())
    assert type(raised.value) is kind
    assert str(raised.value) == reason.format(artifact=parts.folder / "artifact")


@pytest.mark.parametrize(
    ("backend", "code", "gpus"), [("torch", False, 0), ("torch-cuda", False, 2), ("torch", True, 2)]
)
def test_gpus_serve_unless_the_preparation_chose_the_processor_for_a_model_without_code(
    parts_with_code: Parts, monkeypatch: pytest.MonkeyPatch, backend: str, code: bool, gpus: int
) -> None:
    parts = parts_with_code
    prepared_for(backend).write(parts.folder)
    java(parts.folder / "python", f'mkdir "$7" && cp "{parts.folder}/prepared.json" "$7"', monkeypatch)
    (parts.folder / "artifact" / "model.json").write_text("{}")
    parts.model.settings = replace(parts.model.settings, gpus=2)
    if not code:
        parts.model.code = None
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(parts.folder / "python" / "jdk" / "bin" / "java"))
        parts.run(lambda: parts.model.start())
    assert parts.model.settings.gpus == gpus
    assert (parts.folder / "store" / "m0" / "prepared" / "prepared.json").exists()


def test_a_request_that_is_given_up_with_the_server_gives_its_turn_back(parts: Parts) -> None:
    async def asks() -> None:
        sent = asyncio.create_task(parts.model._send(b"", PHOTO))
        sent.add_done_callback(parts.model._done)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        await asyncio.wait_for(parts.model._turn.acquire(), 10)
        await asyncio.wait_for(parts.model._turn.acquire(), 10)

    said: list[dict[str, Any]] = []
    parts.run(asks)
    assert not said


def test_a_preparation_runs_apart_and_ends_when_nobody_waits_for_it(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    java(parts.folder / "python", 'echo "$$ $TMPDIR $*" > begun; mv begun facts; exec sleep 600', monkeypatch)
    monkeypatch.setattr(sys, "executable", str(parts.folder / "python" / "jdk" / "bin" / "java"))
    monkeypatch.chdir(parts.folder)
    folder = parts.folder / "store" / "m0"

    async def run() -> None:
        preparing = asyncio.create_task(parts.model._prepare())
        while not Path("facts").exists():
            await asyncio.sleep(0.01)
        pid, temporary, *arguments = Path("facts").read_text().split()
        assert os.getsid(int(pid)) == int(pid) and temporary == str(folder)
        given = f"-P -m serve.prepare --model-dir {parts.folder}/artifact --out {folder}/prepared --backend auto"
        assert " ".join(arguments) == given
        preparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await preparing
        assert not alive(int(pid))

    asyncio.run(run())

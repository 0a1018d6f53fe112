"""A model in the model server: how requests reach its workers, when it is ready, and the reasons of a failed load."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from classifier.errors import ArtifactError, UserError
from serve import model_workers, status, worker_api
from serve.memory import NoRoom
from serve.model_server import NoAnswer
from serve.status import Failure, StatusWriter
from serve.worker_api import Answer, WorkerRequest
from tests.model_parts import ABSENT, INSTANCES, PHOTO, Parts
from tests.standin import TIMING, Said, answer


def test_a_request_goes_to_its_model_and_the_workers_answer_comes_back(parts: Parts) -> None:
    said = answer(200, b"the answer", content_type="text/csv", headers={"X-A": "b"})

    async def worker(request: WorkerRequest, body: bytes) -> Said:
        return said

    parts.stand_in.worker = worker
    assert parts.ask(b"a photo") == Answer(200, b"the answer", "text/csv", headers={"X-A": "b"}, timing=TIMING)
    assert parts.stand_in.requests == [("m0", PHOTO, b"a photo")]
    said = answer(422, b"no photo", refused=True)
    assert parts.ask() == Answer(422, b"no photo", "application/json", refused=True, timing=TIMING)
    said = (507, b"Traceback of the model server")
    with pytest.raises(NoAnswer) as raised:
        parts.ask()
    assert raised.value.status == 507


@pytest.mark.parametrize(
    ("size", "sent", "lent"),
    [(262_144, PHOTO, False), (262_145, PHOTO, True), (1, PHOTO, False), (1, INSTANCES, True)],
    ids=["small", "large", "one byte", "instances"],
)
def test_what_is_large_or_may_have_a_large_answer_is_lent_past_the_model_server(
    parts: Parts, size: int, sent: WorkerRequest, lent: bool
) -> None:
    async def worker(request: WorkerRequest, body: bytes) -> Said:
        if request.lent:
            body = worker_api.fetch(request.lent)
            worker_api.leave(request.lent, f"{len(body)} bytes".encode())
        return answer(200, b"" if lent else f"{len(body)} bytes".encode(), lent=lent)

    parts.stand_in.worker = worker
    assert parts.ask(b"x" * size, sent).text == f"{size} bytes".encode()
    [(_, got, body)] = parts.stand_in.requests
    assert bool(got.lent) == lent and len(body) == (0 if lent else size)


def test_bodies_for_a_models_own_code_are_lent_whatever_their_size(parts_with_code: Parts) -> None:
    parts_with_code.ask(b"x", WorkerRequest(id="7"))
    [(_, got, body)] = parts_with_code.stand_in.requests
    assert got.lent and body == b""


def test_a_model_is_ready_when_a_living_worker_says_so_and_answers_a_probe(parts: Parts) -> None:
    assert not parts.probe() and not parts.stand_in.requests
    parts.mark(f"{os.getpid()}.ready")
    assert not parts.model.ready
    assert parts.probe() and parts.model.ready
    assert parts.stand_in.requests == [("m0", WorkerRequest(probe=True), b"")]
    assert parts.probe() and len(parts.stand_in.requests) == 1  # a second probe sends no request
    (parts.status / f"{os.getpid()}.ready").unlink()
    assert not parts.probe() and not parts.model.ready


def test_a_worker_that_fails_the_probe_or_does_not_answer_it_is_not_ready(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: Said = answer(500, refused=True)

    async def worker(request: WorkerRequest, body: bytes) -> Said:
        if said == (200, b"late"):
            await asyncio.sleep(1)
        return said

    parts.stand_in.worker = worker
    parts.mark(f"{os.getpid()}.ready")
    assert not parts.probe()
    said = (503, b"no worker")
    assert not parts.probe()
    said = (0, b"")  # the connection breaks
    assert not parts.probe()
    monkeypatch.setattr(model_workers, "PROBE_SECONDS", 0.05)
    said = (200, b"late")
    assert not parts.probe()
    said = answer(422, refused=True)
    parts.ask()  # an answer proves that the worker is ready, even a refusal of the photo
    assert parts.model.ready


def test_a_model_that_has_answered_before_is_ready_also_when_requests_that_wait_keep_the_probe_waiting(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.mark(f"{os.getpid()}.ready")
    assert parts.probe()
    (parts.status / f"{os.getpid()}.ready").unlink()
    assert not parts.probe()

    async def busy(request: WorkerRequest, body: bytes) -> Said:
        await asyncio.sleep(0.5)
        return answer()

    parts.stand_in.worker = busy
    monkeypatch.setattr(model_workers, "PROBE_SECONDS", 0.05)
    parts.mark(f"{os.getpid()}.ready")
    assert parts.probe()


def test_workers_that_ended_are_not_counted_but_as_restarts(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    assert parts.model.ready_workers() == parts.model.restarts == 0
    parts.mark(f"{os.getpid()}.ready")
    assert (parts.model.ready_workers(), parts.model.restarts) == (1, 0)
    parts.mark(f"{os.getppid()}.ready", f"{ABSENT}.ready")
    assert (parts.model.ready_workers(), parts.model.restarts) == (2, 2)
    assert not (parts.status / f"{ABSENT}.ready").exists()
    assert caplog.messages == [f"worker {ABSENT} ended"]
    assert (parts.model.ready_workers(), parts.model.restarts) == (2, 2)
    parts.model._status.unloading = True  # so the worker was ended on purpose
    parts.mark(f"{ABSENT}.ready")
    assert parts.model.ready_workers() == 2 and len(caplog.messages) == 1


def test_a_process_that_ended_and_was_not_waited_for_does_not_live() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        assert status.alive(child.pid)
        child.kill()
        while Path(f"/proc/{child.pid}/stat").read_text().split()[2] != "Z":
            time.sleep(0.01)
        assert not status.alive(child.pid)
    assert status.alive(os.getpid()) and not status.alive(ABSENT)


def test_why_a_model_cannot_be_loaded_is_what_its_workers_reported(parts: Parts) -> None:
    assert parts.model.failure() is None
    failed, writer = parts.status / "failed", StatusWriter(parts.status.parent)
    writer.failed(Failure(reason="the self-test failed"))
    reason = parts.model.failure()
    assert type(reason) is ArtifactError and str(reason) == "the self-test failed"
    writer.failed(Failure(reason="there is too little memory to load the model", no_room=True))
    reason = parts.model.failure()
    assert type(reason) is NoRoom and str(reason) == "there is too little memory to load the model"
    parts.mark(f"{os.getpid()}.ready")  # another worker serves
    assert parts.model.failure() is None and not failed.exists()


def test_three_workers_that_ended_while_they_loaded_are_too_many(parts: Parts) -> None:
    parts.mark(f"{ABSENT}.loading", f"{ABSENT + 1}.loading")
    assert parts.model.failure() is None
    parts.mark(f"{ABSENT + 2}.loading", f"{os.getpid()}.loading")
    assert parts.model.failure() is None  # one worker is still loading
    (parts.status / f"{os.getpid()}.loading").unlink()
    assert (
        str(parts.model.failure()) == "3 workers ended while they loaded the model, most likely because memory ran out"
    )
    assert isinstance(parts.model.failure(), NoRoom)
    parts.mark(f"{os.getpid()}.ready", f"{os.getppid()}.loading")
    assert parts.model.failure() is None
    assert [mark.name for mark in parts.status.glob("*.loading")] == [f"{os.getppid()}.loading"]


def test_where_the_model_server_is_gone_that_is_the_reason(parts: Parts) -> None:
    parts.mark(f"{os.getpid()}.ready")
    os.killpg(parts.server.pid, 9)
    while not parts.server.failure():
        time.sleep(0.01)
    reason = parts.model.failure()
    assert type(reason) is UserError and str(reason) == "the model server was ended by SIGKILL"


def test_sentences_for_clients_name_no_folder(parts: Parts) -> None:
    folders = f"{parts.folder}/artifact/model.json and {parts.folder}/store/m0/prepared"
    assert parts.model.without_paths(f"in {folders}", "first") == "in first/model.json and first/prepared"

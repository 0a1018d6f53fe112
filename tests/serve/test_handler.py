"""The function that the model server calls in a worker: it loads the model, answers each request separately, and reports errors."""

import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mms.context import Context, RequestProcessor

from serve import handler
from serve.worker_api import HEADER, Answer, Loan, WorkerRequest, lend
from tests.standin import worker_settings

# An artifact's own functions: the request's body selects what they do.
CODE = """
import os, signal
def model_fn(model_dir, context):
    return f"{context.system_properties['gpu_id']} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
def transform_fn(model, body, content_type, accept, context):
    if body == b"alarm":
        return str(signal.getitimer(signal.ITIMER_REAL)[0])
    if body == b"lost":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if body.startswith(b"large "):
        return "x" * int(body.split()[1])
    context.set_response_status(code=201, phrase="", idx=0)
    return f"{model} {body.decode()}", "text/plain"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a model with code, as the front makes it. Afterwards undo the changes of loading to this process."""
    (tmp_path / "code").mkdir()
    (tmp_path / "status").mkdir()
    (tmp_path / "code" / "worker_code.py").write_text(CODE)
    worker_settings(tmp_path, "worker_code.py").write(tmp_path)
    for name in ("_worker", "_seconds", "_ended"):
        monkeypatch.setattr(handler, name, getattr(handler, name))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys.stdout, "write", sys.stdout.write)
    monkeypatch.setattr(sys.stderr, "write", sys.stderr.write)
    monkeypatch.setattr(handler.log, "handlers", [])
    monkeypatch.setattr(handler.log, "propagate", True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    before = signal.getsignal(signal.SIGALRM)
    yield tmp_path
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    sys.modules.pop("worker_code", None)


def context(folder: Path, *requests: WorkerRequest, gpu: int | None = None) -> Context:
    made = Context("m", str(folder), {}, len(requests), gpu, "1.1.11")
    made.request_processor = [RequestProcessor({HEADER: request.to_header()}) for request in requests]
    return made


def load(folder: Path, gpu: int | None = None) -> None:
    assert handler.handle(None, context(folder, gpu=gpu)) == []


def answered(folder: Path, body: bytes | None, loan: Loan | None = None) -> Answer:
    request = WorkerRequest(id="7", lent=loan and loan.place)
    [sent] = handler.handle([{"body": body}], context(folder, request))
    found = Answer.from_bytes(sent, loan)
    assert found
    return found


def test_a_loaded_model_is_reported_ready_and_answers(folder: Path) -> None:
    load(folder)
    assert [mark.name for mark in (folder / "status").iterdir()] == [f"{os.getpid()}.ready"]
    answer = answered(folder, b"hello")
    timing = answer.timing
    assert timing and timing.photos == timing.batch == 1 and timing.decode == 0 and 0 <= timing.model < 60
    assert answer == Answer(201, b"None None hello", "text/plain", timing=timing)
    assert answered(folder, None).text == answered(folder, b"").text == b"None None "


def test_each_request_of_a_batch_has_its_own_status_and_answer(folder: Path) -> None:
    load(folder)
    batch = context(folder, WorkerRequest(id="1"), WorkerRequest(probe=True), WorkerRequest(id="3"))
    batch.metrics = "what the model server would log"
    sent = handler.handle([{"body": b"a"}, {}, {"body": b"large 3"}], batch)
    assert [batch.get_response_status(index)[0] for index in range(3)] == [201, 200, 200]
    texts = [Answer.from_bytes(one).text for one in sent]
    assert texts == [b"None None a", b"", b"xxx"] and batch.metrics is None


def test_the_kernel_ends_a_worker_that_takes_a_second_longer_than_the_front_waits(folder: Path) -> None:
    load(folder)
    assert 30 < float(answered(folder, b"alarm").text) <= 41  # 40 + 1 seconds, minus the time passed since the start
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


@pytest.mark.parametrize(("size", "left"), [(262_144, False), (262_145, True)])
def test_a_large_answer_is_left_where_the_body_was_lent(folder: Path, size: int, left: bool) -> None:
    load(folder)
    with lend(f"large {size}".encode()) as loan:
        [sent] = handler.handle([{}], context(folder, WorkerRequest(id="7", lent=loan.place)))
        assert (b'"lent": true' in sent, len(sent) < size) == (left, left)
        assert Answer.from_bytes(sent, loan).text == b"x" * size
        assert (loan.answer() == b"x" * size) == left
    [sent] = handler.handle([{"body": f"large {size}".encode()}], context(folder, WorkerRequest(id="7")))
    assert b'"lent": false' in sent and Answer.from_bytes(sent).text == b"x" * size  # no memory file was lent


def test_an_answer_that_cannot_be_left_is_500(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(folder)
    handler.log.propagate = True
    with os.fdopen(os.memfd_create("body", os.MFD_ALLOW_SEALING), "w+b", buffering=0) as file:
        file.write(b"large 300000")
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE)
        answer = answered(folder, b"", Loan(file))
    assert (answer.status, answer.refused) == (500, True)
    assert answer.text == b"the prediction failed; the server's log says why under this request id"
    assert caplog.messages == ["request 7: leaving the answer failed"]


def test_what_fails_outside_the_model_is_500_for_every_request(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(folder)
    handler.log.propagate = True
    batch = context(folder, WorkerRequest(id="1"), WorkerRequest(id="2"))
    sent = handler.handle([{"body": b"a"}, {"body": "text, but the model server gives bytes"}], batch)
    assert len(sent) == 2 and [batch.get_response_status(index)[0] for index in range(2)] == [500, 500]
    assert all(Answer.from_bytes(one).timing is None for one in sent)
    assert caplog.messages == ["request 1, 2: the worker failed"]
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_worker_whose_gpu_failed_answers_once_more_and_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder)
    assert 0 < handler.END_SECONDS < 1
    monkeypatch.setattr(handler, "END_SECONDS", 3000.0)
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: ended.append(arguments))
    assert answered(folder, b"lost").status == 500
    assert 2000 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3000 and not ended
    answered(folder, b"one that came before the alarm")
    assert ended == [(os.getpid(), signal.SIGKILL)]


@pytest.mark.parametrize(
    ("visible", "gpu", "seen"),
    [(None, None, "None None"), (None, 1, "0 1"), ("3,5", 1, "0 5"), ("3,GPU-a", 0, "0 3"), ("3", None, "None 3")],
)
def test_a_worker_sees_the_one_gpu_that_the_model_server_gives_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, gpu: int | None, seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # set first, so that monkeypatch restores the variable at the end
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    load(folder, gpu)
    assert answered(folder, b"").text.decode() == f"{seen} "


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        ("def model_fn(d): raise MemoryError", MemoryError, "there is too little memory to load the model"),
        ("def model_fn(d): raise ValueError('no')", SystemExit, "model_fn in {code} failed (ValueError: no)"),
        (
            None,
            TypeError,
            "the model cannot be loaded (TypeError: WorkerSettings.__init__() missing 1 required keyword-only argument: 'accept')",
        ),
    ],
)
def test_why_a_model_cannot_be_loaded_is_left_for_the_front(
    folder: Path, code: str | None, error: type[Exception], reason: str
) -> None:
    program = folder / "code" / "worker_code.py"
    if code is None:
        settings = json.loads((folder / "settings.json").read_text())
        del settings["accept"]
        (folder / "settings.json").write_text(json.dumps(settings))
    else:
        program.write_text(code)
    with pytest.raises(error):
        load(folder)
    assert [mark.name for mark in (folder / "status").iterdir()] == ["failed"]
    failure = json.loads((folder / "status" / "failed").read_text())
    assert failure == {"reason": reason.format(code=program), "no_room": error is MemoryError}


def test_a_worker_logs_to_standard_error_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(folder)
    handler.log.warning("a word")
    assert capsys.readouterr().err.splitlines() == [f"WARNING worker {os.getpid()}: a word"]
    assert handler.log.propagate is False and logging.getLogger("serve") is handler.log

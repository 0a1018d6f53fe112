"""What multi-model-server calls in each worker: `handle(None, context)` to load, then `handle(requests, context)`.

A worker reports through files in its model's folder, since the model server reports it healthy whatever happens:
`status/<pid>.loading` when it begins, `status/<pid>.ready` when the model is loaded and proved, `status/failed` with the
reason when it cannot be. The front believes these alone, and takes an answer for the handler's own only when it is
wrapped as serve/channel.py says.
"""

import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from serve import channel
from serve.answers import Answer, CodeWorker, Worker, failed
from serve.backends import in_one_line, out_of_memory
from serve.channel import ASKED, NO_MEMORY, SETTINGS
from serve.predictor import Predictor
from serve.settings import visible_gpus

log = logging.getLogger("serve")
_worker: Worker | CodeWorker | None = None
_seconds = 0  # that an answer may take
_ended = False  # the worker has given its last answer
END_SECONDS = 0.1  # after the last answer, which is on its way by then


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[bytes | str]:
    """Answer a batch of requests, each on its own: the status, headers and text of one do not depend on the others."""
    global _worker, _ended
    if _ended:  # this request came before the alarm; the front answers it with 503
        os.kill(os.getpid(), signal.SIGKILL)
    if _worker is None:
        _worker = _load(Path(context.system_properties["model_dir"]), context.system_properties.get("gpu_id"))
    if data is None:
        return []
    context.metrics = None  # else the model server writes a log line for every request
    asked = [json.loads(context.get_request_header(index, ASKED)) for index in range(len(data))]
    # Trap: the model server waits for a worker that never comes back, and nobody else has its place meanwhile. The kernel
    # ends it wherever it is stuck; by then the front has answered 504.
    signal.alarm(_seconds + 1)
    try:
        answers = _answers(_worker, data, asked)
    finally:
        signal.alarm(0)
    sent: list[bytes | str] = [
        _sent(context, index, *pair) for index, pair in enumerate(zip(answers, asked, strict=True))
    ]
    if any(answer.last for answer in answers):
        # After some errors a GPU gives this process no other answer; the model server replaces it.
        log.error("the GPU failed, so this worker ends and another replaces it")
        _ended = True
        signal.setitimer(signal.ITIMER_REAL, END_SECONDS)  # the kernel ends it, once this answer is sent
    return sent


def _answers(worker: Worker | CodeWorker, data: list[dict[str, Any]], asked: list[dict[str, Any]]) -> list[Answer]:
    try:
        return worker.answers([_body(*pair) for pair in zip(data, asked, strict=True)], asked)
    except Exception as error:  # which would reach the model server, and the client as a worker that ended
        return [failed(error, "the worker", *asked)] * len(asked)


def _body(request: dict[str, Any], asked: dict[str, Any]) -> bytes:
    return channel.fetch(asked["lent"]) if "lent" in asked else bytes(request.get("body") or b"")


def _sent(context: Any, index: int, answer: Answer, asked: dict[str, Any]) -> bytes:
    """Return an answer with its facts, as the model server gets it; its text is empty where it is left in the loan."""
    lent = "lent" in asked and len(answer.text) > channel.LENT_BYTES
    if lent:
        try:
            channel.leave(asked["lent"], answer.text)
        except OSError as error:
            answer, lent = failed(error, "leaving the answer", asked), False
    text = b"" if lent else answer.text
    context.set_response_status(code=answer.status, idx=index)
    facts = asdict(answer) | {"text": None, "lent": lent}
    del facts["last"]
    return channel.wrapped(facts, text)


def _load(folder: Path, gpu: int | None) -> Worker | CodeWorker:
    global _seconds
    if gpu is not None:  # the model server shares the GPUs out; the libraries then see this one alone, as the first
        visible = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES", ""))  # some of them, where a user says so
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[gpu] if visible else str(gpu)
    settings = json.loads((folder / SETTINGS).read_text())
    _seconds = int(settings["timeout"])
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    status = folder / "status"
    loading = status / f"{os.getpid()}.loading"
    _log_to_stderr()
    loading.touch()
    try:
        worker = _opened(settings, gpu=None if gpu is None else 0)  # of the GPUs that it sees it has the first
    except BaseException as error:
        _report(status / "failed", _reason(error))
        loading.unlink(missing_ok=True)
        raise
    loading.rename(loading.with_suffix(".ready"))
    return worker


def _opened(settings: dict[str, Any], *, gpu: int | None) -> Worker | CodeWorker:
    prepared = Path(settings["prepared"])
    if settings["program"]:
        from serve.code import ModelCode

        return CodeWorker(ModelCode(Path(settings["model_dir"]), prepared, settings, gpu=gpu))
    predictor = Predictor(prepared, threads=settings["threads"], max_pixels=settings["max_pixels"])
    return Worker(predictor, top_k=settings["top_k"], seconds=settings["timeout"], decoders=settings["decoders"])


def _reason(error: BaseException) -> str:
    if out_of_memory(error):
        return f"{NO_MEMORY} to load the model"
    if isinstance(error, UserError):
        return str(error)
    log.exception("the model cannot be loaded")
    return f"the model cannot be loaded ({in_one_line(error)})"


def _log_to_stderr() -> None:
    # The model server passes on what a worker writes there; standard output holds its own talk.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s worker %(process)d: %(message)s"))
    log.addHandler(handler)
    log.propagate = False


def _report(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)

"""The entry point of each worker: multi-model-server calls `handle(None, context)` to load, then `handle(requests, context)`.

A worker reports the progress of the loading through status files (serve.status). Its answers begin with a mark (serve.worker_api), by which
the front distinguishes them from the model server's own answers.
"""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from serve import worker_api
from serve.environment import VISIBLE_GPUS
from serve.memory import out_of_memory
from serve.predictor import Predictor
from serve.printed import make_readable
from serve.reasons import long_reason
from serve.settings import visible_gpus
from serve.status import Failure, StatusWriter
from serve.worker import CodeWorker, Worker, failed
from serve.worker_api import HEADER, LENT_BYTES, Answer, WorkerRequest, WorkerSettings

log = logging.getLogger("serve")
_worker: Worker | CodeWorker | None = None
_seconds = 0  # seconds that the answers to one batch may take
_ended = False  # whether this process has given its last answer
END_SECONDS = 0.5  # seconds from the last answer to the end of the process, in which the answer is sent


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[bytes]:
    """Return an answer to each request of a batch, as bytes; without `data`, load the model and return nothing.

    The answer to one request does not depend on the others.
    """
    global _worker, _ended
    if _ended:  # a request that came before the alarm; the front answers it with 503
        os.kill(os.getpid(), signal.SIGKILL)
    if _worker is None:
        _worker = _load(Path(context.system_properties["model_dir"]), context.system_properties.get("gpu_id"))
    if data is None:
        return []
    context.metrics = None  # otherwise the model server would log a line for every request
    requests = [WorkerRequest.from_header(context.get_request_header(index, HEADER)) for index in range(len(data))]
    # Trap: the model server would wait for a stuck worker without end, and not replace it. So the kernel ends this process, wherever it is
    # stuck, a second after the front has answered with 504.
    signal.alarm(_seconds + 1)
    try:
        answers = _answers(_worker, data, requests)
    finally:
        signal.alarm(0)
    sent = [_sent(context, index, *pair) for index, pair in enumerate(zip(answers, requests, strict=True))]
    if any(answer.last for answer in answers):
        # After some errors of a GPU this process gets no more results from the GPU. The model server replaces the process.
        log.error("the GPU failed, so this worker ends and another replaces it")
        _ended = True
        signal.setitimer(signal.ITIMER_REAL, END_SECONDS)  # the kernel ends the process, once this answer is sent
    return sent


def _answers(worker: Worker | CodeWorker, data: list[dict[str, Any]], requests: list[WorkerRequest]) -> list[Answer]:
    try:
        return worker.answers([_body(*pair) for pair in zip(data, requests, strict=True)], requests)
    except Exception as error:  # otherwise the model server would think that the worker has ended
        return [failed(error, "the worker", *requests)] * len(requests)


def _body(item: dict[str, Any], request: WorkerRequest) -> bytes:
    return worker_api.fetch(request.lent) if request.lent else bytes(item.get("body") or b"")


def _sent(context: Any, index: int, answer: Answer, request: WorkerRequest) -> bytes:
    """Return an answer in the form that the model server passes on; a large answer is written into the lent file."""
    lent = False
    if request.lent and len(answer.text) > LENT_BYTES:
        try:
            worker_api.leave(request.lent, answer.text)
            lent = True
        except OSError as error:
            answer = failed(error, "leaving the answer", request)
    context.set_response_status(code=answer.status, idx=index)
    return answer.to_bytes(lent=lent)


def _load(folder: Path, gpu: int | None) -> Worker | CodeWorker:
    global _seconds
    # The model server gives the number of this worker's GPU. Let the libraries see only that GPU, as number 0. If the user restricts the
    # visible GPUs, the number is an index into these.
    if gpu is not None:
        visible = visible_gpus(VISIBLE_GPUS.read() or "")
        os.environ[VISIBLE_GPUS.name] = visible[gpu] if visible else str(gpu)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    status = StatusWriter(folder)
    _log_to_stderr()
    status.loading()
    try:
        settings = WorkerSettings.read(folder)
        _seconds = settings.timeout
        if settings.program:
            make_readable()
        worker = open_worker(settings, gpu=None if gpu is None else 0)
    except UserError as error:
        status.failed(_failure(error))
        # The model server would log a traceback of our own calls, in the midst of the one that says where the model's code failed.
        raise SystemExit(1) from error
    except BaseException as error:
        status.failed(_failure(error))
        raise
    status.ready()
    return worker


def open_worker(settings: WorkerSettings, *, gpu: int | None = None) -> Worker | CodeWorker:
    """Load a model; `gpu` is the number of the GPU that the model's own code may use. Raises UserError and the libraries' errors."""
    if settings.program:
        from serve.model_code import ModelCode

        return CodeWorker(ModelCode(settings.program, settings, gpu=gpu))
    predictor = Predictor(settings.prepared, threads=settings.threads, max_pixels=settings.max_pixels)
    return Worker(predictor, top_k=settings.top_k, seconds=settings.timeout, decoders=settings.decoders)


def _failure(error: BaseException) -> Failure:
    if out_of_memory(error):
        return Failure(reason="there is too little memory to load the model", no_room=True)
    if isinstance(error, UserError):
        return Failure(reason=str(error))
    log.exception("the model cannot be loaded")
    return Failure(reason=f"the model cannot be loaded ({long_reason(error)})")


def _log_to_stderr() -> None:
    # The model server passes a worker's standard error on; standard output carries its own messages with the worker.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s worker %(process)d: %(message)s"))
    log.addHandler(handler)
    log.propagate = False

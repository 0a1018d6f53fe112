"""What multi-model-server calls in each worker: `handle(None, context)` to load, then `handle(requests, context)`.

A worker reports through files in STATUS_DIR, since the model server reports it healthy whatever happens: `<pid>.ready`
when the model is loaded and proved, `failed` with the reason when it cannot be. The front believes these alone.
"""

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.errors import PhotoError, UserError

if TYPE_CHECKING:
    from serve.predictor import Predictor

STATUS_DIR, MODEL_DIR, TOP_K, FRONT_PID = "BYOC_STATUS_DIR", "BYOC_MODEL_DIR", "BYOC_TOP_K", "BYOC_FRONT_PID"

_predictor: "Predictor | None" = None


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[str]:
    """Answer a batch of requests: one JSON text each, with the status set for each."""
    if _predictor is None:
        _load()
    if data is None:
        return []
    assert _predictor is not None
    try:
        answers = _predictor.predict([bytes(request.get("body") or b"") for request in data])
    except MemoryError:
        raise  # the model server answers 507
    except Exception:
        # The front answers with an error id; the traceback stays in the log.
        logging.exception("prediction failed")
        return [_answer(context, index, 500, {"message": "the prediction failed"}) for index in range(len(data))]
    return [
        _answer(context, index, 422, {"message": f"the body is no usable photo: {answer}"})
        if isinstance(answer, PhotoError)
        else _answer(context, index, 200, answer.to_json())
        for index, answer in enumerate(answers)
    ]


def _load() -> None:
    global _predictor
    status = Path(os.environ[STATUS_DIR])
    threading.Thread(target=_end_with, args=(int(os.environ[FRONT_PID]),), daemon=True).start()
    try:
        # Imported here, in the worker's own process: the model server forks it from a parent that must stay small.
        import torch

        from serve.predictor import Predictor

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        _predictor = Predictor(Path(os.environ[MODEL_DIR]), top_k=int(os.environ[TOP_K]))
    except BaseException as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        _write(status / "failed", reason)
        raise
    _write(status / f"{os.getpid()}.ready", "")


def _end_with(front: int) -> None:
    """Kill the model server's whole process group once the front is gone: killed itself, it could not stop anybody."""
    while alive(front):
        time.sleep(1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie answers signals but serves nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _answer(context: Any, index: int, status: int, body: dict[str, Any]) -> str:
    context.set_response_status(code=status, idx=index)
    context.set_response_content_type(index, "application/json")
    return json.dumps(body)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)

"""What multi-model-server calls in each worker: `handle(None, context)` to load, then `handle(requests, context)`.

A worker reports through files in its model's folder, since the model server reports it healthy whatever happens:
`status/<pid>.ready` when the model is loaded and proved, `status/failed` with the reason when it cannot be. The front
believes these alone, and takes an answer for the handler's own only when it carries the header ANSWERED.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier import images
from classifier.errors import PhotoError, UserError
from serve.formats import Form, RequestError, read_instances, write_answer

if TYPE_CHECKING:
    from serve.code import ModelCode
    from serve.predictor import Predictor

SETTINGS = "settings.json"  # beside the manifest that the model server reads
ASKED, ANSWERED = "X-Byoc-Asked", "X-Byoc-Answered"  # headers between the front and here
CHUNK = 32  # photos in one pass at most, however many a request brings

log = logging.getLogger("serve")
_predictor: "Predictor | None" = None
_code: "ModelCode | None" = None
_top_k = 5


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[bytes | str]:
    """Answer a batch of requests, each on its own: the status, headers and text of one do not depend on the others."""
    if _predictor is None and _code is None:
        _load(Path(context.system_properties["model_dir"]), context.system_properties.get("gpu_id"))
    if data is None:
        return []
    context.metrics = None  # else the model server writes a log line for every request
    asked = [json.loads(context.get_request_header(index, ASKED)) for index in range(len(data))]
    bodies = [_body(*pair) for pair in zip(data, asked, strict=True)]
    answers = [_coded(*pair) for pair in zip(bodies, asked, strict=True)] if _code else _classified(bodies, asked)
    for index, answer in enumerate(answers):
        context.set_response_status(code=answer.status, idx=index)
        context.set_response_content_type(index, answer.content_type)
        context.set_response_header(index, ANSWERED, json.dumps(answer.told))
    return [answer.text for answer in answers]


def _body(request: dict[str, Any], asked: dict[str, Any]) -> bytes:
    if "body" not in asked:
        return bytes(request.get("body") or b"")
    try:
        return Path(asked["body"]).read_bytes()
    except OSError:  # the front has given the request up, so nobody waits for what an empty body gets
        return b""


class _Answer:
    """One request's answer; `told` is for the front: seconds and how many photos."""

    def __init__(self, status: int, text: bytes | str, content_type: str = "application/json") -> None:
        self.status, self.text, self.content_type = status, text, content_type
        self.told: dict[str, float] = {}


def _refused(status: int, message: str) -> _Answer:
    return _Answer(status, json.dumps({"message": message}))


def _classified(bodies: Sequence[bytes], asked: Sequence[dict[str, Any]]) -> list[_Answer]:
    """Decode every photo of every request, compute them together, and answer each request."""
    read: list[list[images.Pixels] | _Answer] = []
    decode = []
    for body, asks in zip(bodies, asked, strict=True):
        start = time.perf_counter()
        read.append([] if asks.get("probe") else _read(body, asks))
        decode.append(time.perf_counter() - start)
    pixels = [photo for item in read if not isinstance(item, _Answer) for photo in item]
    start = time.perf_counter()
    failed = rows = None
    try:
        rows = iter(_compute(pixels))
    except MemoryError:
        failed = _refused(507, "the model ran out of memory; send fewer or smaller photos")
    except Exception:
        log.exception("request %s: prediction failed", ", ".join(str(asks.get("id")) for asks in asked))
        failed = _refused(500, "the prediction failed")
    model = time.perf_counter() - start
    answers = []
    for item, asks, seconds in zip(read, asked, decode, strict=True):
        answer = item if isinstance(item, _Answer) else failed or _write([next(rows) for _ in item], asks)  # type: ignore[arg-type]
        count = 0 if isinstance(item, _Answer) else len(item)
        answer.told = {"decode": seconds, "model": model if count else 0.0, "photos": count, "batch": len(bodies)}
        answers.append(answer)
    return answers


def _read(body: bytes, asks: dict[str, Any]) -> list[images.Pixels] | _Answer:
    assert _predictor is not None
    number, many = 0, bool(asks["json"])
    try:
        decoded = []
        for number, photo in enumerate(read_instances(body) if many else [body]):  # noqa: B007 - the error below names it
            decoded.append(_predictor.decode(photo))
        return decoded
    except RequestError as error:
        return _refused(400, str(error))
    except PhotoError as error:
        return _refused(422, f"{f'instances[{number}]' if many else 'the body'} is no usable photo: {error}")
    except MemoryError:
        return _refused(507, "the photo takes more memory than there is; send a smaller one")
    except Exception:
        log.exception("request %s: decoding failed", asks.get("id"))
        return _refused(500, "the prediction failed")


def _compute(pixels: list[images.Pixels]) -> Any:
    import numpy as np

    assert _predictor is not None
    parts = [pixels[start : start + CHUNK] for start in range(0, len(pixels), CHUNK)]
    return [row for part in parts for row in _predictor.probabilities(np.stack(part))]


def _write(rows: list[Any], asks: dict[str, Any]) -> _Answer:
    if not rows:
        return _Answer(200, "")
    import numpy as np

    assert _predictor is not None
    form = Form(json=asks["json"], accept=asks["accept"], top_k=asks["top_k"])
    return _Answer(200, *write_answer(form, np.stack(rows), _predictor.classes, _top_k))


def _coded(body: bytes, asks: dict[str, Any]) -> _Answer:
    """Answer through the functions that the artifact brings."""
    assert _code is not None
    if asks.get("probe"):
        return _Answer(200, "")
    start = time.perf_counter()
    try:
        text, content_type = _code.answer(body, asks["content_type"], asks["accept"])
        answer = _Answer(200, text, content_type)
    except PhotoError as error:
        answer = _refused(422, f"the body is no usable photo: {error}")
    except UserError as error:
        answer = _refused(400, str(error))
    except MemoryError:
        answer = _refused(507, "the model ran out of memory; send fewer or smaller photos")
    except Exception:
        log.exception("request %s: the artifact's code failed", asks.get("id"))
        answer = _refused(500, "the prediction failed")
    answer.told = {"decode": 0.0, "model": time.perf_counter() - start, "photos": 1, "batch": 1}
    return answer


def _load(folder: Path, gpu: int | None) -> None:
    global _predictor, _code, _top_k
    if gpu is not None:  # the model server shares the GPUs out; the libraries then see this one alone, as the first
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    settings = json.loads((folder / SETTINGS).read_text())
    status = folder / "status"
    _log_to_stderr()
    try:
        # Imported here, in the worker's own process: the model server forks it from a parent that must stay small.
        if settings["code"]:
            from serve.code import ModelCode

            _code = ModelCode(Path(settings["model_dir"]), Path(settings["prepared"]), settings)
        else:
            from serve.predictor import Predictor

            images.limit_pixels(settings["max_pixels"])
            _predictor = Predictor(Path(settings["prepared"]), threads=settings["threads"])
        _top_k = settings["top_k"]
    except BaseException as error:
        if not isinstance(error, UserError):
            log.exception("the model cannot be loaded")
        reason = str(error) if isinstance(error, UserError) else f"the model cannot be loaded ({type(error).__name__})"
        _report(status / "failed", reason)
        raise
    _report(status / f"{os.getpid()}.ready", "")


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

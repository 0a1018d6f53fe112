"""Requests to answers in a worker: decode every photo, compute them together, and answer each request on its own."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from classifier.errors import PhotoError, UserError
from classifier.images import Pixels
from serve.backends import gpu_lost, out_of_memory
from serve.formats import Form, RequestError, check_size, read_instances, what_it_is, write_answer
from serve.predictor import Predictor
from serve.toolkit import Unsupported, refusal

if TYPE_CHECKING:
    from serve.code import ModelCode

CHUNK = 32  # photos in one pass at most, however many a request brings
_NO_MEMORY = "the model ran out of memory; send fewer or smaller photos"

log = logging.getLogger("serve")


@dataclass
class Answer:
    """One request's answer; `told` is for the front: seconds and how many photos.

    Of a refusal, `text` is its sentence; else it is the answer itself. After the `last` one the worker has to end.
    """

    status: int
    text: bytes
    content_type: str = "application/json"
    told: dict[str, float] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    refused: bool = False
    last: bool = False


@dataclass
class _Decoding:
    """A request's photos and what becomes of them, in order: pixels, or what the next one's decoding raises."""

    photos: list[bytes]
    pixels: Iterator[Pixels]


class Worker:
    """A model that answers; `seconds` is how long its answers may take; one that takes longer costs the worker.

    Its photos are decoded by `decoders` threads.
    """

    def __init__(self, predictor: Predictor, *, top_k: int, seconds: float, decoders: int = 1) -> None:
        self._predictor, self._top_k, self._seconds = predictor, top_k, seconds
        # Without a pool each photo is decoded when its pixels are asked for, so none after one that cannot be.
        self._map: Any = map if decoders == 1 else ThreadPoolExecutor(decoders).map

    def answers(self, bodies: Sequence[bytes], asked: Sequence[dict[str, Any]]) -> list[Answer]:
        """Answer a batch of requests; the status and text of one do not depend on the others."""
        begin = time.perf_counter()
        begun: list[_Decoding | Answer] = []
        read: list[list[Pixels] | Answer] = []
        decode = []
        for body, asks in zip(bodies, asked, strict=True):
            start = time.perf_counter()
            # Half of the time is for decoding, the rest for the model; else the handler's alarm would end the worker.
            begun.append(self._begun(body, asks, begin + self._seconds / 2))
            decode.append(time.perf_counter() - start)
        for number, (one, asks) in enumerate(zip(begun, asked, strict=True)):
            start = time.perf_counter()
            read.append(one if isinstance(one, Answer) else self._read(one, asks))
            decode[number] += time.perf_counter() - start
        pixels = [photo for item in read if not isinstance(item, Answer) for photo in item]
        start = time.perf_counter()
        rows, lost = iter(()), None
        try:
            rows = iter(self._compute(pixels, begin + 0.9 * self._seconds))
        except TimeoutError as error:
            lost = refused(504, str(error))
        except Exception as error:
            lost = failed(error, "prediction", *asked)
        model = time.perf_counter() - start
        answers = []
        for item, asks, seconds in zip(read, asked, decode, strict=True):
            answer = item if isinstance(item, Answer) else lost or self._write([next(rows) for _ in item], asks)
            count = 0 if isinstance(item, Answer) else len(item)
            told = {"decode": seconds, "model": model if count else 0.0, "photos": count, "batch": len(bodies)}
            answers.append(replace(answer, told=told))
        return answers

    def _begun(self, body: bytes, asks: dict[str, Any], end: float) -> _Decoding | Answer:
        if asks.get("probe"):
            return _Decoding([], iter([self._predictor.probe]))
        try:
            photos = read_instances(body) if asks["json"] else [body]
            check_size(_form(asks), len(photos), len(self._predictor.classes), self._top_k)
        except RequestError as error:
            return refused(400, str(error))
        except Exception as error:
            return failed(error, "decoding", asks)

        def decoded(number: int, photo: bytes) -> Pixels:
            if number and time.perf_counter() > end:
                raise TimeoutError(f"{number} of {len(photos)} photos were decoded in time; send fewer at once")
            return self._predictor.decode(photo)

        return _Decoding(photos, self._map(decoded, range(len(photos)), photos))

    def _read(self, begun: _Decoding, asks: dict[str, Any]) -> list[Pixels] | Answer:
        pixels: list[Pixels] = []
        try:
            for photo in begun.pixels:
                pixels.append(photo)
            return pixels
        except TimeoutError as error:
            return refused(504, str(error))
        except PhotoError as error:
            number = len(pixels)
            where = f"instances[{number}]" if asks["json"] else "the body"
            return refused(422, f"{where} is no usable photo: {error}{what_it_is(begun.photos[number], str(error))}")
        except Exception as error:
            return failed(error, "decoding", asks)

    def _compute(self, pixels: list[Pixels], end: float) -> list[Any]:
        """Return each photo's probabilities, or the error where memory does not suffice for the photo alone."""
        rows: list[Any] = []
        for start in range(0, len(pixels), CHUNK):
            if start and time.perf_counter() > end:
                raise TimeoutError(f"{start} of {len(pixels)} photos were computed in time; send fewer at once")
            rows += self._pass(pixels[start : start + CHUNK])
        return rows

    def _pass(self, pixels: list[Pixels]) -> list[Any]:
        try:
            return list(self._predictor.probabilities(np.stack(pixels)))
        except Exception as error:
            if not out_of_memory(error):
                raise
            lost = error.with_traceback(None)  # which would keep what the pass had computed
        self._predictor.free()
        return [lost] if len(pixels) == 1 else [row for photo in pixels for row in self._pass([photo])]

    def _write(self, rows: list[Any], asks: dict[str, Any]) -> Answer:
        for row in rows:
            if isinstance(row, Exception):
                return failed(row, "prediction", asks)
        if asks.get("probe"):
            return Answer(200, b"")
        try:
            text, kind = write_answer(_form(asks), np.stack(rows), self._predictor.classes, self._top_k)
            return Answer(200, text.encode(), kind)
        except Exception as error:
            return failed(error, "writing the answer", asks)


class CodeWorker:
    """Functions that an artifact brings, which answer."""

    def __init__(self, code: "ModelCode") -> None:
        self._code = code

    def answers(self, bodies: Sequence[bytes], asked: Sequence[dict[str, Any]]) -> list[Answer]:
        """Answer a batch of requests, one after another."""
        return [self._answer(body, asks) for body, asks in zip(bodies, asked, strict=True)]

    def _answer(self, body: bytes, asks: dict[str, Any]) -> Answer:
        if asks.get("probe"):
            return Answer(200, b"")
        start = time.perf_counter()
        try:
            status, text, kind, headers = self._code.answer(body, asks["id"], asks["headers"])
            answer = Answer(status, text, kind, headers=headers)
        except PhotoError as error:
            answer = refused(422, f"the body is no usable photo: {error}{what_it_is(body, str(error))}")
        except UserError as error:
            answer = refused(error.status if isinstance(error, Unsupported) else 400, str(error))
        except (Exception, SystemExit) as error:
            known = refusal(error)
            answer = refused(*known) if known else failed(error, "the model's code", asks)
        answer.told = {"decode": 0.0, "model": time.perf_counter() - start, "photos": 1, "batch": 1}
        return answer


def refused(status: int, message: str) -> Answer:
    """Return an error whose sentence the front passes on."""
    return Answer(status, message.encode(errors="replace"), refused=True)


def failed(error: BaseException, what: str, *asked: dict[str, Any]) -> Answer:
    """Return the answer to requests that an error of ours, or of the model's code, cost; the log says more under their ids."""
    if out_of_memory(error):
        return refused(507, _NO_MEMORY)
    log.exception("request %s: %s failed", ", ".join(str(asks.get("id")) for asks in asked), what, exc_info=error)
    answer = refused(500, "the prediction failed; the server's log says why under this request id")
    answer.last = gpu_lost(error)
    return answer


def _form(asks: dict[str, Any]) -> Form:
    return Form(json=asks["json"], accept=asks["accept"], top_k=asks["top_k"])

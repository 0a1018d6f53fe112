"""A worker's answers: decode the photos of all requests, compute them together, and answer each request separately."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from classifier.errors import PhotoError, UserError
from classifier.images import Pixels
from serve.formats import RequestError, check_size, read_instances, what_it_is, write_answer
from serve.memory import out_of_memory
from serve.predictor import Predictor
from serve.reasons import gpu_lost
from serve.toolkit import Unsupported, refusal
from serve.worker_api import Answer, Timing, WorkerRequest

if TYPE_CHECKING:
    from serve.model_code import ModelCode

CHUNK = 32  # the most photos in one pass of the model; a request with more takes several passes
_NO_MEMORY = "the model ran out of memory; send fewer or smaller photos"

log = logging.getLogger("serve")


@dataclass(frozen=True)
class _Decoding:
    """A request's photos, and their pixels in the same order; reading `pixels` raises the errors of decoding."""

    photos: list[bytes]
    pixels: Iterator[Pixels]


class Worker:
    """Answers requests with a prepared model, on which `decoders` threads decode photos.

    All answers of one batch may take `seconds` together; the handler ends a worker that takes longer.
    """

    def __init__(self, predictor: Predictor, *, top_k: int, seconds: float, decoders: int = 1) -> None:
        self._predictor, self._top_k, self._seconds = predictor, top_k, seconds
        # `map` decodes a photo only when its pixels are read, so nothing is decoded after a photo that fails.
        self._map: Any = map if decoders == 1 else ThreadPoolExecutor(decoders).map

    def answers(self, bodies: Sequence[bytes], requests: Sequence[WorkerRequest]) -> list[Answer]:
        """Answer a batch of requests; the status and text of one do not depend on the others."""
        begin = time.perf_counter()
        begun: list[_Decoding | Answer] = []
        read: list[list[Pixels] | Answer] = []
        decode = []
        for body, request in zip(bodies, requests, strict=True):
            start = time.perf_counter()
            # Half of the time is for decoding and the rest for the model, so that the handler's alarm does not end the worker.
            begun.append(self._begin(body, request, begin + self._seconds / 2))
            decode.append(time.perf_counter() - start)
        for number, (one, request) in enumerate(zip(begun, requests, strict=True)):
            start = time.perf_counter()
            read.append(one if isinstance(one, Answer) else self._read(one, request))
            decode[number] += time.perf_counter() - start
        pixels = [photo for item in read if not isinstance(item, Answer) for photo in item]
        start = time.perf_counter()
        rows, failure = iter(()), None
        try:
            rows = iter(self._compute(pixels, begin + 0.9 * self._seconds))
        except TimeoutError as error:
            failure = refused(504, str(error))
        except Exception as error:
            failure = failed(error, "prediction", *requests)
        model = time.perf_counter() - start
        answers = []
        for item, request, seconds in zip(read, requests, decode, strict=True):
            answer = item if isinstance(item, Answer) else failure or self._write([next(rows) for _ in item], request)
            count = 0 if isinstance(item, Answer) else len(item)
            timing = Timing(decode=seconds, model=model if count else 0.0, photos=count, batch=len(bodies))
            answers.append(replace(answer, timing=timing))
        return answers

    def _begin(self, body: bytes, request: WorkerRequest, end: float) -> _Decoding | Answer:
        """Start to decode a request's photos; every photo but the first raises TimeoutError when decoded after `end`."""
        if request.form is None:  # a probe
            return _Decoding([], iter([self._predictor.probe]))
        try:
            photos = read_instances(body) if request.form.json else [body]
            check_size(request.form, len(photos), len(self._predictor.classes), self._top_k)
        except RequestError as error:
            return refused(400, str(error))
        except Exception as error:
            return failed(error, "decoding", request)

        def decoded(number: int, photo: bytes) -> Pixels:
            if number and time.perf_counter() > end:
                raise TimeoutError(f"{number} of {len(photos)} photos were decoded in time; send fewer at once")
            return self._predictor.decode(photo)

        return _Decoding(photos, self._map(decoded, range(len(photos)), photos))

    def _read(self, decoding: _Decoding, request: WorkerRequest) -> list[Pixels] | Answer:
        """Return the pixels of a request's photos, or an answer with an error if a photo cannot be used."""
        pixels: list[Pixels] = []
        try:
            for photo in decoding.pixels:
                pixels.append(photo)
            return pixels
        except TimeoutError as error:
            return refused(504, str(error))
        except PhotoError as error:
            number = len(pixels)
            where = f"instances[{number}]" if request.form and request.form.json else "the body"
            hint = what_it_is(decoding.photos[number], str(error))
            return refused(422, f"{where} is not a usable photo: {error}{hint}")
        except Exception as error:
            return failed(error, "decoding", request)

    def _compute(self, pixels: list[Pixels], end: float) -> list[Any]:
        """Return each photo's probabilities, or an error if the memory does not suffice even for that photo alone.

        Raises TimeoutError when a pass but the first would begin after `end`.
        """
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
            failure = error.with_traceback(None)  # the traceback would keep the pass's results in memory
        self._predictor.free()
        return [failure] if len(pixels) == 1 else [row for photo in pixels for row in self._pass([photo])]

    def _write(self, rows: list[Any], request: WorkerRequest) -> Answer:
        for row in rows:
            if isinstance(row, Exception):
                return failed(row, "prediction", request)
        if request.form is None:
            return Answer(200, b"")
        try:
            text, kind = write_answer(request.form, np.stack(rows), self._predictor.classes, self._top_k)
            return Answer(200, text.encode(), kind)
        except Exception as error:
            return failed(error, "writing the answer", request)


class CodeWorker:
    """Answers requests with the functions that an artifact brings."""

    def __init__(self, code: "ModelCode") -> None:
        self._code = code

    def answers(self, bodies: Sequence[bytes], requests: Sequence[WorkerRequest]) -> list[Answer]:
        """Answer a batch of requests, one after another."""
        return [self._answer(body, request) for body, request in zip(bodies, requests, strict=True)]

    def _answer(self, body: bytes, request: WorkerRequest) -> Answer:
        if request.probe:
            return Answer(200, b"")
        start = time.perf_counter()
        try:
            answer = self._code.answer(body, request.id, request.headers)
        except PhotoError as error:
            answer = refused(422, f"the body is not a usable photo: {error}{what_it_is(body, str(error))}")
        except UserError as error:
            answer = refused(error.status if isinstance(error, Unsupported) else 400, str(error))
        except (Exception, SystemExit) as error:
            known = refusal(error)
            answer = refused(*known) if known else failed(error, "the model's code", request)
        timing = Timing(decode=0.0, model=time.perf_counter() - start, photos=1, batch=1)
        return replace(answer, timing=timing)


def refused(status: int, message: str) -> Answer:
    """Return an error whose sentence the front passes on to the client."""
    return Answer(status, message.encode(errors="replace"), refused=True)


def failed(error: BaseException, step: str, *requests: WorkerRequest) -> Answer:
    """Return the answer to requests that failed through an error in our code or in the model's code, and log the traceback."""
    if out_of_memory(error):
        return refused(507, _NO_MEMORY)
    log.exception("request %s: %s failed", ", ".join(request.id for request in requests), step, exc_info=error)
    answer = refused(500, "the prediction failed; the server's log says why under this request id")
    return replace(answer, last=gpu_lost(error))

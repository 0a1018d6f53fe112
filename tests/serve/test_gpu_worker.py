"""A worker whose GPU fails or has too little memory, with a stand-in for the pass on a GPU; and photos decoded in parallel."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.backends import Logits
from serve.formats import Form
from serve.predictor import Predictor
from serve.prepare import prepare
from serve.worker import Worker
from serve.worker_api import WorkerRequest
from tests.faulty import answer_to
from tests.gpu_errors import ALLOCATOR, ILLEGAL
from tests.ports import free_port
from tests.server import instances, metric, started, until, wait_for

PHOTO = WorkerRequest(id="1", form=Form(json=False, accept="application/json", top_k=None))
MANY = WorkerRequest(id="1", form=Form(json=True, accept="application/json", top_k=None))
PROBE = WorkerRequest(probe=True)
DECODERS = 4
STICKY = f"""
import os

broken = False


def model_fn(folder):
    return None


def transform_fn(model, data, content_type, accept):
    global broken
    broken = broken or data == b"break"
    if broken:  # like torch after a kernel has failed
        raise RuntimeError({ILLEGAL!r})
    return str(os.getpid()), "text/plain"
"""


@pytest.fixture
def predictor(plain_model: Path, tmp_path: Path) -> Predictor:
    prepare(plain_model, tmp_path / "prepared", "torch")
    return Predictor(tmp_path / "prepared", threads=1)


def test_a_batch_that_memory_does_not_suffice_for_is_computed_photo_by_photo(
    predictor: Predictor, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = predictor._forward
    freed: list[bool] = []

    def small(pixels: Any) -> Logits:
        if len(pixels) > 1 and not freed:
            raise RuntimeError(ALLOCATOR)
        return forward(pixels)

    monkeypatch.setattr(predictor, "_forward", small)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: freed.append(True))
    worker = Worker(predictor, top_k=5, seconds=60)
    alone = Worker(predictor, top_k=5, seconds=60).answers([photo], [PHOTO])[0]
    answers = worker.answers([photo, instances(photo, photo)], [PHOTO, MANY])
    assert [answer.status for answer in answers] == [200, 200] and freed
    assert answers[0].text == alone.text


def test_a_photo_that_memory_does_not_suffice_for_alone_costs_its_own_request(
    predictor: Predictor, photo: bytes, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = (samples / "test" / "brick" / "000.jpg").read_bytes()
    large, forward = predictor.decode(other), predictor._forward

    def small(pixels: Any) -> Logits:
        if any(np.array_equal(each, large) for each in pixels):
            raise RuntimeError(ALLOCATOR)
        return forward(pixels)

    monkeypatch.setattr(predictor, "_forward", small)
    answers = Worker(predictor, top_k=5, seconds=60).answers([photo, other, photo], [PHOTO] * 3)
    assert [answer.status for answer in answers] == [200, 507, 200]
    assert answers[1].text.decode() == "the model ran out of memory; send fewer or smaller photos"
    assert not any(answer.last for answer in answers)


def test_after_an_error_of_the_gpu_the_answer_is_500_and_the_last(
    predictor: Predictor, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(predictor, top_k=5, seconds=60)
    assert [(answer.status, answer.last) for answer in worker.answers([photo, b""], [PHOTO, PROBE])] == [
        (200, False),
        (200, False),
    ]

    def broken(pixels: Any) -> Logits:
        raise RuntimeError(ILLEGAL)

    monkeypatch.setattr(predictor, "_forward", broken)
    for body, request in ((photo, PHOTO), (b"", PROBE)):  # a probe runs the model too
        (answer,) = worker.answers([body], [request])
        assert (answer.status, answer.last) == (500, True)
    (answer,) = worker.answers([b"no photo"], [PHOTO])
    assert (answer.status, answer.last) == (422, False)


@pytest.mark.slow
def test_after_an_error_of_the_gpu_the_next_answer_comes_from_another_process(tmp_path: Path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(STICKY)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"ALLOW_MODEL_CODE": "true", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    with started(tmp_path / "model", port, tmp_path, **settings) as process:
        wait_for(process, url)
        status, first = answer_to(url, "who")
        assert status == 200 and answer_to(url, "break")[0] == 500
        answers: list[tuple[int, str]] = []

        def answered() -> bool:
            answers.append(answer_to(url, "who"))
            return answers[-1][0] != 503

        until("it is replaced", answered)
        assert answers[-1][0] == 200 and answers[-1][1] != first
        assert metric(url, "byoc_worker_restarts_total") == 1
        said = "the GPU failed, so this worker ends and another replaces it"
        until("the log says why it ended", lambda: said in (tmp_path / "log.txt").read_text())


def test_the_photos_of_a_batch_are_decoded_side_by_side(
    predictor: Predictor, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, together = predictor.decode, threading.Barrier(DECODERS, timeout=300)

    def slow(body: bytes) -> Any:
        together.wait()  # wait until all photos are being decoded
        return decode(body)

    expected = Worker(predictor, top_k=5, seconds=60).answers([photo], [PHOTO])[0]
    monkeypatch.setattr(predictor, "decode", slow)
    worker = Worker(predictor, top_k=5, seconds=60, decoders=DECODERS)
    answers = worker.answers([photo] * 8 + [instances(*[photo] * 8)], [PHOTO] * 8 + [MANY])
    assert [answer.status for answer in answers] == [200] * 9
    assert answers[0].text == expected.text and answers[8].timing.photos == 8


def test_side_by_side_the_first_instance_that_is_not_a_photo_is_named(predictor: Predictor, photo: bytes) -> None:
    worker = Worker(predictor, top_k=5, seconds=60, decoders=DECODERS)
    answers = worker.answers([photo, instances(photo, b"x", photo, b"y")], [PHOTO, MANY])
    assert [answer.status for answer in answers] == [200, 422]
    assert answers[1].text.decode().startswith("instances[1] is not a usable photo")


def test_side_by_side_photos_that_are_not_decoded_in_time_are_504(predictor: Predictor, photo: bytes) -> None:
    worker = Worker(predictor, top_k=5, seconds=0, decoders=DECODERS)
    (answer,) = worker.answers([instances(*[photo] * 8)], [MANY])
    assert answer.status == 504 and answer.text.decode().startswith("1 of 8 photos were decoded in time")

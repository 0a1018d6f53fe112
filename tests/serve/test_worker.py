"""A worker answers a batch of requests with a small model of random weights: each separately, within its time limit and memory."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from classifier.backends import BACKENDS, Backend, Logits
from classifier.backends.gpu import SIZES
from classifier.errors import ArtifactError, PhotoError
from classifier.selftest import SELFTEST
from serve.formats import Form
from serve.predictor import Predictor
from serve.worker import CHUNK, Worker
from serve.worker_api import WorkerRequest
from tests.image_files import noise
from tests.server import instances

FORM = Form(json=True, accept="application/json", top_k=None)
PHOTO = WorkerRequest(id="7", form=replace(FORM, json=False))
MANY = WorkerRequest(id="7", form=FORM)
NO_MEMORY = "the model ran out of memory; send fewer or smaller photos"
INTERNAL = "the prediction failed; the server's log says why under this request id"


def asking(**form: Any) -> WorkerRequest:
    return replace(MANY, form=replace(FORM, **form))


@pytest.fixture
def predictor(small: Path) -> Predictor:
    return Predictor(small / "prepared", threads=1)


def test_a_photo_of_more_pixels_than_the_worker_has_memory_for_is_refused(small: Path) -> None:
    limited = Predictor(small / "prepared", threads=1, max_pixels=200 * 180 - 1)
    with pytest.raises(PhotoError, match="200 x 180 pixels are over the limit of 35,999; make the photo smaller"):
        limited.decode(noise(0))


@pytest.fixture
def worker(predictor: Predictor) -> Worker:
    return Worker(predictor, top_k=5, seconds=3600)


def test_each_request_of_a_batch_has_its_own_answer_and_facts(worker: Worker, predictor: Predictor) -> None:
    photos = [noise(number) for number in range(3)]
    bodies = [photos[0], b"no photo", instances(photos[1], photos[2]), b"{", b""]
    answers = worker.answers(bodies, [PHOTO, PHOTO, MANY, MANY, WorkerRequest(probe=True)])
    assert [answer.status for answer in answers] == [200, 422, 200, 400, 200]
    assert [answer.refused for answer in answers] == [False, True, False, True, False]
    timings = [answer.timing for answer in answers]
    assert [(timing.photos, timing.batch) for timing in timings] == [(1, 5), (0, 5), (2, 5), (0, 5), (1, 5)]
    times = [timing.model for timing in timings]
    assert times[0] == times[2] == times[4] > 0 and times[1] == times[3] == 0
    assert 0 < timings[0].decode < 60 and 0 < timings[2].decode < 60
    rows = predictor.probabilities(np.stack([predictor.decode(photo) for photo in photos]))
    best = [[predictor.classes[index] for index in np.argsort(-row)[:5]] for row in rows]
    found = [json.loads(answers[0].text)["predictions"], *json.loads(answers[2].text)["predictions"]]
    assert [[item["label"] for item in one] for one in found] == best
    assert answers[4].text == b""


def test_what_is_not_a_photo_is_named_by_its_place(worker: Worker) -> None:
    for body, request, start in (
        (b"xyz", PHOTO, "the body is not a usable photo: not an image"),
        (instances(noise(0), noise(1), b"x", b"y"), MANY, "instances[2] is not a usable photo: not an image"),
    ):
        [answer] = worker.answers([body], [request])
        assert answer.status == 422 and answer.text.decode().startswith(start)
    # The message names the remedy only once.
    [answer] = worker.answers([b"{}"], [PHOTO])
    assert answer.text.endswith(b": JSON text, not an image; send it as application/json, or download the photo again")


def test_an_answer_with_too_many_labels_is_refused_before_anything_is_decoded(worker: Worker) -> None:
    body = instances(*[b"x"] * 500)
    [answer] = worker.answers([body], [asking(accept="application/json;verbose")])
    assert answer.status == 422  # 500,000 labels are allowed
    [answer] = worker.answers([instances(*[b"x"] * 51)], [asking(top_k=9_900)])
    assert answer.status == 422  # a model has no more labels than its classes
    assert SIZES[-1] == CHUNK


def test_photos_are_computed_in_passes_of_32(
    worker: Worker, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def forward(pixels: Any) -> Logits:
        sizes.append(len(pixels))
        return np.tile(pixels[:, :1, 0, 0].astype(np.float32), (1, 1000))

    monkeypatch.setattr(predictor, "_forward", forward)
    answers = worker.answers([noise(0), instances(*[noise(1)] * 64)], [PHOTO, MANY])
    assert [answer.status for answer in answers] == [200, 200] and sizes == [32, 32, 1]


def test_what_fails_costs_the_requests_that_it_concerns_and_is_logged_under_their_ids(
    worker: Worker, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    def full(*_: Any) -> Any:
        raise MemoryError

    def answered() -> list[tuple[int, str]]:
        answers = worker.answers([noise(0), b"no photo"], [PHOTO, replace(PHOTO, id="8")])
        assert [answer.refused for answer in answers] == [True, True] and not any(answer.last for answer in answers)
        return [(answer.status, answer.text.decode()) for answer in answers]

    with monkeypatch.context() as context, caplog.at_level(logging.ERROR):
        context.setattr(predictor, "_forward", fail)
        assert answered()[0] == (500, INTERNAL) and answered()[1][0] == 422
        context.setattr(predictor, "_forward", full)
        assert answered()[0] == (507, NO_MEMORY) and answered()[1][0] == 422
    assert set(caplog.messages) == {"request 7, 8: prediction failed"}
    caplog.clear()
    with monkeypatch.context() as context:
        context.setattr(predictor, "decode", fail)
        assert answered() == [(500, INTERNAL)] * 2
        context.setattr(predictor, "decode", full)
        assert answered() == [(507, NO_MEMORY)] * 2
    assert caplog.messages == ["request 7: decoding failed", "request 8: decoding failed"]
    caplog.clear()
    with monkeypatch.context() as context:
        context.setattr("serve.worker.check_size", fail)
        assert answered() == [(500, INTERNAL)] * 2
        context.undo()
        context.setattr("serve.worker.write_answer", fail)
        assert answered()[0] == (500, INTERNAL) and answered()[1][0] == 422
    assert caplog.messages[:3] == [
        "request 7: decoding failed",
        "request 8: decoding failed",
        "request 7: writing the answer failed",
    ]


def test_half_of_the_time_is_for_decoding_and_the_first_photo_has_it_whatever_it_takes(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    decode, forward = predictor.decode, predictor._forward
    monkeypatch.setattr("serve.worker.time.perf_counter", lambda: now[0])
    worker = Worker(predictor, top_k=5, seconds=100)

    def slow(body: bytes) -> Any:
        now[0] += spent
        return decode(body)

    monkeypatch.setattr(predictor, "decode", slow)
    for spent, status in ((25.0, 200), (26.0, 504), (49.0, 504)):
        [answer] = worker.answers([instances(*[noise(0)] * 3)], [MANY])
        assert answer.status == status, spent
    assert answer.text.decode() == "2 of 3 photos were decoded in time; send fewer at once"
    spent = 60.0
    assert worker.answers([noise(0)], [PHOTO])[0].status == 200

    def slow_pass(pixels: Any) -> Logits:
        now[0] += taken[0]
        return forward(pixels)

    spent, taken = 0.0, [0.0]
    monkeypatch.setattr(predictor, "_forward", slow_pass)
    for taken[0], status in ((90.0, 200), (91.0, 504)):  # a pass may begin in nine tenths of the time
        [answer] = worker.answers([instances(*[noise(0)] * 33)], [MANY])
        assert answer.status == status
    assert answer.text.decode() == "32 of 33 photos were computed in time; send fewer at once"
    assert answer.timing.model == 91 and answer.refused


@pytest.mark.parametrize(("device", "warmed"), [("cuda", [1, 2, 4, 8, 16, 32]), ("cpu", [])])
def test_on_a_gpu_every_size_of_batch_is_computed_before_the_self_test(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, warmed: list[int]
) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    document = json.loads((small / "prepared" / "prepared.json").read_text())
    (prepared / "prepared.json").write_text(json.dumps(document | {"backend": "a stand-in"}))
    (prepared / SELFTEST).write_bytes((small / "prepared" / SELFTEST).read_bytes())
    monkeypatch.setitem(
        BACKENDS, "a stand-in", Backend(name="a stand-in", library="torch", device=device, precision="fp32")
    )
    sizes: list[int] = []

    def forward(pixels: Any) -> Logits:
        sizes.append(len(pixels))
        return np.zeros((len(pixels), 1000), np.float32)

    monkeypatch.setattr("classifier.backends.eager.open_torch", lambda model, backend, crop: forward)
    with pytest.raises(ArtifactError, match="fails the self-test"):  # the stand-in model's answers are wrong
        Predictor(prepared, threads=1)
    assert sizes == [*warmed, 3]


def test_a_backend_that_a_worker_cannot_open_is_named_with_the_reason(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("first\nthe last reason")

    monkeypatch.setattr("classifier.backends.eager.open_torch", fail)
    reason = r"^a worker cannot open the model on torch \(RuntimeError: the last reason\); choose another backend$"
    with pytest.raises(ArtifactError, match=reason):
        Predictor(small / "prepared", threads=1)


def test_what_was_prepared_says_how_and_how_true_it_is(small: Path) -> None:
    document = json.loads((small / "prepared" / "prepared.json").read_text())
    assert (document["backend"], document["precision"], document["refused"]) == ("torch", "fp32", {})
    assert document["artifact"] == str((small / "model").resolve())
    assert 0 <= document["difference"]["mean"] <= document["difference"]["largest"] < 1e-4
    assert document["model"]["classes"][:2] == ["class 0", "class 1"]
    # None for a torch backend and an artifact without the guard's photos.
    assert document["ir"] is None and document["verdict"] is None
    kept, own = load_file(small / "prepared" / SELFTEST), load_file(small / "model" / SELFTEST)
    np.testing.assert_array_equal(kept["pixels"], own["pixels"])
    np.testing.assert_allclose(kept["probabilities"], own["probabilities"], atol=1e-4)

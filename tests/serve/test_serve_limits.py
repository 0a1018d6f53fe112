"""Limits of time, memory and size that the serving program enforces, and its messages about them."""

import asyncio
import base64
import contextlib
import io
import json
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from aiohttp import web
from PIL import Image

from serve import protocol
from serve.formats import MAX_LABELS, Form, RequestError, check_size
from serve.memory import out_of_memory
from serve.predictor import Predictor
from serve.prepare import prepare
from serve.settings import read_settings
from serve.worker import Worker
from serve.worker_api import WorkerRequest
from tests.conftest import needs_openvino
from tests.image_files import bmp_run_length
from tests.ports import free_port
from tests.server import instances, metric, post, send, started, wait_for, workers


@pytest.mark.slow
def test_photos_that_take_too_long_to_decode_are_504_and_end_no_worker(
    model: Path, photo: bytes, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": "12"}
    with started(model, port, tmp_path, **variables) as process:
        wait_for(process, url)
        slow = bmp_run_length(4_000_000, 1)  # 1 kB that takes a third of a second to decode
        status, answer = post(url, instances(*[slow] * 400), "application/json")
        assert status == 504 and "of 400 photos were decoded in time; send fewer at once" in answer["message"]
        assert post(url, photo)[0] == 200 and metric(url, "byoc_worker_restarts_total") == 0


@pytest.mark.slow
def test_where_memory_is_short_a_photo_of_too_many_pixels_is_422(model: Path, photo: bytes, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="1", BYOC_MEMORY_MB="32") as process:
        wait_for(process, url)
        for width, status in ((1024, 200), (1025, 422)):  # half of 32 MB at 16 bytes per pixel: 1,048,576 pixels
            with Image.open(io.BytesIO(photo)) as image:
                buffer = io.BytesIO()
                image.resize((width, 1024)).save(buffer, "jpeg")
            got, answer = post(url, buffer.getvalue())
            assert got == status
        assert "1025 x 1024 pixels are over the limit of 1,048,576; make the photo smaller" in answer["message"]


class SlowPredictor(Predictor):
    """A predictor with a clock of its own, `now`, which only its passes move: by three seconds each."""

    now = 1000.0

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        self.now += 3
        return super().probabilities(pixels)


@pytest.mark.slow
def test_photos_whose_passes_take_too_long_are_504_and_the_worker_answers_on(
    model: Path, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(model, tmp_path, "auto")
    # A pass may begin in the first 5.4 seconds (0.9 of 6), so two of the four passes run.
    predictor = SlowPredictor(tmp_path, threads=1)
    worker = Worker(predictor, top_k=5, seconds=6)
    monkeypatch.setattr("serve.worker.time.perf_counter", lambda: predictor.now)
    with Image.open(io.BytesIO(photo)) as image:
        buffer = io.BytesIO()
        image.resize((8, 8)).save(buffer, "png")
    many = json.dumps({"instances": [{"b64": base64.b64encode(buffer.getvalue()).decode()}] * 128}).encode()
    request = WorkerRequest(id="1", form=Form(json=True, accept="application/json", top_k=None))
    alone = WorkerRequest(id="1", form=Form(json=False, accept="application/json", top_k=None))
    (answer,) = worker.answers([many], [request])
    assert answer.status == 504 and answer.text.startswith(b"64 of 128 photos were computed in time")
    (answer,) = worker.answers([buffer.getvalue()], [alone])
    assert answer.status == 200


@pytest.mark.slow
def test_a_large_answer_to_many_instances_arrives_whole(url: str, photo: bytes) -> None:
    with Image.open(io.BytesIO(photo)) as image:
        buffer = io.BytesIO()
        image.resize((40, 40)).save(buffer, "jpeg")
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "top_k=14"}
    status, answer = post(url, instances(*[buffer.getvalue()] * 450), "application/json", headers)
    assert status == 200 and len(json.dumps(answer)) > 300_000
    assert [len(best) for best in answer["predictions"]] == [14] * 450
    assert all(best == answer["predictions"][0] for best in answer["predictions"])


def test_an_answer_with_more_labels_than_anybody_reads_is_refused() -> None:
    best = Form(json=True, accept="application/json", top_k=None)
    everything = Form(json=True, accept="application/json;verbose", top_k=None)
    check_size(best, 500, 21_000, 5)
    check_size(everything, MAX_LABELS // 1000, 1000, 5)
    with pytest.raises(RequestError, match="10,500,000 labels, at most 500,000 are allowed"):
        check_size(everything, 500, 21_000, 5)
    with pytest.raises(RequestError, match="ask for fewer with top_k"):
        check_size(Form(json=True, accept="text/csv", top_k=10_000), 500, 21_000, 5)


def too_large_for_openvino() -> object:
    import openvino

    return openvino.Tensor(openvino.Type.f32, openvino.Shape([10**6, 10**6, 10]))


@pytest.mark.parametrize("ask_for_too_much", [
    lambda: torch.empty(10**15),
    lambda: np.empty(10**15),
    pytest.param(too_large_for_openvino, marks=needs_openvino),
    lambda: bytearray(2**60),
])  # fmt: skip
def test_what_the_libraries_say_of_too_little_memory_is_understood(ask_for_too_much: Callable[[], object]) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        ask_for_too_much()
    assert out_of_memory(raised.value)


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 64, 200])
@pytest.mark.parametrize("payload", ["", "0", "1", "6", "50", "100", "2000"])
def test_batch_transform_never_gets_more_than_it_may_send(workers: int, payload: str) -> None:
    variables = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers), "SAGEMAKER_MAX_PAYLOAD_IN_MB": payload}
    settings = read_settings([], variables)
    assert settings.payload_mb * settings.transforms <= 100 and 1 <= settings.transforms <= workers
    if payload:  # the job's own value is used
        assert settings.payload_mb == min(int(payload) or 100, 100)
    else:
        assert settings.payload_mb >= 6 and settings.transforms == min(workers, 100 // settings.payload_mb)


def test_a_client_that_does_not_take_its_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.4)
    monkeypatch.setattr(protocol, "READ_BYTES_A_SECOND", 500_000_000)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bytes(50_000_000))

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol.Protocol(runner.server, loop=loop), "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(60):
            while not runner.server.connections:
                await asyncio.sleep(0.01)
            while runner.server.connections:
                await asyncio.sleep(0.01)
        client.close()
        server.close()
        await runner.cleanup()

    asyncio.run(run())


@pytest.mark.slow
def test_requests_that_come_together_share_a_pass_and_each_gets_its_own_answer(
    model: Path, samples: Path, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    photos = [
        (label, path.read_bytes()) for label in ("brick", "coffee") for path in (samples / "test" / label).iterdir()
    ]
    with started(model, port, tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="1", BYOC_BATCH_SIZE="4") as process:
        wait_for(process, url)
        [worker] = workers(process.pid)
        worker.suspend()  # until the server has all requests
        connections = [send(url, body, "image/jpeg") for _ in range(4) for _, body in photos]
        worker.resume()
        answers = []
        for connection in connections:
            with contextlib.closing(connection):
                answer = connection.getresponse()
                answers.append((answer.status, json.load(answer)))
        shared = metric(url, "byoc_batch_requests_sum") / metric(url, "byoc_batch_requests_count")
        assert shared > 1.5
        alone = [post(url, body)[1] for _, body in photos]
        for (status, answer), (label, _), expected in zip(answers, photos * 4, alone * 4, strict=True):
            assert status == 200 and answer["predictions"][0]["label"] == expected["predictions"][0]["label"], label
            assert answer["predictions"][0]["probability"] == pytest.approx(
                expected["predictions"][0]["probability"], abs=1e-4
            )

"""The public port's answers to requests that no worker answers, and about its own state; see test_front_answers.py."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from serve.status import Failure, StatusWriter
from serve.worker_api import WorkerRequest
from tests import wire
from tests.front import INFERENCE_ID, JPEG, Served
from tests.standin import Said, answer

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")


def test_a_model_that_takes_too_long_is_504(served: Served) -> None:
    async def slow(request: WorkerRequest, body: bytes) -> Said:
        await asyncio.sleep(20)
        return answer()

    served.stand_in.worker = slow
    served.front.settings = replace(served.front.settings, timeout=0.1)  # the intake still waits a minute for the body

    def asks() -> None:
        assert served.refused(JPEG) == (504, "the model took longer than 0.1 seconds")

    served.run(asks)


def test_whose_client_has_gone_is_counted_as_499_and_what_a_stop_gives_up_is_503(served: Served) -> None:
    async def slow(request: WorkerRequest, body: bytes) -> Said:
        await asyncio.sleep(20)
        return answer()

    served.stand_in.worker = slow
    head = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 1\r\n\r\nx"

    def waiting() -> socket.socket:
        client = wire.connect(served.url)
        client.sendall(head)
        while not served.front.in_flight:
            time.sleep(0.01)
        return client

    def asks(loop: asyncio.AbstractEventLoop) -> None:
        waiting().close()
        while not served.metric('byoc_requests_total{code="499"}'):
            time.sleep(0.01)
        with waiting() as client:
            assert len(served.front.in_flight) == 1
            loop.call_soon_threadsafe(served.front.give_up)
            status, _, rest = client.recv(65536).partition(b"\r\n")
        assert b" 503 " in status and b"the server is stopping; send the request again" in rest
        assert not served.front.in_flight and served.front.draining
        assert served.metric('byoc_requests_total{code="503"}') == 1

    served.run_with_loop(asks)


def test_a_model_that_is_gone_is_404_and_one_that_is_not_ready_503(served: Served) -> None:
    def asks() -> None:
        served.model._ready = False
        assert served.refused(JPEG) == (503, "no worker has loaded the model yet; try again")
        served.model._status.unloading = True
        assert served.refused(JPEG) == (404, "the model was unloaded")

    served.run(asks)


def test_ping_says_why_the_model_cannot_be_served_and_names_no_folder(served: Served) -> None:
    def asks() -> None:
        assert wire.ask(served.url, "GET", "/ping").status == 200
        served.model._ready = False
        found = wire.ask(served.url, "GET", "/ping")
        assert (found.status, found.json["message"]) == (503, "no worker has loaded the model yet; try again")
        status = served.folder / "store" / "m" / "status"
        status.mkdir(parents=True)
        StatusWriter(status.parent).failed(Failure(reason=f"{served.folder}/artifact holds no weights"))
        found = wire.ask(served.url, "GET", "/ping")
        assert (found.status, found.json["message"]) == (503, "the model holds no weights")

    served.run(asks)


def test_batch_transform_gets_the_limits_of_the_device_that_serves(served: Served) -> None:
    served.model.settings = replace(served.model.settings, given_workers=3, max_body_given=True, max_body=7 * 2**20)

    def asks() -> None:
        parameters = wire.ask(served.url, "GET", "/execution-parameters").json
        assert parameters == {"MaxConcurrentTransforms": 3, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 7}

    served.run(asks)


def test_on_an_endpoint_of_many_models_the_limits_are_those_of_the_settings(started: Callable[..., Served]) -> None:
    served = started(SAGEMAKER_MULTI_MODEL="true")
    served.set(given_workers=2, max_body_given=True, max_body=9 * 2**20, sdk_transform=True)

    def asks() -> None:
        parameters = wire.ask(served.url, "GET", "/execution-parameters").json
        assert parameters == {"MaxConcurrentTransforms": 2, "BatchStrategy": "SingleRecord", "MaxPayloadInMB": 9}

    served.run(asks)


def test_what_no_route_takes_and_what_fails_in_one_is_json(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    def asks() -> None:
        found = wire.ask(served.url, "GET", f"/{'x' * 200}")
        assert (found.status, found.json["message"]) == (404, f"GET /{'x' * 199}: Not Found")
        assert wire.ask(served.url, "GET", "/invocations").json["message"] == "GET /invocations: Method Not Allowed"
        served.front.metrics = None  # type: ignore[assignment]
        found = wire.ask(served.url, "GET", "/metrics", headers={INFERENCE_ID: "my-id"})
        assert (found.status, found.json["request_id"]) == (500, "my-id")
        assert found.json["message"] == "the server failed; its log says why under this request id"

    with caplog.at_level(logging.ERROR):
        served.run(asks)
    assert "request my-id failed" in caplog.messages


def test_an_endpoint_of_many_models_has_no_invocations_of_one(started: Callable[..., Served]) -> None:
    served = started(SAGEMAKER_MULTI_MODEL="true")

    def asks() -> None:
        assert served.refused(JPEG) == (404, "this is a multi-model endpoint; use /models/NAME/invoke")

    served.run(asks)

"""The limits of a server's intake: requests at a time, and a body's size, encoding, time and memory."""

import asyncio
import contextlib
import gzip
import http.client
import json
import socket
import time

import pytest

from serve.intake import Intake, Refused
from serve.settings import MB, read_settings
from tests import wire
from tests.front import JPEG, Served

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")


def test_a_place_in_the_queue_is_free_again_when_its_request_is_answered_and_no_other() -> None:
    intake = Intake(read_settings([], {"MMS_JOB_QUEUE_SIZE": "2"}))
    for _ in range(5):
        busy = pytest.raises(Refused, match="busy with 2 requests")
        with intake.place(), intake.place(), busy as refused, intake.place():
            pytest.fail("a third request got a place")
        assert refused.value.status == 503
        with pytest.raises(ZeroDivisionError), intake.place():
            raise ZeroDivisionError


def sent(served: Served, body: bytes, **headers: str) -> tuple[int, str]:
    found = served.post(body, JPEG | {name.replace("_", "-"): value for name, value in headers.items()})
    return found.status, found.json["message"] if found.status >= 400 else ""


def chunked(served: Served, *parts: bytes) -> tuple[int, str]:
    head = b"POST /invocations HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (*parts, b""))
    [(status, text)] = wire.raw_answers(wire.exchange(served.url, head + body))
    return status, json.loads(text)["message"] if status >= 400 else ""


def test_a_body_over_the_limit_is_413_and_one_of_exactly_the_limit_is_read(served: Served) -> None:
    served.set(max_body=2 * MB)
    over = (413, "the body is over the limit of 2,097,152 bytes (2 MB); make the photo smaller")

    def asks() -> None:
        assert sent(served, b"x" * 2 * MB) == (200, "")
        assert sent(served, b"x" * (2 * MB + 1)) == over
        assert chunked(served, b"x" * MB, b"y" * MB) == (200, "")
        assert len(served.stand_in.requests) == 2
        assert chunked(served, b"x" * MB, b"y" * MB, b"z") == over
        assert len(served.stand_in.requests) == 2 and served.front.intake._held == 0

    served.run(asks)
    assert served.stand_in.requests[0][1].lent


def test_a_body_that_is_empty_or_not_encoded_as_it_says_is_400(served: Served) -> None:
    def asks() -> None:
        assert sent(served, b"") == (400, "the body is empty; send the bytes of one photo, or JSON with instances")
        status, message = sent(served, b"not gzip", Content_Encoding="gzip")
        assert (status, message) == (
            400,
            "the body is not encoded as its Content-Encoding and Transfer-Encoding say",
        )
        assert sent(served, gzip.compress(b"a photo"), Content_Encoding="gzip") == (200, "")
        assert served.stand_in.requests[0][2] == b"a photo"
        assert chunked(served, b"a ", b"photo")[0] == 200 and served.stand_in.requests[1][2] == b"a photo"

    served.run(asks)


def test_an_empty_body_reaches_a_models_own_code(served_code: Served) -> None:
    def asks() -> None:
        assert sent(served_code, b"") == (200, "")
        assert chunked(served_code) == (200, "")

    served_code.run(asks)
    assert [body for _, _, body in served_code.stand_in.requests] == [b"", b""]


def stalled(served: Served, sent: bytes) -> socket.socket:
    connection = wire.connect(served.url)
    head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(sent) + 1}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def received(connection: socket.socket) -> tuple[int, str]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.load(answer)["message"]


def test_a_body_that_does_not_arrive_is_408(served: Served) -> None:
    served.set(timeout=0.1)

    def asks() -> None:
        with stalled(served, b"half") as connection:
            assert received(connection) == (408, "the body did not arrive within 0.1 seconds")
        assert served.front.intake._held == 0 and not served.front.intake._arriving

    served.run(asks)


def test_of_bodies_that_are_more_than_may_be_held_the_oldest_that_still_arrives_makes_room(served: Served) -> None:
    served.set(max_body=100, memory=0)
    assert served.front.settings.held == 200

    def asks() -> None:
        def until_held(size: int) -> None:
            while served.front.intake._held != size:
                time.sleep(0.005)

        with stalled(served, b"a" * 99) as oldest, contextlib.ExitStack() as others:
            until_held(99)
            others.enter_context(stalled(served, b"b" * 99))
            until_held(198)
            assert sent(served, b"cc") == (200, "")  # the held bytes reach the limit exactly
            assert served.front.intake._held == 198
            assert sent(served, b"ccc") == (200, "")
            assert received(oldest) == (503, "the server's memory for requests is full; try again")
            until_held(99)

    served.run(asks)
    assert len(served.stand_in.requests) == 2 and served.front.intake._held == 0


def test_of_bodies_that_are_as_many_as_may_be_held_none_makes_room_before_its_time(served: Served) -> None:
    served.set(max_body=100, memory=0, timeout=0.3)

    def asks() -> None:
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(stalled(served, b"x" * size)) for size in (99, 99, 2)]
            assert {received(connection)[0] for connection in waiting} == {408}

    served.run(asks)


def test_where_no_body_arrives_any_more_there_is_none_to_make_room() -> None:
    async def run() -> None:
        intake = Intake(read_settings([], {}))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60) as limited:
                intake._arriving[limited] = None
                intake._make_room()
                assert not intake._arriving
                intake._make_room()
                await asyncio.sleep(30)

    asyncio.run(run())

"""Answers to bytes that are not HTTP, and the end of a connection whose client has closed it."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.http_exceptions import BadStatusLine
from aiohttp.test_utils import make_mocked_request

from serve import protocol
from serve.protocol import Protocol
from tests import wire

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")


def with_port(asks: Callable[[str], None]) -> None:
    """Open a port where the request's path selects the error, and send requests in a thread."""

    async def fail(request: web.Request) -> web.Response:
        if request.path == "/refused":
            raise web.HTTPForbidden(reason="not for you")
        raise ZeroDivisionError

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{path}", fail)
        runner = web.AppRunner(app)
        await runner.setup()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Protocol(runner.server, loop=loop), "127.0.0.1", 0)
        try:
            await asyncio.to_thread(asks, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()
            await runner.cleanup()

    asyncio.run(run())


def test_what_is_not_http_is_400_in_json_and_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def asks(url: str) -> None:
        received = wire.exchange(url, b"nonsense\r\n\r\nGET /refused HTTP/1.1\r\nHost: a\r\n\r\n")
        [(status, text)] = wire.raw_answers(received)
        document = json.loads(text)
        assert (status, document["code"], document["message"]) == (400, 400, "the request is not valid HTTP/1.1")
        head = received.partition(b"\r\n\r\n")[0].lower()
        assert b"server: byoc-classifier" in head
        assert b"python" not in head and b"aiohttp" not in head

    with caplog.at_level(logging.WARNING):
        with_port(asks)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Traceback" not in caplog.text


def test_what_fails_outside_our_handlers_is_json_too_and_a_fault_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def asks(url: str) -> None:
        found = wire.ask(url, "GET", "/refused")
        assert (found.status, found.json["code"], found.json["message"]) == (403, 403, "not for you")
        found = wire.ask(url, "GET", "/broken")
        assert (found.status, found.json["message"]) == (500, "the server failed")

    with_port(asks)
    assert "a request failed outside its handler" in caplog.messages and "ZeroDivisionError" in caplog.text


def handled(**changes: Any) -> web.StreamResponse:
    async def run() -> web.StreamResponse:
        app = web.Application()
        runner = web.AppRunner(app)
        await runner.setup()
        request = make_mocked_request("GET", "/")
        request.writer.output_size = changes.pop("output_size", 0)
        return Protocol(runner.server, loop=asyncio.get_running_loop()).handle_error(request, **changes)

    return asyncio.run(run())


def test_a_client_that_is_gone_or_has_half_an_answer_gets_no_other() -> None:
    for changes in ({"exc": ConnectionResetError()}, {"output_size": 1}, {"status": 400, "output_size": 1}):
        with pytest.raises(ConnectionResetError, match="the client is gone, or has half an answer already"):
            handled(**changes)
    assert handled(exc=ZeroDivisionError()).status == 500
    assert handled(status=400, exc=BadStatusLine("x")).status == 400


def test_a_connection_on_which_an_answer_is_not_read_is_cut_and_one_that_is_gone_already_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "READ_SECONDS", 0)

    class Unread(web.Response):
        async def prepare(self, request: Any) -> None:
            await asyncio.sleep(60)

    async def run() -> None:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        ours = Protocol(runner.server, loop=asyncio.get_running_loop())
        request, answer = make_mocked_request("GET", "/"), Unread()
        assert ours.transport is None
        assert await ours.finish_response(request, answer, None) == (answer, True)
        near, far = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: ours, sock=near)
        with far:
            assert await ours.finish_response(request, answer, None) == (answer, True)
            assert transport.is_closing()

    asyncio.run(run())


def test_a_failure_below_500_is_no_error_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    handled(status=499)
    assert not caplog.messages
    handled(status=500)
    assert caplog.messages == ["a request failed outside its handler"]


def test_of_a_connection_that_is_closed_the_log_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        protocol = Protocol(runner.server, loop=asyncio.get_running_loop())
        protocol.log_exception("Unhandled exception", exc_info=ValueError("first\nsecond"))
        protocol.log_exception("Unhandled exception")

    asyncio.run(run())
    assert caplog.messages == ["a connection was closed: first", "a connection was closed: Unhandled exception"]

"""The public port: readiness, limits and errors. It alone is reachable; the model server answers only to it."""

import asyncio
import contextlib
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from serve.model_server import ModelServer

# Whatever they say, the bytes decide; the last two name no format, as does a request without a Content-Type.
SUPPORTED = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "application/x-image",
    "application/octet-stream",
)
MAX_BODY = 25 * 1024 * 1024  # what hosting accepts; the older limit was 6 MB


@dataclass
class _State:
    server: ModelServer
    timeout: int
    client: aiohttp.ClientSession | None = None
    proved: bool = False  # a worker has answered through the model server


_STATE = web.AppKey("state", _State)
_REASONS = {503: "the server is busy; try again", 504: "the model took too long", 507: "the model ran out of memory"}


def make_app(server: ModelServer, *, timeout: int) -> web.Application:
    """Return the application; `timeout` is the seconds that a prediction may take."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_json_errors])
    app[_STATE] = _State(server, timeout)
    app.router.add_get("/ping", _ping)
    app.router.add_post("/invocations", _invocations)
    app.cleanup_ctx.append(_client)
    return app


async def prove(app: web.Application) -> bool:
    """Return whether a request would be answered now; to be called again and again while the server runs.

    A worker that says it is ready is sent an empty body: only its answer shows that the model server knows it too.
    """
    state = app[_STATE]
    if not state.server.ready_workers():
        state.proved = False
    elif not state.proved:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            status, _ = await _ask(state, b"")
            state.proved = status == 422
    return state.proved


async def _client(app: web.Application) -> AsyncIterator[None]:
    state = app[_STATE]
    connector = aiohttp.UnixConnector(path=str(state.server.socket), limit=0)
    timeout = aiohttp.ClientTimeout(total=state.timeout)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        state.client = client
        yield


async def _ask(state: _State, body: bytes) -> tuple[int, bytes]:
    assert state.client is not None
    async with state.client.post("http://model-server/invocations", data=body) as answer:
        return answer.status, await answer.read()


def _ready(state: _State) -> bool:
    return state.proved and state.server.ready_workers() > 0


async def _ping(request: web.Request) -> web.Response:
    state = request.app[_STATE]
    if _ready(state):
        return web.Response()
    return _error(request, 503, state.server.failure() or "no worker has loaded the model yet; try again")


async def _invocations(request: web.Request) -> web.Response:
    # Compared without parameters and case, as in `image/JPEG; charset=utf-8`.
    if request.content_type.lower() not in SUPPORTED:
        supported = ", ".join(SUPPORTED)
        return _error(request, 415, f"Content-Type {request.content_type!r} is not supported; send one of {supported}")
    body = await request.read()
    if not body:
        return _error(request, 400, "the body is empty; send the bytes of one photo")
    state = request.app[_STATE]
    if not _ready(state):
        return _error(request, 503, "no worker has loaded the model yet; try again")
    try:
        return _passed_on(request, *await _ask(state, body))
    except TimeoutError:
        return _error(request, 504, f"the model took longer than {state.timeout} seconds")
    except aiohttp.ClientError:
        logging.exception("the model server did not answer")
        return _error(request, 503, _REASONS[503])


def _passed_on(request: web.Request, status: int, text: bytes) -> web.Response:
    if status == 200:
        return web.Response(body=text, content_type="application/json")
    if status == 422:
        return _error(request, 422, json.loads(text)["message"])
    if status in (400, 500):  # the model server's own words may hold a traceback
        return _error(request, 500, "the prediction failed; the server's log says why under this request id")
    return _error(request, status if status in _REASONS else 500, _REASONS.get(status, "the prediction failed"))


@web.middleware
async def _json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return _error(request, 413, f"the body is over the limit of {MAX_BODY:,} bytes; make the photo smaller")
    except web.HTTPException as error:
        return _error(request, error.status, f"{request.method} {request.path}: {error.reason}")
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception:
        logging.exception("request %s failed", _request_id(request))
        return _error(request, 500, "the server failed; its log says why under this request id")


def _error(request: web.Request, status: int, message: str) -> web.Response:
    body = {"code": status, "message": message, "request_id": _request_id(request)}
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if status == 503 else {})


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Amzn-SageMaker-Inference-Id", "")
    if "request_id" not in request:
        request["request_id"] = given if re.fullmatch(r"[\x21-\x7e]{1,64}", given) else uuid.uuid4().hex
    return str(request["request_id"])

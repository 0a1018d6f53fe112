"""The public port: readiness, requests to models, limits, errors and metrics."""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from aiohttp import web

from classifier.errors import UserError
from serve.formats import (
    ACCEPTS,
    JSON_TYPES,
    SUPPORTED,
    Form,
    RequestError,
    accepted,
    is_photo_type,
    media_type,
    requested_top_k,
)
from serve.intake import Intake, Refused
from serve.metrics import CONTENT_TYPE, Metrics, RequestLog
from serve.model_server import NoAnswer
from serve.model_workers import ModelWorkers
from serve.settings import Settings
from serve.worker_api import Answer, Timing, WorkerRequest

ATTRIBUTES, INFERENCE_ID = "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id"
NAME = "byoc-classifier"  # the header Server of all answers; aiohttp's own would show versions
CLIENT_GONE = 499  # the status in metrics if the client has disconnected, as in nginx; no client gets it
# Characters, as JSON, of all headers for a model's own code. The model server takes one header, of 8,192 bytes, for them.
MAX_HEADERS = 4000
NOT_LOADED = "no worker has loaded the model yet; try again"
STOPPING = "the server is stopping"


class Endpoint(Protocol):
    """The model or the models behind the port: serve.single_model.SingleModel or serve.multi_model.MultiModel."""

    @property
    def settings(self) -> Settings:
        """The settings in use, which /execution-parameters returns."""

    def all_models(self) -> list[ModelWorkers]:
        """Return the models whose workers are watched and counted."""

    def add_routes(self, app: web.Application) -> None:
        """Add the routes that only this kind of endpoint has."""

    async def start(self) -> str:
        """Wait until requests can be answered and return a clause for the log; raises UserError if they can never be answered."""

    def not_ready(self) -> str | None:
        """Return why /ping must not answer 200 now, or None."""

    def failure(self) -> UserError | None:
        """Return why no request will ever be answered, so that the program should end, or None."""


@dataclass(kw_only=True)
class Front:
    """The values that the routes share."""

    settings: Settings
    intake: Intake
    endpoint: Endpoint
    draining: bool = False  # the server is stopping
    in_flight: set["asyncio.Task[object]"] = field(default_factory=set)  # the tasks of requests to models and of loads

    def __post_init__(self) -> None:
        models = self.settings.models_dir if self.settings.multi_model else self.settings.model_dir
        self.metrics = Metrics(self._workers, models)
        self.log = RequestLog(self.settings.log_requests)

    def give_up(self) -> None:
        """Answer 503 to the requests that are still in flight, before the platform kills the container."""
        self.draining = True
        for task in self.in_flight:
            task.cancel()

    def _workers(self) -> tuple[int, int]:
        models = self.endpoint.all_models()
        return sum(model.ready_workers() for model in models), sum(model.restarts for model in models)


FRONT = web.AppKey("front", Front)


def make_app(front: Front) -> web.Application:
    """Return the application with all routes of the front's endpoint."""
    # The intake limits the bodies of requests to models; this limit is for the small ones of a multi-model endpoint's own routes.
    app = web.Application(client_max_size=65536, middlewares=[_json_errors])
    app[FRONT] = front
    app.router.add_get("/ping", _ping)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/execution-parameters", _execution_parameters)
    front.endpoint.add_routes(app)
    app.on_response_prepare.append(_name)
    return app


async def _name(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = NAME


async def _ping(request: web.Request) -> web.Response:
    front = request.app[FRONT]
    reason = STOPPING if front.draining else front.endpoint.not_ready()
    return error(request, 503, reason) if reason else web.Response()


async def _metrics(request: web.Request) -> web.Response:
    text = await asyncio.to_thread(request.app[FRONT].metrics.text)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


async def _execution_parameters(request: web.Request) -> web.Response:
    settings = request.app[FRONT].endpoint.settings
    return web.json_response(
        {
            "MaxConcurrentTransforms": settings.transforms,
            "BatchStrategy": settings.batch_strategy,
            "MaxPayloadInMB": settings.payload_mb,
        }
    )


@dataclass
class _Record:
    """The facts about a request for metrics and the log."""

    # When the whole body had arrived; until then, when the request began.
    start: float = field(default_factory=time.perf_counter)
    size: int = 0  # bytes of the body
    timing: Timing | None = None


async def invoke(request: web.Request, model: ModelWorkers) -> web.Response:
    """Return the model's answer to a request, or an error with a sentence; count and log the request."""
    front, record, task = request.app[FRONT], _Record(), asyncio.current_task()
    assert task is not None
    front.in_flight.add(task)
    try:
        response = await _answer(request, model, record)
    except asyncio.CancelledError:
        if not front.draining:
            front.metrics.observe(CLIENT_GONE, time.perf_counter() - record.start, None)
            raise
        task.uncancel()
        response = error(request, 503, f"{STOPPING}; send the request again")
    finally:
        front.in_flight.discard(task)
    seconds = time.perf_counter() - record.start
    front.metrics.observe(response.status, seconds, record.timing)
    front.log.write(
        request_id=request_id(request),
        code=response.status,
        target_model=request.headers.get("X-Amzn-SageMaker-Target-Model", "")[:256] or None,
        bytes=record.size,
        seconds=round(seconds, 4),
        **{name: round(value, 4) for name, value in (vars(record.timing) if record.timing else {}).items()},
    )
    return response


async def _answer(request: web.Request, model: ModelWorkers, record: _Record) -> web.Response:
    front, code = request.app[FRONT], model.code is not None
    try:
        worker_request, echoed = _worker_request(request, front.settings, raw=code)
        async with front.intake.body(request, code=code) as body:
            record.size, record.start = len(body), time.perf_counter()
            if model.gone:
                raise Refused(404, "the model was unloaded")
            if not model.ready or front.draining:
                raise Refused(503, STOPPING if front.draining else NOT_LOADED)
            with front.intake.place():
                async with asyncio.timeout(front.settings.timeout):
                    answer = await model.ask(body, worker_request)
    except (Refused, RequestError) as refused:
        return error(request, getattr(refused, "status", 400), str(refused))
    except TimeoutError:
        return error(request, 504, f"the model took longer than {front.settings.timeout} seconds")
    except NoAnswer as ended:  # the model server's text may hold a traceback, so it is not passed on
        if ended.status == 507:
            return error(request, 507, "the model ran out of memory; send fewer or smaller photos")
        return error(request, 503, "the worker that had this request ended; send the request again")
    except aiohttp.ClientError:
        logging.exception("request %s: the model server did not answer", request_id(request))
        return error(request, 503, "the model server did not answer; send the request again")
    record.timing = answer.timing
    response = _response(request, answer)
    if echoed and response.status == 200:
        response.headers[ATTRIBUTES] = echoed
    return response


def _worker_request(request: web.Request, settings: Settings, *, raw: bool) -> tuple[WorkerRequest, str]:
    """Return the request for the worker, and the Custom-Attributes to echo; raises Refused and RequestError.

    `raw` is for a model's own code, whose functions decide on the types of bodies and answers.
    """
    attributes = request.headers.get(ATTRIBUTES, "")
    if not re.fullmatch(r"[\x20-\x7e]{0,1024}", attributes):
        raise RequestError(f"{ATTRIBUTES} must be at most 1,024 visible ASCII characters")
    content_type, accept = request.headers.get("Content-Type", ""), request.headers.get("Accept", "*/*")
    if max(len(content_type), len(accept)) > 1024:
        raise RequestError("Content-Type and Accept must be at most 1,024 characters each")
    if raw:
        headers = tuple(request.headers.items())
        if len(json.dumps(headers)) > MAX_HEADERS:
            raise Refused(431, f"all headers together must have at most {MAX_HEADERS:,} characters; send fewer")
        return WorkerRequest(id=request_id(request), headers=headers), ""
    # A body without a type is read as a photo.
    kind = media_type(content_type)
    if kind and kind not in JSON_TYPES and not is_photo_type(kind):
        raise Refused(415, f"Content-Type {kind[:100]!r} is not supported; send one of {', '.join(SUPPORTED)}")
    form_name = accepted(settings.accept if accept.strip() in ("", "*/*") else accept)
    if form_name is None:
        raise Refused(406, f"Accept {accept[:100]!r} cannot be satisfied; ask for one of {', '.join(ACCEPTS)}")
    top_k = requested_top_k(attributes)
    form = Form(json=kind in JSON_TYPES, accept=form_name, top_k=top_k)
    return WorkerRequest(id=request_id(request), form=form), attributes if top_k else ""


def _response(request: web.Request, answer: Answer) -> web.Response:
    if answer.refused:
        return error(request, answer.status, answer.text.decode())
    headers = answer.headers | {"Content-Type": answer.content_type}
    return web.Response(body=answer.text, status=answer.status, headers=headers)


@web.middleware
async def _json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as problem:
        return error(request, problem.status, f"{request.method} {request.path[:200]}: {problem.reason}")
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception:
        logging.exception("request %s failed", request_id(request))
        return error(request, 500, "the server failed; its log says why under this request id")


def error(request: web.BaseRequest, status: int, message: str) -> web.Response:
    """Return an error as JSON: its code, one sentence, and the request's id."""
    body = {"code": status, "message": message, "request_id": request_id(request)}
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if status == 503 else {})


def request_id(request: web.BaseRequest) -> str:
    """Return the id that the client gave its request. If there is none, make one and keep it."""
    if "request_id" not in request:
        given = request.headers.get(INFERENCE_ID, "")
        request["request_id"] = given if re.fullmatch(r"[\x21-\x7e]{1,64}", given) else uuid.uuid4().hex
    return str(request["request_id"])

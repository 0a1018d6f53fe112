"""The first stop of every request: refuses requests that a web page may have sent, and decides whether the emulator or moto answers.

An action of SageMaker that is not emulated is refused by name, because moto would answer some of them wrongly.
"""

import io
import json
import re
import traceback
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from local_test.sagemaker import log_filter, permissions, routes, shapes
from local_test.sagemaker.actions import ACTIONS, MOTO, ForMoto
from local_test.sagemaker.cloud import Cloud, Clouds
from local_test.sagemaker.errors import ApiError, not_emulated
from local_test.sagemaker.s3.front import S3Front, is_s3
from local_test.sagemaker.settings import REGION

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
# A web page whose own name resolves to 127.0.0.1 sends that name as Host (DNS rebinding), so unknown names are refused. AWS's
# names only come through the proxy.
HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]|([a-z0-9.-]+\.)?amazonaws\.com)(:\d+)?", re.IGNORECASE)
SANDBOX = ("Content-Security-Policy", "sandbox")
TARGET = "SageMaker."
OURS = ("/_local/", "/endpoints/")  # paths that moto does not know
# Services that moto does not have, by the beginning of their targets. moto would fail with status 500.
MISSING = {"ServiceQuotas": "Service Quotas", "AWSPriceListService": "the service Price List"}
SEARCHED = ("ModelPackage", "ModelPackageGroup")  # the resources that moto's Search covers
IAM = re.compile(r"Credential=[^/]+/\d+/[a-z0-9-]+/iam/")
REGION_NAME = re.compile(r"[a-z0-9-]{1,32}")  # a region's name is used as the name of a folder
# Credential=KEY/DATE/REGION/SERVICE/aws4_request (Signature Version 4)
SCOPE = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")


class Front:
    """The WSGI application in front of moto's."""

    def __init__(self, clouds: Clouds, moto: Application) -> None:
        self._clouds = clouds
        self._moto = moto
        self._s3 = S3Front(clouds.storage, clouds.faults, moto)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if "Authorization" not in request.headers:
            start_response = _sandboxed(start_response)
        foreign = refused(request)
        if not foreign and (denied := self._clouds.access.refusal(request)):
            refusal: Iterable[bytes] = denied(environ, start_response)
            return refusal
        if not foreign and is_s3(request):
            return self._s3(environ, start_response)
        try:
            response = foreign or self._answer(request)
        except ForMoto:
            response = None
        except ApiError as error:
            response = _error(error)
        except Exception as error:
            traceback.print_exc()
            response = _error(ApiError("InternalServerError", f"{type(error).__name__}: {error}", 500))
        try:
            return (response or self._moto)(environ, start_response)
        except NotImplementedError:  # moto knows the service, but not the action
            if not (target := request.headers.get("X-Amz-Target")):
                raise  # only clients that send a target read an error in JSON
            missing: Iterable[bytes] = _error(not_emulated(f"the action {target}"))(environ, start_response)
            return missing

    def _answer(self, request: Request) -> Response | None:
        """Return the emulator's answer, or None if moto answers the request."""
        if request.path.startswith("/moto-api"):
            raise ApiError(
                "AccessDenied", "moto's own routes are closed, because they would reset moto while jobs run", 403
            )
        cloud = self._clouds.region(_region(request))
        target = request.headers.get("X-Amz-Target", "")
        if IAM.search(request.headers.get("Authorization", "")) and (text := permissions.answer(_raw(request))):
            return Response(text, 200, content_type="text/xml")
        if target == log_filter.TARGET:
            return _log_events(request, cloud)
        for service, title in MISSING.items():
            if target.startswith(service):
                raise not_emulated(title)
        if not target.startswith(TARGET):
            answer = routes.answer(request, cloud)
            if answer is None and request.path.startswith(OURS):
                raise ApiError("UnknownOperationException", f"there is nothing at {request.path}", 404)
            return answer
        name = target.removeprefix(TARGET)
        body = _body(request)
        if name in MOTO and (name != "Search" or body.get("Resource") in SEARCHED):
            return None
        self._clouds.faults.strike_action(name)
        found = ACTIONS.get(name)
        if found is None:
            raise not_emulated(f"SageMaker's action {name}")
        shapes.check(name, body)
        body = shapes.without_nulls(body)
        for rule in found.rules:
            rule(body)
        return _json(found.function(body, cloud), 200)


def refused(request: Request) -> Response | None:
    """Return the refusal of a request that a page in a browser may have sent; None for other requests."""
    host = request.headers.get("Host", "")
    if not HOSTS.fullmatch(host):
        return Response(f"the Host {host!r} is not this emulator's; use 127.0.0.1 or localhost\n", 403)
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return Response(f"a page of {origin!r} may not use this emulator\n", 403)
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return Response("a page of another site may not use this emulator\n", 403)
    return None


def _sandboxed(start_response: Any) -> Any:
    """Prevent scripts in an S3 object from using our page, if a browser opens the object, for instance by a presigned address."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        policy = [] if any(name == "Content-Security-Policy" for name, _ in headers) else [SANDBOX]
        return start_response(status, [*headers, *policy], *more)

    return start


def _region(request: Request) -> str:
    """Return the region that a request is signed for, or that the address of our page names."""
    if match := SCOPE.search(request.headers.get("Authorization", "")):
        return match[1]
    named = request.args.get("region", REGION) if request.path.startswith("/_local/") else REGION
    return named if REGION_NAME.fullmatch(named) else REGION


def _log_events(request: Request, cloud: Cloud) -> Response | None:
    """Answer FilterLogEvents if no stream has the requested prefix; otherwise let moto answer it."""
    wanted = log_filter.translated(_body(request), cloud)
    if wanted is None:
        return _json({"events": [], "searchedLogStreams": []}, 200)
    _set_raw(request, json.dumps(wanted).encode())
    return None


def _raw(request: Request) -> bytes:
    """Return a request's body, which stays readable for moto."""
    raw: bytes = request.get_data(cache=True, parse_form_data=False)
    _set_raw(request, raw)
    return raw


def _set_raw(request: Request, raw: bytes) -> None:
    """Make `body` the body that moto reads from the request."""
    request.environ["wsgi.input"] = io.BytesIO(raw)
    request.environ["CONTENT_LENGTH"] = str(len(raw))
    request.environ.pop("wsgi.input_terminated", None)


def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request."""
    raw = _raw(request)
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:  # RecursionError: JSON that is nested a thousand times
        raise ApiError("SerializationException", f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError("SerializationException", "the body is not a JSON object")
    return body


def _json(content: dict[str, Any], status: int) -> Response:
    return Response(
        json.dumps(content),
        status,
        {"x-amzn-RequestId": str(uuid.uuid4())},
        content_type="application/x-amz-json-1.1",
    )


def _error(error: ApiError) -> Response:
    return _json({"__type": error.code, "message": error.message}, error.status)

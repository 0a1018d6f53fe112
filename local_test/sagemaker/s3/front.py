"""Handles requests to S3. Code in this folder answers listings and writes uploads to files; moto does the rest."""

import re
import sqlite3
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.faults import Faults
from local_test.sagemaker.s3 import keys, listing, plain, request_rules, uploads
from local_test.sagemaker.s3.files import BLOCK
from local_test.sagemaker.storage import Storage

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
IS_S3 = re.compile(r"Credential=[^/]+/\d+/[a-z0-9-]+/s3/|^AWS ")
BUCKET_HOST = re.compile(
    r"(?P<bucket>.+)\.s3[.-]([a-z0-9.-]+\.)?amazonaws\.com(:\d+)?|(?P<old>.+)\.s3\.amazonaws\.com(:\d+)?"
)
S3_HOST = re.compile(r"(.+\.)?s3[.-]([a-z0-9.-]*)amazonaws\.com(:\d+)?")


def is_s3(request: Request) -> bool:
    """Return whether a request is signed for S3, by a header or in its address, or goes to a host name of S3."""
    signed = IS_S3.search(request.headers.get("Authorization", ""))
    in_address = "/s3/aws4_request" in request.args.get("X-Amz-Credential", "") or "AWSAccessKeyId" in request.args
    return bool(signed or in_address or S3_HOST.fullmatch(request.headers.get("Host", "")))


class S3Front:
    """The WSGI application for requests to S3."""

    def __init__(self, storage: Storage, faults: Faults, moto: Application) -> None:
        self._storage = storage
        self._faults = faults
        self._moto = moto

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        keys.forget()  # an earlier request of this thread may have left objects
        try:
            return self._answer(environ, start_response)
        except ApiError as error:
            return _xml(_error(error.code, error.message), error.status)(environ, start_response)
        except (OSError, sqlite3.Error) as error:
            # For instance, the disk is full. Clients try again after InternalError.
            reason = getattr(error, "strerror", None) or error
            text = _error("InternalError", f"the data folder cannot be used: {reason}")
            return _xml(text, 500)(environ, start_response)
        except ExpatError:
            text = _error(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema",
            )
            return _xml(text, 400)(environ, start_response)
        except Exception as error:  # an error in moto; clients of AWS make no such request
            traceback.print_exc()
            return _xml(_error("InternalError", f"{type(error).__name__}: {error}"), 500)(environ, start_response)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        self._faults.strike_s3(_bucket(request))
        if (text := self._listing(request)) is not None:
            return _xml(text, 200)(environ, start_response)
        bucket, key = _bucket(request), _key(request)
        try:
            request_rules.check(request, bucket, key)
        except ApiError:
            # Read all of it: a client that is still sending would not read the answer.
            while request.stream.read(BLOCK):
                pass
            raise
        if uploads.brings_bytes(environ, key, set(request.args)):
            path = uploads.take(environ)
            try:
                if headers := plain.put(request, bucket, key):
                    start_response("200 OK", list(headers.items()))
                    return []
                return self._changing(environ, start_response)
            finally:
                uploads.drop(path)
        if request.method in ("GET", "HEAD"):
            try:
                return self._moto(environ, start_response)
            finally:
                keys.forget()
        return self._changing(environ, start_response)

    def _changing(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Let moto answer a request that changes something. The change is written to the index before the client gets the answer."""
        heads: list[tuple[Any, ...]] = []
        try:
            body: Iterable[bytes] = self._moto(environ, lambda *head: heads.append(head))
        finally:
            keys.flush(self._storage.index)
        start_response(*heads[-1])
        return body

    def _listing(self, request: Request) -> str | None:
        """Return the answer to a listing of an existing bucket; None for other requests."""
        bucket = _bucket(request)
        parameters = dict(parse_qsl(request.query_string.decode(), keep_blank_values=True))
        named = {name for name in parameters if not uploads.SIGNATURE.match(name)}
        if request.method != "GET" or not bucket or _key(request) or not named <= listing.KNOWN:
            return None
        return listing.answer(self._storage.index, bucket, parameters) if self._storage.has_bucket(bucket) else None


def _bucket(request: Request) -> str:
    """Return the bucket that a request names in its host or in its path; empty if it does not name a bucket."""
    host = BUCKET_HOST.fullmatch(request.headers.get("Host", ""))
    return (host["bucket"] or host["old"]) if host else request.path.strip("/").partition("/")[0]


def _key(request: Request) -> str:
    """Return the key that a request names; empty if the request is about a bucket."""
    path: str = request.path.removeprefix("/")
    return path if BUCKET_HOST.fullmatch(request.headers.get("Host", "")) else path.partition("/")[2]


def _error(code: str, message: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"


def _xml(text: str, status: int) -> Application:
    response: Application = Response(text, status, content_type="application/xml")
    return response

"""HTTP on one connection of the public port, as aiohttp speaks it, but with JSON errors also for what is no HTTP at all."""

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from serve.front import NAME, error

# An answer is held for its client so long, and longer by its size for a slow one.
READ_SECONDS, READ_BYTES_A_SECOND = 60.0, 100_000


class Protocol(web.RequestHandler):
    """A connection; aiohttp's own would answer plain text, tell its version, and log a traceback for each bad request."""

    __slots__ = ()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what could not be parsed, in one sentence; the connection is closed after it."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError("the client is gone, or has half an answer already")
        if status >= 500:
            logging.error("a request failed outside its handler", exc_info=exc)
        answer = error(request, status, "the request is no valid HTTP/1.1" if status == 400 else "the server failed")
        answer.headers["Server"] = NAME
        answer.force_close()
        return answer

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; those that aiohttp makes before any of our handlers is asked become JSON."""
        if isinstance(resp, web.HTTPException):
            resp = error(request, resp.status, resp.reason)
        try:
            size = resp.content_length or 0
            async with asyncio.timeout(READ_SECONDS + size / READ_BYTES_A_SECOND):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport:
                self.transport.abort()
            return resp, True  # as aiohttp says of a client that is gone

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log one line: whoever sends nonsense must not fill the log with tracebacks."""
        reason = kw.get("exc_info")
        logging.warning("a connection was closed: %s", str(reason).splitlines()[0] if reason else args[0])

"""aiohttp's HTTP protocol for connections of the public port, with JSON errors also for bytes that are not HTTP."""

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from serve.front import NAME, error

# A client must read an answer within this many seconds, plus the time for a large answer at this many bytes a second.
READ_SECONDS, READ_BYTES_A_SECOND = 60.0, 100_000


class Protocol(web.RequestHandler):
    """A connection. aiohttp's own class would answer in plain text, show its version, and log a traceback for each bad request."""

    __slots__ = ()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the answer to a request that cannot be parsed, after which the connection is closed."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError("the client is gone, or has half an answer already")
        if status >= 500:
            logging.error("a request failed outside its handler", exc_info=exc)
        answer = error(request, status, "the request is not valid HTTP/1.1" if status == 400 else "the server failed")
        answer.headers["Server"] = NAME
        answer.force_close()
        return answer

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. An answer that aiohttp made before our handlers ran is turned into JSON."""
        if isinstance(resp, web.HTTPException):
            resp = error(request, resp.status, resp.reason)
        try:
            size = resp.content_length or 0
            async with asyncio.timeout(READ_SECONDS + size / READ_BYTES_A_SECOND):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport:
                self.transport.abort()
            return resp, True  # aiohttp raises this if the client is gone

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log one line instead of a traceback, so that nonsense from clients does not fill the log."""
        reason = kw.get("exc_info")
        logging.warning("a connection was closed: %s", str(reason).splitlines()[0] if reason else args[0])

"""The limits of requests: size, time and memory of bodies, and the number of requests that wait for an answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from serve.settings import MB, Settings


class Refused(Exception):
    """The request is refused with this status and sentence, without asking the model."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Intake:
    """Reads bodies and counts requests, within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held = 0  # bytes of all bodies that are in memory
        self._admitted = 0  # requests that wait for an answer
        self._arriving: dict[asyncio.Timeout, None] = {}  # the bodies that are being read, the oldest first

    @contextlib.asynccontextmanager
    async def body(self, request: web.Request, *, code: bool = False) -> AsyncIterator[bytes]:
        """Read a request's body and count its bytes as held until the block ends; `code` is true if a model's own code gets the body.

        Raises Refused: 400 when the body is empty and not for such code, 408 when it is too slow, 413 when it is too large, 503 when too
        many bytes are held.
        """
        limit, taken = self._settings.max_body, 0
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        parts, limited = [], asyncio.timeout(self._settings.timeout)
        self._arriving[limited] = None
        try:
            try:
                async with limited:
                    # No worker waits for the body: a slow client only holds these bytes.
                    async for part in request.content.iter_any():
                        taken += len(part)
                        self._held += len(part)
                        if taken > limit:
                            raise _too_large(limit)
                        parts.append(part)
                        if self._held > self._settings.held:
                            self._make_room()
            except web.RequestPayloadError as error:
                raise Refused(
                    400, "the body is not encoded as its Content-Encoding and Transfer-Encoding say"
                ) from error
            except TimeoutError:
                if self._held > self._settings.held:
                    raise Refused(503, "the server's memory for requests is full; try again") from None
                raise Refused(408, f"the body did not arrive within {self._settings.timeout} seconds") from None
            finally:
                self._arriving.pop(limited, None)
            if not taken and not code:
                raise Refused(400, "the body is empty; send the bytes of one photo, or JSON with instances")
            body = b"".join(parts) if len(parts) != 1 else parts[0]
            parts.clear()  # otherwise the bytes would be in memory twice
            yield body
        finally:
            self._held -= taken

    def _make_room(self) -> None:
        """Drop the body that has been arriving for the longest time, so that slow clients do not block others."""
        for oldest in self._arriving:
            del self._arriving[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
            return

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue while the block runs; raises Refused if all places are taken."""
        if self._admitted >= self._settings.queue:
            raise Refused(503, f"the server is busy with {self._admitted} requests; try again")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is over the limit of {limit:,} bytes ({limit // MB} MB); make the photo smaller")

"""One instance of a variant: starts its container, sends /ping to it, and restarts it when it ends."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.client import Answer, Body, Client, Gone, TimedOut
from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.logs import Stream
from local_test.sagemaker.machine import Container, Running

PING = 2.0  # seconds for an answer to /ping (C 3.1)
GRACE = 30  # seconds between SIGTERM and SIGKILL (C 3.1)
HURRY = 5  # seconds between SIGTERM and SIGKILL when the emulator ends
STARTS = 3  # how often a container is started if it ends before its first answer to /ping; AWS restarts it until its time is over
BETWEEN_PINGS = 5.0  # seconds between two checks of a container that serves
DRAIN = 60  # seconds that a leaving instance has to finish its invocations (C 3.1: the limit for an answer)
ENDING = 1.0  # seconds within which a container that closes connections is expected to end
STEP = 0.05
LONGEST_PAUSE = 30.0  # seconds before a container that ends repeatedly is started again


def new_id() -> str:
    """Return an identifier in the form of an EC2 instance's, for the names of log streams."""
    return f"i-{uuid.uuid4().hex[:17]}"


class Instance:
    """A container that serves. Its own thread starts it, and restarts it, until `end` is called."""

    def __init__(self, cloud: Cloud, endpoint: str, container: Container, stream: Stream, startup: float) -> None:
        self.ready = False  # whether the last /ping was answered with 200
        self.failure = ""  # the reason why the container never became ready
        self.outstanding = 0  # the number of invocations that it is answering
        self.starts = 0
        self.name = container.name
        self.on_start: Callable[[], None] = lambda: None  # a function that is called before each start of the container
        self._cloud = cloud
        self._endpoint = endpoint
        self._container = container
        self._stream = stream
        self._startup = startup
        self._leaving = threading.Event()
        self._until = 0.0  # the time at which a leaving instance ends, although it may still be answering
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._reader: threading.Thread | None = None  # reads the container's output
        self._client: Client | None = None

    def start(self) -> None:
        self._cloud.background.start(self._container.name, self._run)

    def take(self) -> bool:
        """Take this instance for an invocation, until `release`. Return False if it is not ready or has to end."""
        with self._lock:
            taken = self.ready and not self._leaving.is_set()
            self.outstanding += taken
        return taken

    def release(self) -> None:
        with self._lock:
            self.outstanding -= 1

    def end(self) -> None:
        """Let the container end when it has answered its present invocations; `wait` returns when the container has ended."""
        with self._lock:
            self._until = time.monotonic() + DRAIN
            self._leaving.set()

    def wait(self) -> None:
        self._ended.wait()

    def path(self, path: PurePosixPath) -> str:
        """Return the path under which the program sees a path of its container; raises Gone."""
        running = self._running
        if running is None:
            raise Gone("the container does not run")
        return running.path(path)

    def ask(self, method: str, path: str, seconds: float, headers: dict[str, str], body: Body) -> Answer:
        """Return the container's answer; raises Gone and TimedOut."""
        client = self._client
        if client is None:
            raise Gone("the container does not run")
        return client.ask(method, path, seconds, headers, body)

    def exits(self, starts: int) -> bool:
        """Return whether the container has ended or is about to end. Call this after a connection was closed. A running
        container may also close connections, for instance when its queue of connections is full. `starts` is the value of
        `self.starts` before the connection was closed, because the next container may run by now.
        """
        running = self._running
        if running is None or self.starts != starts or running.wait(ENDING) is not None:
            return True
        return not self._pings() and running.wait(GRACE) is not None  # on a busy machine its end takes longer

    def _run(self) -> None:
        try:
            self._serve(time.monotonic() + self._startup)
        except ApiError as error:
            self.failure = error.message
        finally:
            self.ready = False
            self._stop()
            self._ended.set()

    def _serve(self, deadline: float) -> None:
        """Start the container, and restart it whenever it ends. Return when it has to end, or if it never got ready."""
        served, pause = False, 1.0
        while not self._over():
            self._start()
            if self._until_ready(None if served else deadline):
                served, pause = True, 1.0
                self._watch()
            self.ready = False
            if not served and (time.monotonic() > deadline or self.starts >= STARTS):
                self.failure = "did not pass the ping health check"
                return
            self._stop()
            self._leaving.wait(pause if served else 0)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _start(self) -> None:
        self.starts += 1
        self.on_start()
        # Each start has a new name, because the machine may still be removing the previous container.
        self._running = self._cloud.machine.start(
            replace(self._container, name=f"{self._container.name}-{self.starts}")
        )
        self._reader = threading.Thread(target=self._read, args=(self._running,), daemon=True)
        self._reader.start()
        self._client = Client(self._running.address())

    def _until_ready(self, deadline: float | None) -> bool:
        """Send /ping until it is answered. Return False if the container ends or the time is over."""
        while not self._over() and (deadline is None or time.monotonic() < deadline):
            if self._running is None or self._running.wait(0) is not None:
                return False
            if self._pings():
                self.ready = True
                return True
            self._rest()
        return False

    def _watch(self) -> None:
        """Watch a container that serves until it ends. While it does not answer /ping, it gets no invocations. One missing answer
        says nothing, because on a busy machine 2 s may pass while the container does not run.
        """
        look = time.monotonic() + BETWEEN_PINGS
        while not self._over() and self._running and self._running.wait(0) is None:
            if self._cloud.faults.take("kill-container", self._endpoint):
                self._running.kill()
            elif time.monotonic() > look:
                self.ready = self._pings() or self._pings()
                look = time.monotonic() + (BETWEEN_PINGS if self.ready else 0)
            self._rest()

    def _pings(self) -> bool:
        try:
            return self._client is not None and self._client.ask("GET", "/ping", PING, {}, None).status == 200
        except (Gone, TimedOut):
            return False

    def _read(self, running: Running) -> None:
        for line in running.lines():
            self._stream.write([line])

    def _over(self) -> bool:
        drained = self._leaving.is_set() and (self.outstanding == 0 or time.monotonic() > self._until)
        return drained or self._cloud.background.ending.is_set()

    def _rest(self) -> None:
        if self._leaving.wait(STEP):
            time.sleep(STEP)

    def _stop(self) -> None:
        running, self._running = self._running, None
        client, self._client = self._client, None
        if running:
            running.stop(HURRY if self._cloud.background.ending.is_set() else GRACE)
        if self._reader:
            # The log is complete when the instance has ended. The limit is for a program that has left another one behind, which
            # keeps the output open.
            self._reader.join(GRACE)
        if client:
            client.close()

"""Follows a job until it ends, or an endpoint until it is in service. A user who stops following it is told that it keeps running."""

import contextlib
import math
import os
import random
import time
from collections.abc import Iterator
from typing import Any, TextIO
from urllib.parse import urlsplit

from launch.aws import refusals
from launch.aws.errors import AwsError, CredentialsError
from launch.aws.jobs import events, kinds
from launch.aws.jobs.ended import Ended, goes_on, left_running
from launch.aws.jobs.screen import Phases, Screen, Status, epochs_of
from launch.aws.jobs.trials import Trials
from launch.aws.session import Session

# Seconds between two requests. Up to 10 more seconds are added at random, because ListTrainingJobs allows two calls a second.
POLL = 10.0
LOOPBACK_POLL = 0.2  # seconds between two requests to an emulator on this machine
LAST_LINES = 5.0  # seconds that CloudWatch may take to show what a job wrote before it ended
RETRIES = 10  # the most requests in a row without an answer
# botocore's errors for a request without an answer. They do not affect the job itself.
UNANSWERED = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
}


def follow(
    session: Session,
    kind: kinds.Name,
    name: str,
    *,
    file: TextIO | None = None,
    since: float | None = None,
    seconds: float = math.inf,
) -> Ended:
    """Show the progress of a job until it ends, or of an endpoint until it is in service or has failed, and return its end.

    Lines go to `file`, by default standard output. The log is shown from the time `since`, by default from the beginning. Raises AwsError
    after `seconds`, or if AWS does not answer for long. Raises CredentialsError if credentials expire, and Detached after Ctrl-C, SIGTERM
    or SIGHUP. Each of these errors says that the job keeps running.
    """
    found = kinds.KINDS[kind]
    try:
        with left_running(session, kind, name):
            return _Follower(session, found, name, Screen(file), since).run(seconds)
    except AwsError as error:
        if kinds.is_missing(error):
            raise
        raise type(error)(f"{error}\n{goes_on(found, name, session.region)}", error.code) from None


def pause(session: Session) -> None:
    """Wait until the next request to AWS is allowed."""
    time.sleep(LOOPBACK_POLL if near(session) else POLL * (1 + random.random()))


def near(session: Session) -> bool:
    """Return whether SageMaker is an emulator on this machine.

    Under `byoc emulate -- COMMAND`, AWS's own host names lead to the emulator.
    """
    address = os.environ.get("BYOC_EMULATOR") or session.client("sagemaker").meta.endpoint_url
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")


class Patience:
    """Counts the requests in a row that got no answer. Throttled requests are repeated without a limit."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._failed = 0

    def answered(self) -> None:
        if self._failed:
            self._screen.say("AWS answers again")
        self._failed = 0

    def failed(self, error: AwsError) -> None:
        """Count a failed request. Raise its error if another request would not help."""
        if isinstance(error, CredentialsError) or not _passes(error):
            raise error
        self._failed += 1
        if self._failed > RETRIES and error.code not in refusals.THROTTLED:
            raise error
        if self._failed == 1:
            self._screen.say(f"{error}; byoc tries again")


class _Follower:
    def __init__(
        self, session: Session, kind: kinds.Kind, name: str, screen: Screen, since: float | None = None
    ) -> None:
        self.session, self.kind, self.name, self.screen = session, kind, name, screen
        self.since = since
        self.patience = Patience(screen)
        self.phases, self.status = Phases(), Status(screen)
        self.trials = Trials(session, name, screen)
        self.log: events.LogReader | None = None
        self.readable = True

    def run(self, seconds: float) -> Ended:
        given_up = time.monotonic() + seconds
        answer: dict[str, Any] = {}
        while True:
            try:
                answer = kinds.describe(self.session, self.kind.name, self.name)
                self._show(answer)
            except AwsError as error:
                self.patience.failed(error)
            else:
                self.patience.answered()
                if kinds.state(self.kind, answer) in self.kind.ends:
                    return self._end(answer)
            if time.monotonic() >= given_up:
                raise AwsError("\n".join([self._late(answer, seconds), *(f"  {line}" for line in self.screen.tail)]))
            pause(self.session)

    def _late(self, answer: dict[str, Any], seconds: float) -> str:
        lines = ", its last lines:" if self.screen.tail else ""
        return f"{self.kind.title} {self.name} is still {kinds.state(self.kind, answer)} after {seconds:.0f} s{lines}"

    def _end(self, answer: dict[str, Any]) -> Ended:
        if self.log is not None and not near(self.session):
            time.sleep(LAST_LINES)
            with contextlib.suppress(AwsError):  # an error does not matter here, because the job's end is already known
                self._tell(answer, [], list(self._new_lines(answer)))
        return Ended(kind=self.kind.name, name=self.name, answer=answer, tail=tuple(self.screen.tail))

    def _show(self, answer: dict[str, Any]) -> None:
        if self.kind.name == "tuning":
            self.trials.look(answer)  # the logs of all training jobs would hide the table of trials
            return
        phases: list[tuple[float, str]] = []
        if self.kind.name == "training":
            phases = self.phases.new(answer)
        else:
            self.status.look(kinds.state(self.kind, answer), str(answer.get("FailureReason", "")))
        lines: list[events.Line] = []
        try:
            if self.readable:
                lines = list(self._new_lines(answer))
        except AwsError as error:
            if error.code not in refusals.DENIED:
                raise
            self.readable = False
            self.screen.say(f"{error}; byoc follows the job without its log")
        finally:
            self._tell(answer, phases, lines)

    def _new_lines(self, answer: dict[str, Any]) -> Iterator[events.Line]:
        if self.log is None:
            since = answer["CreationTime"].timestamp() if self.since is None else self.since
            self.log = events.reader(self.session, self.kind, self.name, since)
        return self.log.new()

    def _tell(self, answer: dict[str, Any], phases: list[tuple[float, str]], lines: list[events.Line]) -> None:
        """Show phases and lines of the log in the order of their times."""
        config = answer.get("ResourceConfig") or answer.get("TransformResources") or {}
        hosts = config.get("SelectedInstanceCount") or config.get("InstanceCount") or 1
        epochs = epochs_of(answer.get("HyperParameters") or {})
        for line in lines:
            while phases and phases[0][0] <= line.time:
                began, text = phases.pop(0)
                self.screen.say(text, began)
            self.screen.log(line, hosts, epochs)
        self.screen.count()
        for began, text in phases:
            self.screen.say(text, began)


def _passes(error: AwsError) -> bool:
    """Return whether the next request may succeed."""
    return error.code in refusals.THROTTLED | refusals.UNAVAILABLE | UNANSWERED or (
        error.code.isdigit() and error.code.startswith("5")
    )

"""`byoc logs NAME`: shows the log of a job or an endpoint from CloudWatch. With --follow it continues until the job ends."""

import contextlib
import dataclasses
import json
import re
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from classifier.errors import ConfigError
from launch.aws import settings as account_settings
from launch.aws.errors import AwsError
from launch.aws.jobs import events, follow, kinds
from launch.aws.jobs.ended import Ended, goes_on, left_running
from launch.aws.jobs.events import Line
from launch.aws.jobs.screen import Screen
from launch.aws.session import Session

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
AN_HOUR = 3600.0  # seconds of an endpoint's log that are shown by default, because the whole log may be very long


def command(options: Namespace) -> int:
    """Run `byoc logs`; with --follow the exit status is 1 if the job did not complete."""
    if options.tail is not None and options.tail < 1:
        raise ConfigError(f"--tail is {options.tail}; it must be at least 1")
    since = None if options.since is None else moment(options.since, time.time())
    session = Session(account_settings.load(options))
    kind, answer = kinds.find(session, options.name)
    whole = since is None and options.tail is None and not options.search
    if options.follow and whole and kind.name != "endpoint":
        ended = follow.follow(session, kind.name, options.name, file=sys.stderr if options.json else None)
        ended.check()
        if options.json:
            print(json.dumps({"name": ended.name, "status": ended.status, "artifact": ended.artifact}))
        return 0
    start = time.time() - AN_HOUR if kind.name == "endpoint" else answer["CreationTime"].timestamp()
    reader = events.reader(session, kind, options.name, start if since is None else since, options.search)
    hosts = _hosts(kind, answer)
    lines: Iterable[Line] = reader.new()
    _print(deque(lines, options.tail) if options.tail else lines, options.json, hosts)
    return _go_on(session, kind, options, reader, hosts) if options.follow else 0


def moment(text: str, now: float) -> float:
    """Return the time that --since names, in seconds since 1970; raises ConfigError."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text):
        return now - float(match[1]) * UNITS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ConfigError(f"--since is {text!r}; write 90s, 20m, 2h or 3d, or a time as in 2026-11-27T12:00") from None


def _go_on(session: Session, kind: kinds.Kind, options: Namespace, reader: events.LogReader, hosts: int) -> int:
    """Show new lines until a job has ended, or until Ctrl-C for an endpoint. Raises AwsError if the job did not complete."""
    patience, waited = follow.Patience(Screen(sys.stderr)), False
    try:
        with left_running(session, kind.name, options.name):
            while True:
                try:
                    answer = kinds.describe(session, kind.name, options.name)
                    _print(reader.new(), options.json, hosts)
                except AwsError as error:
                    patience.failed(error)
                else:
                    patience.answered()
                    if kind.name != "endpoint" and kinds.state(kind, answer) in kind.ends:
                        break
                follow.pause(session)
                waited = True
    except AwsError as error:
        if kinds.is_missing(error):
            raise
        raise type(error)(f"{error}\n{goes_on(kind, options.name, session.region)}", error.code) from None
    if waited:
        time.sleep(follow.LAST_LINES)
    with contextlib.suppress(AwsError):  # the job's end is known already
        _print(reader.new(), options.json, hosts)
    Ended(kind=kind.name, name=options.name, answer=answer).check()
    return 0


def _print(lines: Iterable[Line], as_json: bool, hosts: int) -> None:
    for line in lines:
        text = (
            json.dumps(dataclasses.asdict(line))
            if as_json
            else f"{events.clock(line.time)} {events.shown(line, hosts)}"
        )
        print(text, flush=True)


def _hosts(kind: kinds.Kind, answer: dict[str, Any]) -> int:
    """Return the number of streams that write the log."""
    if kind.name in ("tuning", "endpoint"):
        return 2
    config = answer.get("ResourceConfig") or answer.get("TransformResources") or {}
    return int(config.get("SelectedInstanceCount") or config.get("InstanceCount") or 1)

"""Runs a training job or a tuning job from the plan to its end, for `byoc train` and `byoc tune`."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TextIO, TypeVar

from launch.aws import buckets
from launch.aws.jobs import data, follow, start
from launch.aws.jobs.account import Account
from launch.aws.jobs.ended import Ended, goes_on
from launch.aws.jobs.kinds import KINDS, Name
from launch.aws.plan import Plan, agreed, outcome
from launch.aws.senders import Choice
from launch.aws.senders import sender as find_sender
from launch.aws.session import Session
from launch.aws.specification import Training, Tuning

Wanted = TypeVar("Wanted", Training, Tuning)


@dataclass(frozen=True, kw_only=True)
class Prepared(Generic[Wanted]):
    """A job that is ready to be sent, and the inputs that are uploaded first."""

    account: Account
    wanted: Wanted
    inputs: Sequence[data.Input]
    new_name: bool  # whether byoc made the name, instead of the user

    @property
    def session(self) -> Session:
        return self.account.session

    @property
    def kind(self) -> Name:
        return "tuning" if isinstance(self.wanted, Tuning) else "training"

    @property
    def name(self) -> str:
        return self.wanted.training.name if isinstance(self.wanted, Tuning) else self.wanted.name


def send(prepared: Prepared[Wanted], sender: Choice = "auto") -> None:
    """Upload the folders and send the request. Raises Detached if the job was started although the user pressed Ctrl-C."""
    session = prepared.session
    for bucket in data.in_buckets(prepared.account.bucket, prepared.inputs):
        buckets.check(session, bucket)
    for one in prepared.inputs:
        data.check_there(session, one)
    carrier = find_sender(session, sender)
    start.upload(session, prepared.inputs)
    start.start(session, prepared.kind, prepared.name, lambda: carrier.send(prepared.wanted), new=prepared.new_name)


def run(prepared: Prepared[Wanted], sender: Choice = "auto", file: TextIO | None = None) -> Ended:
    """Send the job, show its progress in `file`, and return its end. Raises AwsError if the job does not complete."""
    send(prepared, sender)
    ended = follow.follow(prepared.session, prepared.kind, prepared.name, file=file)
    ended.check()
    return ended


def command(
    prepared: Prepared[Wanted], plan: Plan, options: Namespace, tell: Callable[[Session, Ended, Namespace], None]
) -> int:
    """Show the plan, send the job, and follow it unless --detach is given. At the end `tell` prints the result.

    Returns the exit status; raises AwsError if the job does not complete.
    """
    session, name = prepared.session, prepared.name
    if not agreed(plan, options, session.settings.ask_above):
        return outcome(options)
    aside = sys.stderr if options.json else sys.stdout
    if options.detach:
        send(prepared, options.sender)
        print(goes_on(KINDS[prepared.kind], name, session.region), file=aside)
        if options.json:
            print(json.dumps({"name": name, "status": "InProgress"}))
        return 0
    tell(session, run(prepared, options.sender, aside), options)
    return 0

"""`byoc stop NAME`: stops a job. The model and the checkpoints that it has made are kept."""

import json
import sys
from argparse import Namespace
from dataclasses import dataclass

from classifier.errors import ConfigError
from launch.aws import settings as account_settings
from launch.aws.errors import AwsError, explained
from launch.aws.jobs import follow, kinds
from launch.aws.jobs.ended import Ended
from launch.aws.session import Session


@dataclass(frozen=True)
class Stopping:
    """A job that is stopping, or that has already ended."""

    kind: kinds.Kind
    name: str
    state: str
    requested: bool  # whether AWS was asked to stop the job; False means that the job had already ended


def stop(session: Session, name: str) -> Stopping:
    """Ask AWS to stop a job. Raises ConfigError for an endpoint, and AwsError if there is no such job or AWS refuses."""
    kind, answer = kinds.find(session, name)
    state = kinds.state(kind, answer)
    if kind.name == "endpoint":
        raise ConfigError(f"{name} is an endpoint, which can only be deleted: byoc delete {name}")
    if state in kind.ends:
        return Stopping(kind=kind, name=name, state=state, requested=False)
    if state != "Stopping":
        try:
            with explained(f"{kind.title} {name}"):
                getattr(session.client("sagemaker"), f"stop_{kind.api}")(**{kind.parameter: name})
        except AwsError:
            state = kinds.state(kind, kinds.describe(session, kind.name, name))
            if state not in kind.ends:
                raise
            # The job ended between the two requests.
            return Stopping(kind=kind, name=name, state=state, requested=False)
    return Stopping(kind=kind, name=name, state="Stopping", requested=True)


def command(options: Namespace) -> int:
    """`byoc stop`: stops all jobs first, and then waits for their ends unless --detach is given."""
    session = Session(account_settings.load(options))
    aside = sys.stderr if options.json else sys.stdout
    if options.dry_run:
        return _dry_run(session, options)
    stopping = []
    for name in options.names:
        job = stop(session, name)
        stopping.append(job)
        print(
            f"{job.kind.title} {name} {'stops' if job.requested else f'had ended before: {job.state}'}",
            file=aside,
            flush=True,
        )
    ended: list[Ended] = []
    if not options.detach:
        ended = [follow.follow(session, job.kind.name, job.name, file=aside) for job in stopping if job.requested]
    by_name = {end.name: end for end in ended}
    if options.json:
        rows = [
            {
                "name": job.name,
                "kind": job.kind.name,
                "state": by_name[job.name].status if job.name in by_name else job.state,
                "artifact": by_name[job.name].artifact if job.name in by_name else "",
            }
            for job in stopping
        ]
        print(json.dumps(rows))
        return 0
    for end in ended:
        print(f"{end.name}: {end.status}" + (f"; its model so far: {end.artifact}" if end.artifact else ""))
    return 0


def _dry_run(session: Session, options: Namespace) -> int:
    found = [(name, *kinds.find(session, name)) for name in options.names]
    if options.json:
        rows = [{"name": name, "kind": kind.name, "state": kinds.state(kind, answer)} for name, kind, answer in found]
        print(json.dumps(rows))
        return 0
    for name, kind, answer in found:
        print(f"dry run: {kind.title} {name} is {kinds.state(kind, answer)}; nothing was sent")
    return 0

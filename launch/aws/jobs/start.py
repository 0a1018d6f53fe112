"""Sends the request of a job, so that it is known at each moment whether the job runs."""

import sys
import time
from collections.abc import Callable, Iterable

from launch.aws.errors import AwsError, Detached
from launch.aws.jobs import kinds
from launch.aws.jobs.data import Input
from launch.aws.jobs.ended import goes_on
from launch.aws.session import Session

LOOKS = 3  # for a job whose request may still be on its way


def upload(session: Session, inputs: Iterable[Input]) -> None:
    """Upload the folders among a job's inputs."""
    for one in inputs:
        if one.folder is not None:
            from launch.aws.account.upload import upload as send

            done = send(session, one.folder, one.uri)
            if done.extra:
                print(
                    f"note: {len(done.extra):,} objects at {done.uri} are not in {one.folder}, first {done.extra[0]}; the job reads "
                    "them too; byoc data upload --delete deletes them",
                    file=sys.stderr,
                )


def start(session: Session, kind: kinds.Name, name: str, send: Callable[[], object], *, new: bool) -> None:
    """Send a request. Raises Detached after Ctrl-C where the job was started all the same, KeyboardInterrupt where not.

    With `new` the name was made for this request: where AWS says that it is taken, an answer was lost on its way here, and the
    request was sent again. Raises AwsError where AWS refuses the request.
    """
    try:
        send()
    except AwsError as error:
        if not (new and error.code == "ResourceInUse" and _is_there(session, kind, name)):
            raise
    except KeyboardInterrupt as stop:
        found = kinds.KINDS[kind]
        there = _is_there(session, kind, name)
        if there:
            said = f"\n{stop}" if isinstance(stop, Detached) else ""
            raise Detached(goes_on(found, name, session.region) + said, *stop.args) from None
        if there is None:
            text = f"it is not known whether {found.title} {name} was started; byoc logs {name} tells, byoc stop {name} ends it"
            raise Detached(text, *stop.args) from None
        raise


def _is_there(session: Session, kind: kinds.Name, name: str) -> bool | None:
    """Return whether a job exists; None where AWS does not say."""
    for look in range(LOOKS):
        try:
            kinds.describe(session, kind, name)
            return True
        except AwsError as error:
            if not kinds.is_missing(error):
                return None
        if look + 1 < LOOKS:
            time.sleep(0.5)
    return False

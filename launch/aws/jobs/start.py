"""Sends the request that starts a job. After an interruption, the user still learns whether the job runs."""

import sys
import time
from collections.abc import Callable, Iterable

from launch.aws.errors import AwsError, Detached
from launch.aws.jobs import kinds
from launch.aws.jobs.data import Input
from launch.aws.jobs.ended import goes_on
from launch.aws.session import Session

# LOOKS is how many times byoc asks AWS about a job whose request may still be under way. PAUSE is the seconds between two of these times.
LOOKS, PAUSE = 3, 0.5


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
    """Send the request that makes a job.

    `new` is true if the name was made for this request. If AWS then answers that the name is taken, the request was sent twice, because the
    first answer was lost. Raises AwsError if AWS refuses the request. After Ctrl-C it raises Detached if the job was started nevertheless,
    and KeyboardInterrupt if it was not.
    """

    def there() -> bool:
        kinds.describe(session, kind, name)
        return True

    try:
        send()
    except AwsError as error:
        if not (new and error.code == "ResourceInUse" and looked(there)):
            raise
    except KeyboardInterrupt as stop:
        interrupted(session, kind, name, stop, there)
        raise


def interrupted(
    session: Session, kind: kinds.Name, name: str, stop: KeyboardInterrupt, there: Callable[[], bool]
) -> None:
    """Find out after Ctrl-C whether the job or endpoint was started. Raise Detached if it was, or if AWS does not answer; return if it was
    not.

    `there` asks AWS whether it was started, and may raise AwsError if AWS does not know the name.
    """
    try:
        found = looked(there)
    except KeyboardInterrupt:  # a second Ctrl-C, so the user does not want to wait for the answer
        found = None
    if found is False:
        return
    kind_of = kinds.KINDS[kind]
    said = f"\n{stop}" if isinstance(stop, Detached) else ""
    if found:
        raise Detached(goes_on(kind_of, name, session.region) + said, *stop.args) from None
    end = "delete" if kind == "endpoint" else "stop"
    raise Detached(
        f"{kind_of.title} {name} may have been started; byoc logs {name} shows it, byoc {end} {name} ends it{said}",
        *stop.args,
    ) from None


def looked(there: Callable[[], bool]) -> bool | None:
    """Return the answer of `there`, or None if AWS does not answer.

    If `there` returns False, or AWS does not know the name, call `there` again, LOOKS times at most.
    """
    for look in range(LOOKS):
        try:
            if there():
                return True
        except AwsError as error:
            if not kinds.is_missing(error):
                return None
        if look + 1 < LOOKS:
            time.sleep(PAUSE)
    return False

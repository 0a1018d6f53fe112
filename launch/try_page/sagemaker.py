"""`byoc try NAME --on sagemaker`: photos go to an endpoint. The account's credentials never leave this process."""

import time
from argparse import Namespace
from pathlib import Path

from classifier.errors import ConfigError
from launch.aws import settings
from launch.aws.errors import AwsError
from launch.aws.hosting.invocation import Target, output_of
from launch.aws.hosting.predict import Client
from launch.aws.refusals import DENIED
from launch.aws.session import Session
from launch.try_page.process import artifact_in
from launch.try_page.show import check_place, prepared, show
from launch.try_page.timed import ALL, answer, ask_for_page
from reports.try_page.answer import Answer

AT_A_TIME = 4
SERVICES = ("sagemaker-runtime", "sagemaker", "s3")


class Endpoint:
    """An endpoint that answers the page's photos. Its answers do not say how the time was spent."""

    def __init__(self, session: Session, target: Target) -> None:
        for service in SERVICES:
            session.client(service)  # made here, because two threads may not make clients at the same time
        self._client = Client(session, target)

    def __call__(self, photo: Path) -> Answer:
        """Return the endpoint's answer to a photo.

        Raises PhotoError if the photo is not usable, and UserError or AwsError for other problems.
        """
        started = time.perf_counter()
        best = ask_for_page(photo, self._client, photo)
        return answer(best, time.perf_counter() - started)


def command(options: Namespace) -> int:
    """Serve the page until Ctrl-C."""
    names = [name for name in (options.endpoint, options.target) if name]
    if len(names) != 1:
        raise ConfigError("name one endpoint, as in byoc try dogs --on sagemaker; byoc endpoints lists the endpoints")
    check_place(options)
    artifact = artifact_in(options.artifact) if options.artifact else None
    session = Session(settings.load(options))
    target = Target(name=names[0], model=options.target_model or "", deadline=options.timeout, top_k=ALL)
    ask = Endpoint(session, target)
    _check(session, target.name)
    with prepared(options, artifact) as extras:
        show(options, extras.page(title=f"the endpoint {names[0]}", ask=ask, at_a_time=AT_A_TIME))
    return 0


def _check(session: Session, name: str) -> None:
    """Raise AwsError if the endpoint does not exist or does not answer, so that the page does not open for nothing."""
    try:
        output_of(session, name)
    except AwsError as error:
        if error.code not in DENIED:  # a user who may not describe the endpoint may still be allowed to invoke it
            raise

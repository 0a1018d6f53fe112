"""The sources of a report on AWS: a job, an S3 prefix, or an endpoint, as the options of `byoc report` name them."""

import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from classifier.errors import ConfigError, DataError
from launch.aws import settings
from launch.aws.jobs.logs import moment
from launch.aws.prices import Prices, load
from launch.aws.reports.endpoint import read_endpoint
from launch.aws.reports.fetch import fetch
from launch.aws.reports.job import JobSource
from launch.aws.session import Session
from launch.report_sources import Found
from reports.report import read_any
from reports.sources.endpoint import Endpoint

SINCE = 3 * 3600.0  # default time span of an endpoint's metrics, in seconds


def job(options: Namespace, name: str, scratch: Path) -> JobSource:
    """Return the source of a training or tuning job. Raises ConfigError if no region is known, and AwsError if there is no such job."""
    try:
        session = _session(options)
    except ConfigError as error:
        raise ConfigError(
            f"{name} is not a file or a folder here, and SageMaker cannot be asked for a job of that name: {error}"
        ) from None
    known = (
        Prices(session.region, said=options.price)
        if options.price is not None
        else load(session.settings, session.region)
    )
    return JobSource(session, name, scratch, known)


def stored(options: Namespace, uri: str, scratch: Path) -> "Stored":
    """Return the source of the outputs below an S3 address."""
    return Stored(_session(options), uri, scratch)


def endpoint(options: Namespace) -> Callable[[], Endpoint]:
    """Return a function that reads an endpoint's metrics. The time span of the metrics ends at the moment of the call."""
    session, now = _session(options), time.time()
    if options.since is None:
        since, moves = now - SINCE, True
    else:
        since, moves = moment(options.since, now), options.since[-1:] in "smhd"
    if since >= now - 1:
        raise ConfigError(f"--since is {options.since!r}, which is not in the past; write 20m, 3h or 2d")

    def read() -> Endpoint:
        later = time.time()
        return read_endpoint(session, options.endpoint, since + (later - now if moves else 0.0), later)

    return read


class Stored:
    """The outputs below an S3 prefix, which do not change."""

    def __init__(self, session: Session, uri: str, scratch: Path) -> None:
        self._session, self._uri, self._scratch = session, uri, scratch
        self._looked = False

    def look(self) -> Found | None:
        """Download the outputs at the first call; return None at later calls.

        Raises AwsError, and DataError if the prefix holds no outputs of a known kind.
        """
        if self._looked:
            return None
        self._looked = True
        fetched = fetch(self._session, self._uri, self._scratch)
        evidence, missing = read_any(self._scratch, called=self._uri)
        if evidence.run is None and evidence.profile is None:
            raise DataError(
                f"{self._uri} holds no output.tar.gz with records, no model.tar.gz of ours and no profiler output; name the "
                "prefix of a training job, as in s3://BUCKET/byoc/output/JOB/"
            )
        return Found(
            evidence=evidence,
            name=self._uri.rstrip("/").rpartition("/")[2],
            source=self._uri,
            missing=(*fetched.missing, *missing),
            state="The outputs in S3 do not change.",
        )


def _session(options: Namespace) -> Session:
    return Session(settings.load(options))

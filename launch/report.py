"""`byoc report`: writes a page and a JSON file about a run on this machine or on SageMaker, about profiler output, or about an endpoint."""

import re
import tempfile
import time
import webbrowser
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from classifier.errors import ConfigError, DataError
from classifier.names import one_line
from launch.aws.errors import AwsError, CredentialsError
from launch.report_sources import REPORT, EndpointSource, FolderSource, Found, Paced, RunSource, ServerSource
from reports.comparison import write_comparison
from reports.live.follow import News, follow
from reports.page.document import Report
from reports.page.numbers import cost
from reports.report import Written, check_page, compose, save
from reports.rules.cost import Price
from reports.rules.verdict import Evidence
from reports.sources.endpoint import Endpoint

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # pattern of a job's or an endpoint's name in the API
# Seconds between two reads of the sources, and between two reads of CloudWatch, which has one value a minute.
EVERY, CLOUDWATCH = 1.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The subject of a report. `page` is the file for the page."""

    run: RunSource | None
    endpoint: EndpointSource | None
    name: str
    page: Path
    price: Price | None


def command(options: Namespace) -> int:
    """Write the report, print its findings and name its files. With --follow, serve the page until Ctrl-C, and then write the report.

    Raises DataError if a folder holds no known data, and AwsError if SageMaker has no such job or endpoint.
    """
    check(options)
    if options.other:
        written = write_comparison(Path(options.run), Path(options.other), options.out)
    else:
        with ExitStack() as stack:
            subject = _subject(options, stack)
            check_page(subject.page)
            maker = _Maker(subject)
            first = maker.look()
            if options.follow:
                return _follow(maker, first, options)
            assert first.report is not None
            written = save(first.report, subject.page)
    _tell(written)
    if options.open and not webbrowser.open(written.page.resolve().as_uri()):
        print("no browser was found to open it")
    return 0


def check(options: Namespace) -> None:
    """Raise ConfigError for options that exclude each other."""
    if options.other and (options.endpoint or options.follow or options.price is not None):
        raise ConfigError("a comparison of two runs takes no --endpoint, --follow or --price; leave them out")
    if not options.run and not options.endpoint:
        raise ConfigError("name a run, a folder, a job or s3://BUCKET/PREFIX/, or an endpoint with --endpoint")
    if "://" in str(options.run or "") and not options.run.startswith("s3://"):
        raise ConfigError(f"{options.run} is the address of a server; write byoc report --endpoint {options.run}")
    if options.port and not options.follow:
        raise ConfigError("--port is the port of the page that --follow serves; add --follow or leave --port out")
    if options.since and (not options.endpoint or _is_url(options.endpoint)):
        raise ConfigError(
            "--since is for an endpoint on SageMaker, whose metrics CloudWatch keeps; a server's /metrics hold only totals"
        )
    if options.follow and str(options.run or "").startswith("s3://") and not options.endpoint:
        raise ConfigError(
            f"{options.run} does not change any more; --follow is for a run's folder, a job on SageMaker and an endpoint"
        )
    if options.price is not None and not 0 < options.price < 1e6:
        raise ConfigError(
            f"--price {options.price:g} is not the price of an hour; give a number above 0, as in --price 0.736"
        )


class _Maker:
    """Makes reports from the present state of its sources."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._run: Found | None = None
        self._endpoint: Endpoint | None = None
        self._changed = False

    @property
    def subject(self) -> Subject:
        return self._subject

    def look(self) -> News:
        """Return a new report; it is None if nothing has changed. Raises UserError."""
        run = self._subject.run.look() if self._subject.run else None
        if run is not None:
            self._run, self._changed = run, True  # kept even if reading the endpoint fails below
        endpoint = self._subject.endpoint.look() if self._subject.endpoint else None
        if endpoint is not self._endpoint:
            self._endpoint, self._changed = endpoint, True
        state = self._run.state if self._run else f"Read at {time.strftime('%H:%M:%S')}."
        if not self._changed:
            return News(report=None, state=state)
        report, self._changed = self._report(), False
        return News(report=report, state=state)

    def try_to_look(self) -> News:
        """Return the same as `look`. If AWS or a disk fails for a moment, return the problem instead. Raises CredentialsError."""
        try:
            return self.look()
        except CredentialsError:
            raise
        except (AwsError, DataError, OSError) as error:
            return News(report=None, state=f"{one_line(str(error))}; byoc tries again.")

    def _report(self) -> Report:
        found = self._run
        evidence = found.evidence if found else Evidence(run=None, profile=None)
        source = found.source if found else self._endpoint.source if self._endpoint else ""
        return compose(
            replace(evidence, endpoint=self._endpoint),
            name=found.name if found else self._subject.name,
            source=source,
            missing=found.missing if found else (),
            price=(found.price if found else None) or self._subject.price,
        )


def _follow(maker: _Maker, first: News, options: Namespace) -> int:
    assert first.report is not None

    def begun(url: str) -> None:
        print(
            f"the report is at {url} and is kept up to date; Ctrl-C ends byoc and writes the report to a file",
            flush=True,
        )
        if options.open and not webbrowser.open(url):
            print("no browser was found to open it", flush=True)

    def ended(report: Report) -> None:
        written = save(report, maker.subject.page)
        _tell(written)

    follow(
        first.report,
        maker.try_to_look,
        every=EVERY,
        port=options.port or 0,
        begun=begun,
        ended=ended,
    )
    return 0


def _tell(written: Written) -> None:
    """Print the findings. Each line is made printable, because records from others may hold control sequences for a terminal."""
    report = written.report
    print(one_line(report.headline))
    for judged in report.judged:
        if judged.ours.state == "triggered":
            spent = f" It cost about {cost(judged.cost)}." if judged.cost else ""
            print(one_line(f"{judged.rule}: {judged.ours.sentence}{spent} {judged.ours.advice}"))
    for sentence in report.missing:
        print(one_line(f"missing: {sentence}"))
    print(f"page: {one_line(written.page)}\nfacts: {one_line(written.facts)}")


def _is_url(text: str) -> bool:
    """Return whether --endpoint is a server's address. An endpoint's name holds neither a colon nor a dot."""
    return ":" in text or "." in text


def _subject(options: Namespace, stack: ExitStack) -> Subject:
    run, name, page = _run(options, stack)
    endpoint: EndpointSource | None = None
    if options.endpoint:
        endpoint = _endpoint(options, alone=run is None)
        if run is None:
            name = options.endpoint
            page = Path(f"{REPORT}-{_file_name(name.partition('://')[2] or name)}.html")
    return Subject(run=run, endpoint=endpoint, name=name, page=options.out or page, price=_price(options))


def _run(options: Namespace, stack: ExitStack) -> tuple[RunSource | None, str, Path]:
    """Return the source of a run, its name, and the file for its page."""
    text = str(options.run or "")
    if not text:
        return None, "", Path(f"{REPORT}.html")
    if not text.startswith("s3://") and (Path(text).exists() or not NAME.fullmatch(text)):
        path = Path(text)
        folder = path if path.is_dir() else path.parent
        return FolderSource(path, waits=options.follow), path.name, folder / f"{REPORT}.html"
    from launch.aws.reports import asked  # imported here, because it loads boto3

    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="byoc-report-")))
    source: RunSource
    if text.startswith("s3://"):
        source = asked.stored(options, text, scratch)
        name = text.rstrip("/").rpartition("/")[2]
        return source, name, Path(f"{REPORT}-{_file_name(name)}.html")
    source = asked.job(options, text, scratch)
    return source, text, Path(f"{REPORT}-{text}.html")


def _endpoint(options: Namespace, *, alone: bool) -> EndpointSource:
    if _is_url(options.endpoint):
        server = ServerSource(options.endpoint if "://" in options.endpoint else f"http://{options.endpoint}")
        if alone and not options.follow:
            server.check()
        return server
    from launch.aws.reports import asked

    return Paced(asked.endpoint(options), CLOUDWATCH)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.") or "s3"


def _price(options: Namespace) -> Price | None:
    return None if options.price is None else Price(hour=options.price, currency="USD", source="--price")

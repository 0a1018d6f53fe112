"""The results of a completed training job: its artifact, its accuracy, and the command that comes next."""

import contextlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier import archives
from classifier.errors import ConfigError, DataError
from classifier.progress import Progress
from launch.aws import cost, prices
from launch.aws.errors import AwsError, explained
from launch.aws.jobs import events
from launch.aws.jobs.ended import Ended
from launch.aws.jobs.kinds import KINDS
from launch.aws.prices import Prices
from launch.aws.session import Session
from launch.training import read_records, result
from reports.report import write
from reports.rules.cost import Price

CHUNK = 1 << 20
# The line that the training program prints for a split after training: "test: accuracy 0.9375 (0.7120 to 0.9890) on 16 photos".
RESULT = re.compile(r"(\w+): accuracy ([\d.]+) \(([\d.]+) to ([\d.]+)\) on (\d+) photos")


@dataclass(frozen=True)
class Judged:
    """The accuracy of one split, its 95 % interval and the number of photos."""

    split: str
    accuracy: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.split} accuracy {self.accuracy:.4f} (95 % interval {self.low:.4f} to {self.high:.4f}) on {self.count} photos"


@dataclass(frozen=True)
class Results:
    """A completed training job. `folder` holds its model and records if they were downloaded; else it is None."""

    ended: Ended
    judged: tuple[Judged, ...]
    folder: Path | None
    currency: str

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.ended.name,
            "status": self.ended.status,
            "artifact": self.ended.artifact,
            "metrics": self.ended.metrics,
            "results": {one.split: {"accuracy": one.accuracy, "count": one.count} for one in self.judged},
            "seconds": self.ended.seconds,
            "folder": str(self.folder) if self.folder else None,
        }

    def text(self, spent: float | None) -> str:
        lines = [str(one) for one in self.judged]
        if self.ended.seconds is not None:
            price = "" if spent is None else f", {cost.money(spent, self.currency)} on demand"
            lines.append(f"billed: {self.ended.seconds} s for each instance{price}")
        lines.append(f"artifact: {self.ended.artifact}")
        if self.folder:
            lines += [f"model: {self.folder / 'model'}", f"records: {self.folder / 'output' / 'data'}"]
            if (page := self.folder / "report.html").is_file():
                lines.append(f"report: {page}")
        lines.append(f"deploy it: byoc deploy {self.ended.name}")
        return "\n".join(lines)


def read(session: Session, ended: Ended, folder: Path | None, currency: str) -> Results:
    """Return the results of a completed job. They come from its records if these were downloaded, else from its log."""
    judged = _from_records(folder) if folder else ()
    return Results(ended=ended, judged=judged or _from_log(session, ended), folder=folder, currency=currency)


def download(session: Session, ended: Ended, folder: Path) -> Path:
    """Download a job's model and records into a new or empty folder, and write the report, as `byoc train` does on this machine.

    A job of another program may have left no records; then there is no report. Raises ConfigError for a folder that is not empty, AwsError
    if S3 refuses, and ArchiveError for a damaged archive.
    """
    check_empty(folder)
    root = ended.artifact.rpartition("/")[0]
    with tempfile.TemporaryDirectory(prefix="byoc-results-") as scratch:
        for archive, place in (("model.tar.gz", folder / "model"), ("output.tar.gz", folder / "output" / "data")):
            file = Path(scratch) / archive
            if _fetch(session, f"{root}/{archive}", file):
                archives.unpack(file, place)
    known = prices.load(session.settings, session.region)
    with contextlib.suppress(DataError):
        write(folder, price=price_of(known, ended.answer))
    return folder


def price_of(known: Prices, answer: Mapping[str, Any]) -> Price | None:
    """Return the price of the instances of a described training job, with their number and the billed seconds.

    None if a price or a type is missing.
    """
    kind, count = cost.instances(answer)
    hour = known.hour("training", kind)
    if hour is None:
        return None
    return Price(
        hour=hour,
        currency=known.currency,
        source=known.source,
        instances=count,
        instance_type=kind,
        billed_seconds=answer.get("BillableTimeInSeconds"),
    )


def check_empty(folder: Path | None) -> None:
    """Raise ConfigError if the folder for the results is not empty."""
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty; name another folder with --out, results are never overwritten")


def _fetch(session: Session, uri: str, file: Path) -> bool:
    """Download an object. Return False if it does not exist, for instance because the job left no records."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        with explained(uri):
            answer = session.client("s3").get_object(Bucket=bucket, Key=key)
    except AwsError as error:
        if error.code == "NoSuchKey":
            return False
        raise
    with file.open("wb") as target, Progress(f"download {file.name}", answer["ContentLength"], "bytes") as progress:
        body = answer["Body"]
        with explained(uri), contextlib.closing(body):
            while chunk := body.read(CHUNK):
                target.write(chunk)
                progress.advance(len(chunk))
    return True


def _from_records(folder: Path) -> tuple[Judged, ...]:
    base = folder
    if not (base / "output" / "data" / "records.jsonl").is_file():
        return ()
    records = read_records(base)
    found = []
    for split in ("validation", "test"):
        with contextlib.suppress(StopIteration):
            record = result(records, split)
            low, high = record["accuracy_interval"]
            found.append(Judged(split=split, accuracy=record["accuracy"], low=low, high=high, count=record["count"]))
    return tuple(found)


def _from_log(session: Session, ended: Ended) -> tuple[Judged, ...]:
    """Return the results in the log.

    If the log cannot be read, the result is empty and no error is raised, because the job has completed nevertheless.
    """
    kind, began = KINDS["training"], ended.answer["CreationTime"].timestamp()
    found = {}
    with contextlib.suppress(AwsError):
        for line in events.reader(session, kind, ended.name, began, search=": accuracy ").new():
            if match := RESULT.fullmatch(line.text):
                found[match[1]] = Judged(
                    split=match[1],
                    accuracy=float(match[2]),
                    low=float(match[3]),
                    high=float(match[4]),
                    count=int(match[5]),
                )
    return tuple(found.values())

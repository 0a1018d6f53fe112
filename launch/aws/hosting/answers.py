"""The answers of a transform job, each with the file that it answers."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.names import is_system, one_line
from classifier.progress import Progress
from launch.aws.buckets import split
from launch.aws.errors import explained
from launch.aws.jobs import events, kinds
from launch.aws.session import Session
from launch.aws.specification import Transform
from launch.predict import Rankings, line, rankings, sentence

FILE = "predictions.jsonl"  # name of the answers' file in the --out folder; it has one line for each photo file
OUT = ".out"  # suffix that SageMaker adds to the name of a photo file
AT_A_TIME = 16  # parallel downloads


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one file: labels and probabilities of its photos, or why the model refused it."""

    file: str  # path below the job's input prefix
    predictions: Rankings = field(default_factory=list)
    error: str = ""

    def lines(self) -> list[str]:
        """Return one line for each photo, in the format of byoc predict."""
        if len(self.predictions) == 1:
            return [line(one_line(self.file), self.predictions[0])]
        return [line(f"{one_line(self.file)}[{number}]", best) for number, best in enumerate(self.predictions)]


def files(folder: Path) -> list[Path]:
    """Return the files below a folder that are sent to a job, without the files that operating systems add."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
    return [path for path in found if not any(is_system(part) for part in path.relative_to(folder).parts)]


def read(session: Session, job: Transform) -> list[Answer]:
    """Return the answer to every object of a job's input, in the order of their keys."""
    names, answered = _keys(session, job.source), set(_keys(session, f"{job.output.rstrip('/')}/"))
    missing = [name for name in names if f"{name}{OUT}" not in answered]
    reasons = _reasons(session, job.name, missing) if missing else {}

    def one(name: str) -> Answer:
        if name in reasons:
            return Answer(file=name, error=reasons[name])
        text = _get(session, f"{job.output.rstrip('/')}/{name}{OUT}")
        try:
            return Answer(file=name, predictions=rankings(text, "the model"))
        except UserError as error:
            return Answer(file=name, error=str(error))

    with ThreadPoolExecutor(AT_A_TIME) as pool, Progress("answers", len(names), "files") as progress:
        found = []
        for answer in pool.map(one, names):
            found.append(answer)
            progress.advance()
    return found


def write(folder: Path, answers: Iterable[Answer]) -> Path:
    """Write the answers into a folder, a line of JSON for each file, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with path.open("w") as file:
        for answer in answers:
            entry: dict[str, Any] = {"file": answer.file}
            entry |= {"error": answer.error} if answer.error else {"predictions": answer.predictions}
            file.write(json.dumps(entry) + "\n")
    return path


def _keys(session: Session, uri: str) -> list[str]:
    bucket, prefix = split(uri)
    with explained(uri):
        pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ())]
    return [key for key in keys if key and not key.endswith("/")]


def _get(session: Session, uri: str) -> bytes:
    bucket, key = split(uri)
    with explained(uri):
        return bytes(session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def _reasons(session: Session, job: str, names: list[str]) -> dict[str, str]:
    """Return the reason for each file without an answer, read from the job's data log.

    The format of the log's lines is second-hand: no document of AWS describes it.
    """
    log = events.reader(session, kinds.KINDS["transform"], job)
    lines = [entry.text for entry in log.new() if "/data-log" in entry.stream]
    found = {}
    for name in names:
        said = next((text for text in lines if f"{name}: " in text), "")
        found[name] = _sentence(said.partition(f"{name}: ")[2]) if said else f"no answer; byoc logs {job} may say why"
    return found


def _sentence(text: str) -> str:
    """Return the serving program's error message from a line of the data log, or the whole line if it holds no such message."""
    brace = text.find("{")
    return sentence(text[brace:]) if brace >= 0 else one_line(text)

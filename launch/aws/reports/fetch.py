"""Downloads the files that a report reads from below an S3 prefix: a job's output.tar.gz, the output of SageMaker's profiler, and
model.json.

It downloads nothing else, and never more than the limits below.
"""

import io
import tarfile
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from classifier.names import one_line
from classifier.progress import Progress
from launch.aws.buckets import split
from launch.aws.errors import AwsError, explained
from launch.aws.session import Session
from reports.sources.archives import inside
from reports.sources.run import RECORDS

MOST_KEYS = 100_000  # the most objects that are listed
MOST_FILES = 20_000  # the most files of the profiler
LARGEST = 2**30  # the most bytes of one file
MOST_BYTES = 4 * 2**30  # the most bytes of all files together
AT_A_TIME = 16
CHUNK = 2**20
OUTPUT, MODEL, MODEL_JSON = "output.tar.gz", "model.tar.gz", "model.json"
PROFILER = ("profiler-output", "profiler-reports", "profiler-report", "rule-output")
PROFILER_FILES = (".json", ".json.gz", ".jsonl", ".trace")


class Body(Protocol):
    """What S3 answers with."""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, or no bytes at the end."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object of S3; `path` is its key below the prefix."""

    key: str
    path: PurePosixPath
    size: int


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The number of downloaded files, and a sentence for each thing that was not downloaded."""

    files: int
    missing: tuple[str, ...]


def fetch(session: Session, uri: str, folder: Path) -> Fetched:
    """Download the files of a report from below an S3 address into a folder, in the layout that a report reads.

    Raises AwsError if S3 refuses, or if the address holds the outputs of several jobs.
    """
    bucket, prefix = split(uri)
    missing: list[str] = []
    stored = _listed(session, bucket, prefix, missing)
    outputs = _only([one for one in stored if one.path.name == OUTPUT], uri)
    records = _only([one for one in stored if one.path.name in (RECORDS, f"{RECORDS}.gz")], uri)
    profiler = [one for one in stored if _is_profilers(one)]
    if len(profiler) > MOST_FILES:
        missing.append(f"{uri} holds {len(profiler):,} files of the profiler; the first {MOST_FILES:,} were read.")
    wanted = [(one, folder / one.path.name) for one in (*outputs, *records)]
    wanted += [(one, folder / "profiler" / _local(one.path)) for one in profiler[:MOST_FILES]]
    files = _download(session, bucket, _bounded(uri, wanted, missing))
    if not records and inside(folder / OUTPUT, RECORDS) is None:
        files += _model(session, bucket, stored, folder, uri)
    return Fetched(files=files, missing=tuple(missing))


def _listed(session: Session, bucket: str, prefix: str, missing: list[str]) -> list[Stored]:
    found: list[Stored] = []
    with explained(f"s3://{bucket}/{prefix}"):
        pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", ()):
                path = PurePosixPath(entry["Key"][len(prefix) :].lstrip("/") or PurePosixPath(entry["Key"]).name)
                if ".." not in path.parts and not entry["Key"].endswith("/"):
                    found.append(Stored(key=entry["Key"], path=path, size=int(entry["Size"])))
            if len(found) > MOST_KEYS:
                missing.append(
                    f"s3://{bucket}/{prefix} holds more than {MOST_KEYS:,} objects; the rest was not listed."
                )
                break
    return found


def _only(found: Sequence[Stored], uri: str) -> Sequence[Stored]:
    """Return the objects of one job. Raises AwsError if they belong to several jobs."""
    if len(found) > 1:
        names = ", ".join(one_line(str(one.path.parent)) for one in found[:4])
        raise AwsError(f"{uri} holds the output of {len(found)} jobs ({names}, ...); name the prefix of one of them")
    return found


def _is_profilers(one: Stored) -> bool:
    parts = set(one.path.parts[:-1])
    return one.path.name.endswith(PROFILER_FILES) and (not parts.isdisjoint(PROFILER) or "incremental" in parts)


def _local(path: PurePosixPath) -> Path:
    """Return a key as a path on this machine. Parts of the key that no file system accepts are shortened or replaced."""
    return Path(*(part.encode()[:200].decode(errors="ignore").replace("\0", "_") for part in path.parts))


def _bounded(uri: str, wanted: Sequence[tuple[Stored, Path]], missing: list[str]) -> list[tuple[Stored, Path]]:
    found, total = [], 0
    for one, path in wanted:
        if one.size > LARGEST or total + one.size > MOST_BYTES:
            missing.append(
                f"{uri}: {one_line(str(one.path))} was not downloaded, because it has {one.size / 1e9:.1f} GB."
            )
            continue
        total += one.size
        found.append((one, path))
    return found


def _download(session: Session, bucket: str, wanted: Sequence[tuple[Stored, Path]]) -> int:
    client, stopped = session.client("s3"), threading.Event()

    def one(item: tuple[Stored, Path]) -> None:
        stored, path = item
        path.parent.mkdir(parents=True, exist_ok=True)
        with explained(f"s3://{bucket}/{stored.key}"), path.open("wb") as file:
            body = client.get_object(Bucket=bucket, Key=stored.key)["Body"]
            with closing(body):
                while not stopped.is_set() and (chunk := body.read(CHUNK)):
                    file.write(chunk)
                    progress.advance(len(chunk))

    total = sum(stored.size for stored, _ in wanted)
    with Progress("download", total, "bytes") as progress, ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            return len(list(pool.map(one, wanted)))
        except BaseException:
            stopped.set()  # makes the threads stop, because the end of the block waits for them
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _model(session: Session, bucket: str, stored: Sequence[Stored], folder: Path, uri: str) -> int:
    """Write model.json into the folder and return the number of files.

    It comes from its own object, or else from model.tar.gz, which is read only until model.json is found.
    """
    alone = [one for one in stored if one.path.name == MODEL_JSON]
    archives = [one for one in stored if one.path.name == MODEL]
    if alone:
        return _download(session, bucket, [(_only(alone, uri)[0], folder / MODEL_JSON)])
    if not archives:
        return 0
    archive = _only(archives, uri)[0]
    with explained(f"s3://{bucket}/{archive.key}"):
        body = session.client("s3").get_object(Bucket=bucket, Key=archive.key)["Body"]
        with closing(body), Progress(f"read {MODEL}", archive.size, "bytes") as progress:
            try:
                with tarfile.open(fileobj=_Counted(body, progress), mode="r|gz") as opened:
                    for member in opened:
                        if member.isfile() and PurePosixPath(member.name).name == MODEL_JSON:
                            held = opened.extractfile(member)
                            (folder / MODEL_JSON).write_bytes(held.read(CHUNK) if held else b"")
                            return 1
            except (tarfile.TarError, EOFError, zlib.error):  # the file is damaged or not an archive
                return 0
    return 0


class _Counted(io.RawIOBase):
    """The body of an S3 object as a file. Reading from it advances the progress."""

    def __init__(self, body: Body, progress: Progress) -> None:
        self._body, self._progress = body, progress

    def read(self, size: int = -1) -> bytes:
        chunk = self._body.read(size)
        self._progress.advance(len(chunk))
        return chunk

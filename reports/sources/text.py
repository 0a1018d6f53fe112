"""Reads files as text or as JSON lines. A file may be gzipped, and may be cut off."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from classifier.names import one_line
from reports.sources.archives import read_member

GZIP = b"\x1f\x8b"
# At most this many unpacked bytes of a file are read; the profiler's file of one minute has less than 1 MB.
MOST = 512 * 2**20


def read_text(path: Path, missing: list[str]) -> str:
    """Return a file's text. If a part cannot be read, add a sentence to `missing`. This function never raises."""
    if path.parent.is_file():  # a file in an archive
        return read_member(path, MOST, missing).decode("utf-8", errors="replace")
    data = b""
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            while len(data) < MOST and (part := file.read(2**20)):
                data += part
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "its compressed data is damaged or cut off"
        missing.append(f"{one_line(path)} could only be read in part: {reason}.")
    if len(data) >= MOST:
        missing.append(f"{one_line(path)} is longer than {MOST // 2**20} MB; the rest was not read.")
    return data.decode("utf-8", errors="replace")


def json_lines(path: Path, missing: list[str]) -> Iterator[dict[str, object]]:
    """Yield the JSON object of each line. Damaged lines and repeated lines are counted in one sentence each.

    A record holds its time to the millisecond, so a repeated line is a copy and is yielded once.
    """
    damaged: list[int] = []
    seen: set[str] = set()
    again = 0
    for number, line in enumerate(read_text(path, missing).split("\n"), 1):
        if not line.strip():
            continue
        if line in seen:
            again += 1
            continue
        seen.add(line)
        value = parse(line)
        if isinstance(value, dict):
            yield value
        else:
            damaged.append(number)
    if damaged:
        lines = "line" if len(damaged) == 1 else "lines"
        missing.append(
            f"{one_line(path)}: {len(damaged)} {lines} could not be read as JSON objects; the first is line {damaged[0]}."
        )
    if again:
        missing.append(
            f"{one_line(path)}: {again} {'line repeats' if again == 1 else 'lines repeat'} an earlier one; each counts once."
        )


def parse(text: str) -> object:
    """Return the JSON value, or None if the text is not valid JSON. NaN and infinities become None, as in our records."""
    try:
        value: object = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return value

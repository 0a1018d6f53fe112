"""The files of a folder as objects in S3: which files are sent, under which keys, and how a sent file is recognised.

An object's ETag is the MD5 of its bytes, or, for an upload in parts, the MD5 of the parts' MD5s. We always use parts of PART bytes, so that
this module can compute both forms. If a KMS key encrypts a bucket, the ETag is different (AWS's API of S3, Object), so we compare the
SHA-256 that we sent.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError
from classifier.names import is_system, one_line

PART = 64 * 1024**2  # bytes of a part; a file of at most this size is sent in one request
LONGEST_KEY = 1024  # the most bytes of a key; S3's limit
SHOWN = 5
REMEDY = "name a folder that holds train/ with a folder per class or a manifest"
# Control characters: neither S3's listings in XML nor a path in SageMaker's containers can hold them.
CONTROL = re.compile("[\0-\x1f\x7f]")


@dataclass(frozen=True, order=True)
class File:
    """A file and its key below the prefix."""

    key: str
    path: Path
    size: int


@dataclass(frozen=True)
class Sums:
    """The checksums that S3 keeps of an object: its ETag, and its SHA-256 in S3's form."""

    etag: str
    sha256: str


def files_in(folder: Path) -> list[File]:
    """Return the files below a folder, sorted by key, without hidden files and the files of operating systems.

    Links are followed. Raises DataError for names that S3 cannot hold, for what is not a folder, and for a folder without files.
    """
    if not folder.is_dir():
        raise DataError(f"{one_line(folder)} is not a folder; {REMEDY}")
    found, refused = [], []
    for path in _walk(folder, set()):
        key = path.relative_to(folder).as_posix()
        if problem := _problem(key):
            refused.append(f"{one_line(path)} {problem}")
        else:
            found.append(File(key, path, path.stat().st_size))
    if refused:
        more = f"\nand {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        raise DataError("\n".join(f"{text}; rename it" for text in refused[:SHOWN]) + more)
    if not found:
        raise DataError(f"{one_line(folder)} holds no files; {REMEDY}")
    return sorted(found)


def sums(data: bytes) -> Sums:
    """Return the checksums of an object that is sent in one request."""
    return Sums(hashlib.md5(data, usedforsecurity=False).hexdigest(), sha256(data))


def sha256(data: bytes) -> str:
    """Return the SHA-256 of an object that is sent in one request, in S3's form."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def sums_of(file: File) -> Sums:
    """Return the checksums of a file as S3 will keep them."""
    if file.size <= PART:
        return sums(file.path.read_bytes())
    md5, sha, count = b"", b"", 0
    with file.path.open("rb") as content:
        while data := content.read(PART):
            md5 += hashlib.md5(data, usedforsecurity=False).digest()
            sha += hashlib.sha256(data).digest()
            count += 1
    return Sums(f"{hashlib.md5(md5, usedforsecurity=False).hexdigest()}-{count}", f"{sha256(sha)}-{count}")


def _walk(folder: Path, above: set[Path]) -> Iterator[Path]:
    """Yield the files below a folder; a link that leads back to a folder above it is left out."""
    real = folder.resolve()
    if real in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{one_line(folder)} cannot be listed: {error.strerror}") from None
    for entry in entries:
        if is_system(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), above | {real})
        elif entry.is_file():
            yield Path(entry.path)


def _problem(key: str) -> str:
    """Return the reason why S3 cannot hold an object of this key; empty if S3 can hold it."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "has a name that is not valid UTF-8"
    if CONTROL.search(key):
        return "has control characters in its name"
    return f"has a name of {length} bytes; S3 accepts at most {LONGEST_KEY}" if length > LONGEST_KEY else ""

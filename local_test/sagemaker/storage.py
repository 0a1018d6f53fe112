"""S3: the objects are files in a folder, and moto answers the requests.

An object lies at BUCKET/KEY below the folder, so that a person can look at it and a FastFile channel can be a view of it.
A key that is no path of a file (as `a//b`, or `a` beside `a/b`) and an old version lie below `.other`, by their hash.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import moto.s3.models
from moto.s3.models import FakeKey, S3Backend, s3_backends

from local_test.sagemaker.errors import invalid
from local_test.sagemaker.settings import ACCOUNT

BLOCK = 1 << 20
LONGEST = 255  # bytes of a file's name


@dataclass(frozen=True)
class S3Uri:
    """An address in S3: a bucket, and a key or a prefix of keys."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "S3Uri":
        """Return the parts of s3://BUCKET/KEY; raises ApiError for another text."""
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise invalid(f"'{text}' is not an address in S3; write s3://BUCKET/KEY")
        return cls(bucket, key)

    def below(self, name: str) -> "S3Uri":
        """Return the address of `name` in this folder."""
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class S3Object:
    """One object: its key, its size in bytes, its ETag and its file, which is only to be read."""

    key: str
    size: int
    etag: str
    path: Path


class NoBucket(Exception):
    """There is no bucket of this name."""


class Storage:
    """The objects of S3, for the emulator's own use; clients come through moto."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        FileKey.folder = folder
        moto.s3.models.FakeKey = FileKey

    @property
    def _backend(self) -> S3Backend:
        return s3_backends[ACCOUNT]["aws"]

    def has_bucket(self, bucket: str) -> bool:
        return bucket in self._backend.buckets

    def objects(self, where: S3Uri) -> list[S3Object]:
        """Return the objects whose keys begin with the address's key, sorted by key; raises NoBucket."""
        if not self.has_bucket(where.bucket):
            raise NoBucket(where.bucket)
        keys = self._backend.buckets[where.bucket].keys
        return [_shown(keys[name]) for name in sorted(keys) if name.startswith(where.key) and _live(keys[name])]

    def object(self, where: S3Uri) -> S3Object | None:
        """Return the object at an address, or None; raises NoBucket."""
        if not self.has_bucket(where.bucket):
            raise NoBucket(where.bucket)
        key = self._backend.buckets[where.bucket].keys.get(where.key)
        return _shown(key) if key is not None and _live(key) else None

    def put(self, where: S3Uri, source: Path) -> None:
        """Make an object of a copy of a file; raises NoBucket."""
        if not self.has_bucket(where.bucket):
            raise NoBucket(where.bucket)
        self._backend.put_object(where.bucket, where.key, source)

    def delete(self, where: S3Uri) -> None:
        """Remove an object; raises NoBucket."""
        if not self.has_bucket(where.bucket):
            raise NoBucket(where.bucket)
        self._backend.delete_object(where.bucket, where.key)

    def fetch(self, where: S3Uri, folder: Path) -> Iterator[Path]:
        """Copy the objects below an address into a folder, by what their keys have beyond the address's folder.

        The prefix `s3://b/data/tr` holds data/train/a.jpg, and its file is train/a.jpg (C 1.4: S3Prefix).
        """
        start = where.key.rfind("/") + 1
        for entry in self.objects(where):
            if not entry.key.endswith("/"):
                yield copy_below(entry.path, folder, entry.key[start:])


def copy_below(source: Path, folder: Path, name: str) -> Path:
    """Copy a file to a name below a folder; raises ApiError for a name that leads out of it."""
    target = folder / name.lstrip("/")
    if ".." in target.parts:
        raise invalid(f"the key '{name}' leads out of its folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _live(key: Any) -> bool:
    return isinstance(key, FileKey)  # else a marker that the object was deleted


def _shown(key: Any) -> S3Object:
    return S3Object(key.name, key.size, key.etag.strip('"'), key.path)


class FileKey(FakeKey):  # type: ignore[misc]  # moto has no types here
    """One of moto's objects, whose bytes lie in a file of its own."""

    folder: ClassVar[Path]
    path: Path
    disposed: bool
    _etag: str | None

    @property
    def value(self) -> bytes:
        return self.path.read_bytes()

    @value.setter
    def value(self, new: bytes | str | Path) -> None:
        fresh = self._other()
        if isinstance(new, Path):
            shutil.copyfile(new, fresh)
        else:
            fresh.write_bytes(new.encode() if isinstance(new, str) else new)
        self.contentsize = fresh.stat().st_size
        self.path = fresh
        self._settle()

    @property
    def etag(self) -> str:
        if self._etag is None:
            digest = hashlib.md5(usedforsecurity=False)
            with self.path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
            self._etag = digest.hexdigest()
        return f'"{self._etag}"'

    def dispose(self, garbage: bool = False) -> None:
        """Remove the file of an object that is no more, unless a newer object has taken its place."""
        if not self.disposed and not garbage and self.path != self._natural():
            self.path.unlink(missing_ok=True)
        self.disposed = True

    def _settle(self) -> None:
        """Move the file to the path of its key, where that can be one."""
        natural = self._natural()
        if natural is None:
            return
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            natural.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(natural)
            self.path = natural

    def _natural(self) -> Path | None:
        parts = str(self.name).split("/")
        plain = all(
            part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= LONGEST for part in parts
        )
        return self.folder / self.bucket_name / self.name if self.bucket_name and plain else None

    def _other(self) -> Path:
        folder = self.folder / ".other"
        folder.mkdir(exist_ok=True)
        return folder / uuid.uuid4().hex

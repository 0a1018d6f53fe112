"""moto's objects and uploads, with their bytes in files."""

import base64
import hashlib
import threading
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from moto.s3.exceptions import EntityTooSmall, InvalidPart, InvalidPartOrder, MalformedXML
from moto.s3.models import FakeDeleteMarker, FakeKey, FakeMultipart, s3_backends

from local_test.sagemaker.s3.files import FileBytes, clear_way, write
from local_test.sagemaker.s3.index import Row
from local_test.sagemaker.settings import ACCOUNT

LONGEST = 255  # the most bytes of a file's name
SMALLEST_PART = 5 << 20  # every part except the last has at least this many bytes (S3's limits of multipart uploads)
# The attributes of moto's object that are kept, besides its bytes.
KEPT = (
    "_storage_class",
    "_is_versioned",
    "encryption",
    "kms_key_id",
    "bucket_key_enabled",
    "checksum_algorithm",
    "checksum_value",
    "checksum_type",
    "checksum_parts",
    "website_redirect_location",
    "lock_mode",
    "lock_legal_status",
    "lock_until",
)
DEFAULTS = {"_storage_class": "STANDARD", "_is_versioned": False}
UNVERSIONED = "null"  # the version id of an object in a bucket without versions
PLAIN = {"content-type": "binary/octet-stream"}


@dataclass(frozen=True)
class Upload:
    """A request's body that was written to a file while it arrived."""

    path: Path
    size: int
    md5: str
    crc32: str  # base64, as clients send it; empty when unknown


class Incoming(threading.local):
    """The body of this thread's request, until an object takes it."""

    upload: Upload | None = None

    def take(self) -> Upload | None:
        upload, self.upload = self.upload, None
        return upload


INCOMING = Incoming()


class FileKey(FakeKey):  # type: ignore[misc]  # moto has no types here
    """One of moto's objects, or a part of an upload, with its bytes in a file."""

    folder: ClassVar[Path]  # the folder of all objects
    path: Path
    crc32 = ""
    disposed: bool
    _etag: str | None

    @property
    def value(self) -> FileBytes:
        return FileBytes(self.path)

    @value.setter
    def value(self, new: bytes | FileBytes | Upload) -> None:
        if not isinstance(new, Upload) and not len(new):
            new = INCOMING.take() or new
        if isinstance(new, Upload):
            self.path = new.path
            self._etag = self._etag or new.md5
            self.crc32 = new.crc32
            self.contentsize = new.size
        else:
            self.path = other(self.folder)
            write(new, self.path)
            self.contentsize = len(new)

    @property
    def etag(self) -> str:
        if self._etag is None:
            digest = hashlib.md5(usedforsecurity=False)
            for block in self.value:
                digest.update(block)
            self._etag = digest.hexdigest()
        return f'"{self._etag}"'

    def __deepcopy__(self, memo: object) -> "FileKey":
        return self  # moto copies an object to list its versions, and changes only a flag in the copy

    def dispose(self, garbage: bool = False) -> None:
        """Remove a part's file; an object's file is removed with its row of the index."""
        if not self.bucket_name and not self.disposed:
            self.path.unlink(missing_ok=True)
        self.disposed = True

    def move(self, path: Path) -> None:
        """Move the file to `path`, and replace a file that is there. The file keeps its path if `path` is a folder."""
        self.path = moved(self.path, path)

    def row(self) -> Row:
        more = {name: getattr(self, name) for name in KEPT if getattr(self, name) not in (None, DEFAULTS.get(name))}
        metadata = dict(self._metadata)
        if metadata != PLAIN:
            more["metadata"] = metadata
        if tags := s3_backends[ACCOUNT]["aws"].tagger.get_tag_dict_for_resource(self.arn):
            more["tags"] = tags
        modified = self.last_modified.replace(tzinfo=UTC).timestamp()
        file = self.path.relative_to(self.folder).as_posix()
        return Row(
            key=self.name,
            version=self.version_id,
            size=self.size,
            etag=self.etag.strip('"'),
            modified=modified,
            file=file,
            marker=False,
            more=more,
        )


def restored(bucket: str, region: str, row: Row) -> Any:
    """Return moto's object for a row of the index."""
    if row.marker:
        marker = FakeDeleteMarker.__new__(FakeDeleteMarker)
        marker.key, marker.name, marker._version_id = None, row.key, row.version
        marker.last_modified = _naive(row.modified)
        return marker
    key = FileKey.__new__(FileKey)
    upload = Upload(path=FileKey.folder / row.file, size=row.size, md5=row.etag, crc32="")
    FakeKey.__init__(key, row.key, upload, ACCOUNT, region, etag=row.etag, version_id=row.version, bucket_name=bucket)
    key.last_modified = _naive(row.modified)
    for name in KEPT:
        setattr(key, name, row.more.get(name, DEFAULTS.get(name)))
    key._metadata.update(row.more.get("metadata", {}))
    return key


def marker_row(marker: Any) -> Row:
    """Return a row that marks an object as deleted."""
    modified = marker.last_modified.replace(tzinfo=UTC).timestamp()
    return Row(key=marker.name, version=marker.version_id, size=0, etag="", modified=modified, file="", marker=True)


def _naive(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)  # no time zone, because moto's own times have none


class FileMultipart(FakeMultipart):  # type: ignore[misc]
    """An upload in parts, which are joined file by file."""

    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[Upload, str, tuple[str, str, int] | None]:
        wanted = list(body)
        if not wanted:
            raise MalformedXML
        if [number for number, _ in wanted] != sorted({number for number, _ in wanted}):
            raise InvalidPartOrder
        parts = [self._checked(number, etag) for number, etag in wanted]
        if any(part.contentsize < SMALLEST_PART for part in parts[:-1]):
            raise EntityTooSmall
        joined = other(FileKey.folder)
        crc32 = 0
        with joined.open("wb") as target:
            for part in parts:
                for block in part.value:
                    crc32 = zlib.crc32(block, crc32)
                    target.write(block)
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts), usedforsecurity=False)
        for part in self.parts.values():
            part.dispose()
        size = sum(part.contentsize for part in parts)
        etag = f"{digest.hexdigest()}-{len(parts)}"
        return Upload(path=joined, size=size, md5=etag, crc32=""), etag, self._checksum(parts, crc32)

    def _checked(self, number: int, etag: str) -> FileKey:
        part: FileKey | None = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        return part

    def _checksum(self, parts: list[FileKey], crc32: int) -> tuple[str, str, int] | None:
        """Return the whole object's checksum if it is CRC32; other checksums cannot be computed from those of the parts, and
        are left out.
        """
        if self.metadata.get("x-amz-checksum-algorithm") != "CRC32":
            return None
        if self.metadata.get("x-amz-checksum-type") == "FULL_OBJECT":
            return "FULL_OBJECT", encoded(crc32), 1
        together = b"".join(base64.b64decode(part.crc32) for part in parts)
        return "COMPOSITE", encoded(zlib.crc32(together)), len(parts)


def encoded(crc32: int) -> str:
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def natural_path(folder: Path, bucket: str, key: str) -> Path | None:
    """Return BUCKET/KEY below the folder, or None for a key that cannot be the path of a file."""
    parts = str(key).split("/")
    plain = all(part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= LONGEST for part in parts)
    return folder / bucket / key if plain else None


def other(folder: Path) -> Path:
    """Return a new path for the bytes of an object whose key cannot be its path."""
    return folder / ".other" / uuid.uuid4().hex


def moved(path: Path, target: Path) -> Path:
    """Move a file to `target` and return its new path. An existing file there is replaced.

    If `target` is a folder, or one of its parents is a file, the file stays where it is, and its old path is returned.
    """
    try:
        try:
            path.replace(target)
        except FileNotFoundError:  # the target's folder does not exist yet
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return path
    return target


def remove_file(folder: Path, row: Row) -> None:
    """Remove the file of a row that was removed."""
    if row.file:
        path = folder / row.file
        path.unlink(missing_ok=True)
        clear_way(path, folder)

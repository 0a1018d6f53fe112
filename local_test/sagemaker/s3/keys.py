"""Replaces moto's dictionary of a bucket's objects with a view of the index, which makes moto's objects when moto needs them."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.s3.models import FakeBucket, s3_backends

from local_test.sagemaker.s3.index import Bucket, Index, Row
from local_test.sagemaker.s3.objects import (
    UNVERSIONED,
    FileKey,
    Upload,
    marker_row,
    moved,
    natural_path,
    other,
    remove_file,
    restored,
)
from local_test.sagemaker.settings import ACCOUNT


class Touched(threading.local):
    """The objects that this thread's request has read or changed; they are written to the index when the request ends."""

    def __init__(self) -> None:
        # Objects by bucket, key and version. After a change moto reads the object again, and must get the same Python object.
        # Otherwise an unchanged object might be written last.
        self.keys: dict[tuple[str, str, str], FileKey] = {}

    def add(self, bucket: str, key: FileKey) -> None:
        self.keys[bucket, key.name, key.version_id] = key


TOUCHED = Touched()
LOCK = threading.RLock()  # held while an object's file and its row change together


class Keys:
    """The objects of one bucket, with the interface of moto's own store (moto/s3/utils.py, _VersionedKeyStore)."""

    def __init__(self, index: Index, bucket: str, region: str) -> None:
        self._index = index
        self._bucket = bucket
        self._region = region

    def __getitem__(self, name: str) -> Any:
        row = self._index.latest(self._bucket, name)
        if row is None:
            raise KeyError(name)
        return self._touch(row)

    def __setitem__(self, name: str, value: Any) -> None:
        """Add a version. moto calls this with a marker when an object is deleted."""
        rows = self._index.versions(self._bucket, name)
        self._index.set_versions(self._bucket, name, [*rows, _row(value)])

    def __contains__(self, name: object) -> bool:
        return self._index.latest(self._bucket, str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.keys(self._bucket))

    def __len__(self) -> int:
        return len(self._index.keys(self._bucket))

    def get(self, name: str, default: Any = None) -> Any:
        row = self._index.latest(self._bucket, name)
        return default if row is None else self._touch(row)

    def getlist(self, name: str, default: Any = None) -> Any:
        rows = self._index.versions(self._bucket, name)
        return [self._touch(row) for row in rows] if rows else default

    def setlist(self, name: str, values: list[Any]) -> None:
        with LOCK:
            before = self._index.versions(self._bucket, name)
            self._settle(name, values)
            rows = [_row(value) for value in values]
            self._index.set_versions(self._bucket, name, rows)
            kept = {row.file for row in rows}
            for row in before:
                if row.file not in kept:
                    remove_file(FileKey.folder, row)
        for value in values:
            if isinstance(value, FileKey):
                TOUCHED.add(self._bucket, value)

    def put(self, name: str, upload: Upload, more: dict[str, Any]) -> Row:
        """Make a body the only version of an object, and return its row, as moto's put_object does in a bucket without versions."""
        path, natural = upload.path, natural_path(FileKey.folder, self._bucket, name)
        with LOCK:
            before = self._index.versions(self._bucket, name)
            if natural is not None:
                path = moved(path, natural)
            row = Row(
                key=name,
                version=UNVERSIONED,
                size=upload.size,
                etag=upload.md5,
                modified=time.time(),
                file=str(path)[len(str(FileKey.folder)) + 1 :],  # takes a third of the time that Path.relative_to takes
                more=more,
            )
            self._index.set_versions(self._bucket, name, [row])
            for older in before:
                if older.file != row.file:
                    remove_file(FileKey.folder, older)
        return row

    def pop(self, name: str) -> None:
        with LOCK:
            rows = self._index.versions(self._bucket, name)
            if not rows:
                raise KeyError(name)
            self._index.set_versions(self._bucket, name, [])
            for row in rows:
                remove_file(FileKey.folder, row)

    def items(self) -> Iterator[tuple[str, Any]]:
        for name in self:
            yield name, self[name]

    def values(self) -> Iterator[Any]:
        for name in self:
            yield self[name]

    def iterlists(self) -> Iterator[tuple[str, list[Any]]]:
        for name in self:
            yield name, self.getlist(name, [])

    def item_size(self) -> int:
        return self._index.bytes(self._bucket)

    def _settle(self, name: str, values: list[Any]) -> None:
        """Move the newest version to its key's path, after moving away an older version that is there."""
        natural = natural_path(FileKey.folder, self._bucket, name)
        newest = values[-1] if values else None
        if natural is None or not isinstance(newest, FileKey) or newest.path == natural:
            return
        for older in values[:-1]:
            if isinstance(older, FileKey) and older.path == natural:
                older.move(other(FileKey.folder))
        newest.move(natural)

    def _touch(self, row: Row) -> Any:
        known = TOUCHED.keys.get((self._bucket, row.key, row.version))
        if known is not None and known.path == FileKey.folder / row.file:
            return known
        key = restored(self._bucket, self._region, row)
        if isinstance(key, FileKey):
            TOUCHED.add(self._bucket, key)
        return key


def _row(value: Any) -> Row:
    return value.row() if isinstance(value, FileKey) else marker_row(value)


class FileBucket(FakeBucket):  # type: ignore[misc]  # moto has no types here
    """One of moto's buckets, whose objects are in the index."""

    index: Index

    def __init__(self, name: str, account_id: str, region_name: str, bucket_namespace: str | None = None) -> None:
        super().__init__(name, account_id, region_name, bucket_namespace)
        self.keys = Keys(self.index, name, region_name)


def flush(index: Index) -> None:
    """Write to the index the objects and buckets that this thread's request has changed."""
    touched, TOUCHED.keys = TOUCHED.keys, {}
    for (bucket, _, _), key in touched.items():
        index.update(bucket, key.row())
    buckets = list(s3_backends[ACCOUNT]["aws"].buckets.values())
    index.set_buckets(
        [
            Bucket(
                name=entry.name,
                region=entry.region_name,
                created=entry.creation_date.timestamp(),
                versioning=entry.versioning_status,
            )
            for entry in buckets
        ]
    )


def forget() -> None:
    """Forget the objects of a request that only reads."""
    TOUCHED.keys = {}


def restore(index: Index) -> None:
    """Give moto the buckets and the objects' tags from the index."""
    backend = s3_backends[ACCOUNT]["aws"]
    for entry in index.buckets():
        bucket = FileBucket(entry.name, ACCOUNT, entry.region)
        bucket.creation_date = datetime.fromtimestamp(entry.created, UTC)
        bucket.versioning_status = entry.versioning
        backend.buckets[entry.name] = bucket
    for name, row in index.tagged():
        key = restored(name, backend.buckets[name].region_name, row)
        backend.tagger.tag_resource(key.arn, [{"Key": tag, "Value": value} for tag, value in row.more["tags"].items()])

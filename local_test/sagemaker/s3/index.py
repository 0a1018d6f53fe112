"""The index of S3's buckets and objects, as tables on disk.

It survives a restart, and needs little memory also for ten gigabytes of photos.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, region TEXT, created REAL, versioning TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, key TEXT, place INTEGER, version TEXT, size INTEGER, etag TEXT, modified REAL, file TEXT, marker INTEGER,
  current INTEGER, more TEXT, PRIMARY KEY (bucket, key, place)
) WITHOUT ROWID;
"""
COLUMNS = "key, version, size, etag, modified, file, marker, more"


@dataclass(frozen=True)
class Row:
    """One version of an object, or a marker that it was deleted."""

    key: str
    version: str
    size: int
    etag: str
    modified: float
    file: str  # the path, relative to the folder of the objects
    marker: bool = False
    more: dict[str, Any] = field(default_factory=dict)  # metadata and other values, as JSON


@dataclass(frozen=True)
class Bucket:
    name: str
    region: str
    created: float
    versioning: str | None


class Index:
    """The buckets and objects. Keys are ordered by their UTF-8 bytes, as in S3."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()  # while a thread holds it, no other thread reads or writes
        self._tables = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._tables.execute("PRAGMA journal_mode=WAL")
        # A crash of the machine may lose the last objects. If the emulator is killed, no object is lost.
        self._tables.execute("PRAGMA synchronous=OFF")
        self._tables.executescript(TABLES)

    def close(self) -> None:
        with self.lock:
            self._tables.close()

    def buckets(self) -> list[Bucket]:
        return [Bucket(*row) for row in self._all("SELECT name, region, created, versioning FROM buckets")]

    def set_buckets(self, buckets: list[Bucket]) -> None:
        """Replace all buckets with these."""
        with self.lock:
            if set(buckets) == set(self.buckets()):
                return
            self._tables.execute("DELETE FROM buckets")
            rows = [(bucket.name, bucket.region, bucket.created, bucket.versioning) for bucket in buckets]
            self._tables.executemany("INSERT INTO buckets VALUES (?, ?, ?, ?)", rows)

    def latest(self, bucket: str, key: str) -> Row | None:
        """Return an object's newest version, which may be a marker."""
        query = f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key = ? AND current"
        return next(iter(self._rows(query, bucket, key)), None)

    def versions(self, bucket: str, key: str) -> list[Row]:
        """Return an object's versions, the oldest first."""
        return self._rows(f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key = ? ORDER BY place", bucket, key)

    def set_versions(self, bucket: str, key: str, rows: list[Row]) -> None:
        """Replace an object's versions with these, the oldest first."""
        last = len(rows) - 1
        values = [
            (
                bucket,
                key,
                place,
                row.version,
                row.size,
                row.etag,
                row.modified,
                row.file,
                row.marker,
                place == last,
                _text(row),
            )
            for place, row in enumerate(rows)
        ]
        with self.lock:
            self._tables.execute("BEGIN")
            self._tables.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
            self._tables.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            self._tables.execute("COMMIT")

    def update(self, bucket: str, row: Row) -> None:
        """Write the changed members of a version; a version that is no longer there is not added again."""
        self._all(
            "UPDATE objects SET size = ?, etag = ?, file = ?, more = ? WHERE bucket = ? AND key = ? AND version = ?",
            *(row.size, row.etag, row.file, _text(row), bucket, row.key, row.version),
        )

    def page(self, bucket: str, prefix: str, after: str, most: int) -> list[Row]:
        """Return the newest versions of objects whose keys begin with `prefix` and come after `after`, in order."""
        query = f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key >= ? AND key > ? AND current AND NOT marker ORDER BY key"
        rows = self._rows(f"{query} LIMIT ?", bucket, prefix, after, most)
        return [row for row in rows if row.key.startswith(prefix)]

    def all(self, bucket: str, prefix: str) -> Iterator[Row]:
        """Yield all objects whose keys begin with `prefix`, in order."""
        after = ""
        while rows := self.page(bucket, prefix, after, 1000):
            yield from rows
            after = rows[-1].key

    def keys(self, bucket: str) -> list[str]:
        """Return all keys of a bucket, including those of deleted objects."""
        return [key for (key,) in self._all("SELECT DISTINCT key FROM objects WHERE bucket = ? ORDER BY key", bucket)]

    def bytes(self, bucket: str) -> int:
        return int(self._all("SELECT coalesce(sum(size), 0) FROM objects WHERE bucket = ?", bucket)[0][0])

    def tagged(self) -> list[tuple[str, Row]]:
        """Return all versions that have tags, with their buckets."""
        query = f"SELECT bucket, {COLUMNS} FROM objects WHERE more LIKE '%\"tags\":%'"
        return [(bucket, _row(values)) for bucket, *values in self._all(query)]

    def _rows(self, query: str, *values: Any) -> list[Row]:
        return [_row(row) for row in self._all(query, *values)]

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self.lock:
            return self._tables.execute(query, values).fetchall()


def _row(values: Any) -> Row:
    key, version, size, etag, modified, file, marker, more = values
    return Row(
        key=key,
        version=version,
        size=size,
        etag=etag,
        modified=modified,
        file=file,
        marker=bool(marker),
        more=json.loads(more) if more else {},
    )


def _text(row: Row) -> str | None:
    return json.dumps(row.more) if row.more else None

"""S3 for the emulator's own use: addresses, objects and their files. Clients use the front instead."""

import contextlib
import errno
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import moto.core.common_models
import moto.s3.models
import moto.s3.responses
from moto.s3.models import S3Backend, s3_backends

from local_test.sagemaker.errors import invalid
from local_test.sagemaker.s3 import keys
from local_test.sagemaker.s3.files import FileBytes, checksum
from local_test.sagemaker.s3.index import Index, Row
from local_test.sagemaker.s3.objects import FileKey, FileMultipart, natural_path
from local_test.sagemaker.settings import ACCOUNT

# The API model takes https addresses wherever it takes s3 ones; S3 has these forms of hosts, with the bucket in front or in the
# path (S3's user guide, virtual hosting of buckets).
HTTPS = re.compile(
    r"https://(?:(?P<bucket>[a-z0-9][a-z0-9.-]*)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com/(?P<rest>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class S3Uri:
    """An address in S3: a bucket, and a key or a prefix of keys."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "S3Uri":
        """Return the parts of s3://BUCKET/KEY or of an https address in S3; raises ApiError for any other text."""
        if match := HTTPS.fullmatch(text):
            text = "s3://" + "/".join(filter(None, (match["bucket"], match["rest"])))
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise invalid(f"'{text}' is not an address in S3; write s3://BUCKET/KEY")
        return cls(bucket, key)

    def below(self, name: str) -> "S3Uri":
        """Return the address of `name` below this one."""
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class S3Object:
    """One object: its key, its size in bytes, its ETag, and its file, which nobody may change."""

    key: str
    size: int
    etag: str
    path: Path


class NoBucket(Exception):
    """There is no bucket with this name."""


class Storage:
    """The objects of S3 in a folder. An object is at BUCKET/KEY, so that a person can look at it. Old versions are below
    `.other`, and so are objects whose key is not a valid path of a file (such as `a//b`, or `a` beside `a/b`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".other").mkdir(parents=True, exist_ok=True)
        self.index = Index(folder / ".index")
        FileKey.folder = folder
        # moto would keep every object that it ever made, 8 kB for each request, for a route that is closed here.
        moto.core.common_models.BaseModel.__new__ = lambda cls, *arguments, **named: object.__new__(cls)
        keys.FileBucket.index = self.index
        moto.s3.models.FakeKey = FileKey
        moto.s3.models.FakeMultipart = FileMultipart
        moto.s3.models.FakeBucket = keys.FileBucket
        moto.s3.responses.compute_checksum = checksum
        keys.restore(self.index)

    @property
    def _backend(self) -> S3Backend:
        return s3_backends[ACCOUNT]["aws"]

    def has_bucket(self, bucket: str) -> bool:
        return bucket in self._backend.buckets

    def objects(self, where: S3Uri) -> list[S3Object]:
        """Return the objects whose keys begin with the address's key, sorted by key; raises NoBucket."""
        self._need(where.bucket)
        return [self._shown(row) for row in self.index.all(where.bucket, where.key)]

    def object(self, where: S3Uri) -> S3Object | None:
        """Return the object at an address, or None if it does not exist; raises NoBucket."""
        self._need(where.bucket)
        row = self.index.latest(where.bucket, where.key)
        return None if row is None or row.marker else self._shown(row)

    def put(self, where: S3Uri, source: Path, content_type: str | None = None) -> None:
        """Make an object from a copy of a file; raises NoBucket."""
        self._need(where.bucket)
        with contextlib.ExitStack() as held:
            if content_type:  # nobody sees the object before it has its type
                held.enter_context(keys.LOCK)  # keys.Keys takes the two locks in this order too
                held.enter_context(self.index.lock)
            fresh = self._backend.put_object(where.bucket, where.key, FileBytes(source))
            if content_type:
                fresh.set_metadata({"Content-Type": content_type})
            keys.flush(self.index)

    def delete(self, where: S3Uri) -> None:
        """Remove an object; raises NoBucket."""
        self._need(where.bucket)
        self._backend.delete_object(where.bucket, where.key)
        keys.flush(self.index)

    def view(self, where: S3Uri) -> Path | None:
        """Return the folder whose files are exactly the objects below a prefix, or None if no folder holds exactly these."""
        if not where.key.endswith("/") and where.key:
            return None
        place = self.folder / where.bucket / where.key
        # Without the objects that AWS's console makes to mark folders.
        files = (entry for entry in self.objects(where) if not entry.key.endswith("/"))
        strays = (entry for entry in files if entry.path != natural_path(self.folder, where.bucket, entry.key))
        return place if place.is_dir() and not any(strays) else None

    def _need(self, bucket: str) -> None:
        if not self.has_bucket(bucket):
            raise NoBucket(bucket)

    def _shown(self, row: Row) -> S3Object:
        return S3Object(key=row.key, size=row.size, etag=row.etag, path=self.folder / row.file)


def relative(key: str, prefix: str) -> str:
    """Return the path of an object below its channel's folder.

    It is the key without the prefix (SDK v2 local mode, download_folder). If the prefix ends inside a file's name, the whole name is
    kept. If it ends inside a folder's name, it is refused, since AWS does not document this case.
    """
    rest = key[len(prefix) :]
    if not prefix or prefix.endswith("/") or rest.startswith("/"):
        return rest.lstrip("/")
    if "/" in rest:
        raise invalid(
            f"the prefix '{prefix}' ends inside the folder name of '{key}'; end it with the whole name, or a slash"
        )
    return key.rpartition("/")[2]


def copy_below(source: Path, folder: Path, name: str) -> Path:
    """Copy a file to a name below a folder; raises ApiError for a name that leads out of the folder or that a file cannot have."""
    target = folder / name.lstrip("/")
    if ".." in target.parts:
        raise invalid(f"the key '{name}' leads out of its folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        # The text is AWS's, from reports of users.
        raise invalid(
            f"Data download failed:Failed to download data. Cannot download {name}, a previously downloaded file/folder clashes "
            "with it. Please check your s3 objects and ensure that there is no object that is both a folder as well as a file."
        ) from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise invalid(
            f"Data download failed:Failed to download data. Cannot download {name[:200]}: {error.strerror}"
        ) from None
    return target

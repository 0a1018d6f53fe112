"""Copies a model's data from S3 to the folder that its container sees as /opt/ml/model."""

import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.storage import NoBucket, S3Uri, Storage, copy_below, relative

# The most bytes that an archive may have when unpacked, so that a malicious archive does not fill the disk.
LARGEST = 100 << 30


class NoModelData(Exception):
    """A model's data cannot be read; the text says why."""


@dataclass(frozen=True)
class Source:
    """An address of model data, and the kind of data there."""

    where: S3Uri
    prefix: bool  # whether the address is a prefix of several objects, and not one object
    packed: bool  # whether the object is a .tar.gz archive, and not the file itself


@dataclass(frozen=True)
class ModelData:
    """The data of a container; `source` is None for an image that holds its model."""

    source: Source | None
    several: bool  # for a multi-model endpoint, whose models below the prefix are copied one by one

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> "ModelData":
        """Return the data that a container's ModelDataUrl or ModelDataSource names."""
        several = container.get("Mode") == "MultiModel"
        if url := container.get("ModelDataUrl"):
            return cls(Source(S3Uri.parse(url), several, True), several)
        if entry := (container.get("ModelDataSource") or {}).get("S3DataSource"):
            prefix, packed = entry["S3DataType"] == "S3Prefix", entry["CompressionType"] == "Gzip"
            return cls(Source(S3Uri.parse(entry["S3Uri"]), prefix, packed), several)
        return cls(None, several)


def bring(source: Source, storage: Storage, folder: Path) -> None:
    """Fill a folder with a model's files; raises NoModelData."""
    folder.mkdir(parents=True)
    try:
        if source.prefix:
            for entry in storage.objects(source.where):
                if not entry.key.endswith("/"):  # an object that only marks a folder, as AWS's console makes it
                    copy_below(entry.path, folder, relative(entry.key, source.where.key))
            return
        found = storage.object(source.where)
    except NoBucket:
        found = None
    except ApiError as error:
        raise NoModelData(error.message) from None
    if found is None:
        # The text is second-hand, from reports of users.
        raise NoModelData(
            f"Failed to download model data(bucket: {source.where.bucket}, key: {source.where.key}). Please ensure that there "
            "is an object located at the URL and that the role passed to CreateModel has permissions to download the model."
        )
    if source.packed:
        unpack(found.path, folder)
    else:
        # The last part of the key is the file's name (API, S3ModelDataSource).
        shutil.copyfile(found.path, folder / found.key.rpartition("/")[2])


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a model's archive; raises NoModelData for one that is damaged, leads out of the folder or holds a link (C 3.1)."""
    size = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if not (member.isfile() or member.isdir()):
                    raise NoModelData(
                        f"{member.name} in the model's archive is a link or a device; only files are allowed"
                    )
                size += member.size
                if size > LARGEST:
                    raise NoModelData(f"the model's archive holds more than {LARGEST >> 30} GB")
                tar.extract(member, folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise NoModelData(f"the model's archive cannot be unpacked: {error}; it must be a .tar.gz") from None

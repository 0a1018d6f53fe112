"""Keeps photos for the next training in one folder for each class, the layout that `byoc data check` and `byoc train` read."""

import contextlib
import hashlib
import mimetypes
import os
import re
import secrets
import threading
from collections.abc import Collection
from pathlib import Path

from classifier.errors import DataError
from classifier.images import look_at
from classifier.names import class_name, is_system, one_line
from classifier.splits import split_of

LONGEST = 60  # the name of a kept file holds at most this many characters of the original name
LONGEST_FOLDER = 255  # bytes of a folder's name; the limit of Linux's file systems


class Kept:
    """Keeps photos in the class folders of one folder. It removes only files and folders that it made itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, Path] = {}  # path of each kept photo, by the digest of its bytes
        self._made: set[Path] = set()  # class folders that this object made
        self._lock = threading.Lock()

    def keep(self, data: bytes, name: str, label: str, classes: Collection[str]) -> Path:
        """Write a photo into the folder of its class and return its path relative to `folder`.

        If this object has kept the photo with another class, the photo moves. Raises PhotoError for bytes that training could not read.
        Raises DataError for a class that is not in `classes` or cannot be a folder's name, and for a folder that is not writable.
        """
        if label not in classes:
            raise DataError(f"the model has no class {label!r}; choose one of its classes")
        place = self.folder / folder_name(label)
        look_at(data)
        digest = hashlib.sha256(data).hexdigest()
        path = place / file_name(name, digest)
        with self._lock:
            before = self._written.get(digest)
            if before == path:
                return path.relative_to(self.folder)
            # The file may exist from an earlier start. Its name holds the digest, so it is the same photo.
            if not path.exists():
                if not place.exists():
                    place.mkdir(parents=True)
                    self._made.add(place)
                _write(path, data)
                self._written[digest] = path
            if before:
                self._remove(before)
        return path.relative_to(self.folder)

    def forget(self, data: bytes) -> bool:
        """Remove a photo that this object kept. Return False if it kept no such photo."""
        with self._lock:
            path = self._written.pop(hashlib.sha256(data).hexdigest(), None)
            if path:
                self._remove(path)
        return path is not None

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent in self._made and not any(path.parent.iterdir()):
            path.parent.rmdir()
            self._made.discard(path.parent)


def folder_name(label: str) -> str:
    """Return the name of a class's folder. Raises DataError for a class that training would not read from a folder."""
    composed = class_name(label, "the model")
    if "/" in label or is_system(label) or split_of(label) or len(os.fsencode(composed)) > LONGEST_FOLDER:
        raise DataError(
            f"the class {label!r} cannot be the name of a folder of photos; keep the photo yourself, and name its class in a "
            "manifest (docs/photos.md)"
        )
    return composed


def file_name(name: str, digest: str) -> str:
    """Return the name of a kept file: the letters, digits and dashes of its original name, the photo's digest, and the suffix."""
    suffix = photo_suffix(name)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.removesuffix(suffix)).strip("-")[:LONGEST]
    return f"{plain or 'photo'}-{digest[:12]}{suffix.lower()}"


def photo_suffix(name: str) -> str:
    """Return the suffix of a photo's file name, with its dot; empty if there is none, or if it is not the suffix of an image."""
    suffix = re.search(r"\.[A-Za-z0-9]{1,5}$", name)
    known = suffix and (mimetypes.guess_type(f"photo{suffix[0]}")[0] or "").startswith("image/")
    return suffix[0] if suffix and known else ""


def _write(path: Path, data: bytes) -> None:
    """Write a file completely or not at all. Raises DataError if it cannot be written."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        half.write_bytes(data)
        half.replace(path)
    except OSError as error:
        raise DataError(
            f"{one_line(path)} cannot be written: {error.strerror}; make room, or name another folder with --keep"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            half.unlink()

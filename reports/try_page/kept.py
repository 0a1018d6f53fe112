"""Photos that are kept for the next training: a folder for each class, as `byoc data check` and `byoc train` read them."""

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

LONGEST = 60  # characters that a kept file has of its first name
LONGEST_FOLDER = 255  # bytes; the limit of Linux's file systems


class Kept:
    """Keeps photos in the class folders of one folder. It removes only what it made itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, Path] = {}  # by the photo's digest
        self._made: set[Path] = set()  # class folders
        self._lock = threading.Lock()

    def keep(self, data: bytes, name: str, label: str, classes: Collection[str]) -> Path:
        """Write a photo into the folder of its class and return its path below the folder.

        A photo that this object kept with another class moves. Raises PhotoError for bytes that training could not read, and
        DataError for a class that is not one of `classes` or that cannot be a folder's name, and for a folder that cannot be
        written into.
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
            if (
                not path.exists()
            ):  # it may be there from an earlier start: the name holds the digest, so it is the same photo
                if not place.exists():
                    place.mkdir(parents=True)
                    self._made.add(place)
                _write(path, data)
                self._written[digest] = path
            if before:
                self._remove(before)
        return path.relative_to(self.folder)

    def forget(self, data: bytes) -> bool:
        """Remove a photo that this object kept; returns whether there was one."""
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
    """Return the name of a class's folder; raises DataError for a class that training would not read from a folder."""
    composed = class_name(label, "the model")
    if "/" in label or is_system(label) or split_of(label) or len(os.fsencode(composed)) > LONGEST_FOLDER:
        raise DataError(
            f"the class {label!r} cannot be the name of a folder of photos; keep the photo yourself, and name its class in a "
            "manifest (docs/photos.md)"
        )
    return composed


def file_name(name: str, digest: str) -> str:
    """Return the name of a kept file: the letters, digits and dashes of its first name, the photo's digest, and its suffix."""
    suffix = photo_suffix(name)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.removesuffix(suffix)).strip("-")[:LONGEST]
    return f"{plain or 'photo'}-{digest[:12]}{suffix.lower()}"


def photo_suffix(name: str) -> str:
    """Return the suffix of a photo's file, with its point; empty where the name has none, or that of another kind of file."""
    suffix = re.search(r"\.[A-Za-z0-9]{1,5}$", name)
    known = suffix and (mimetypes.guess_type(f"photo{suffix[0]}")[0] or "").startswith("image/")
    return suffix[0] if suffix and known else ""


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
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

"""Find the photos that a manifest's paths mean, below the folder that holds the photos."""

import contextlib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from classifier.errors import DataError

SHOWN = 60  # how many characters of a wrong value a message shows
DATA = "/opt/ml/input/data/"  # SageMaker's folder of channels; a manifest that was made there may be read elsewhere

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Below:
    """Finds the photos of one manifest below one folder. `written` holds the paths of all lines."""

    def __init__(self, folder: Path, written: Sequence[str]) -> None:
        self._folder, self._root = folder, os.path.realpath(folder)
        self._written = written
        # Real paths by parent. Resolving each parent once instead of each photo lists 100,000 photos in 2 s, not 7 s.
        self._parents: dict[str, str] = {}
        self._prefix: str | None = None  # the part of the paths in S3 or below DATA that corresponds to the folder

    def find(self, written: str, where: str) -> tuple[Path, str]:
        """Return a photo's path below the folder, and its real path, which is equal for two paths of one photo.

        If no file has exactly the written name, backslashes count as separators, blanks at both ends are dropped, and
        accents may be composed or decomposed. A path in S3 or below /opt/ml/input/data consists of a prefix and the path
        below the folder. The prefix is the same in all lines; it is taken from the first photo that exists in the folder.
        The photo itself need not exist.
        Raises DataError, which begins with `where`, for a path that leads out of the folder.
        """
        if not written.strip():
            raise DataError(f"{where}: the path is empty; name a photo below {self._folder} or remove the line")
        try:
            written.encode()  # raises for a lone surrogate, which JSON may contain
            if "\0" in written:
                raise ValueError("embedded null byte")
            if written != written.strip() and not os.path.lexists(self._folder / written):
                written = written.strip()
            path = self._as_stored(self._relative(written, where))
            real = self._real(path)
        except ValueError as error:
            raise DataError(f"{where}: the path {shown(written)} cannot be a file's name; correct it") from error
        if real != self._root and not real.startswith(f"{self._root.rstrip('/')}/"):
            raise DataError(
                f"{where}: the path {shown(written)} leads out of {self._folder}; put the photo below that folder"
            )
        return self._folder / path, real

    def _relative(self, written: str, where: str) -> str:
        for folder in (str(self._folder), self._root):
            if written.startswith(f"{folder}/"):
                return written.removeprefix(f"{folder}/").lstrip("/")
        if _elsewhere(written):
            return self._without_prefix(written, where)
        if _DRIVE.match(written) or _URL.match(written):
            raise DataError(
                f"{where}: the path {shown(written)} names another place; put the photos below {self._folder} and write their "
                "paths relative to it"
            )
        if written.startswith("/"):
            raise DataError(f"{where}: the path {shown(written)} is absolute; write it relative to {self._folder}")
        return written

    def _without_prefix(self, written: str, where: str) -> str:
        if self._prefix is None:
            self._prefix = next(
                (prefix for path in self._written if (prefix := self._prefix_of(path.strip())) is not None), None
            )
        if self._prefix is None:
            raise DataError(
                f"{where}: no file below {self._folder} has the end of the path {shown(written)}; put the photos into "
                "that folder or channel and write their paths relative to it"
            )
        if not written.startswith(self._prefix):
            raise DataError(
                f"{where}: the path {shown(written)} does not begin with {self._prefix} as those before it; write all paths "
                f"relative to {self._folder}"
            )
        return written.removeprefix(self._prefix)

    def _prefix_of(self, written: str) -> str | None:
        """Return the path without its longest end that is a file in the folder; None when no end is one."""
        if not _elsewhere(written):
            return None
        parts = written.split("/")
        # Begin after s3://bucket/, or after DATA.
        for start in range(3 if written.startswith("s3:") else DATA.count("/"), len(parts)):
            with contextlib.suppress(ValueError):  # not a valid name; `find` reports it with the line's number
                if os.path.lexists(self._folder / self._as_stored("/".join(parts[start:]))):
                    return "/".join(parts[:start]) + "/"
        return None

    def _as_stored(self, path: str) -> str:
        """Return the path in the spelling of an existing file, if only that spelling exists; else as it is written."""
        if ("\\" in path or not path.isascii()) and not os.path.lexists(self._folder / path):
            path = path.replace("\\", "/")
            for form in ("NFC", "NFD"):
                spelt = unicodedata.normalize(form, path)
                if os.path.lexists(self._folder / spelt):
                    return spelt
        return path

    def _real(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return os.path.realpath(self._folder / path)
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(self._folder / parent)
        real = f"{self._parents[parent].rstrip('/')}/{name}"
        return os.path.realpath(real) if os.path.islink(real) else real  # noqa: PTH114 - Path takes three times as long


def _elsewhere(written: str) -> bool:
    """Return whether a path names an object in S3, or a file in the channel of a job that ran elsewhere."""
    return written.startswith("s3://") or (written.startswith(DATA) and not os.path.lexists(written))


def shown(value: object) -> str:
    """Return the beginning of a wrong value, quoted, for a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

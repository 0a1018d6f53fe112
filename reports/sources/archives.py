"""Reads one file out of a tar archive, such as SageMaker's output.tar.gz and model.tar.gz, without unpacking the archive."""

import tarfile
import zlib
from pathlib import Path

from classifier.names import one_line


def inside(archive: Path, name: str) -> Path | None:
    """Return the path `archive / name` if the archive holds a file of this name in any of its folders, else None."""
    return archive / name if archive.is_file() and _read(archive, name, 1, []) is not None else None


def beginning(archive: Path, start: str) -> list[Path]:
    """Return the paths `archive / name` of all files in the archive whose names begin with `start`."""
    try:
        with tarfile.open(archive) as opened:
            names = [member.name.rpartition("/")[2] for member in opened if member.isfile()]
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        return []  # the damage is reported by `read_member`
    return [archive / name for name in sorted(set(names)) if name.startswith(start)]


def read_member(path: Path, most: int, missing: list[str]) -> bytes:
    """Return up to `most` bytes of a file that `inside` found. If the archive is damaged, add a sentence to `missing`."""
    return _read(path.parent, path.name, most, missing) or b""


def _read(archive: Path, name: str, most: int, missing: list[str]) -> bytes | None:
    """Return the content of the first regular file of this name in any folder of the archive; None if there is no such file."""
    data = None
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                if member.isfile() and member.name.rpartition("/")[2] == name:
                    data = b""
                    held = opened.extractfile(member)
                    while held and len(data) < most and (part := held.read(min(2**20, most - len(data)))):
                        data += part
                    break
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        missing.append(f"{one_line(archive)} could only be read in part: {error}.")
    return data

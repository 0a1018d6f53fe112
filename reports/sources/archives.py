"""One file out of a tar archive: output.tar.gz and model.tar.gz, as SageMaker leaves them. Nothing is unpacked."""

import tarfile
import zlib
from pathlib import Path

from classifier.names import one_line


def inside(archive: Path, name: str) -> Path | None:
    """Return where a file of this name lies in an archive, as a path below the archive's own; None where it is not there."""
    return archive / name if archive.is_file() and _read(archive, name, 1, []) is not None else None


def beginning(archive: Path, start: str) -> list[Path]:
    """Return where the files whose names begin in this way lie in an archive, as paths below the archive's own."""
    try:
        with tarfile.open(archive) as opened:
            names = [member.name.rpartition("/")[2] for member in opened if member.isfile()]
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        return []  # whoever reads a member says what is damaged
    return [archive / name for name in sorted(set(names)) if name.startswith(start)]


def read_member(path: Path, most: int, missing: list[str]) -> bytes:
    """Return up to `most` bytes of a file that `inside` found, and add a sentence to `missing` for what is damaged."""
    return _read(path.parent, path.name, most, missing) or b""


def _read(archive: Path, name: str, most: int, missing: list[str]) -> bytes | None:
    """Return the first regular file of this name, in whichever folder of the archive it lies."""
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

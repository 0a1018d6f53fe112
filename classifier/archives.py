"""Unpack tar archives from other programs safely: `python3 -m classifier.archives ARCHIVE FOLDER`.

All code in this project that unpacks an archive calls this module. tarfile's own filter came with Python 3.11.4, and the
images' Python is older. The module imports only the standard library and errors.py and runs on Python 3.8 too, so that the scripts of
local_test can call it with a machine's own Python.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from classifier.errors import ArchiveError

MEMBERS = 200_000  # a limit above the number of files of any model or source folder
READ = 1 << 20  # bytes read at once; tarfile asks for more only when a header is forged
HEAD = 265  # the number of first bytes that identify a file's kind
GZIP = b"\x1f\x8b"
# Files that users send by mistake instead of a tar.gz, by their first bytes.
OTHERS = {
    GZIP: "another gzip file",
    b"PK\x03\x04": "a zip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x04\x22\x4d\x18": "an lz4 file",
    b"7z\xbc\xaf\x27\x1c": "a 7z file",
    b"Rar!\x1a\x07": "a RAR file",
}
# Texts that users send by mistake instead of a tar.gz: their beginning, in lower case and without leading blanks; what each is; the remedy.
TEXTS = {
    b"version https://git-lfs.": ("a Git LFS pointer", "run git lfs pull"),
    b"<?xml": ("an XML document, such as S3's error messages", "see what it says, and download the archive anew"),
    b"<error": ("an XML document, such as S3's error messages", "see what it says, and download the archive anew"),
    b"<!doctype html": ("an HTML page", "download the archive itself"),
    b"<html": ("an HTML page", "download the archive itself"),
}
MAKE = "make another with tar -czf"
LABEL = b"V"  # the type of GNU tar's member that holds only a name for the archive (tar --label)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .tar or .tar.gz with any file name into a folder that is new or empty.

    Files, folders, and links that stay inside the folder are written. Owners, set-uid bits and times are left out, and so
    are the files that macOS adds (`._*`, `.DS_Store`). Raises ArchiveError for any other kind of member, a damaged or
    truncated archive, too many members, and more bytes than the disk has room for; then the folder is left empty.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ArchiveError(f"{archive} cannot be unpacked: {folder} is not empty; empty it, or name another folder")
        try:
            _unpack(archive, folder)
        except BaseException:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            raise
    except _Refused as error:
        raise ArchiveError(f"{archive} cannot be unpacked: {error}; {error.remedy}") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, RecursionError, ValueError) as error:
        raise ArchiveError(
            f"{archive} cannot be unpacked: it is damaged or cut off ({error}); copy it again"
        ) from error
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be unpacked: {error.strerror or error} ({error.filename})") from error


def is_archive(path: Path) -> bool:
    """Return whether a file is a tar archive or a gzipped one, by its bytes and not by its name."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return head[:2] == GZIP or _is_tar(head)


def other_kind(path: Path) -> str | None:
    """Return the kind of a compressed file that unpack() refuses, such as "a zip file"; None for any other file."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return None if head[:2] == GZIP or _is_tar(head) else _kind(head)


def _kind(head: bytes) -> str | None:
    return next((name for magic, name in OTHERS.items() if head.startswith(magic)), None)


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


class _Refused(Exception):
    """The file is not an archive, or a member must not be unpacked. The text is the reason, and `remedy` the remedy."""

    def __init__(self, reason: str, remedy: str = MAKE) -> None:
        super().__init__(reason)
        self.remedy = remedy


class _Bounded:
    """The archive's uncompressed bytes. Each read is limited, so that a forged header cannot fill the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        if not 0 <= size <= READ:
            raise tarfile.ReadError(f"a header asks for {size:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def _unpack(archive: Path, folder: Path) -> None:
    with archive.open("rb") as packed:
        head = packed.read(HEAD)
        packed.seek(0)
        if not head:
            raise _Refused("it is empty, not a tar.gz")
        zipped = head[:2] == GZIP
        file: Any = packed
        if zipped:
            file = gzip.GzipFile(fileobj=packed)
            _check_kind(file.read(HEAD), "it is a gzip file that holds {}, not a tar archive")
            file.seek(0)
        else:
            _check_kind(head, "it is {}, not a tar.gz")
        source = _Bounded(file)
        with _open(source) as tar:
            _write_members(tar, folder)
            # tarfile takes a damaged header for the archive's end, so check that the end mark is there.
            source.seek(tar.offset)
            end = source.read(tarfile.BLOCKSIZE)
            if len(end) < tarfile.BLOCKSIZE or any(end):
                raise tarfile.ReadError(f"neither a file nor the archive's end is at byte {tar.offset:,}")
        if zipped:
            _read_to_the_end(file)


def _open(source: _Bounded) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=source, mode="r:")  # type: ignore[call-overload,no-any-return]
    except tarfile.TarError as error:
        raise _Refused(f"it is damaged, or not a tar archive at all ({error})", f"copy it again, or {MAKE}") from error


def _check_kind(head: bytes, sentence: str) -> None:
    """Raise _Refused if data that begins with `head` is known not to be a tar archive; its kind replaces {} in the sentence."""
    if _is_tar(head):  # checked first: a tar begins with its first file's name, which may be BZh
        return
    if other := _kind(head):
        raise _Refused(sentence.format(other))
    text = head.lstrip().lower()
    for beginning, (name, remedy) in TEXTS.items():
        if text.startswith(beginning):
            raise _Refused(sentence.format(name), remedy)


def _write_members(tar: tarfile.TarFile, folder: Path) -> None:
    room = shutil.disk_usage(folder).free
    files: set[Path] = set()
    links: dict[Path, str] = {}
    count = 0
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep all members in memory
        count += 1
        room -= max(member.size, 0)
        if count > MEMBERS:
            raise _Refused(f"it holds more than {MEMBERS:,} files")
        if room < 0:
            raise _Refused(f"it holds more bytes than {folder} has room for ({member.name!r} is {member.size:,} bytes)")
        name = _inside(member)
        if _of_macos(name) or not name.parts or member.type == LABEL:
            continue
        target = folder / name
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        links.pop(target, None)
        if member.issym():
            links[target] = _link(member, name)
        elif member.islnk():
            original = folder / PurePosixPath(member.linkname)
            if original not in files:
                raise _Refused(f"{member.name!r} is a hard link to {member.linkname!r}, which is not a file before it")
            if original != target:
                target.unlink(missing_ok=True)
                os.link(original, target)
            files.add(target)
        elif member.isreg():
            _write(tar, member, target)
            files.add(target)
        else:
            raise _Refused(f"{member.name!r} is neither a file nor a folder nor a link")
    # Links are made last, so that no file is written through one.
    for target, to in links.items():
        if target.is_dir():
            raise _Refused(f"{target.relative_to(folder)} is a link and a folder")
        target.unlink(missing_ok=True)
        target.symlink_to(to)


def _inside(member: tarfile.TarInfo) -> PurePosixPath:
    """Return a member's path below the folder; raises _Refused when it could lead out of the folder."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise _Refused(f"{member.name!r} leads out of the folder")
    if member.size < 0 or "\0" in member.name:
        raise tarfile.ReadError(f"the header of {member.name!r} is forged")
    return name


def _of_macos(name: PurePosixPath) -> bool:
    """Return whether the file is macOS's metadata, or a pax header that an old tar program unpacked as a file."""
    return any(part.startswith(("._", "PaxHeader")) or part in (".DS_Store", "__MACOSX") for part in name.parts)


def _link(member: tarfile.TarInfo, name: PurePosixPath) -> str:
    """Return the target of a symbolic link; raises _Refused unless the target is inside the folder, even with other links in the archive.

    `..` is allowed only at the beginning of the target: after the name of another link, it would lead elsewhere.
    """
    parts = list(PurePosixPath(member.linkname).parts)
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if member.linkname.startswith("/") or ".." in parts[up:] or up > len(name.parent.parts):
        raise _Refused(f"{member.name!r} is a link to {member.linkname!r}, which leads out of the folder")
    return member.linkname


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.unlink(missing_ok=True)  # if several members have one name, the last one is kept
    content = tar.extractfile(member)
    assert content is not None
    with content, target.open("xb") as file:
        shutil.copyfileobj(content, file, READ)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _read_to_the_end(file: gzip.GzipFile) -> None:
    """Read on so that gzip checks its checksum, which is at the end. Data after the archive's end is ignored."""
    left = READ * 64  # bytes; tar pads with a few kilobytes of zeros
    try:
        while left > 0 and (read := file.read(READ)):
            left -= len(read)
    except gzip.BadGzipFile as error:
        if "Not a gzipped file" not in str(error):
            raise


def main() -> int:
    """Unpack the archive that the command line names; when that fails, print one sentence and return 1."""
    try:
        unpack(Path(sys.argv[1]), Path(sys.argv[2]))
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

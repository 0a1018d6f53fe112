"""Archives from other programs: each is unpacked completely or refused with one sentence, like with tarfile's own filter."""

import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.archives import _Bounded, is_archive, unpack
from classifier.errors import ArchiveError
from tests.conftest import ROOT

LINK, HARD, PIPE, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE
Member = tuple[str, bytes, str, int]  # name, type, content of a file or target of a link, mode


def file(name: str, content: str = "text", mode: int = 0o644) -> Member:
    return (name, tarfile.REGTYPE, content, mode)


def packed(path: Path, *members: Member, form: int = tarfile.PAX_FORMAT, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode, format=form) as tar:  # type: ignore[call-overload]
        for name, kind, content, bits in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, bits
            if kind == tarfile.REGTYPE:
                member.size = len(content.encode())
                tar.addfile(member, io.BytesIO(content.encode()))
            else:
                member.linkname = content
                tar.addfile(member)
    return path


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar", "lies.tar", "lies.tar.gz", "no-ending"])
def test_tar_and_gzip_are_recognised_by_their_bytes_in_every_format(tmp_path: Path, name: str, form: int) -> None:
    mode = "w" if name in ("a.tar", "lies.tar.gz") else "w:gz"
    archive = packed(tmp_path / name, file("./train.py"), file("sub/" + "long" * 20 + ".py"), form=form, mode=mode)
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"sub/" + "long" * 20 + ".py": "text", "train.py": "text"}


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    extras = ("._model.json", "sub/._x", ".DS_Store", "__MACOSX/a", "PaxHeader/model.json", "PaxHeaders.12/model.json")
    archive = packed(tmp_path / "a.tar.gz", file("model.json"), *map(file, extras), file(".hidden"))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {".hidden": "text", "model.json": "text"}


def test_only_the_owner_and_who_may_run_a_file_are_taken_from_its_mode(tmp_path: Path) -> None:
    folder = ("shared", tarfile.DIRTYPE, "", 0o2777)
    unpack(packed(tmp_path / "a.tar.gz", file("run.sh", mode=0o6777), file("x", mode=0o000), folder), tmp_path / "out")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes["run.sh"] == 0o755 and modes["x"] == 0o644 and not modes["shared"] & 0o7000


# Each of these archives must be refused. The second element is true if tarfile's own filter refuses it too, and None if versions of Python
# differ in this.
HOSTILE: dict[str, tuple[list[Member], bool | None]] = {
    "absolute": ([file("/tmp/escaped-by-a-test")], False),  # the filter makes the path relative
    "above": ([file("../escaped")], True),
    "above by a folder": ([file("a/../../escaped")], True),
    "inside by a detour": ([file("a/../b")], None),
    "a folder above": ([("../escaped", tarfile.DIRTYPE, "", 0o755)], True),
    "link above": ([("l", LINK, "..", 0o777)], True),
    "link to an absolute path": ([("l", LINK, "/etc/passwd", 0o777)], True),
    "through a link": ([("l", LINK, "..", 0o777), file("l/escaped")], True),
    "through a link inside": ([("d", tarfile.DIRTYPE, "", 0o755), ("l", LINK, "d", 0o777), file("l/f")], False),
    "link after a link": ([("a/b/l", LINK, "../..", 0o777), ("m", LINK, "a/b/l/..", 0o777)], True),
    "hard link above": ([("h", HARD, "../escaped", 0o644)], True),
    "hard link to an absolute path": ([("h", HARD, "/etc/passwd", 0o644)], True),
    "hard link to a link": ([("l", LINK, "f", 0o777), ("h", HARD, "l", 0o644)], False),
    "hard link to nothing": ([("h", HARD, "nothing", 0o644)], True),
    "pipe": ([("p", PIPE, "", 0o644)], True),
    "device": ([("d", DEVICE, "", 0o644)], True),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    members, _ = HOSTILE[name]
    archive = packed(tmp_path / "a.tar.gz", file("good.py"), *members)
    with pytest.raises(ArchiveError, match=r"a\.tar\.gz cannot be unpacked: .*; make another with tar -czf"):
        unpack(archive, tmp_path / "in" / "out")
    assert list((tmp_path / "in").rglob("*")) == [tmp_path / "in" / "out"]
    assert not (tmp_path / "escaped").exists() and not Path("/tmp/escaped-by-a-test").exists()


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python's tarfile has no filter to compare with")
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_tarfiles_filter_refuses_is_refused_here(tmp_path: Path, name: str) -> None:
    members, refused = HOSTILE[name]
    archive = packed(tmp_path / "a.tar.gz", *members)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / "oracle", filter="data")
    except (tarfile.TarError, KeyError, OSError):
        assert refused is not False
    else:
        assert refused is not True


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python's tarfile has no filter to compare with")
def test_a_good_archive_comes_out_as_tarfiles_filter_lets_it(tmp_path: Path) -> None:
    members = [
        ("code", tarfile.DIRTYPE, "", 0o755),
        file("code/train.py", "print(1)"),
        file("code/run.sh", "exit", 0o755),
        ("code/deep/up", LINK, "../train.py", 0o777),
        ("code/same", LINK, "run.sh", 0o777),
        ("code/copy", HARD, "code/train.py", 0o644),
        file("code/twice", "first"),
        file("code/twice", "second"),
        file("name with 'quotes' and é"),
        file("empty", ""),
    ]
    archive = packed(tmp_path / "a.tar.gz", *members)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "oracle", filter="data")
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "oracle")
    assert os.access(tmp_path / "out" / "code" / "run.sh", os.X_OK)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def end_cut(data: bytes) -> bytes:
    return data[:-4]


def spoilt(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :]


def content_cut(data: bytes) -> bytes:
    """Cut the archive within its first file, and compress the first part as a complete gzip file."""
    return gzip.compress(gzip.decompress(data)[:1000])


def header_spoilt(data: bytes) -> bytes:
    """Damage the second file's header, so that tarfile takes it for the archive's end."""
    plain = bytearray(gzip.decompress(data))
    plain[2560:2600] = b"x" * 40  # a header and 4 blocks of the first file come before
    return gzip.compress(bytes(plain))


def marker_cut(data: bytes) -> bytes:
    return gzip.decompress(data)[:5120]


def size_negative(data: bytes) -> bytes:
    return forged(data, b"\xff" * 12)


def size_endless(data: bytes) -> bytes:
    return forged(data, b"\x80" + b"\x7f" * 11)


def forged(data: bytes, size: bytes) -> bytes:
    plain = bytearray(gzip.decompress(data))
    plain[124:136], plain[148:156] = size, b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain[:512])
    return gzip.compress(bytes(plain))


def nothing(data: bytes) -> bytes:
    return b""


def of_text(data: bytes) -> bytes:
    return gzip.compress(b"no tar at all" * 100)


def zipped(data: bytes) -> bytes:
    return b"PK\x03\x04" + data


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        end_cut,
        spoilt,
        content_cut,
        header_spoilt,
        marker_cut,
        size_negative,
        size_endless,
        nothing,
        of_text,
        zipped,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_archive_costs_one_sentence_and_leaves_nothing(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    noise = "".join(chr(33 + number * 7919 % 90) for number in range(2000))
    archive = packed(tmp_path / "a.tar.gz", file("one", noise), file("two", noise), form=tarfile.USTAR_FORMAT)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ArchiveError, match=r"^\S+a\.tar\.gz cannot be unpacked: [^\n]+; [a-z ]+") as raised:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(raised.value) and not list((tmp_path / "out").iterdir())


def test_a_file_with_holes_of_which_less_is_stored_than_it_says_is_damage(tmp_path: Path) -> None:
    member = tarfile.TarInfo("holes")
    member.size = 512  # the number of stored bytes; the archive's end mark fills the rest of 10,240 bytes
    member.pax_headers = {"GNU.sparse.size": "9000", "GNU.sparse.map": "0,9000", "GNU.sparse.name": "holes"}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(bytes(512)))
    with pytest.raises(ArchiveError, match=r"it is damaged or cut off \(unexpected end"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_more_bytes_than_the_disk_has_room_for_and_too_many_files_are_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.tar"
    member = tarfile.TarInfo("huge")
    member.size = 1 << 60
    archive.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(ArchiveError, match=r"more bytes than .* has room for"):
        unpack(archive, tmp_path / "out")
    monkeypatch.setattr("classifier.archives.MEMBERS", 3)
    with pytest.raises(ArchiveError, match="more than 3 files"):
        unpack(packed(tmp_path / "b.tar.gz", *(file(str(number)) for number in range(4))), tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(ArchiveError, match="is not empty"):
        unpack(packed(tmp_path / "a.tar.gz", file("train.py")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine": "mine"}


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="No such file or directory"):
        unpack(tmp_path / "absent.tar.gz", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be unpacked: "):
        unpack(packed(tmp_path / "a.tar.gz", file("train.py")), tmp_path / "file" / "out")


def test_the_command_unpacks_and_says_in_one_line_why_not(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", file("train.py"))
    command = [sys.executable, "-m", "classifier.archives", str(archive), str(tmp_path / "out")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "is not empty" in done.stderr


def test_a_header_that_asks_for_a_megabyte_and_a_byte_is_forged() -> None:
    reader = _Bounded(io.BytesIO(bytes(3 << 20)))
    assert len(reader.read(1 << 20)) == 1 << 20 and reader.read(0) == b""
    for size in ((1 << 20) + 1, -1):
        with pytest.raises(tarfile.ReadError, match=f"a header asks for {size:,} bytes"):
            reader.read(size)
    assert reader.tell() == 1 << 20


def test_a_hard_link_to_itself_leaves_the_file_and_one_to_a_later_file_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar", file("a", "first"), ("a", HARD, "a", 0o644), ("b", HARD, "a", 0o644))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": "first", "b": "first"}
    archive = packed(tmp_path / "b.tar", ("b", HARD, "a", 0o644), file("a", "first"))
    with pytest.raises(ArchiveError, match="'b' is a hard link to 'a', which is not a file before it"):
        unpack(archive, tmp_path / "other")


def test_what_follows_the_zipped_archive_is_nobodys_and_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", file("train.py"))
    whole = archive.read_bytes()
    for number, behind in enumerate((b"", b"a signature", bytes(512), gzip.compress(b"more"))):
        archive.write_bytes(whole + behind)
        unpack(archive, tmp_path / str(number))
        assert tree(tmp_path / str(number)) == {"train.py": "text"}
    archive.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    with pytest.raises(ArchiveError, match=r"it is damaged or cut off \(CRC check failed"):
        unpack(archive, tmp_path / "damaged")


def test_of_archives_and_other_files_the_first_bytes_tell_which_they_are(tmp_path: Path) -> None:
    plain, zipped_one = packed(tmp_path / "a", file("x"), mode="w"), packed(tmp_path / "b", file("x"))
    (tmp_path / "c").write_bytes(b"\x1f\x8c" + bytes(300))
    (tmp_path / "d").write_bytes(bytes(256) + b"ustar")
    assert [is_archive(path) for path in sorted(tmp_path.iterdir())] == [True, True, False, False]
    assert plain.name == "a" and zipped_one.name == "b"


def test_a_link_that_goes_up_as_far_as_the_folder_is_kept_and_one_step_more_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar", file("x"), ("sub/deep/up", LINK, "../../x", 0o777))
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "sub" / "deep" / "up").read_text() == "text"
    for to in ("../../../x", "../sub/../../../x", "/x"):
        with pytest.raises(ArchiveError, match="which leads out of the folder"):
            unpack(packed(tmp_path / "b.tar", ("sub/deep/up", LINK, to, 0o777)), tmp_path / "b")


def test_bytes_for_exactly_the_room_that_is_left_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "a.tar", file("a", "12345"), file("b", "123"), mode="w")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=8))
    unpack(archive, tmp_path / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=7))
    with pytest.raises(ArchiveError, match=r"more bytes than .* has room for \('b' is 3 bytes\)"):
        unpack(archive, tmp_path / "less")


def test_exactly_as_many_files_as_are_allowed_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.archives.MEMBERS", 2)
    unpack(packed(tmp_path / "a.tar", file("a"), file("b")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": "text", "b": "text"}

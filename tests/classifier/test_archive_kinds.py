"""A file that is not a tar.gz: the error names its kind, found from its bytes, and a remedy. Also entries that other tar programs add."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from classifier.archives import unpack
from classifier.errors import ArchiveError

KINDS = [
    (b"PK\3\4", "a zip file", "make another with tar -czf"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "make another with tar -czf"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file", "make another with tar -czf"),
    (b"Rar!\x1a\x07\x01", "a RAR file", "make another with tar -czf"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d", "a Git LFS pointer", "run git lfs pull"),
    (b'\n<?xml version="1.0"?>\n<Error><Code>AccessDenied', "an XML document, such as S3's error messages", "see what"),
    (b"<!DOCTYPE html><title>Sign in", "an HTML page", "download the archive itself"),
]


def packed(path: Path, mode: str, *names: str, label: str = "") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        if label:
            member = tarfile.TarInfo(label)
            member.type = b"V"  # as GNU tar writes it for --label
            tar.addfile(member)
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"text"))
    return path


@pytest.mark.parametrize(("head", "kind", "remedy"), KINDS, ids=[kind for _, kind, _ in KINDS])
def test_what_is_sent_in_place_of_an_archive_is_named_with_its_remedy(
    tmp_path: Path, head: bytes, kind: str, remedy: str
) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(head + bytes(2000))
    with pytest.raises(ArchiveError, match=f"it is {kind}, not a tar.gz; {remedy}"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(gzip.compress(head + bytes(2000)))
    with pytest.raises(ArchiveError, match=f"it is a gzip file that holds {kind}, not a tar archive; {remedy}"):
        unpack(archive, tmp_path / "out")


def test_an_archive_that_was_compressed_twice_is_told(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", "w:gz", "train.py")
    archive.write_bytes(gzip.compress(archive.read_bytes()))
    with pytest.raises(ArchiveError, match="it is a gzip file that holds another gzip file, not a tar archive; make"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("content", [b"weights" * 500, b"weights", b""], ids=["long", "short", "empty"])
def test_one_compressed_file_is_told(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(content))
    with pytest.raises(ArchiveError, match=r"damaged, or not a tar archive at all \(.*\); copy it again, or make"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_the_label_of_an_archive_is_left_out(tmp_path: Path, mode: str) -> None:
    unpack(packed(tmp_path / "a.tar", mode, "train.py", label="my model"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.py"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_first_file_whose_name_begins_like_another_kind_is_unpacked(tmp_path: Path, mode: str) -> None:
    unpack(packed(tmp_path / "a.tar", mode, "BZh.py"), tmp_path / "out")
    assert (tmp_path / "out" / "BZh.py").read_text() == "text"

"""Writes the bodies of PutObject and UploadPart to a file while they arrive, and gives moto the file instead of the bytes."""

import base64
import binascii
import hashlib
import io
import queue
import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.s3.files import BLOCK, need_room
from local_test.sagemaker.s3.objects import INCOMING, FileKey, Upload, encoded, other

# Parameters of a PUT whose body is an object's bytes. A PUT with other parameters, such as ?tagging, has another body.
BYTES = {"partNumber", "uploadId", "x-id"}
SIGNATURE = re.compile(r"(X-Amz-|AWSAccessKeyId|Signature|Expires)")
HASHES = ("SHA1", "SHA256")
CHUNK = re.compile(rb"[0-9a-fA-F]{1,16}")
CHUNKED = "HTTP_X_AMZ_CONTENT_SHA256"
CHECKSUM = re.compile(r"x-amz-checksum-([a-z0-9]+)", re.IGNORECASE)


def brings_bytes(environ: dict[str, Any], key: str, parameters: set[str]) -> bool:
    """Return whether a request to S3 contains the bytes of the object `key`; without a key the request is about a bucket."""
    named = {name for name in parameters if not SIGNATURE.match(name)}
    return (
        environ["REQUEST_METHOD"] == "PUT" and named <= BYTES and bool(key) and "HTTP_X_AMZ_COPY_SOURCE" not in environ
    )


def take(environ: dict[str, Any]) -> Path:
    """Write a request's body to a file, replace the body with an empty one, and return the file.

    Raises ApiError if the body does not have the length or the checksums that the request names.
    """
    need_room(
        FileKey.folder, max(_length(environ, "HTTP_X_AMZ_DECODED_CONTENT_LENGTH"), _length(environ, "CONTENT_LENGTH"))
    )
    path = other(FileKey.folder)
    algorithms = _algorithms(environ)
    sums = Sums("CRC32" in algorithms, [name for name in HASHES if name in algorithms])
    try:
        with path.open("wb") as file:
            for block in _blocks(environ):
                sums.add(block)
                file.write(block)
        sums.end()
        _check(environ, sums)
        _tell_checksum(environ, sums)
    except BaseException:
        sums.end()
        path.unlink(missing_ok=True)
        raise
    INCOMING.upload = Upload(path=path, size=sums.size, md5=sums.md5.hex(), crc32=sums.crc32)
    environ["wsgi.input"] = io.BytesIO()
    environ["CONTENT_LENGTH"] = "0"
    for name in (
        "HTTP_TRANSFER_ENCODING",
        "wsgi.input_terminated",
        "HTTP_X_AMZ_DECODED_CONTENT_LENGTH",
        "HTTP_CONTENT_MD5",
    ):
        environ.pop(name, None)
    if environ.get(CHUNKED, "").startswith("STREAMING-"):
        environ[CHUNKED] = "UNSIGNED-PAYLOAD"
    return path


def drop(path: Path) -> None:
    """Remove the file if no object has taken it because the request was refused."""
    if INCOMING.take():
        path.unlink(missing_ok=True)


def _blocks(environ: dict[str, Any]) -> Iterator[bytes]:
    source = environ["wsgi.input"]
    if environ.get(CHUNKED, "").startswith("STREAMING-"):
        yield from _unchunked(source, environ)
    elif environ.get("wsgi.input_terminated"):
        while block := source.read(BLOCK):
            yield block
    else:
        yield from _exactly(source, _length(environ, "CONTENT_LENGTH"))


def _length(environ: dict[str, Any], name: str) -> int:
    text = environ.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ApiError("InvalidArgument", f"the length {text[:40]!r} of the body is not a number")
    return int(text)


def _exactly(source: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left > 0:
        block = source.read(min(BLOCK, left))
        if not block:
            raise ApiError("IncompleteBody", f"the body ended {left} bytes before its Content-Length")
        left -= len(block)
        yield block


def _unchunked(source: IO[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
    """Yield the data of a body in AWS's chunks (SigV4 streaming): SIZE[;chunk-signature=...], data; at the end, trailers."""
    while True:
        head = source.readline(8192).partition(b";")[0].strip()
        if not CHUNK.fullmatch(head):
            raise ApiError("IncompleteBody", f"the size {head[:20]!r} of a chunk is not a hexadecimal number")
        size = int(head, 16)
        if size == 0:
            break
        yield from _exactly(source, size)
        source.readline(8192)
    while line := source.readline(8192).strip():
        name, _, value = line.decode("latin-1").partition(":")
        if CHECKSUM.fullmatch(name):
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value.strip()
            environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", name.rpartition("-")[2].upper())


class Sums:
    """The size and checksums of a body. A thread computes them while the body is read, because MD5 is as slow as a disk."""

    def __init__(self, with_crc32: bool, hashes: Iterable[str]) -> None:
        self.size = 0
        self.hashes = {name: hashlib.new(name, usedforsecurity=False) for name in hashes}
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32 = 0
        self._with_crc32 = with_crc32
        self._blocks: queue.Queue[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    @property
    def crc32(self) -> str:
        """Return the CRC32 as clients write it; empty if the request does not have it."""
        return encoded(self._crc32) if self._with_crc32 else ""

    def add(self, block: bytes) -> None:
        self.size += len(block)
        if self._blocks is None and len(block) < BLOCK:
            self._count(block)  # a small body is not worth a thread
            return
        if self._blocks is None:
            self._blocks = queue.Queue(4)
            self._thread = threading.Thread(target=self._work, args=(self._blocks,), daemon=True)
            self._thread.start()
        self._blocks.put(block)

    def end(self) -> None:
        """Wait until all blocks are counted."""
        if self._blocks and self._thread:
            self._blocks.put(b"")
            self._thread.join()
            self._blocks = self._thread = None

    def _work(self, blocks: "queue.Queue[bytes]") -> None:
        while block := blocks.get():
            self._count(block)

    def _count(self, block: bytes) -> None:
        self._md5.update(block)
        for digest in self.hashes.values():
            digest.update(block)
        if self._with_crc32:
            self._crc32 = zlib.crc32(block, self._crc32)


def _algorithms(environ: dict[str, Any]) -> str:
    """Return the names of a request's checksums, in capital letters."""
    named = [environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", ""), environ.get("HTTP_X_AMZ_TRAILER", "")]
    return " ".join([*named, *(name for name in environ if name.startswith("HTTP_X_AMZ_CHECKSUM_"))]).upper()


def _tell_checksum(environ: dict[str, Any], sums: Sums) -> None:
    """Give moto the checksum that it would compute from the body; a checksum that we cannot compute is left out."""
    algorithm = environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "").upper()
    if algorithm and f"HTTP_X_AMZ_CHECKSUM_{algorithm}" not in environ:
        if algorithm == "CRC32":
            environ["HTTP_X_AMZ_CHECKSUM_CRC32"] = sums.crc32
        else:
            del environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"]


def _check(environ: dict[str, Any], sums: Sums) -> None:
    """Refuse a body without the length or the checksums that the request names (S3: IncompleteBody, BadDigest)."""
    length = environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH")
    if length is not None and int(length) != sums.size:
        raise ApiError("IncompleteBody", f"the body has {sums.size} bytes, and the request says {length}")
    if (md5 := environ.get("HTTP_CONTENT_MD5")) and _decoded(md5) != sums.md5:
        raise ApiError("BadDigest", "the body's MD5 is not the Content-MD5 of the request")
    sent = {
        "CRC32": sums.crc32,
        **{name: base64.b64encode(found.digest()).decode() for name, found in sums.hashes.items()},
    }
    for name, value in sent.items():
        if (expected := environ.get(f"HTTP_X_AMZ_CHECKSUM_{name}")) and expected != value:
            raise ApiError("BadDigest", f"the body's {name} is not the x-amz-checksum-{name.lower()} of the request")


def _decoded(md5: str) -> bytes:
    try:
        return binascii.a2b_base64(md5, strict_mode=True)
    except binascii.Error:
        raise ApiError("InvalidDigest", "The Content-MD5 you specified was invalid.") from None

"""HTTP as attackers speak it: requests as raw bytes, and what may never be in an answer."""

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

# A traceback, a file of ours or of a library, a folder of the server, or the versions of what it is made of.
LEAK = re.compile(r'Traceback|File "|\.py\b|/tmp/|/opt/|site-packages|[Pp]ython/?\s?3|aiohttp|multi-model|PIL\.')

HEAD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"


class Answer:
    """A status, the headers and the body's bytes."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Answer:
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def post(url: str, body: bytes, content_type: str = "image/jpeg", **headers: str) -> Answer:
    return ask(url, "POST", "/invocations", body, {"Content-Type": content_type, **headers})


def connect(url: str, timeout: float = 20) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def exchange(url: str, sent: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server closes or is silent for a second."""
    with connect(url, timeout=1) as connection:
        connection.sendall(sent)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                received += part
        return received


def check_refusal(answer: Answer, *statuses: int) -> str:
    """Return the sentence of an error that is as it must be: JSON of three keys, one line, no traceback, no path."""
    assert answer.status in statuses, (answer.status, answer.body[:300])
    document = answer.json
    assert document.keys() == {"code", "message", "request_id"} and document["code"] == answer.status
    sentence: str = document["message"]
    assert sentence and "\n" not in sentence and len(sentence) < 600
    assert not LEAK.search(answer.body.decode() + str(answer.headers)), answer.body
    return sentence


def raw_answers(received: bytes) -> list[tuple[int, bytes]]:
    """Split what came back on one connection into answers: status and body of each."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        answers.append((int(head.split()[1]), rest[:length]))
        received = rest[length:]
    return answers


def metric(url: str, name: str) -> float:
    text = ask(url, "GET", "/metrics").body.decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


@contextlib.contextmanager
def memory_grows_by_at_most(url: str, limit: int) -> Iterator[None]:
    """Read the server's memory all the time while the block runs, and fail when it ever grew by more than `limit` bytes."""
    before = metric(url, "byoc_resident_memory_bytes")
    highest, ended = [before], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            highest.append(metric(url, "byoc_resident_memory_bytes"))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            ended.set()
        watching.result()
    highest.append(metric(url, "byoc_resident_memory_bytes"))
    assert max(highest) - before < limit, f"{(max(highest) - before) / 2**20:.0f} MiB more in {len(highest)} readings"


# --- images that are small in bytes alone


def png(width: int, height: int, data: bytes = b"", comments: int = 0) -> bytes:
    """A grey PNG whose header says any size at all, with any number of empty comments."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(b"zzZz", b"") * comments
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def gif_blocks(count: int) -> bytes:
    """A GIF of 8 x 8 pixels whose comment is divided into blocks of one byte."""
    whole = saved(Image.new("L", (8, 8)), "gif")
    place = 13 + (3 << (whole[10] & 7) + 1)
    return whole[:place] + b"!\xfe" + b"\1?" * count + b"\0" + whole[place:]


def avif_hidden(width: int, height: int) -> bytes:
    """An AVIF whose header tells 8 x 8 pixels and whose frame has any number of them."""
    size, told = struct.pack(">II", width, height), struct.pack(">II", 8, 8)
    return saved(Image.new("L", (width, height)), "avif", speed=10).replace(size, told)


def webp_canvas(width: int, height: int, frame: bytes) -> bytes:
    """An animated WebP of one small frame on a canvas of any size; `frame` is a WebP file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def three(number: int) -> bytes:
        return number.to_bytes(3, "little")

    head = chunk(b"VP8X", bytes([2, 0, 0, 0]) + three(width - 1) + three(height - 1))
    shown = three(0) * 2 + three(7) * 2 + three(100) + b"\0" + frame[12:]
    content = b"WEBP" + head + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", shown)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def tiff_directory(entries: int, blob: int) -> bytes:
    """A TIFF of many tags that all name the same bytes: read one by one they are `entries * blob` of them."""
    start = 8 + blob
    tags = {
        256: (3, 1, 8),
        257: (3, 1, 8),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        279: (4, 1, 64),
    }
    tags |= {tag: (7, blob, 8) for tag in range(0x8000, 0x8000 + entries)}
    packed = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", start) + bytes(blob) + struct.pack("<H", len(tags)) + packed + bytes(4)


def tiff_strips(count: int, tags: int = 0) -> bytes:
    """A BigTIFF of 8 x 8 pixels that names its one strip any number of times, after any number of other tags."""
    table = 16 + 8 + (8 + tags) * 20 + 8
    entries = [(254, 4, 1, 0)] * tags
    entries += [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, count, table), (278, 3, 1, 1), (279, 4, count, table)]
    packed = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(entries)) + packed + bytes(8) + struct.pack("<I", 8) * count


def bmp_run_length(width: int, height: int) -> bytes:
    """A BMP with run-length compression of one pixel, the rest of which is filled up by one end of a line."""
    data = b"\1\1\0\0\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + bytes(1024) + data


def jpeg_with(segments: bytes, scans: int, photo: bytes) -> bytes:
    """A JPEG with more metadata after its first marker, and its last scan repeated."""
    last = photo.rindex(b"\xff\xda")
    return photo[:2] + segments + photo[2:-2] + photo[last:-2] * scans + photo[-2:]


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()

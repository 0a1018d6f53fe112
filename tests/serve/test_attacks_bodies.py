"""Attacks on a running server through the body of a request: its limits, code in it, and bombs for the decoders."""

import base64
import gzip
import io
import json
import pickle
import socket
from pathlib import Path

import pytest
from PIL import Image

from tests.attacks import Bomb, pickled_npy
from tests.image_files import (
    avif_hidden,
    bmp_run_length,
    encoded,
    gif_blocks,
    jpeg_with,
    png,
    tiff_directory,
    tiff_strips,
    webp_canvas,
)
from tests.wire import HEAD, check_refusal, connect, exchange, memory_grows_by_at_most, post, raw_answers

pytestmark = pytest.mark.usefixtures("unharmed")

# --- code that arrives in a body


@pytest.mark.parametrize("kind", ["application/x-npy", "application/x-npz", "application/pickle", "text/csv"])
def test_a_pickled_array_is_415_under_every_name_and_nothing_of_it_runs(url: str, tmp_path: Path, kind: str) -> None:
    sentence = check_refusal(post(url, pickled_npy(tmp_path / "run"), kind), 415)
    assert kind in sentence and "image/jpeg" in sentence and not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-image", "image/tiff"])
def test_a_pickle_that_claims_to_be_a_photo_is_not_unpickled(url: str, tmp_path: Path, kind: str) -> None:
    for body in (pickled_npy(tmp_path / "run"), pickle.dumps(Bomb(tmp_path / "run"))):
        check_refusal(post(url, body, kind), 422)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "body",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(/etc/passwd) (r) file\nshowpage\n%%EOF\n",
        b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"P6 8 8 255\n" + bytes(192),
        b"push graphic-context\nviewbox 0 0 8 8\nfill 'url(https://127.0.0.1:9/)'\npop graphic-context\n",
    ],
    ids=["eps", "pdf", "svg", "ppm", "mvg"],
)
def test_a_format_that_is_not_on_the_list_meets_no_decoder(url: str, body: bytes) -> None:
    refusal = check_refusal(post(url, body, "application/octet-stream"), 422)
    assert "not an image" in refusal or "is not read" in refusal


# --- limits of a body


def test_a_length_over_the_limit_is_refused_before_anything_is_sent(url: str) -> None:
    for length in (25 * 1024**2 + 1, 2**40, 2**62):
        received = exchange(url, HEAD + b"Content-Length: %d\r\n\r\nx" % length)
        status, body = raw_answers(received)[0]
        assert status == 413 and "26,214,400" in json.loads(body)["message"]


def test_chunks_are_counted_and_refused_over_the_limit(url: str) -> None:
    chunk = b"100000\r\n" + bytes(1024**2) + b"\r\n"
    # A client that reads only after sending everything gets the reason too.
    with connect(url) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        received = connection.recv(65536)
    assert raw_answers(received)[0][0] == 413
    with connect(url) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 26 * chunk)
        received = connection.recv(65536)
    assert raw_answers(received)[0][0] == 413


def test_a_body_shorter_than_its_length_gets_no_answer_and_one_longer_is_the_next_request(
    url: str, photo: bytes
) -> None:
    with connect(url) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + photo)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    received = exchange(url, HEAD + b"Content-Length: %d\r\n\r\n" % (len(photo) - 9) + photo)
    assert raw_answers(received)[-1][0] == 400 and b"predictions" not in received


def test_a_compressed_body_is_measured_unpacked_and_a_false_one_refused(url: str, photo: bytes) -> None:
    assert post(url, gzip.compress(photo), **{"Content-Encoding": "gzip"}).status == 200
    bomb = gzip.compress(bytes(2**20) * 512, 9)
    assert len(bomb) < 600_000
    with memory_grows_by_at_most(url, 100 * 2**20):
        assert "26,214,400" in check_refusal(post(url, bomb, **{"Content-Encoding": "gzip"}), 413)
    check_refusal(post(url, photo, **{"Content-Encoding": "gzip"}), 400)


# --- bombs for the decoders


@pytest.fixture(scope="module")
def bombs(photo: bytes) -> dict[str, bytes]:
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    small = image.resize((8, 8))
    progressive = encoded(image, "jpeg", progressive=True)
    exif = b"\xff\xe1\x00\x12Exif\0\0" + b"a" * 10
    return {
        "png header": png(60_000, 60_000),
        "png bits": encoded(Image.new("1", (16_000, 16_000)), "png"),
        "png largest": png(2**31 - 1, 2**31 - 1),
        "gif": encoded(Image.new("P", (16_000, 16_000)), "gif"),
        "tiff": encoded(Image.new("1", (16_000, 16_000)), "tiff", compression="group4"),
        "webp canvas": webp_canvas(16_383, 16_383, encoded(small, "webp", lossless=True)),
        "jpeg scans": jpeg_with(b"", 5000, progressive),
        "jpeg metadata": jpeg_with(exif * 50_000, 0, photo),
        "jpeg comments": jpeg_with(b"\xff\xfe\0\2" * 1_000_000, 0, photo),
        "jpeg after its end": jpeg_with(b"\xff\xd9" + b"\xff\xfe\0\2" * 1_000_000, 0, photo),
        "jpeg in a jpeg": jpeg_with((b"\xff\xd8" + b"\xff\xfe\0\2" * 16_000) * 100, 0, photo),
        "jpeg padding": jpeg_with(b"\xff" * 7_000_000, 0, photo),
        "tiff tags": tiff_strips(300_000, tags=66_000),
        "bmp": bmp_run_length(120_000_000, 1),
        "tiff strips": tiff_strips(1_000_000),
        "png chunks": png(8, 8, comments=500_000),
        "gif blocks": gif_blocks(3_000_000),
        "avif frame": avif_hidden(16_000, 8_000),
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("png header", "60000 x 60000 pixels are over the limit"),
        ("png bits", "16000 x 16000 pixels"),
        ("png largest", "pixels are over the limit"),
        ("gif", "16000 x 16000 pixels"),
        ("tiff", "16000 x 16000 pixels"),
        ("webp canvas", "16383 x 16383 pixels"),
        ("jpeg scans", "more than 64 scans"),
        ("jpeg metadata", "more than 500 EXIF segments"),
        ("jpeg comments", "more than 500 segments"),
        ("jpeg after its end", "more than 500 segments"),
        ("jpeg in a jpeg", "more than 500 segments"),
        ("jpeg padding", "long gaps between its segments"),
        ("tiff tags", "a TIFF of 66,008 tags"),
        ("bmp", "120000000 x 1 pixels are over the limit of 4,000,000 for a BMP with run-length compression"),
        ("tiff strips", "a TIFF of 1,000,000 strips or tiles"),
        ("png chunks", "a PNG of more than"),
        ("gif blocks", "a GIF of more than"),
        ("avif frame", "frames of more than"),
    ],
)
def test_an_image_that_is_small_in_bytes_alone_is_refused(
    url: str, bombs: dict[str, bytes], name: str, reason: str
) -> None:
    body = bombs[name]
    assert len(body) < 8 * 2**20
    with memory_grows_by_at_most(url, 100 * 2**20):
        assert reason in check_refusal(post(url, body, "application/octet-stream"), 422)


def test_of_many_frames_only_the_first_is_decoded(url: str, photo: bytes) -> None:
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    frames = [Image.new("RGB", image.size, (number % 256, 0, 0)) for number in range(2000)]
    for form in ("gif", "webp", "tiff"):
        small = frames[: 2000 if form == "gif" else 200]
        body = encoded(image, form, save_all=True, append_images=small)
        with memory_grows_by_at_most(url, 100 * 2**20):
            answer = post(url, body, f"image/{form}")
        assert answer.status == 200 and answer.json["predictions"][0]["label"] == "coffee", form


def test_a_tiff_whose_tags_all_name_the_same_megabytes_is_not_read_a_thousand_times(url: str) -> None:
    body = tiff_directory(1000, 4 * 2**20)  # 4 GB if each were decoded
    with memory_grows_by_at_most(url, 200 * 2**20):
        assert post(url, body, "image/tiff").status in (200, 422)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[" * 5_000_000, "the body is not valid JSON"),
        (b'{"instances":' * 100_000, "the body is not valid JSON"),
        (b'{"instances": [' + b"{}," * 2_000_000 + b"{}]}", "at most 500 instances"),
        (b'{"instances": [' + b'{"b64": ""},' * 600 + b'{"b64": ""}]}', "at most 500 instances"),
        (b"1" * 1_000_000, "the body is not valid JSON"),
        (b'{"instances": 1e999}', "must be"),
        (b'{"instances": [{"b64": "' + b"=" * 1000 + b'"}]}', "is not valid base64"),
        (b'{"instances": [{"b64": "\\ud800"}]}', "is not valid base64"),
        (b"\xff\xfe[\x00]\x00", "must be"),
        (b"\x80", "the body is not valid JSON"),
    ],
)
def test_json_that_is_large_in_memory_alone_is_refused(url: str, body: bytes, reason: str) -> None:
    with memory_grows_by_at_most(url, 200 * 2**20):
        assert reason in check_refusal(post(url, body, "application/json"), 400)


def test_a_thousand_tiny_photos_in_one_request_are_refused(url: str) -> None:
    tiny = base64.b64encode(encoded(Image.new("L", (1, 1)), "gif")).decode()
    body = json.dumps({"instances": [{"b64": tiny}] * 1000}).encode()
    assert "at most 500" in check_refusal(post(url, body, "application/json"), 400)

"""The web server of the local SageMaker: connections stay open, bodies are read to their end, no request waits for another."""

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.sagemaker.conftest import PYTHON, Emulator

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host"}


@pytest.fixture
def connection(emulator: Emulator) -> Iterator[http.client.HTTPConnection]:
    emulator.client("s3").create_bucket(Bucket="kept")
    with closing(http.client.HTTPConnection(emulator.url.removeprefix("http://"), timeout=120)) as connection:
        connection.connect()
        yield connection


def status(connection: http.client.HTTPConnection) -> int:
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_connection_carries_one_request_after_another(connection: http.client.HTTPConnection) -> None:
    first = connection.sock
    for number in range(3):
        connection.request("PUT", f"/kept/{number}", b"content", SIGNED)
        assert status(connection) == 200
    connection.request("GET", "/kept/1", headers=SIGNED)
    assert connection.getresponse().read() == b"content"
    assert connection.sock is first


def test_a_hundred_clients_may_connect_at_the_same_moment(emulator: Emulator) -> None:
    port = emulator.url.rpartition(":")[2]
    listed = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    most = int(listed.split()[2])  # connections that the kernel keeps until the server accepts them
    assert most >= 100


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_body_that_a_refusal_leaves_unread_does_not_spoil_the_next_request(
    connection: http.client.HTTPConnection, size: int
) -> None:
    for path, headers, code in (("/no-such-bucket/key", SIGNED, 404), ("/.index", SIGNED, 400), ("/_local/x", {}, 404)):
        connection.request("PUT", path, b"x" * size, headers)
        assert status(connection) == code
    connection.request("PUT", "/kept/key", b"content", SIGNED)
    assert status(connection) == 200


@pytest.mark.parametrize("bucket, expected", [("kept", 200), ("no-such-bucket", 404)])
def test_a_body_of_unknown_length_is_read_to_its_end(
    connection: http.client.HTTPConnection, bucket: str, expected: int
) -> None:
    # boto3 sends chunks of AWS's format over HTTPS; here they are within chunks of HTTP.
    parts = [b"5\r\nfirst\r", b"\n6\r\nsecond\r\n0\r\n", b"x-amz-checksum-crc32:HWT7/w==\r\n", b"\r\n"]
    headers = SIGNED | {
        "X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "X-Amz-Decoded-Content-Length": "11",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
    }
    connection.request("PUT", f"/{bucket}/chunks", iter(parts), headers, encode_chunked=True)
    assert status(connection) == expected
    connection.request("PUT", "/kept/after", b"content", SIGNED)
    assert status(connection) == 200


def test_each_request_has_a_thread_and_a_thread_that_waits_is_taken_again() -> None:
    code = """
import threading
from local_test.sagemaker import threads as module
module.IDLE = 600  # so that no thread ends before the last one waits
threads, barrier = module.Threads(), threading.Barrier(51)
for _ in range(50):
    threads.run(barrier.wait)  # all wait for one another
barrier.wait(30)
done = threading.Event()
while threads._waiting < 50:
    pass
threads.run(done.set)
assert done.wait(30) and threading.active_count() == 51, threading.active_count()
"""
    subprocess.run([PYTHON, "-c", code], check=True, timeout=60)

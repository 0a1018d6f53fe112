"""Attacks on a running server: on its ports and sockets and its parser. Each fails, and the next photo is answered. Attacks on
bodies, artifacts and multi-model routes are in other files; test_attacks_stock.py shows that they work on the stock stack.
"""

import contextlib
import json
from pathlib import Path

import psutil
import pytest

from tests.wire import (
    HEAD,
    ask,
    check_refusal,
    connect,
    exchange,
    metric,
    post,
    raw_answers,
)

pytestmark = pytest.mark.usefixtures("unharmed")


def family(url: str) -> list[psutil.Process]:
    """Return the server's processes. They are found by the child process that listens on the port."""
    port = int(url.rpartition(":")[2])
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(c.status == "LISTEN" and c.laddr.port == port for c in child.net_connections("tcp")):
                return [child, *child.children(recursive=True)]
    raise AssertionError(f"none of our processes listens on {port}")


# --- open ports and sockets


def test_one_tcp_port_is_open_and_every_other_socket_is_a_file_for_its_owner_alone(url: str) -> None:
    processes = family(url)
    assert len(processes) >= 3
    listening = {c.laddr.port for p in processes for c in p.net_connections("inet") if c.status in ("LISTEN", "NONE")}
    assert listening == {int(url.rpartition(":")[2])}
    sockets = {str(c.laddr) for p in processes for c in p.net_connections("unix") if c.laddr}
    assert any(path.endswith("manage.sock") for path in sockets)  # so the processes found are the server's
    for path in sockets:  # the server must not use abstract sockets: they have no file permissions
        assert Path(path).is_absolute() and Path(path).parent.stat().st_mode & 0o077 == 0, path


MANAGEMENT = [
    ("GET", "/models"),
    ("POST", "/models?url=http://127.0.0.1:9/evil.mar"),
    ("GET", "/models/m"),
    ("PUT", "/models/m?min_worker=100"),
    ("DELETE", "/models/m"),
    ("OPTIONS", "/"),
    ("GET", "/api-description"),
    ("OPTIONS", "/models"),
    ("POST", "/predictions/m"),
    ("POST", "/models/m/invoke"),
    ("POST", "/m/invoke"),
    ("POST", "/m/predict"),
]


@pytest.mark.parametrize(("method", "path"), MANAGEMENT)
def test_the_model_servers_own_routes_are_not_reachable(url: str, method: str, path: str) -> None:
    check_refusal(ask(url, method, path, b"" if method == "POST" else None), 404, 405)


@pytest.mark.parametrize(
    "target",
    [
        "//models",
        "/./models",
        "/ping/../models",
        "/invocations/../models",
        "/invocations;/models",
        "/invocations/models",
        "/%6dodels",
        "/%2e%2e/models",
        "/models%00",
        "/models%2f",
        "/models#/ping",
        "http://model-server/models",
        "http://127.0.0.1:8081/models",
    ],
)
def test_no_spelling_of_a_path_reaches_the_management_routes(url: str, target: str) -> None:
    for method in ("GET", "POST"):
        received = exchange(
            url, f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
        status, body = raw_answers(received)[0]
        assert status in (400, 404, 405) and json.loads(body)["code"] == status and b"modelName" not in body


def test_connect_and_upgrade_open_no_tunnel(url: str) -> None:
    received = exchange(url, b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n")
    assert raw_answers(received)[0][0] in (400, 404, 405)
    upgrade = (
        b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    assert [status for status, _ in raw_answers(exchange(url, upgrade))] == [200]  # an ordinary answer to GET /ping


# --- request smuggling and other invalid input for the parser

INNER = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n" % (5 + len(INNER)) + INNER,
        HEAD + b"Content-Length: 0\r\nContent-Length: 33\r\n\r\n" + INNER,
        HEAD + b"Content-Length: 0, 33\r\n\r\n" + INNER,
        HEAD + b"Content-Length: +0\r\n\r\n" + INNER,
        HEAD + b"Content-Length: -1\r\n\r\n" + INNER,
        HEAD + b"Content-Length : 0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n" + INNER,
        HEAD + b"X: a\r\n Content-Length: 0\r\n\r\n" + INNER,
        HEAD + b"X: a\nContent-Length: 0\n\n" + INNER,
        HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n" + INNER,
        HEAD + b"X: a\rContent-Length: 0\r\n\r\n" + INNER,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n" + INNER,
        b"GET /ping HTTP/9.9\r\nHost: a\r\n\r\n" + INNER,
        b"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n" + INNER,
        b"GET /ping HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n" + INNER,
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n" + INNER,
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_what_follows_is_not_read(url: str, sent: bytes) -> None:
    received = exchange(url, sent)
    status, body = raw_answers(received)[0]
    assert status == 400 and json.loads(body)["code"] == 400
    assert len(raw_answers(received)) == 1 and b"byoc_" not in received
    assert b"Server: byoc-classifier\r\n" in received and b"aiohttp" not in received and b"Traceback" not in received


def test_an_expectation_that_cannot_be_met_is_a_json_error(url: str) -> None:
    answer = ask(url, "POST", "/invocations", b"x", {"Expect": "a-pony", "Content-Type": "image/jpeg"})
    check_refusal(answer, 417)


# --- header and parameter injection

ATTRIBUTES, INFERENCE_ID = "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id"


@pytest.mark.parametrize("name", [ATTRIBUTES, INFERENCE_ID, "X-Amzn-SageMaker-Target-Model", "Accept"])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n ", b"\0", b"\r\n\t"], ids=repr)
def test_a_line_end_in_a_header_never_reaches_an_answers_headers(url: str, photo: bytes, name: str, end: bytes) -> None:
    value = b"top_k=1" + end + b"Set-Cookie: a=b"
    length = b"Content-Length: %d\r\n" % len(photo)
    received = exchange(url, HEAD + length + name.encode() + b": " + value + b"\r\n\r\n" + photo)
    head = received.partition(b"\r\n\r\n")[0].lower()
    assert head.split()[1] in (b"200", b"400") and b"set-cookie" not in head


def test_attributes_are_echoed_only_when_they_are_visible_ascii_and_short(url: str, photo: bytes) -> None:
    good = post(url, photo, **{ATTRIBUTES: "top_k=2,trace=abc"})
    assert good.status == 200 and good.headers[ATTRIBUTES] == "top_k=2,trace=abc" and len(good.json["predictions"]) == 2
    for value in ("top_k=2\x7f", "top_k=2\xe9", "top_k=2," + "a" * 1025):
        check_refusal(post(url, photo, **{ATTRIBUTES: value}), 400)
    for value in ("top_k=0", "top_k=-1", "top_k=1e9", "top_k=99999999999999", "top_k=\xb2", "top_k="):
        check_refusal(post(url, photo, **{ATTRIBUTES: value}), 400)
    twice = post(url, photo, **{ATTRIBUTES: "top_k=1;top_k="})  # the first value is used
    assert twice.status == 200 and len(twice.json["predictions"]) == 1


@pytest.mark.parametrize("value", ["a" * 65, "\xe9", "a b", "\t", "{}\u00e9"])
def test_an_id_that_is_not_visible_ascii_is_replaced(url: str, value: str) -> None:
    answer = post(url, b"x", **{INFERENCE_ID: value})
    check_refusal(answer, 422)
    assert len(answer.json["request_id"]) == 32 and answer.json["request_id"] != value


def test_our_own_internal_headers_are_not_believed_from_outside(url: str, photo: bytes) -> None:
    forged = {"X-Byoc-Asked": '{"probe": true}', "X-Byoc-Answered": "{}", "Expect": "100-continue"}
    answer = post(url, photo, **forged)
    assert answer.status == 200 and len(answer.json["predictions"]) == 5 and "X-Byoc-Answered" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "model_name=../../etc",
        "model_name=other",
        "workers=100",
        "url=http://127.0.0.1:9/a.mar",
        "handler=os:system",
        "batch_size=9999",
        "top_k=1",
        "=&&&%00%zz",
        "a" * 4000,
    ],
)
def test_a_query_changes_nothing(url: str, photo: bytes, query: str) -> None:
    plain = post(url, photo)
    answer = ask(url, "POST", f"/invocations?{query}", photo, {"Content-Type": "image/jpeg"})
    assert (answer.status, answer.json) == (200, plain.json)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ('image/jpeg; charset=utf-8; x="a;b,c"', 200),
        ("IMAGE/JPEG;;;", 200),
        ("image/jpeg; boundary=" + "x" * 2000, 400),
        ("image/jpeg, application/x-npy", 415),
        ("image/jpeg\x00", 400),
        ("image/../json", 415),
        ("image/jpg", 200),
        ("multipart/form-data; boundary=x", 415),
        ("application/json; charset=utf-7", 400),  # the body is read as JSON, and a photo is not JSON
        ("application/x-www-form-urlencoded", 200),  # curl's default type; the format is detected from the bytes
        ("", 200),  # without a Content-Type the format is detected from the bytes
    ],
)
def test_odd_content_types_are_read_or_refused(url: str, photo: bytes, kind: str, status: int) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    sent = head + f"Content-Type: {kind}\r\nContent-Length: {len(photo)}\r\n\r\n".encode() + photo
    found, body = raw_answers(exchange(url, sent))[0]
    assert found == status and ("predictions" in json.loads(body)) == (status == 200)


# --- slow clients


def test_hundreds_of_slow_clients_keep_nobody_waiting(url: str, photo: bytes) -> None:
    starts = [
        b"POST /inv",
        b"POST /invocations HTTP/1.1\r\nX-Slow: ",
        HEAD + b"Content-Length: 1000\r\n\r\n" + photo[:100],
    ]
    starts += [HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(url)) for _ in range(300)]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % len(starts)])
        for turn in range(3):
            for connection in slow:
                connection.sendall(b"a")
            answer = post(url, photo)
            assert answer.status == 200 and answer.json["predictions"][0]["label"] == "coffee", turn
        assert metric(url, "byoc_workers_ready") >= 1 and ask(url, "GET", "/ping").status == 200


def test_large_bodies_that_stall_make_room_for_others(url: str, photo: bytes) -> None:
    part = bytes(2**20)
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(connect(url)) for _ in range(30)]
        for connection in stalled:  # 720 MB in all; the server holds at most 512 MB
            with contextlib.suppress(ConnectionError):
                connection.sendall(HEAD + b"Content-Length: 26214400\r\n\r\n")
                for _ in range(24):
                    connection.sendall(part)
        answer = post(url, photo)
        assert answer.status == 200 and answer.json["predictions"][0]["label"] == "coffee"
        # The oldest body was dropped to make room.
        assert b" 503 " in stalled[0].recv(65536).partition(b"\r\n")[0]


# --- the content of error messages


def test_no_error_reports_a_path_a_version_or_the_code(url: str, photo: bytes) -> None:
    for body in (photo[:200], b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0\xff\xff\xff\xff", b"BM"):
        check_refusal(post(url, body, "application/octet-stream"), 422)
    check_refusal(post(url, photo, Accept="text/html"), 406)
    check_refusal(post(url, photo, "text/html"), 415)
    for path in ("/", "/.env", "/../../etc/passwd", "/static/../serve"):
        check_refusal(ask(url, "GET", path.replace("..", "%2e%2e")), 404)
    assert "Traceback" not in ask(url, "GET", "/metrics").body.decode()

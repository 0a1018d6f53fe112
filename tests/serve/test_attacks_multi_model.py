"""Attacks through the routes of a multi-model endpoint: addresses, names, links, invalid requests."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.attacks import Endpoint
from tests.wire import Answer, ask, check_refusal, connect


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server on the loopback address that offers an archive, and the requests that it got."""
    seen: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            seen.append(str(args))

    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "evil.mar").write_bytes(b"PK")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path / "web"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/evil.mar", seen
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_model_is_loaded_from_its_own_folder_and_from_no_other_url(
    endpoint: Endpoint, archive: tuple[str, list[str]], tmp_path: Path
) -> None:
    web, seen = archive
    endpoint.put("target")
    (tmp_path / "outside").mkdir()
    shutil.copytree(endpoint.artifact, tmp_path / "outside" / "model")
    good = f"{endpoint.models}/target/model"
    urls = [web, web.replace("http", "https"), "s3://bucket/evil.mar", f"file://{good}", f"file:{good}"]
    urls += [str(tmp_path / "outside" / "model"), str(endpoint.artifact), "/", "/etc", "", ".", "target", "~"]
    urls += [f"{good}/..", f"{good}/../model", f"{endpoint.models}/./target/model", f"{endpoint.models}//target/model"]
    urls += [f"{endpoint.models}/../models/target/model", quote(good, safe=""), f"{good}%00", f"{good}\0", f"{good}\n"]
    urls += [f"{good}?x=1", f"{good}#x", f"{good}//", good.upper()]
    for url in urls:
        assert "must be" in check_message(endpoint.load("target", url)), url
    for other in (None, 1, ["x"], {"a": "b"}, True):
        body = json.dumps({"model_name": "target", "url": other}).encode()
        check_message(ask(endpoint.url, "POST", "/models", body))
    assert not seen and "target" not in endpoint.loaded()
    assert endpoint.load("target", good).status == 200 and "target" in endpoint.loaded()
    assert ask(endpoint.url, "DELETE", "/models/target").status == 200


def check_message(answer: Answer) -> str:
    assert answer.status == 400 and answer.json["code"] == 400, answer.body
    return str(answer.json["message"])


@pytest.mark.parametrize(
    "name",
    [
        "../target",
        "..",
        ".",
        "",
        "a/b",
        "/etc",
        "%2e%2e",
        "a%2f..",
        "a\0",
        "a\n",
        "\u2025",
        "a b",
        "x" * 300,
        7,
        None,
        ["a"],
        {},
    ],
    ids=repr,
)
def test_a_name_that_could_lead_elsewhere_is_refused(endpoint: Endpoint, name: Any) -> None:
    assert "model_name" in check_message(endpoint.load(name))


def test_a_folder_that_is_a_link_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    shutil.copytree(endpoint.artifact, tmp_path / "outer" / "model")
    (endpoint.models / "linked-name").symlink_to(tmp_path / "outer")
    (endpoint.models / "linked-model").mkdir()
    (endpoint.models / "linked-model" / "model").symlink_to(tmp_path / "outer" / "model")
    for name in ("linked-name", "linked-model"):
        assert "links are not followed" in check_message(endpoint.load(name))


@pytest.mark.parametrize(
    "body", [b"", b"[" * 60_000, b"[]", b"null", b'"a"', b"{}", b'{"model_name": "a"}', b"\xff\xfe", b"url=http://a"]
)
def test_a_malformed_order_to_load_is_refused(endpoint: Endpoint, body: bytes) -> None:
    check_message(ask(endpoint.url, "POST", "/models", body))


def test_a_huge_order_to_load_is_413(endpoint: Endpoint) -> None:
    check_refusal(ask(endpoint.url, "POST", "/models", b'{"model_name": "' + b"a" * 2_000_000), 413)


def test_the_query_of_the_model_servers_own_interface_loads_nothing(
    endpoint: Endpoint, archive: tuple[str, list[str]]
) -> None:
    query = f"/models?url={quote(archive[0])}&model_name=evil&handler=os:system&initial_workers=9&synchronous=true"
    check_message(ask(endpoint.url, "POST", query, b""))
    assert not archive[1] and "evil" not in endpoint.loaded()


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc", "%2e%2e", "m0", "a%00b", "%ff", "x" * 500, "good%2f..", "good%2finvoke"]
)
def test_a_name_in_a_path_is_only_ever_looked_up(endpoint: Endpoint, name: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/invoke")):
        answer = ask(endpoint.url, method, f"/models/{name}{path}", b"x" if method == "POST" else None)
        assert answer.status in (404, 405) and answer.json["code"] == answer.status


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE"])
def test_the_other_methods_of_the_management_interface_are_closed(endpoint: Endpoint, method: str) -> None:
    for path in ("/models", "/models/good?min_worker=100", "/", "/predictions/m0", "/api-description"):
        check_refusal(ask(endpoint.url, method, path), 404, 405)


def test_more_slow_clients_than_a_process_is_first_allowed_files_keep_nobody_out(endpoint: Endpoint) -> None:
    slow = [connect(endpoint.url) for _ in range(400)]  # the server was started with a limit of 200 open files
    try:
        for connection in slow:
            connection.sendall(b"POST /models/good/invoke HTTP/1.1\r\nHost: ")
        assert ask(endpoint.url, "GET", "/ping").status == 200
    finally:
        for connection in slow:
            connection.close()

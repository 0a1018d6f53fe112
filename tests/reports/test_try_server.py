"""The server of the try page: who may use it, how large a request may be, and its answers when something is wrong."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.errors import PhotoError, UserError
from reports.try_page.answer import Answer
from tests.reports.trying import TOKEN, Trying, named, trying


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Trying]:
    with trying(named("cat", "dog"), tmp_path / "photos", keep=tmp_path / "kept") as found:
        yield found


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_model_answers_a_photo_and_nothing_of_it_stays(page: Trying) -> None:
    status, answer = page.post("predict", b"a photo", name="photo.jpg")
    assert status == 200 and answer["parts"] is None and answer["seconds"] == 0.01
    assert answer["labels"] == [{"name": "cat", "probability": 0.5}, {"name": "dog", "probability": 0.25}]
    assert list(page.folder.iterdir()) == []


def test_the_model_gets_the_bytes_and_the_suffix_of_a_photo_alone(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    def ask(photo: Path) -> Answer:
        seen.append((photo.suffix, photo.read_bytes()))
        assert photo.parent == tmp_path
        return Answer(labels=(), seconds=0)

    with trying(ask, tmp_path) as page:
        for name in ("a.JPG", "a.json", "../../a.png", "a.png/../b", ""):
            page.post("predict", b"\0\xff", name=name)
    assert seen == [(suffix, b"\0\xff") for suffix in (".JPG", "", ".png", "", "")]


def test_the_page_is_for_those_who_have_its_whole_address(page: Trying) -> None:
    status, text = get(page.url)
    assert status == 200 and TOKEN in text
    for address in (
        page.origin,
        f"{page.origin}/?token=",
        f"{page.origin}/?token={TOKEN}x",
        f"{page.origin}/?token=%FF",
    ):
        status, text = get(address)
        assert status == 403 and TOKEN not in text
        assert "this address lacks the token, or has an old one; open the address that byoc try printed" in text
    assert get(f"{page.origin}/etc/passwd?token={TOKEN}")[0] == 404
    assert get(f"{page.origin}/?" + "&".join("abcdefghij"))[0] == 400


def test_no_answer_may_be_kept_framed_or_read_by_another_page(page: Trying) -> None:
    with urllib.request.urlopen(page.url) as answer:
        headers = dict(answer.headers)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "form-action 'none'" in policy and "connect-src 'self'" in policy
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Byoc-Token": ""},
        {"X-Byoc-Token": "another"},
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_a_request_without_the_token_or_of_another_page_is_refused(page: Trying, headers: dict[str, str]) -> None:
    for route in ("predict", "look", "keep", "forget"):
        status, answer = page.post(route, b"a photo", headers, name="photo.jpg", label="cat")
        assert status == 403 and set(answer) == {"message"}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""]
)
def test_a_host_that_is_a_name_is_refused_although_the_token_is_right(page: Trying, host: str) -> None:
    status, text = get(page.url, Host=host)
    assert status == 403 and "is not an IP address or localhost" in text
    status, _ = page.post("predict", b"a photo", {"Host": host or " ", "Origin": f"http://{host}"})
    assert status == 403


@pytest.mark.parametrize("host", ["localhost:7", "[::1]:7", "192.168.1.5"])
def test_this_machine_may_be_named_by_any_number_and_as_localhost(page: Trying, host: str) -> None:
    assert get(page.url, Host=host)[0] == 200
    assert page.post("predict", b"a photo", {"Host": host, "Origin": f"http://{host}"})[0] == 200


def test_a_photo_of_60_mb_is_refused_with_a_sentence_that_arrives(page: Trying) -> None:
    status, answer = page.post("predict", b"x" * 60_000_000)
    assert (status, answer["message"]) == (413, "60.0 MB are over the limit of 25 MB; make the photo smaller")


def test_a_client_that_pauses_while_it_sends_a_photo_that_is_refused_reads_the_refusal(page: Trying) -> None:
    head = f"POST /predict HTTP/1.0\r\nHost: localhost\r\nOrigin: http://localhost\r\nX-Byoc-Token: {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", page.server.server_address[1]), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: 30000000\r\n\r\n".encode())
        time.sleep(3)
        connection.sendall(b"x" * 30_000_000)
        assert b"30.0 MB are over the limit of 25 MB" in connection.makefile("rb").read()


def test_an_error_before_a_photo_is_read_reaches_the_page(page: Trying) -> None:
    page.folder.rmdir()
    status, answer = page.post("predict", b"x" * 20_000_000)
    assert status == 500 and answer["message"].endswith("cannot be used: No such file or directory")


def test_a_body_that_is_empty_too_short_or_of_unknown_length_is_refused(page: Trying) -> None:
    assert page.post("predict", b"")[1]["message"] == "the file is empty; choose a photo"
    head = f"POST /predict HTTP/1.0\r\nHost: localhost\r\nOrigin: http://localhost\r\nX-Byoc-Token: {TOKEN}\r\n"
    said = {
        "Content-Length: 9\r\n\r\nshort": b"the photo ended too early; send it again",
        "\r\n": b"does not say how long it is",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n": b"does not say how long it is",
        "Content-Length: -1\r\n\r\n": b"does not say how long it is",
        "Content-Length: \u00b2\r\n\r\n": b"does not say how long it is",
    }
    for rest, sentence in said.items():
        with socket.create_connection(("127.0.0.1", page.server.server_address[1])) as connection:
            connection.sendall((head + rest).encode("latin-1"))
            connection.shutdown(socket.SHUT_WR)
            assert sentence in connection.makefile("rb").read(), rest


def test_what_the_model_refuses_reaches_the_page_as_its_sentence(tmp_path: Path) -> None:
    def refuse(photo: Path) -> Answer:
        raise UserError("415 the server takes no photos")

    with trying(refuse, tmp_path) as page:
        assert page.post("predict", b"text") == (422, {"message": "415 the server takes no photos"})


def test_a_file_that_is_not_a_usable_photo_is_named(tmp_path: Path) -> None:
    def refuse(photo: Path) -> Answer:
        raise PhotoError("not an image")

    said = {"letter.jpg": "letter.jpg", "two\nlines.jpg": "two\\nlines.jpg", "": "the photo"}
    with trying(refuse, tmp_path) as page:
        for name, start in said.items():
            status, answer = page.post("predict", b"text", name=name)
            assert (status, answer["message"]) == (422, f"{start} is not a usable photo: not an image")


def test_an_internal_error_is_shown_in_the_terminal_and_not_on_the_page(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(photo: Path) -> Answer:
        raise ZeroDivisionError

    with trying(fail, tmp_path) as page:
        assert page.post("predict", b"x") == (500, {"message": "byoc try failed; its terminal says why"})
        assert page.post("walk", b"x")[0] == 404
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_without_an_artifact_and_a_folder_the_page_says_what_is_needed(tmp_path: Path) -> None:
    with trying(named("cat"), tmp_path) as page:
        assert page.post("look", b"x", label="cat") == (422, {"message": "Name --artifact"})
        assert page.post("keep", b"x", label="cat") == (422, {"message": "Name --keep"})
        text = get(page.url)[1]
    assert "Name --artifact." in text and "Name --keep." in text


def test_a_client_that_goes_away_leaves_nothing_in_the_terminal(
    page: Trying, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", page.server.server_address[1])) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(b"POST /predict HTTP/1.0\r\n")
    assert page.post("predict", b"a photo")[0] == 200
    assert capfd.readouterr() == ("", "")

"""`byoc predict`: for every address and every answer it prints either a line of predictions or one sentence."""

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classifier.errors import ConfigError, UserError
from launch.aws.errors import AwsError
from launch.predict import predict, tell
from tests.conftest import byoc

Server = Callable[[bytes], str]


@pytest.fixture
def answering() -> Iterator[Server]:
    """Return a function that starts a server and returns its address; the server always sends these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def start(answer: bytes) -> str:
            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

            threading.Thread(target=serve, daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


@pytest.fixture
def photo(tiny: Path) -> Path:
    return tiny / "test" / "brick" / "000.jpg"


NOT_ADDRESSES = """
/
not a url
http://h o/
http://[::1
http://127.0.0.1:abc
http://127.0.0.1:99999
http://
ftp://127.0.0.1
file:///etc/hosts
http://h\u00f6st
http://host\t
"""


@pytest.mark.parametrize("url", NOT_ADDRESSES.strip("\n").split("\n"))
def test_what_is_not_an_address_is_one_sentence(photo: Path, url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        predict(url, photo)
    assert str(refused.value) == f"--url is {url!r}; write the server's address, as in http://127.0.0.1:8080"


def test_an_address_is_refused_once_for_all_photos(photo: Path) -> None:
    done = byoc("predict", photo, photo, "--url", ":")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == "byoc: --url is ':'; write the server's address, as in http://127.0.0.1:8080\n"


@pytest.mark.parametrize("url", ["127.0.0.1:9", "http://a..b", f"http://{'a' * 70}:8080"])
def test_an_address_without_a_server_is_one_sentence(photo: Path, url: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"no server answers at {url} (") + r".*; start one with: byoc serve"):
        predict(url, photo)


# The rest of an answer after a head with status 200.
NOT_OURS = b"""
hello
<html></html>
[]
3
null
{}
{"predictions": null}
{"predictions": []}
{"predictions": 3}
{"predictions": [0.1, 0.9]}
{"predictions": [[]]}
{"predictions": [{}]}
{"predictions": [{"label": "a", "probability": "high"}]}
{"predictions": {"label": 1}}
"""


@pytest.mark.parametrize("body", [*NOT_OURS.split(b"\n"), b"a\nb\xff", b"[" * 100_000], ids=lambda body: body[:60])
def test_an_answer_that_is_not_ours_is_one_sentence(photo: Path, answering: Server, body: bytes) -> None:
    with pytest.raises(UserError) as refused:
        predict(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body), photo)
    assert "does not answer as byoc serve does" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no server answers"),
        (b"", "no server answers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "no server answers"),
        (b"HTTP/1.1 500 Sorry\r\nContent-Length: 100\r\n\r\n{", "000.jpg: 500 Sorry"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n[]", "000.jpg: 404 []"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 5\r\n\r\n<a>\n\n", "000.jpg: 502 <a>"),
    ],
)
def test_an_answer_that_breaks_off_or_refuses_is_one_sentence(
    photo: Path, answering: Server, answer: bytes, sentence: str
) -> None:
    with pytest.raises(UserError) as refused:
        predict(answering(answer), photo)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_the_address_may_lack_its_scheme_or_name_the_servers_own_path(photo: Path, url: str) -> None:
    for address in (url, f"{url}/", url.removeprefix("http://"), f"{url}/invocations", f"{url}/invocations/"):
        done = byoc("predict", photo, "--url", address)
        assert done.returncode == 0 and done.stdout.startswith(f"{photo}: brick "), done.stderr


def test_a_photo_is_recognised_whatever_its_name_ends_with(photo: Path, url: str, tmp_path: Path) -> None:
    names = ("a.md", "a.csv", "a.txt", "a.html", "a.mp4", "a", "a.jfif", "a.PNG")
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_bytes(photo.read_bytes())
    done = byoc("predict", *files, "--url", url)
    assert done.returncode == 0 and done.stdout.count(": brick ") == len(names), done.stderr


def test_a_json_request_with_many_photos_prints_a_line_for_each(photo: Path, url: str, tmp_path: Path) -> None:
    request = tmp_path / "two.json"
    instances = [{"b64": base64.b64encode(path.read_bytes()).decode()} for path in [photo, photo]]
    request.write_text(json.dumps({"instances": instances}))
    done = byoc("predict", request, "--url", url)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2, done.stderr
    assert lines[0].startswith(f"{request}[0]: brick ") and lines[1].startswith(f"{request}[1]: brick ")


@pytest.mark.parametrize("ends", [AwsError("the endpoint was deleted"), KeyboardInterrupt()])
def test_an_error_or_ctrl_c_does_not_lose_the_json_of_the_answers_before_it(
    capsys: pytest.CaptureFixture[str], ends: BaseException
) -> None:
    answers = iter([[[{"label": "cat", "probability": 1.0}]]])

    def ask(path: Path) -> list[list[dict[str, object]]]:
        try:
            return next(answers)
        except StopIteration:
            raise ends from None

    with pytest.raises(type(ends)):
        tell([Path("a.jpg"), Path("b.jpg")], ask, as_json=True)
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry == {"file": "a.jpg", "predictions": [{"label": "cat", "probability": 1.0}]}

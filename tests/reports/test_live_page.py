"""The page that is followed, over HTTP: who may request it, what it may do, and how following ends."""

import contextlib
import dataclasses
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from classifier.errors import ConfigError
from reports.live.follow import News, follow
from reports.live.server import LivePage, serving
from reports.page.document import Report
from reports.page.render import html
from reports.report import make
from tests.reports.made import course, done, healthy, job, judged
from tests.reports.made import write as write_records

BYOC = Path(sys.executable).parent / "byoc"


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return make(write_records(tmp_path / "run", healthy()))


def get(url: str, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_and_its_facts_are_served(report: Report) -> None:
    with serving(LivePage(report)) as url:
        status, headers, body = get(url)
        assert status == 200 and report.headline.encode() in body
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        facts = json.loads(get(url, "/report.json")[2])
        assert facts["headline"] == report.headline
        assert get(url, method="HEAD")[2] == b"" and get(url, "/etc/passwd")[0] == 404


def test_the_page_may_ask_its_own_server_and_nobody_else(report: Report) -> None:
    with serving(LivePage(report)) as url:
        text = get(url)[2].decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    parts = dict(part.split(" ", 1) for part in policy[1].replace("&#39;", "'").split("; "))
    assert parts["default-src"] == "'none'" and parts["connect-src"] == "'self'"
    assert len(parts["script-src"].split()) == 3
    assert "connect-src" not in html(report)


def test_another_name_of_this_machine_is_refused(report: Report) -> None:
    # A web site may let its own name point to 127.0.0.1. The browser then sends that name as the host.
    with serving(LivePage(report)) as url:
        port = urlsplit(url).port
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1:1", ""):
            status, _, body = get(url, Host=host)
            assert status == 421 and report.headline.encode() not in body, host
        for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
            assert get(url, Host=host)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(report: Report, method: str) -> None:
    with serving(LivePage(report)) as url:
        assert get(url, method=method)[0] == 501


def test_a_page_that_the_browser_has_is_not_sent_again_but_the_state_is(report: Report) -> None:
    page = LivePage(report)
    with serving(page) as url:
        tag = get(url)[1]["ETag"]
        page.say("Größe: 3 %")
        status, headers, body = get(url, If_None_Match=tag)
        assert (status, body) == (304, b"") and unquote(headers["X-Byoc-State"]) == "Größe: 3 %"
        page.renew(dataclasses.replace(report, headline="Something else."), "new")
        assert get(url, If_None_Match=tag)[0] == 200


def test_a_client_that_sends_nothing_keeps_nobody_waiting(report: Report) -> None:
    with serving(LivePage(report)) as url:
        silent = [http.client.HTTPConnection(urlsplit(url).netloc) for _ in range(5)]
        for one in silent:
            one.connect()
        assert get(url)[0] == 200
        for one in silent:
            one.close()


def test_the_end_of_serving_ends_the_connections_that_clients_keep_open(report: Report) -> None:
    with serving(LivePage(report)) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().read()
    with contextlib.closing(connection), pytest.raises((OSError, http.client.HTTPException)):
        connection.request("GET", "/")
        connection.getresponse()


def test_a_port_in_use_is_named(report: Report) -> None:
    with (
        serving(LivePage(report)) as url,
        pytest.raises(ConfigError, match="cannot be used: Address already in use"),
        serving(LivePage(report), urlsplit(url).port or 0),
    ):
        pass


def test_following_ends_with_the_last_report_whatever_ends_it(report: Report) -> None:
    kept: list[Report] = []
    other = dataclasses.replace(report, headline="Something else.")

    def failing() -> News:
        raise ConfigError("the credentials have expired")

    with pytest.raises(ConfigError):
        follow(report, failing, every=0, port=0, begun=lambda url: None, ended=kept.append)
    looks = iter([News(report=other, state=""), News(report=None, state="")])

    def looking() -> News:
        found = next(looks, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    follow(report, looking, every=0, port=0, begun=lambda url: None, ended=kept.append)
    assert kept == [report, other]


def lines_of(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"{text!r} never came")


def started(*arguments: str | Path, **more: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [BYOC, "report", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


def renewed(url: str, text: str) -> str:
    """Return the page once it holds a text; fails after five minutes."""
    for _ in range(3000):
        page = get(url)[2].decode()
        if text in page:
            return page
        threading.Event().wait(0.1)
    raise AssertionError(f"{text!r} never came")


def test_a_run_is_followed_from_its_first_record_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    process = started(folder, "--follow")
    try:
        url = lines_of(process, "is kept up to date").split()[4]
        assert "holds no records of a run" in get(url)[2].decode()
        path = write_records(folder, [job(), *course([2.0, 1.0], [2.1, 1.1])]) / "output" / "data" / "records.jsonl"
        assert "Loss by epoch" in renewed(url, "from 2 to 1, best 1 in epoch head 2")
        with path.open("a") as file:
            file.write(
                "".join(json.dumps(one) + "\n" for one in [*judged("test", [[9, 1, 0], [0, 9, 1], [0, 0, 10]]), done()])
            )
        renewed(url, "93.3 % of the test photos")
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=300)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and "page: " in output
    assert (
        "93.3 %" in (folder / "report.html").read_text() and "connect-src" not in (folder / "report.html").read_text()
    )


def test_sigterm_ends_it_too_and_the_report_is_written(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "run", healthy())
    process = started(folder, "--follow")
    try:
        lines_of(process, "is kept up to date")
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=300)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143 and (folder / "report.html").is_file() and "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a run, a folder, a job"),
        (["run", "--port", "8000"], "add --follow"),
        (["--endpoint", "http://127.0.0.1:9", "--since", "2h"], "--since is for an endpoint on SageMaker"),
        (["s3://bucket/job/", "--follow"], "does not change any more"),
        (["no/such/folder"], "does not exist"),
        (["--endpoint", "http://127.0.0.1:9"], "byoc serve DIR"),
        (["--endpoint", "ftp://x"], "write a server's address"),
        (["no-such-job"], "is not a file or a folder here, and SageMaker cannot be asked for a job of that name"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_one_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    process = started(*arguments, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 1 and output.startswith("byoc: ") and output.count("\n") == 1 and words in output
    assert not list(tmp_path.iterdir())

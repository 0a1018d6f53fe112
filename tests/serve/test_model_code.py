"""An artifact with code: it is refused unless ALLOW_MODEL_CODE is set. Also the behaviour of its functions and their errors."""

import contextlib
import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faulty import CODE, answer_to
from tests.ports import free_port
from tests.server import ask, get, instances, send, serve, started, until, wait_for

TIMEOUT = 12


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with one worker and two places; a request's body selects what its model does. Also its log file."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "model" / "code").mkdir(parents=True)
    (folder / "model" / "weights.txt").write_text("0.5")
    shutil.copy(CODE, folder / "model" / "code" / "inference.py")
    told = {
        "ALLOW_MODEL_CODE": "true",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": str(TIMEOUT),
        "MMS_JOB_QUEUE_SIZE": "2",
    }
    port = free_port()
    with started(folder / "model", port, folder, **told) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, url)
        yield url, folder / "log.txt"


def recovered(url: str) -> None:
    until("a worker answers", lambda: answer_to(url, "hello")[0] == 200)


def test_the_functions_of_the_original_style_are_honoured(faulty: tuple[str, Path]) -> None:
    url, _ = faulty
    status, headers, text = ask(url, b"hello", Content_Type="text/x", Accept="text/y")
    assert (status, headers["Content-Type"], text) == (200, "text/y", "text/x hello 0.5")


def test_an_error_in_them_is_an_id_for_the_client_and_a_traceback_in_the_log(faulty: tuple[str, Path]) -> None:
    url, log = faulty
    status, text = answer_to(url, "raise")
    answer = json.loads(text)
    assert status == 500 and "secret" not in text and ".py" not in text
    until("the log has the traceback", lambda: "RuntimeError: secret" in log.read_text())
    until("the log has the id", lambda: f"request {answer['request_id']}" in log.read_text())


def test_too_little_memory_is_507(faulty: tuple[str, Path]) -> None:
    assert answer_to(faulty[0], "memory")[0] == 507
    assert answer_to(faulty[0], "hello")[0] == 200


@pytest.mark.parametrize("size", [100_000, 300_000, 30_000_000])
def test_an_answer_of_any_size_arrives_whole(faulty: tuple[str, Path], size: int) -> None:
    assert answer_to(faulty[0], f"large {size}") == (200, "x" * size)


def test_too_many_requests_are_503_and_ping_answers_while_every_worker_is_busy(
    faulty: tuple[str, Path], tmp_path: Path
) -> None:
    url, _ = faulty
    free = tmp_path / "free"
    busy = [send(url, f"wait {free}".encode(), "text/x") for _ in range(2)]
    status, headers, text = ask(url, b"hello", Content_Type="text/x")
    assert status == 503 and headers["Retry-After"] == "1" and "busy with 2 requests" in text
    assert get(f"{url}/ping") == ""
    free.touch()
    for connection in busy:
        with contextlib.closing(connection):
            assert connection.getresponse().status == 200


@pytest.mark.slow
def test_a_request_that_never_ends_is_504_and_its_worker_is_replaced(faulty: tuple[str, Path]) -> None:
    url, log = faulty
    status, text = answer_to(url, "sleep 3600")
    assert status == 504 and f"longer than {TIMEOUT} seconds" in text
    recovered(url)
    until("the log says that it ended", lambda: bool(re.search(r"worker \d+ ended", log.read_text())))


def test_a_worker_that_dies_costs_its_request_alone(faulty: tuple[str, Path]) -> None:
    url, _ = faulty
    status, text = answer_to(url, "die")
    assert status == 503 and "the worker that had this request ended" in json.loads(text)["message"]
    recovered(url)


def refuses(url: str) -> bool:
    """Return whether the server refuses connections, as it does while it stops."""
    with contextlib.suppress(OSError):
        get(f"{url}/ping")
        return False
    return True


@pytest.mark.slow
def test_on_sigterm_the_request_in_flight_is_answered(tmp_path: Path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "weights.txt").write_text("0.5")
    shutil.copy(CODE, tmp_path / "model" / "code" / "inference.py")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(tmp_path / "model", port, tmp_path, ALLOW_MODEL_CODE="true") as process:
        wait_for(process, url)
        free = tmp_path / "free"
        with contextlib.closing(send(url, f"wait {free}".encode(), "text/x")) as connection:
            process.send_signal(signal.SIGTERM)
            until("new requests are refused", lambda: refuses(url))
            free.touch()
            answer = connection.getresponse()
            assert (answer.status, answer.read().decode()) == (200, f"text/x wait {free} 0.5")
        assert process.wait(300) == 0
        with pytest.raises(OSError):
            get(f"{url}/ping")


def test_what_the_code_does_not_define_is_done_as_without_it(
    model: Path,
    photo: bytes,
    tmp_path: Path,
) -> None:
    artifact = Path(shutil.copytree(model, tmp_path / "model"))
    (artifact / "code").mkdir()
    text = "def predict_fn(data, model, context):\n    return model.probabilities(data)[:, ::-1]\n"
    (artifact / "code" / "mine.py").write_text(text)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(artifact, port, tmp_path, ALLOW_MODEL_CODE="true", SAGEMAKER_PROGRAM="mine.py") as process:
        wait_for(process, url)
        status, _, answer = ask(url, photo, Content_Type="image/jpeg", Accept="application/json;verbose")
        # The code reverses the 14 classes' probabilities: coffee is the fifth class, so the fifth class from the end is predicted.
        classes = json.loads(answer)["labels"]
        assert status == 200 and json.loads(answer)["predicted_label"] == classes[-1 - classes.index("coffee")]
        assert ask(url, b"x", Content_Type="image/jpeg")[0] == 422
        assert ask(url, b"x", Content_Type="text/plain")[0] == 415


@pytest.mark.slow
def test_where_code_is_allowed_an_artifact_without_any_is_served_as_usual(
    model: Path,
    photo: bytes,
    tmp_path: Path,
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path, ALLOW_MODEL_CODE="true") as process:
        wait_for(process, url)
        status, _, answer = ask(url, instances(photo, photo), Content_Type="application/json", Accept="text/csv")
        assert status == 200 and [line.split(",")[0] for line in answer.splitlines()] == ["coffee", "coffee"]
        assert ask(url, b"hello", Content_Type="text/x")[0] == 415


def test_without_leave_an_artifact_with_code_is_refused_by_name(model: Path, tmp_path: Path) -> None:
    artifact = Path(shutil.copytree(model, tmp_path / "model"))
    (artifact / "code").mkdir()
    (artifact / "code" / "inference.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    done = serve(artifact, "--port", str(free_port()))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "brings code, which is not run" in done.stderr and "ALLOW_MODEL_CODE=true" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_code_that_cannot_be_imported_ends_the_program_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text("import a_package_that_is_absent")
    monkeypatch.setenv("ALLOW_MODEL_CODE", "true")
    done = serve(tmp_path / "model", "--port", str(free_port()))
    assert done.returncode == 1
    assert "inference.py cannot be imported (ModuleNotFoundError: " in done.stderr.splitlines()[-1]
    assert "; install it where the server runs (for an image: two lines" in done.stderr.splitlines()[-1]

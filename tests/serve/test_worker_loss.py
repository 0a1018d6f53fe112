"""Workers that end or fail while they load: as the only workers, and while others serve."""

import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.faulty import CODE, answer_to
from tests.ports import free_port
from tests.server import get, metric, serve, started, until, wait_for, workers


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "weights.txt").write_text("0.5")
    shutil.copy(CODE, folder / "code" / "inference.py")
    return folder


@pytest.mark.slow
def test_workers_that_die_while_they_load_end_the_program_with_one_sentence(artifact: Path) -> None:
    (artifact / "die").touch()
    done = serve(artifact, "--port", str(free_port()), "--workers", "1", ALLOW_MODEL_CODE="true")
    assert done.returncode == 1
    found = re.search(r"(\d+) workers ended while they loaded the model", done.stderr.splitlines()[-1])
    assert found and int(found[1]) >= 3, done.stderr  # more than three if the server notices late


@pytest.mark.slow
def test_a_replacement_that_cannot_load_does_not_end_those_that_serve(artifact: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(artifact, port, tmp_path, ALLOW_MODEL_CODE="true", SAGEMAKER_MODEL_SERVER_WORKERS="2") as process:
        wait_for(process, url)
        until("both are ready", lambda: metric(url, "byoc_workers_ready") == 2)
        for fault in ("raise", "die"):
            (artifact / fault).touch()
            workers(process.pid)[0].kill()
            until("one is gone", lambda: metric(url, "byoc_workers_ready") == 1)
            for _ in range(20):
                time.sleep(0.2)
                assert process.poll() is None and get(f"{url}/ping") == ""
                assert answer_to(url, "hello")[0] in (200, 503)  # 503 if the dead worker had the request
            assert answer_to(url, "hello")[0] == 200
            (artifact / fault).unlink()
            until("the worker is replaced", lambda: metric(url, "byoc_workers_ready") == 2)


@pytest.mark.slow
def test_ping_is_200_soon_after_a_restart_though_long_requests_wait(artifact: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(artifact, port, tmp_path, ALLOW_MODEL_CODE="true", SAGEMAKER_MODEL_SERVER_WORKERS="1") as process:
        wait_for(process, url)
        codes: list[int] = []
        free, begun = tmp_path / "free", tmp_path / "free.begun"
        clients = [threading.Thread(target=lambda: codes.append(answer_to(url, f"wait {free}")[0])) for _ in range(4)]
        for client in clients:
            client.start()
        until("the first request is being computed", begun.exists)
        workers(process.pid)[0].kill()
        until("the worker is replaced", lambda: metric(url, "byoc_worker_restarts_total") == 1)
        until("the new one can answer", lambda: metric(url, "byoc_workers_ready") == 1)
        wait_for(process, url)
        until("the killed one's request is answered", lambda: bool(codes))
        assert codes == [503]
        free.touch()
        for client in clients:
            client.join()
        assert sorted(codes) == [200, 200, 200, 503]

"""Parts that several of the serving tests use."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serve import model_workers
from serve.model_server import ModelServer
from serve.model_workers import ModelWorkers
from serve.settings import read_settings
from tests.attacks import Endpoint, attacked
from tests.front import Served
from tests.image_files import noise
from tests.model_parts import CODE, Parts
from tests.standin import java
from tests.wire import metric, post


@pytest.fixture(scope="session")
def photo(samples: Path) -> bytes:
    """A photo of the class coffee."""
    return (samples / "test" / "coffee" / "000.jpg").read_bytes()


@pytest.fixture
def unharmed(url: str, photo: bytes) -> Iterator[None]:
    """Check after the test that the same workers answer the next photo correctly."""
    before = metric(url, "byoc_worker_restarts_total")
    yield
    answer = post(url, photo)
    assert answer.status == 200 and answer.json["predictions"][0]["label"] == "coffee"
    assert metric(url, "byoc_worker_restarts_total") == before


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 400 MB, at a path that is short enough for Unix sockets."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = Path(tempfile.mkdtemp(prefix="disk-"))
    try:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "none", folder], check=False).returncode:
            pytest.skip("this machine does not allow mounting")
        yield folder
        subprocess.run(["umount", "-l", folder], check=True)
    finally:
        folder.rmdir()


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """Return a function that makes a front from the platform's variables; its port is not open yet."""
    java(tmp_path, "exec sleep 600", monkeypatch)
    (tmp_path / "artifact").mkdir()
    server = ModelServer(tmp_path, read_settings([], {}))
    server.start()
    yield lambda **told: Served(tmp_path, server, told)
    server.stop()


@pytest.fixture
def served(started: Callable[..., Served]) -> Served:
    """A front with the default settings."""
    return started()


@pytest.fixture
def served_code(started: Callable[..., Served], tmp_path: Path) -> Served:
    """A front whose artifact brings code."""
    (tmp_path / "artifact" / "code").mkdir()
    return started(ALLOW_MODEL_CODE="true")


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """A model that is ready for requests."""
    java(tmp_path, "exec sleep 600", monkeypatch)
    monkeypatch.setattr(model_workers, "PROBE_SECONDS", 60.0)  # a busy machine may pause this process for seconds
    (tmp_path / "artifact").mkdir()
    settings = read_settings([], CODE)
    server = ModelServer(tmp_path, settings)
    server.start()
    yield Parts(tmp_path, settings, server)
    server.stop()


@pytest.fixture
def parts_with_code(parts: Parts) -> Parts:
    """A model before its start. Its artifact holds code, so nothing has to be prepared."""
    folder = parts.folder / "artifact" / "code"
    folder.mkdir()
    (folder / "inference.py").write_text("")
    parts.status.rmdir()
    parts.status.parent.rmdir()
    parts.model = ModelWorkers("m0", parts.folder / "artifact", parts.server, parts.model.settings)
    return parts


@pytest.fixture(scope="module")
def endpoint(plain_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A multi-model endpoint for attacks."""
    with attacked(tmp_path_factory.mktemp("many"), plain_model) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artifact of a thousand classes, and the files prepared from it for torch."""
    from benchmarks import artifacts
    from serve.prepare import prepare

    folder = tmp_path_factory.mktemp("small")
    for number in range(3):
        (folder / f"{number}.png").write_bytes(noise(number))
    artifacts.random_weights(folder / "model", "timm/test_efficientnet", sorted(folder.glob("*.png")))
    prepare(folder / "model", folder / "prepared", "torch")
    return folder

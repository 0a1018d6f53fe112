"""An account for the tests of the driver: a local SageMaker, a working folder, and no connection to any other machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.aws.session import Session
from launch.aws.settings import Settings
from tests.aws import loopback
from tests.sagemaker.conftest import KEYS, NO_FILES, PYTHON, Emulator, emulate

loopback.active = False  # off until a test of this folder runs, since pytest may run other tests in this process
REGION = KEYS["AWS_DEFAULT_REGION"]


@pytest.fixture(scope="module", autouse=True)
def loopback_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test of the driver, and no Python that it starts, open a socket that leaves this machine."""
    reached = tmp_path_factory.mktemp("loopback") / "reached"
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "BYOC_TEST_REACHED", *KEYS, *NO_FILES)}
    paths = [str(Path(__file__).parent / "children"), *filter(None, [before["PYTHONPATH"]])]
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "BYOC_TEST_REACHED": str(reached), **KEYS, **NO_FILES}
    loopback.active = True
    yield
    loopback.active = False
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    assert not reached.exists(), reached.read_text()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, loopback_alone: None) -> Iterator[Emulator]:
    """One emulator for a module; Describe of a running job is answered when the job has ended, so that no test sleeps."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing; make it: make emulator")
    running = emulate(tmp_path_factory.mktemp("emulator") / "data", "--hold", "20")
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder of a user without an AWS configuration. All endpoints of AWS are a closed port on this machine."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in [name for name in os.environ if name.startswith("BYOC_") and name != "BYOC_TEST_REACHED"]:
        monkeypatch.delenv(name)
    return place


@pytest.fixture
def account(folder: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user whose boto3 sends its requests to the emulator, in this process and in those that it starts."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    return folder


@pytest.fixture
def session(account: Path) -> Session:
    """A session with the emulator."""
    return Session(Settings(region=REGION))

"""The suite's options, the fixtures that all tests share, and the table at the end."""

import itertools
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_test.contract import bodies
from local_test.contract.emulated import NoEmulator, loopback
from local_test.contract.engine import EngineError, image_config, remove_everything
from local_test.contract.job import Ended, Job
from local_test.contract.platforms import Endpoint, Platform, choose
from local_test.contract.table import Row, text_table

CLASSES, PHOTOS = 4, 8  # classes, and photos of each class in each split: enough for a quick job
SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
RESULTS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption("--image", help="image to check")
    group.addoption(
        "--emulator",
        type=loopback,
        metavar="URL",
        help="address of a running byoc emulate --run docker; run the image through its API, not with docker run",
    )
    group.addoption("--data", type=Path, help="folder with train/, validation/ and test/, each with a folder per class")
    group.addoption("--hyperparameters", default="{}", help="JSON object of hyperparameters that make a job short")
    group.addoption(
        "--long",
        default='{"epochs": "10000"}',
        help="JSON object of hyperparameters that make a job long enough to be stopped",
    )
    group.addoption("--objective", default=r"validation:accuracy=([-+0-9.e]+)", help="regex of the tuner's objective")
    group.addoption("--model", type=Path, help="artifact to serve, as a folder")
    group.addoption("--keep-model", type=Path, help="copy the model that training made to this folder")
    group.addoption("--results", type=Path, help="write the results to this JSON file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []
    # Leave pytest in order on SIGTERM, so that containers are removed.
    signal.signal(signal.SIGTERM, lambda number, frame: pytest.exit("stopped by SIGTERM", 143))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Any:
    report = yield
    marker = item.get_closest_marker("clause")
    if marker and (report.when == "call" or not report.passed):
        told = [str(call.excinfo.value).split("\n")[0].removeprefix("Skipped: ")] if call.excinfo else []
        # Drop pytest's own text, which says nothing about the clause.
        told = [text for text in told if not text.startswith("assert ")]
        result = {"passed": "pass", "failed": "FAIL", "skipped": "not claimed"}[report.outcome]
        noted = [value for name, value in item.user_properties if name == "seen"]
        text, source = marker.args
        row = Row(
            test=item.name,
            module=str(item.path.stem),
            clause=text,
            source=source,
            result=result,
            seen=" ".join("; ".join([*map(str, noted), *told]).split()),
        )
        if result == "FAIL" or report.when != "teardown":
            item.config.stash[RESULTS].append(row)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[RESULTS]
    if rows:
        terminalreporter.section(f"the contract, {config.getoption('--image')}{_through(config)}")
        terminalreporter.write_line(text_table(rows))
    if path := config.getoption("--results"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n")


def _through(config: pytest.Config) -> str:
    url = config.getoption("--emulator")
    return f", through the SageMaker API at {url}" if url else ""


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    remove_everything()


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that notes an observation for the table."""
    return lambda text: record_property("seen", text)


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> str:
    name = pytestconfig.getoption("--image")
    if not name:
        pytest.exit("name an image: make contract IMAGE=... KIND=train", returncode=2)
    try:
        image_config(name)
    except EngineError as error:
        pytest.exit(f"image {name} cannot be inspected: {error}", returncode=2)
    return str(name)


@pytest.fixture(scope="session")
def platform(pytestconfig: pytest.Config, image: str) -> Platform:
    """The platform that runs the image: `docker run`, or the SageMaker at --emulator."""
    try:
        return choose(image, pytestconfig.getoption("--emulator"))
    except NoEmulator as error:
        pytest.exit(str(error), returncode=2)


def readable(folder: Path) -> None:
    """Let any user read the files below pytest's temporary folder, which only its owner may open by default."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for parent in itertools.takewhile(lambda path: path.name.startswith("pytest-"), folder.parents):
        parent.chmod(parent.stat().st_mode | 0o055)


@pytest.fixture(scope="session")
def photos(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few photos of a few classes: train/, validation/ and test/."""
    data, folder = pytestconfig.getoption("--data"), tmp_path_factory.mktemp("photos")
    if data is None or not (data / "train").is_dir():
        pytest.exit(f"{data} holds no folder train; name a folder of photos with --data", returncode=2)
    for split, spellings in SPLITS.items():
        source = next((data / name for name in spellings if (data / name).is_dir()), None)
        for label in sorted(source.iterdir())[:CLASSES] if source else []:
            target = folder / split / label.name
            target.mkdir(parents=True)
            for photo in sorted(label.iterdir())[:PHOTOS]:
                shutil.copy(photo, target / photo.name)
    readable(folder)
    return folder


@pytest.fixture(scope="session")
def channels(photos: Path) -> dict[str, Path]:
    return {split: photos / split for split in ("train", "validation") if (photos / split).is_dir()}


@pytest.fixture(scope="session")
def hyperparameters(pytestconfig: pytest.Config) -> dict[str, str]:
    return {"epochs": "2"} | dict(json.loads(pytestconfig.getoption("--hyperparameters")))


@pytest.fixture
def job(tmp_path: Path, channels: dict[str, Path], hyperparameters: dict[str, str]) -> Callable[..., Job]:
    """Return a function that lays out a job with the photos; `more` are hyperparameters."""

    def make(name: str = "job", more: dict[str, str] | None = None, **options: Any) -> Job:
        return Job(tmp_path / name, options.pop("channels", channels), hyperparameters | (more or {}), **options)

    return make


@pytest.fixture(scope="session")
def trained(
    pytestconfig: pytest.Config,
    platform: Platform,
    channels: dict[str, Path],
    hyperparameters: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Ended:
    """An ordinary job that has ended. All clauses that only look at a job share it."""
    ended = platform.run(Job(tmp_path_factory.mktemp("trained"), channels, hyperparameters))
    if (kept := pytestconfig.getoption("--keep-model")) and ended.status == 0:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(ended.job.model, kept)
    return ended


@pytest.fixture(scope="session")
def model(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact, copied to a folder that any user may read."""
    given = pytestconfig.getoption("--model")
    if given is None or not given.is_dir():
        pytest.exit(
            f"{given} is not the folder of an artifact; name an artifact: make contract KIND=serve MODEL=...",
            returncode=2,
        )
    folder = tmp_path_factory.mktemp("artifact") / "model"
    shutil.copytree(given, folder)
    readable(folder)
    return folder


@pytest.fixture(scope="session")
def photo(photos: Path) -> bytes:
    """One photo, as JPEG."""
    found = sorted(photos.glob("test/*/*")) or sorted(photos.glob("*/*/*"))
    return bodies.encoded(found[0].read_bytes(), "JPEG")


@pytest.fixture(scope="session")
def endpoint(platform: Platform, model: Path, photo: bytes) -> Iterator[Endpoint]:
    with platform.endpoint(model) as started:
        started.ready = started.wait_ready()
        started.first = started.invoke(photo, "image/jpeg")
        yield started

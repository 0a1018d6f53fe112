"""Real parts for the tests: a labelled set of photos, a model trained on it, and a running server."""

import contextlib
import fcntl
import functools
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from classifier.backends.ir import IR_FILES
from classifier.guard_photos import GUARD
from launch import opt_ml
from launch.samples import write_samples
from launch.server import serving
from tests.places import INSIDE, left_out
from tests.warm import Warm

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
LITE = "timm/tf_efficientnet_lite0"
collect_ignore = left_out(Path(__file__).parent)
# The oldest allowed Python is the version in the images.
IMAGES = (
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].split(",")[0].removeprefix(">=")
)
TORCH = importlib.util.find_spec("torch")
WITHOUT_TORCH = "needs torch, which is not in the environments of tests/others.sh"
needs_torch = pytest.mark.skipif(not TORCH, reason=WITHOUT_TORCH)
# With ONNX a server starts in half of the time, since it reads the model without torch; the Docker images lack the exporter.
ONNX = {"export-onnx": "1"} if importlib.util.find_spec("onnxscript") else {}
TRAINED_WITH = {"precision": "fp32", "lr": "0.01", "export-openvino": "auto"} | ONNX
OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not OPENVINO, reason="needs openvino, which the CUDA image does not hold")
# Inside an image: the folder that tests/prepare.py has filled, since the serving image cannot train a model.
PREPARED = os.environ.get("BYOC_PREPARED")


# No test may reach another machine: connections through a proxy go to a closed port on this one.
os.environ |= {
    "https_proxy": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "no_proxy": "127.0.0.1,localhost",
}

# A shell starts `make test &` and `nohup make test` with these signals ignored. Programs that the tests start would ignore them too, and
# the tests could not stop them. A signal with a handler has its default effect in a new program, so the signals get one here.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_report_header() -> str | None:
    """Warn when this Python is not the images' version."""
    here = platform.python_version()
    return (
        None
        if here == IMAGES
        else f"Python {here}: the images lack features newer than {IMAGES}; make test-inside runs there"
    )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    with once(folder / "prepared") as missing:
        if missing and PREPARED:
            shutil.copytree(PREPARED, folder, symlinks=True, dirs_exist_ok=True)
    return folder


@contextlib.contextmanager
def once(name: Path) -> Iterator[bool]:
    """Yield True to the first worker that asks for this name. Other workers wait until its block ends, and get False."""
    with Path(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Path(f"{name}.made")
        yield not made.exists()
        made.touch()


@pytest.fixture(scope="session")
def samples(shared: Path) -> Path:
    folder = shared / "samples"
    with once(folder) as missing:
        if missing and not folder.exists():
            write_samples(folder)
    return folder


@pytest.fixture(scope="session")
def feature_cache(shared: Path) -> Path:
    return shared / "features"


@pytest.fixture(scope="session")
def trained(samples: Path, feature_cache: Path, shared: Path) -> "Run":
    base, printed = shared / "opt-ml", shared / "printed.json"
    with once(base) as missing:
        if missing and not printed.exists():
            run = run_training(base, {"training": samples}, TRAINED_WITH, feature_cache)
            assert run.status == 0, run.errors
            printed.write_text(json.dumps([run.output, run.errors]))
    return Run(base, subprocess.CompletedProcess([], 0, *json.loads(printed.read_text())))


@pytest.fixture(scope="session")
def model(trained: "Run") -> Path:
    return trained.base / "model"


@pytest.fixture(scope="session")
def plain_model(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as training writes it by default, without ONNX."""
    return lacking(model, tmp_path_factory.mktemp("plain") / "model", "model.onnx")


@pytest.fixture(scope="session")
def torch_model(plain_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as training writes it if OpenVINO is not installed."""
    return lacking(plain_model, tmp_path_factory.mktemp("torch") / "model", *IR_FILES)


@pytest.fixture(scope="session")
def old_model(torch_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the first version of the artifact's format."""
    folder = lacking(torch_model, tmp_path_factory.mktemp("old") / "model", GUARD)
    document = json.loads((folder / "model.json").read_text())
    del document["measured"]
    (folder / "model.json").write_text(json.dumps(document | {"format_version": 1}))
    return folder


def lacking(model: Path, folder: Path, *names: str) -> Path:
    """Copy an artifact without some of its files, and return the copy."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns(*names))
    document = json.loads((folder / "model.json").read_text())
    document["files"] = {name: file for name, file in document["files"].items() if name not in names}
    (folder / "model.json").write_text(json.dumps(document))
    return folder


SERVE_IMAGE = os.environ.get("BYOC_SERVE_IMAGE")


def pytest_sessionfinish() -> None:
    if warm.cache_info().currsize:
        warm().end()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With BYOC_SERVE_IMAGE, run only the tests that send requests to a server; the server is a container of that image.

    Inside an image, skip the tests that are marked for the host.
    """
    for item in items:
        if INSIDE and (host := item.get_closest_marker("host")):
            item.add_marker(pytest.mark.skip(f"on the host only: {host.args[0]}"))
    if SERVE_IMAGE:
        config.hook.pytest_deselected(items=[item for item in items if "url" not in getattr(item, "fixturenames", ())])
        items[:] = [item for item in items if "url" in getattr(item, "fixturenames", ())]


@pytest.fixture(scope="session")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if SERVE_IMAGE:
        with contained(model, SERVE_IMAGE) as url:
            wait_for_all_workers(url)
            yield url
    else:
        with serving(model, 0, tmp_path_factory.mktemp("server") / "log.txt") as url:
            wait_for_all_workers(url)
            yield url


def wait_for_all_workers(url: str) -> None:
    """Wait until each worker of a server has loaded the model. /ping waits only for one. The memory of the others
    would still grow during a test.
    """
    from tests.server import get, metric, until  # some environments lack their packages

    count = json.loads(get(f"{url}/execution-parameters"))["MaxConcurrentTransforms"]
    until("all workers are ready", lambda: metric(url, "byoc_workers_ready") >= count)


@contextlib.contextmanager
def contained(model: Path, image: str) -> Iterator[str]:
    """Serve a model in a container as serverless inference might: as an ordinary user, with only /tmp writable."""
    command = ["docker", "run", "--detach", "--rm", "--read-only", "--tmpfs", "/tmp", "--user", "65534:65534"]
    command += ["--publish", "127.0.0.1::8080", "--volume", f"{model}:/opt/ml/model:ro", image, "serve"]
    # The model is in a folder that only its owner may open; the container's user sees only the mount.
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        port = subprocess.run(["docker", "port", name, "8080"], capture_output=True, text=True, check=True).stdout
        url = f"http://{port.splitlines()[0].strip()}"
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=2):
                break
            time.sleep(0.2)
        yield url
    finally:
        subprocess.run(["docker", "stop", name], capture_output=True, check=True)


@pytest.fixture
def tiny(samples: Path, tmp_path: Path) -> Path:
    """A folder of two classes, with four photos each for training and two each for the other splits. A test may change it."""
    folder = tmp_path / "tiny"
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for label in ("brick", "coffee"):
            target = folder / split / label
            target.mkdir(parents=True)
            for photo in sorted((samples / split / label).iterdir())[:count]:
                (target / photo.name).write_bytes(photo.read_bytes())
    return folder


class Run:
    """One finished run of the training program."""

    def __init__(self, base: Path, done: "subprocess.CompletedProcess[str]") -> None:
        self.base, self.status, self.output, self.errors = base, done.returncode, done.stdout, done.stderr

    @property
    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.base / "output/data/records.jsonl").read_text().splitlines()]

    def record(self, kind: str, **values: Any) -> dict[str, Any]:
        return next(r for r in self.records if r["kind"] == kind and values.items() <= r.items())


def run_training(
    base: Path,
    channels: Mapping[str, Path],
    hyperparameters: Mapping[str, str],
    feature_cache: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    program: str | None = None,
    mode: str = "File",
) -> Run:
    """Run `python -m train` over a folder laid out as SageMaker lays out /opt/ml.

    With a prefix, a program or an environment, it runs as a command; otherwise call run_to_the_end.
    """
    if not TORCH:
        pytest.skip(WITHOUT_TORCH)
    if INSIDE == "serve":
        pytest.skip("in the training image only: the serving image cannot train")
    given = {"backbone": LITE, "epochs": "2", "export-openvino": "off"} | dict(hyperparameters)
    opt_ml.lay_out(base, channels, given, channel={"TrainingInputMode": mode}, resources=None)
    arguments = ["--feature-cache", str(feature_cache)] if feature_cache else []
    variables = os.environ | {"SAGEMAKER_BASE_DIR": str(base)} | dict(environment or {})
    if not (prefix or program) and environment is None:
        return Run(base, run_to_the_end(arguments, variables))
    command = [*prefix, *([program] if program else TRAIN), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=900, check=False)
    return Run(base, done)


TRAIN = [sys.executable, "-P", "-m", "train"]


def run_to_the_end(arguments: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the training program: inside the images as a command, else from a process that has imported the libraries."""
    if INSIDE:
        command = [*TRAIN, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    return warm().run(arguments, environment)


@functools.cache
def warm() -> Warm:
    """Return the process that has imported the libraries. It does one run at a time for this process."""
    return Warm()


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Run]:
    """Return a function that runs the training program on a folder of photos, with hyperparameters by keyword."""

    def run(folder: Path, channel: str = "training", /, **hyperparameters: str) -> Run:
        return run_training(tmp_path / "opt-ml", {channel: folder}, hyperparameters)

    return run


def lay_out(base: Path, photos: Path, hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """Lay out /opt/ml for a new job, or for one that is continued, and return its environment."""
    given = {"backbone": LITE, "precision": "fp32"} | dict(hyperparameters)
    opt_ml.lay_out(base, {"training": photos}, given, resources=None)
    return os.environ | {"SAGEMAKER_BASE_DIR": str(base), "MASTER_PORT": "0"}


@contextlib.contextmanager
def training(
    base: Path, photos: Path, *, prefix: tuple[str, ...] = (), port: int = 0, **hyperparameters: str
) -> "Iterator[subprocess.Popen[str]]":
    """Start the `train` command as the container does. With a `base` that was used before, the job is continued."""
    process = subprocess.Popen(
        [*prefix, str(Path(sys.executable).parent / "train")],
        env=lay_out(base, photos, hyperparameters) | {"MASTER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_line(process: "subprocess.Popen[str]", start: str) -> None:
    assert process.stdout is not None
    assert next((line for line in process.stdout if line.startswith(start)), None), "the program ended before"


def terminate(process: "subprocess.Popen[str]") -> str:
    """Send SIGTERM and return the rest of the output. Fail after two minutes, because SageMaker kills a training job after that time."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    return output


def byoc(*arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the console command `byoc`, which neither image holds."""
    if INSIDE:
        pytest.skip("on the host only: the driver runs there")
    command = [str(Path(sys.executable).parent / "byoc"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, **options)

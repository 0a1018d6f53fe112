"""The CPU images from outside, in a real Docker: their content, their labels, and that both work as any user."""

import json
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from classifier.backends.ir import IR_FILES
from tests.conftest import IMAGES, LITE, lacking

pytestmark = pytest.mark.docker

TRAIN, SERVE = "byoc-classifier-train:cpu", "byoc-classifier-serve:cpu"
WITHOUT_TORCH = "byoc-classifier-serve:openvino"
# An ordinary user and no network; only /tmp (where nothing may execute) and the mounts are writable.
LOCKED = ("--user", "4321:4321", "--read-only", "--tmpfs", "/tmp", "--network", "none")
BUDGET = {TRAIN: 1.8e9, SERVE: 1.6e9, WITHOUT_TORCH: 0.8e9}

CLIENT = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], sys.stdin.buffer.read() or None, {"Content-Type": "application/x-image"})
try:
    answer = urllib.request.urlopen(request, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(f"0 {error}")
print(answer.status, answer.read().decode())
"""
LEFTOVERS = r"""
ls -A /wheels /run/secrets /root/.cache /locks /project /var/lib/apt/lists /var/cache/apt/archives 2> /dev/null |
  grep -v -e : -e '^$' -e partial -e lock
find / -xdev \( -name pip.conf -o -name '*.whl' \) -not -path '/proc/*' -not -path /opt/venv/pip.conf
find /opt/venv -type d -name tests -not -path '*/numpy/_core/tests'
"""


def docker(*arguments: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, timeout=900, check=check)


def inspect(image: str) -> dict[str, Any]:
    found = docker("image", "inspect", image, check=False)
    assert found.returncode == 0, f"{image} is not built; make build DEVICE={image.rpartition(':')[2]}"
    description: dict[str, Any] = json.loads(found.stdout)[0]
    return description


def inside(image: str, command: str) -> str:
    return docker("run", "--rm", "--network", "none", image, "sh", "-c", command).stdout


@pytest.fixture(scope="module")
def job(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as /opt/ml after a job: two classes, trained by the image under LOCKED."""
    base = tmp_path_factory.mktemp("opt-ml")
    for split, count in (("train", 6), ("validation", 3), ("test", 3)):
        for label in ("brick", "coffee"):
            target = base / "input/data/training" / split / label
            target.mkdir(parents=True)
            for photo in sorted((samples / split / label).iterdir())[:count]:
                (target / photo.name).write_bytes(photo.read_bytes())
    (base / "input/config").mkdir()
    (base / "input/config/hyperparameters.json").write_text(json.dumps({"backbone": LITE, "epochs": "3", "lr": "0.01"}))
    for name in ("model", "output"):
        (base / name).mkdir()
        (base / name).chmod(0o777)
    for folder in (base, *base.parents[:1]):
        folder.chmod(0o755)
    mounts = (
        "-v",
        f"{base}/input:/opt/ml/input:ro",
        "-v",
        f"{base}/model:/opt/ml/model",
        "-v",
        f"{base}/output:/opt/ml/output",
    )
    done = docker("run", "--rm", *LOCKED, "--shm-size", "64m", *mounts, TRAIN, "train", check=False)
    assert done.returncode == 0, done.stderr
    (base / "log.txt").write_text(done.stdout)
    return base


@contextmanager
def serving(image: str, job: Path) -> Iterator[str]:
    """A serving container under LOCKED, with the job's model mounted read-only."""
    container = docker("run", "--detach", *LOCKED, "-v", f"{job}/model:/opt/ml/model:ro", image, "serve").stdout.strip()
    try:
        for _ in range(300):
            if ask(container, "/ping")[0] == 200:
                break
            time.sleep(0.2)
        yield container
    finally:
        docker("rm", "--force", container)


@pytest.fixture(scope="module")
def served(job: Path) -> Iterator[str]:
    with serving(SERVE, job) as container:
        yield container


def ask(container: str, path: str, body: Path | None = None) -> tuple[int, str]:
    """Send a request from inside the container, which has no network; return the status and the text."""
    done = subprocess.run(
        ["docker", "exec", "-i", container, "python", "-c", CLIENT, f"http://127.0.0.1:8080{path}"],
        input=body.read_bytes() if body else b"",
        capture_output=True,
        timeout=300,
        check=False,
    )
    status, _, text = done.stdout.decode().partition(" ")
    return int(status or 0), text.strip()


@pytest.mark.parametrize(("image", "program"), [(TRAIN, "train"), (SERVE, "serve")])
def test_an_image_names_itself_and_starts_its_program_by_argument_or_alone(image: str, program: str) -> None:
    found = inspect(image)
    config, labels = found["Config"], found["Config"]["Labels"]
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    assert config["Entrypoint"] == ["/usr/local/bin/byoc-entrypoint"] and config["Cmd"] == [program]
    assert not config.get("User"), "the image does not run as root, which the platform expects"
    for name in ("title", "version", "licenses"):
        assert labels[f"org.opencontainers.image.{name}"]
    assert "unknown" not in labels.values()
    assert labels.get("org.opencontainers.image.source", "https://").startswith("https://")
    other = "serve" if program == "train" else "train"
    refused = docker("run", "--rm", "--network", "none", image, other, check=False)
    assert refused.returncode == 64 and f"no program '{other}'" in refused.stderr


def test_the_serving_image_claims_the_capabilities_it_earns() -> None:
    labels = inspect(SERVE)["Config"]["Labels"]
    assert labels["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"


@pytest.mark.parametrize("image", [TRAIN, SERVE])
def test_an_image_keeps_no_secret_no_cache_no_wheel_and_no_test(image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert not [word for word in ("PIP_", "INDEX_URL", "PASSWORD", "TOKEN", "_PROXY") if word in history.upper()]
    assert inside(image, LEFTOVERS) == ""


@pytest.mark.parametrize("image", [TRAIN, SERVE])
def test_an_image_holds_no_compiler_and_lets_every_user_read_it(image: str) -> None:
    assert inside(image, "for c in gcc cc g++ clang ld make; do command -v $c; done; true") == ""
    assert inside(image, "find /opt/venv /usr/local -not -type l -not -perm -o=r -print") == ""


@pytest.mark.parametrize("image", BUDGET)
def test_an_image_keeps_to_its_size_budget(image: str) -> None:
    assert inspect(image)["Size"] <= BUDGET[image]


@pytest.mark.parametrize("image", [TRAIN, SERVE])
def test_an_image_runs_the_oldest_python_that_is_admitted_and_what_users_import(image: str) -> None:
    assert inside(image, "python --version").strip() == f"Python {IMAGES}"
    code = "import torch, torchvision, timm, PIL.Image, numpy; print(torchvision.ops.box_area(torch.ones(1, 4)).item())"
    assert inside(image, f"python -c '{code}'").strip() == "0.0"
    libraries = inside(
        image, "cd /opt/venv/lib/python3.11/site-packages; ls -d torchvision.libs torchvision/*.so 2> /dev/null || true"
    )
    assert libraries == "", "libraries for CUDA that the CPU build of torch cannot load"


def wheel(folder: Path, name: str, version: str = "1.0", needs: str = "") -> None:
    """Write a wheel of one module without contents."""
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        file.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{information}/RECORD", "")


@pytest.fixture
def derived() -> Iterator[str]:
    """The name of an image that the test builds."""
    yield "byoc-classifier-derived:test"
    docker("image", "rm", "--force", "byoc-classifier-derived:test", check=False)


@pytest.mark.parametrize("image", [TRAIN, SERVE])
def test_a_package_is_added_by_two_lines_on_top_of_an_image(image: str, derived: str, tmp_path: Path) -> None:
    wheel(tmp_path, "an_added_package")
    wheel(tmp_path, "torch", "2.0.0")
    wheel(tmp_path, "asks_for_another_torch", needs="Requires-Dist: torch==2.0.0\n")
    lines = f"FROM {image}\nCOPY *.whl /wheels/\nRUN pip install --no-index --find-links /wheels "
    (tmp_path / "Dockerfile").write_text(lines + "an_added_package")
    built = docker("build", "--network", "none", "--tag", derived, tmp_path, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    docker("run", "--rm", *LOCKED, derived, "python", "-c", "import an_added_package, torch, torchvision")
    (tmp_path / "Dockerfile").write_text(lines + "asks_for_another_torch")
    refused = docker("build", "--network", "none", "--tag", derived, tmp_path, check=False)
    assert refused.returncode and "requested (constraint) torch==2.13.0" in refused.stdout + refused.stderr


def test_both_images_share_the_layers_that_hold_torch() -> None:
    train, serve = (inspect(image)["RootFS"]["Layers"] for image in (TRAIN, SERVE))
    shared = [layer for layer in train if layer in serve]
    assert shared == train[: len(shared)] and len(shared) >= 4  # base, Python, entry point, torch


def test_the_program_is_process_1_so_that_it_gets_the_signals(served: str) -> None:
    command = docker("exec", served, "cat", "/proc/1/cmdline").stdout
    assert command.split("\0")[1] == "/opt/venv/bin/serve"


def test_an_ordinary_user_trains_on_a_read_only_root_without_network(job: Path) -> None:
    log = (job / "log.txt").read_text()
    assert "device: cpu, " in log and "test: accuracy" in log
    assert {path.name for path in (job / "model").iterdir()} >= {"model.json", "model.safetensors"}


def test_an_ordinary_user_serves_on_a_read_only_root_without_network(served: str, job: Path) -> None:
    assert ask(served, "/ping")[0] == 200
    photo = next((job / "input/data/training/test/coffee").iterdir())
    status, text = ask(served, "/invocations", photo)
    assert status == 200 and json.loads(text)["predictions"][0]["label"] == "coffee"


def test_the_image_without_torch_serves_what_training_wrote(job: Path) -> None:
    photo = next((job / "input/data/training/test/coffee").iterdir())
    with serving(WITHOUT_TORCH, job) as container:
        status, text = ask(container, "/invocations", photo)
    assert status == 200 and json.loads(text)["predictions"][0]["label"] == "coffee"


def test_the_image_without_torch_says_what_a_model_that_needs_torch_takes(job: Path, tmp_path: Path) -> None:
    older = lacking(job / "model", tmp_path / "model", *IR_FILES)
    tmp_path.chmod(0o755)
    done = docker("run", "--rm", *LOCKED, "-v", f"{older}:/opt/ml/model:ro", WITHOUT_TORCH, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert done.stderr.endswith("serve it with an image that holds torch, or train it again with export-openvino=on\n")


def test_serving_stops_by_itself_when_docker_stops_it(served: str) -> None:
    docker("stop", "--time", "30", served)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", served).stdout.strip() == "0"


def test_training_without_a_job_ends_with_one_sentence() -> None:
    done = docker("run", "--rm", *LOCKED, TRAIN, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("training failed: /opt/ml holds no input/data") and "Traceback" not in done.stderr


def test_an_output_folder_that_the_user_may_not_write_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output/failure").write_text("of an earlier attempt")
    tmp_path.chmod(0o755)
    done = docker("run", "--rm", *LOCKED, "-v", f"{tmp_path}:/opt/ml", TRAIN, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("training failed: user 4321 may not write to /opt/ml/output")

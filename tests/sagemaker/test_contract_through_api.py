"""The contract suite through the API of a `byoc emulate` that runs Docker: clauses pass, fail, or are not claimed, as they should."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.sagemaker.conftest import TRAIN_IMAGE
from tests.sagemaker.hosting import SERVE_IMAGE

pytestmark = pytest.mark.docker
QUICK = '{"backbone": "timm/tf_efficientnet_lite0", "epochs": "1"}'


def results(folder: Path, file: str, image: str, clauses: str, *options: str | Path) -> dict[str, dict[str, str]]:
    """Run clauses of the suite with their own emulator and return their rows, by the names of their tests."""
    path = folder / "results.json"
    command = [
        ROOT / "local_test" / "contract" / "emulated.sh",
        "-p",
        "no:cacheprovider",
        f"local_test/contract/{file}.py",
    ]
    command += ["--image", image, "-k", clauses, "--results", path, "--hyperparameters", QUICK, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert path.exists(), done.stdout + done.stderr
    rows = {row["test"]: row for row in json.loads(path.read_text())}
    assert done.returncode == any(row["result"] == "FAIL" for row in rows.values()), done.stdout + done.stderr
    return rows


@pytest.fixture(scope="module")
def model(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a training job that the suite has run through the API."""
    folder = tmp_path_factory.mktemp("train")
    kept = folder / "model"
    rows = results(
        folder,
        "test_train",
        TRAIN_IMAGE,
        "argument_train or once_an_epoch or scratch",
        "--data",
        samples,
        "--keep-model",
        kept,
    )
    assert rows["test_the_argument_train_runs_the_job"]["result"] == "pass", rows
    assert rows["test_the_objective_is_printed_once_an_epoch"]["result"] == "pass", rows
    scratch = rows["test_scratch_goes_to_tmp"]
    assert (
        scratch["result"] == "not claimed"
        and "the API can neither request nor show this: what a container" in scratch["seen"]
    )
    return kept


def test_an_endpoint_answers_and_what_it_refuses_is_the_containers_own_refusal(
    model: Path, samples: Path, tmp_path: Path
) -> None:
    clauses = "broken_request or unharmed or pickled"
    rows = results(tmp_path, "test_serve_errors", SERVE_IMAGE, clauses, "--data", samples, "--model", model)
    assert rows["test_a_broken_request_gets_400"]["result"] == "pass", rows
    assert rows["test_the_server_is_unharmed"]["result"] == "pass", rows
    pickled = rows["test_a_pickled_body_runs_nothing"]
    assert pickled["result"] == "not claimed" and "a command inside the container" in pickled["seen"]


def test_an_image_that_cannot_train_fails(samples: Path, tmp_path: Path) -> None:
    rows = results(tmp_path, "test_train", SERVE_IMAGE, "argument_train or says_why", "--data", samples)
    assert len(rows) == 2 and {row["result"] for row in rows.values()} == {"FAIL"}, rows

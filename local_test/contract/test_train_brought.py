"""Training with users' code and models: their scripts in all forms, derived images, an earlier job's model."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from local_test.contract import brought
from local_test.contract.clause import CONFIGURATION, OWN, TOOLKIT, clause
from local_test.contract.conditions import ISOLATED, Conditions
from local_test.contract.job import Ended, Job
from local_test.contract.platforms import Platform

Seen = Callable[[str], None]
MakeJob = Callable[..., Job]
CODE = "/opt/ml/input/data/code"


def ran(ended: Ended, seen: Seen, *, arguments: bool = True) -> None:
    """Check that the script ran, found its second module, and got the job's hyperparameters."""
    ended.succeeded()
    path = ended.job.model / "brought.json"
    assert path.is_file(), "exit status 0, but the script did not run"
    left = json.loads(path.read_text())
    seen(f"exit status 0, called with {left['arguments'][:4]}")
    assert left["neighbour"] == "found", "the script did not find its second module"
    assert not arguments or "--epochs" in left["arguments"], "the hyperparameters did not reach the script"


@clause("the script that sagemaker_program names, in a folder, runs in place of the image's own program", TOOLKIT)
def test_a_script_in_a_folder_runs(
    platform: Platform, job: MakeJob, channels: dict[str, Path], tmp_path: Path, seen: Seen
) -> None:
    channels = channels | {"code": brought.write(tmp_path / "code")}
    ran(platform.run(job(more=brought.script("brought.py", CODE), channels=channels)), seen)


@clause("a script in an archive in the channel `code` runs, as with EnableNetworkIsolation", TOOLKIT)
def test_a_script_in_an_archive_runs(
    platform: Platform, job: MakeJob, channels: dict[str, Path], tmp_path: Path, seen: Seen
) -> None:
    archive = brought.archive(tmp_path / "code" / "sourcedir.tar.gz")
    more = brought.script("brought.py", f"{CODE}/{archive.name}")
    ran(platform.run(job(more=more, channels=channels | {"code": archive.parent}), ISOLATED), seen)


@clause("a script at an S3 address is fetched and runs", TOOLKIT)
def test_a_script_at_an_s3_address_runs(platform: Platform, job: MakeJob, tmp_path: Path, seen: Seen) -> None:
    archive = brought.archive(tmp_path / "sourcedir.tar.gz")
    with brought.bucket(archive.read_bytes()) as variables:
        more = brought.script("brought.py", "s3://bucket/job/source/sourcedir.tar.gz")
        ran(platform.run(job(more=more), Conditions(environment=variables, hosts_network=True)), seen)


@clause("the script that a derived image names in SAGEMAKER_PROGRAM runs", TOOLKIT)
def test_the_script_of_an_image_on_top_runs(platform: Platform, job: MakeJob, tmp_path: Path, seen: Seen) -> None:
    code = brought.write(tmp_path / "code")
    with brought.derived(platform.image, code, SAGEMAKER_PROGRAM="brought.py") as name:
        ran(platform.run(job(), Conditions(image=name)), seen)


@clause("the function that a derived image names in SAGEMAKER_TRAINING_MODULE runs", TOOLKIT)
def test_the_function_of_an_image_on_top_runs(platform: Platform, job: MakeJob, tmp_path: Path, seen: Seen) -> None:
    function = "def main():\n    exec(SCRIPT)\n"
    files = {"own.py": f"SCRIPT = {brought.SCRIPT!r}\n{function}", "train.py": "raise ValueError('the wrong train')\n"}
    code = brought.write(tmp_path / "code", brought.FILES | files)
    variables = {"SAGEMAKER_TRAINING_MODULE": "own:main", "PYTHONPATH": "/opt/ml/code"}
    with brought.derived(platform.image, code, **variables) as name:
        ran(platform.run(job(), Conditions(image=name)), seen, arguments=False)


@clause("the first line of the failure text names a script that does not exist", OWN)
def test_a_missing_script_is_named(
    platform: Platform, job: MakeJob, channels: dict[str, Path], tmp_path: Path, seen: Seen
) -> None:
    channels = channels | {"code": brought.write(tmp_path / "code")}
    ended = platform.run(job(more=brought.script("trian.py", CODE), channels=channels))
    first = ended.job.failure.split("\n")[0]
    seen(f"exit status {ended.status}; {first[:160] or 'no text'}")
    assert ended.status, "exit status 0"
    assert "trian.py" in first, "the first line does not name the script"


@clause("the first line of the failure text names a requirement that cannot be installed", OWN)
def test_a_requirement_that_cannot_be_installed_is_named(
    platform: Platform, job: MakeJob, channels: dict[str, Path], tmp_path: Path, seen: Seen
) -> None:
    files = brought.FILES | {"requirements.txt": "--no-index\nabsent-package-of-the-contract==1.0\n"}
    channels = channels | {"code": brought.write(tmp_path / "code", files)}
    ended = platform.run(job(more=brought.script("brought.py", CODE), channels=channels), ISOLATED)
    first = ended.job.failure.split("\n")[0]
    seen(f"exit status {ended.status}; {first[:160] or 'no text'}")
    assert ended.status, "exit status 0"
    assert "absent-package-of-the-contract" in first, "the first line does not name the requirement"


@clause("a script finds torch, torchvision, timm, Pillow and NumPy, and their operators compute", OWN)
def test_what_scripts_import_is_there(
    platform: Platform, job: MakeJob, channels: dict[str, Path], tmp_path: Path, seen: Seen
) -> None:
    channels = channels | {"code": brought.write(tmp_path / "code", {"imports.py": brought.IMPORTS})}
    ended = platform.run(job(more=brought.script("imports.py", CODE), channels=channels), ISOLATED)
    seen(ended.succeeded())
    assert (ended.job.model / "scores.pth").exists(), "exit status 0, but the script did not run"


@clause(
    "a job continues from an earlier job's model.tar.gz, which the platform puts into the channel `model`",
    CONFIGURATION,
)
def test_goes_on_from_an_earlier_model(
    platform: Platform, trained: Ended, job: MakeJob, channels: dict[str, Path], tmp_path: Path, seen: Seen
) -> None:
    trained.succeeded()
    (tmp_path / "earlier").mkdir()
    with tarfile.open(tmp_path / "earlier" / "model.tar.gz", "w:gz") as archive:
        archive.add(trained.job.model, ".")
    seen(platform.run(job(channels=channels | {"model": tmp_path / "earlier"})).succeeded())

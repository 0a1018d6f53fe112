"""The folders that the platform names for training's results: they are used, and a problem with one gives one sentence."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import ConfigError
from tests.conftest import Run, run_training, training
from tests.server import until
from train.places import Places, check_writable, denied, read_places

# Small enough that a step takes milliseconds.
JOB = {"backbone": "timm/test_efficientnet", "weights": "random", "epochs": "3"}
# Root ignores file permissions unless these capabilities are dropped.
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


def write_config(base: Path, **files: Any) -> None:
    config = base / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (config / f"{name}.json").write_text(json.dumps(value))


def test_without_configuration_the_places_are_the_platforms_own(tmp_path: Path) -> None:
    assert read_places(tmp_path) == Places(None, tmp_path / "output" / "tensorboard")
    (tmp_path / "checkpoints").mkdir()
    assert read_places(tmp_path).checkpoints == tmp_path / "checkpoints"


@pytest.mark.parametrize("config", [{}, {"LocalPath": None}, {"LocalPath": ""}, {"S3Uri": "s3://bucket/x"}])
def test_a_configuration_without_a_path_means_the_default_folder(tmp_path: Path, config: Mapping[str, Any]) -> None:
    write_config(tmp_path, checkpointconfig=config, tensorboardoutputconfig=config)
    assert read_places(tmp_path) == Places(tmp_path / "checkpoints", tmp_path / "output" / "tensorboard")


def test_a_path_below_opt_ml_is_one_below_the_base_folder_and_others_are_as_they_are(tmp_path: Path) -> None:
    write_config(
        tmp_path,
        checkpointconfig={"LocalPath": "/opt/ml/checkpoints/mine/"},
        tensorboardoutputconfig={"LocalPath": "/mnt/curves"},
    )
    assert read_places(tmp_path) == Places(tmp_path / "checkpoints" / "mine", Path("/mnt/curves"))
    write_config(tmp_path, checkpointconfig={"LocalPath": "/opt/mlx"})
    assert read_places(tmp_path).checkpoints == Path("/opt/mlx")


@pytest.mark.parametrize(
    "named", ["checkpoints", "./c", "s3://bucket/checkpoints", 7, ["/opt/ml/checkpoints"], "/a\0b"]
)
@pytest.mark.parametrize("file", ["checkpointconfig", "tensorboardoutputconfig"])
def test_a_path_that_is_not_absolute_is_refused(tmp_path: Path, file: str, named: object) -> None:
    write_config(tmp_path, **{file: {"LocalPath": named}})
    with pytest.raises(ConfigError, match=f"LocalPath is .* in .*{file}.json; it must be an absolute path"):
        read_places(tmp_path)


def test_of_a_configuration_that_is_not_an_object_60_signs_are_reported(tmp_path: Path) -> None:
    write_config(tmp_path, checkpointconfig="x" * 61)
    with pytest.raises(ConfigError, match=rf"checkpointconfig\.json must hold a JSON object, it holds '{'x' * 60}'$"):
        read_places(tmp_path)


@pytest.mark.parametrize("text", ["", "[", "[1]", '"/opt/ml/checkpoints"', '{"LocalPath": "/a", "LocalPath": "/b"}'])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    write_config(tmp_path)
    (tmp_path / "input" / "config" / "checkpointconfig.json").write_text(text)
    with pytest.raises(ConfigError, match=r"checkpointconfig\.json (cannot be read as JSON|must hold a JSON object)"):
        read_places(tmp_path)


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number), "a file")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_only_what_the_user_may_not_is_a_matter_of_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    raised = [refused(errno.ENOSPC), refused(number), refused(errno.EMFILE)]

    def fails(dir: Path) -> None:
        raise raised[len(list(dir.iterdir()))]

    monkeypatch.setattr("tempfile.TemporaryFile", fails)
    # The first folder holds no file, the second one file, the third two files.
    folders = [tmp_path / "base", tmp_path / "curves", tmp_path / "saved"]
    for count, folder in enumerate(folders):
        folder.mkdir()
        for name in range(count):
            (folder / str(name)).touch()
    places = Places(folders[2], folders[1])
    with pytest.raises(ConfigError, match=rf"may not write to {folders[1]} \({os.strerror(number)}\)"):
        check_writable(folders[0], places)
    raised[1] = refused(errno.ENOSPC)
    check_writable(folders[0], places)
    assert denied(refused(number)) and not denied(refused(errno.ENOSPC)) and not denied(ValueError(number))


@contextlib.contextmanager
def job(base: Path, photos: Path, places: Path) -> "Iterator[subprocess.Popen[str]]":
    write_config(
        base,
        checkpointconfig={"LocalPath": str(places / "saved" / "here"), "S3Uri": "s3://bucket/checkpoints"},
        tensorboardoutputconfig={"LocalPath": str(places / "curves"), "S3OutputPath": "s3://bucket/curves"},
    )
    with training(base, photos, **JOB, **{"finetune-epochs": "3", "checkpoint-seconds": "0"}) as process:
        yield process


@pytest.mark.slow
def test_a_killed_job_goes_on_from_the_place_that_the_configuration_names(tiny: Path, tmp_path: Path) -> None:
    base, places = tmp_path / "opt-ml", tmp_path / "elsewhere"
    saved = places / "saved" / "here"
    with job(base, tiny, places) as process:
        until("a checkpoint of fine-tuning", lambda: any(saved.glob("finetune-*.pt")))
        process.send_signal(signal.SIGKILL)
        process.wait()
    # The files are lost with the machine, except the checkpoints, which the platform restores.
    shutil.rmtree(base)
    with job(base, tiny, places) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "finetune: goes on after step " in output and "the head is kept from before" in output
    assert (saved / "features").is_dir() and list((places / "curves").glob("events*"))
    assert not (base / "checkpoints").exists() and not (base / "output" / "tensorboard").exists()


def failed(base: Path, photos: Path, prefix: tuple[str, ...] = ORDINARY) -> Run:
    run = run_training(base, {"training": photos}, JOB, prefix=prefix)
    assert run.status == 1 and "Traceback" not in run.errors and "epoch=" not in run.output
    return run


def closed(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    return folder


def sentence(*places: Path) -> str:
    return f"user {os.getuid()} may not write to {', '.join(map(str, places))} (Permission denied); give this user the permission"


@pytest.mark.slow
def test_every_folder_that_the_user_may_not_write_to_is_named_before_anything_is_computed(
    tiny: Path, tmp_path: Path
) -> None:
    base = tmp_path / "opt-ml"
    model, data = closed(base / "model"), closed(base / "output" / "data")
    run = failed(base, tiny)
    assert run.failure.startswith(sentence(model, data)) and sentence(model, data) in run.errors


@pytest.mark.slow
def test_without_rights_on_output_the_sentence_is_in_the_log_alone(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    output = closed(base / "output")
    run = failed(base, tiny)
    assert f"training failed: {sentence(output)}" in run.errors
    assert "the failure text could not be written" in run.errors and not (output / "failure").exists()


@pytest.mark.parametrize("file", ["checkpointconfig", "tensorboardoutputconfig"])
def test_a_named_place_that_cannot_be_written_is_refused_before_anything_is_computed(
    tiny: Path, tmp_path: Path, file: str
) -> None:
    base, place = tmp_path / "opt-ml", closed(tmp_path / "elsewhere")
    write_config(base, **{file: {"LocalPath": f"{place}/below"}})
    assert failed(base, tiny).failure.startswith(sentence(place))


def test_a_named_place_that_is_a_file_is_refused(tiny: Path, tmp_path: Path) -> None:
    base, place = tmp_path / "opt-ml", tmp_path / "file"
    place.touch()
    write_config(base, checkpointconfig={"LocalPath": f"{place}/below"})
    assert f"training needs the folder {place}/below, but {place} is a file" in failed(base, tiny).failure


def test_a_failure_text_of_an_earlier_attempt_that_cannot_be_removed_is_one_sentence(
    tiny: Path, tmp_path: Path
) -> None:
    base = tmp_path / "opt-ml"
    (base / "output").mkdir(parents=True)
    (base / "output" / "failure").write_text("of an earlier attempt")
    closed(base / "output")
    run = failed(base, tiny)
    assert f"user {os.getuid()} may not write to {base}/output/failure (Permission denied)" in run.errors


def test_a_results_file_of_another_user_is_one_sentence(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    records = base / "output" / "data" / "records.jsonl"
    records.parent.mkdir(parents=True)
    records.touch()
    records.chmod(0o444)
    assert failed(base, tiny).failure.startswith(f"user {os.getuid()} may not write to {records} (Permission denied)")


MOUNTS = ("unshare", "--map-root-user", "--mount")


@pytest.mark.slow
@pytest.mark.skipif(
    subprocess.run([*MOUNTS, "true"], capture_output=True).returncode != 0, reason="unshare is not allowed here"
)
def test_a_read_only_model_folder_is_named_and_read_only_input_is_fine(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    for name in ("model", "input/config", "input/data"):
        (base / name).mkdir(parents=True)
    read_only = 'mount --bind -o ro "$1" "$1" && shift && exec "$@"'

    def mounted(name: str) -> tuple[str, ...]:
        return (*MOUNTS, "bash", "-c", read_only, "read-only", str(base / name))

    with training(base, tiny, prefix=mounted("model"), **JOB) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and f"{base}/model (Read-only file system); mount it writable" in output
    with training(base, tiny, prefix=mounted("input"), **JOB) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 1, "cannot be read as JSON"),
        (b"null", 1, "must hold a JSON object, it holds 'None'"),
        (b'["lr"]', 1, "must hold a JSON object"),
        (b'{"lr": "0.1"', 1, "cannot be read as JSON"),
        (b'{"lr": "0.1", "lr": "0.2"}', 1, "cannot be read as JSON (it holds 'lr' twice)"),
        (b"[" * 100_000, 1, "cannot be read as JSON"),
        (b"\xff\xfe\xfd", 1, "cannot be read as JSON"),
        (json.dumps(JOB | {"epochs": 1}).encode("utf-8-sig"), 0, ""),
        (json.dumps(JOB | {"epochs": 1}).encode("utf-16"), 0, ""),
    ],
)
def test_hyperparameters_of_any_bytes_are_read_or_named(
    tiny: Path, tmp_path: Path, data: bytes, status: int, said: str
) -> None:
    base = tmp_path / "opt-ml"
    write_config(base)
    (base / "input" / "config" / "hyperparameters.json").write_bytes(data)
    (base / "input" / "data").mkdir()
    (base / "input" / "data" / "training").symlink_to(tiny)
    from train.train import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        assert main([]) == status
    if status:
        assert said in (base / "output" / "failure").read_text()
    else:
        first = json.loads((base / "output" / "data" / "records.jsonl").read_text().splitlines()[0])
        assert first["hyperparameters"]["backbone"] == JOB["backbone"] and first["hyperparameters"]["epochs"] == 1

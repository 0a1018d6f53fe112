"""Small parts of training, for example shares, empty batches, the hook's end and waiting for a FIFO."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from classifier.errors import ConfigError
from classifier.models import build_head
from train.config import Config
from train.contract import read_job, write_failure
from train.features.share import Share
from train.finetune.loading import _collate
from train.head.stage import class_weights, classes_of
from train.processes.agree import Held, difference
from train.processes.launch import _forget_consequence, lost
from train.processes.world import World, local_threads
from train.report.hooks import Hook
from train.script import staging
from train.script.start import _hosts
from train.spool import fifo
from train.spool.fifo import Fifo


def test_a_share_without_photos_has_features_of_the_width_of_the_others() -> None:
    assert Share([], 0).features(7).shape == (0, 7) and Share([], 0).contribution().columns == 0


def test_a_part_of_a_step_without_photos_is_an_empty_batch_and_a_fault_goes_first() -> None:
    pixels, labels = _collate(5, [])
    assert (
        pixels.shape == (0, 5, 5, 3) and pixels.dtype == np.uint8 and labels.shape == (0,) and labels.dtype == np.int64
    )
    good = (np.full((5, 5, 3), 9, np.uint8), 4)
    assert _collate(5, [good, "1.jpg: cut off", "2.jpg: empty"]) == "1.jpg: cut off"
    pixels, labels = _collate(5, [good, good])
    assert pixels.shape == (2, 5, 5, 3) and labels.tolist() == [4, 4]


def test_dropout_stands_before_the_last_layer_also_without_hidden_ones() -> None:
    names = {dropout: [type(layer).__name__ for layer in build_head(4, (), dropout, 3)] for dropout in (0.0, 0.5)}
    assert names == {0.0: ["Linear"], 0.5: ["Dropout", "Linear"]}
    assert classes_of(build_head(4, (8,), 0.5, 3)) == 3


def test_balanced_classes_weigh_by_the_inverse_of_their_photos_and_one_on_average() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    assert class_weights(labels, 3, Config()) is None
    # 4 photos, 3 classes: 4/(3*3) and 4/(3*1). A class without photos counts as if it had one.
    weights = class_weights(labels, 3, Config(class_weights="balanced"))
    assert weights is not None and weights.tolist() == pytest.approx([4 / 9, 4 / 3, 4 / 3])


def test_a_hook_whose_files_cannot_be_closed_costs_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise OSError("the disk\nis full")

    hook = Hook(SimpleNamespace(close=fails, _cleanup=fails), {})
    hook.close()
    hook.close()
    hook.step("train", {"loss": 1.0})
    assert capsys.readouterr().err == "debugger hook off: OSError: the disk is full\n"


def test_a_pipe_that_is_waited_for_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BYOC_PIPE_DEADLINE", "0.5")
    monkeypatch.setattr(fifo, "_QUIET_SECONDS", 0.1)
    monkeypatch.setattr(fifo, "_POLL_SECONDS", 0.02)
    with pytest.raises(
        ConfigError, match=r"no byte came through .*/train_0 for 0\.5 s, so the channel 'train' has no photos"
    ):
        Fifo(tmp_path / "train_0", "train").read(1)
    assert capsys.readouterr().err == "waiting up to 0.5 s for the channel train\n"


def test_a_pipe_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "train_0").symlink_to(tmp_path / "train_0")
    with pytest.raises(
        ConfigError, match=r"train_0 cannot be read \(Too many levels of symbolic links\); make it a FIFO"
    ):
        Fifo(tmp_path / "train_0", "train").read(1)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_a_deadline_of_a_pipe_that_is_not_a_number_above_0_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("BYOC_PIPE_DEADLINE", text)
    with pytest.raises(ConfigError, match=f"BYOC_PIPE_DEADLINE is '{text}'; it must be a number of seconds above 0"):
        Fifo(Path("any"), "train")


def test_the_first_bytes_of_a_pipe_are_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train_0")
    with Fifo(tmp_path / "train_0", "train") as pipe:
        writer = os.open(tmp_path / "train_0", os.O_RDWR)
        os.write(writer, b"abcdef")
        assert pipe.begin(4) == b"abcd"
        assert (pipe.read(3), pipe.read(3), pipe.read(3)) == (b"abc", b"d", b"ef")
        os.close(writer)
        assert pipe.begin(4) == b"" and pipe.read(1) == b""


def test_a_folder_without_channels_is_not_a_job(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no input/data; set SAGEMAKER_BASE_DIR to a folder laid out as"):
        read_job(tmp_path)
    for name in ("b", "a", ".hidden", "__MACOSX"):
        (tmp_path / "input" / "data" / name).mkdir(parents=True)
    (tmp_path / "input" / "data" / "manifest").touch()
    assert list(read_job(tmp_path).channels) == ["a", "b"]


def test_of_a_failure_1024_characters_are_written_and_the_first_stays(tmp_path: Path) -> None:
    write_failure(tmp_path, "\ud800" + "ä" * 1024)
    write_failure(tmp_path, "later")
    assert (tmp_path / "output" / "failure").read_text(encoding="utf-8") == "\\ud800" + "ä" * 1023


def test_the_failure_of_a_process_that_only_lost_another_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("[gloo] Connection closed by peer\nmore")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert lost(error) is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    sentence = lost(error)
    assert sentence is not None and sentence.endswith("hosts first ([gloo] Connection closed by peer)")
    assert lost(RuntimeError("TCPStore is gone")) and lost(RuntimeError("NCCL")) and lost(ValueError("odd")) is None
    _forget_consequence(tmp_path)
    for text, stays in ((sentence, False), ("ValueError: odd", True)):
        (tmp_path / "output").mkdir(exist_ok=True)
        (tmp_path / "output" / "failure").write_text(text)
        _forget_consequence(tmp_path)
        assert (tmp_path / "output" / "failure").exists() == stays


def test_hosts_with_the_same_fault_do_not_differ_and_one_with_another_does() -> None:
    held = {"cat/1.jpg": ("cat", 9)}
    same = [Held(name, {}, "no train photos") for name in ("a", "b")]
    assert (
        difference([*same, Held("c", held)])
        == "a cannot use its photos (no train photos) and c holds 1 photos of 1 classes"
    )
    assert difference([Held("c", held), *same]).count(";") == 1
    other = Held("d", {}, "empty")
    assert difference([*same, other]) == "a cannot use its photos (no train photos) and d cannot use its photos (empty)"


@pytest.mark.parametrize("text", ["{}", '{"hosts": "algo-1"}', '{"hosts": null}', "[1]"])
def test_script_mode_needs_a_list_of_hosts(tmp_path: Path, text: str) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(text)
    with pytest.raises(
        ConfigError, match=r'script mode needs .*/resourceconfig\.json; write an object with "current_host"'
    ):
        _hosts(tmp_path)
    (config / "resourceconfig.json").write_text('{"hosts": ["algo-1", 2]}')
    assert _hosts(tmp_path) == ["algo-1", "2"]


def test_code_is_a_folder_or_a_single_file_and_what_cannot_be_copied_is_named(tmp_path: Path) -> None:
    code, folder = tmp_path / "code", tmp_path / "opt"
    code.mkdir()
    folder.mkdir()
    (code / "train.py").write_text("print(1)")
    staging.fetch(str(folder), folder)
    assert list(folder.iterdir()) == []
    for source in (f"file://{code}", str(code / "train.py")):
        staging.fetch(source, folder)
        assert {path.name for path in folder.iterdir()} == {"train.py", ".fetched"}
    (code / "gone").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"sagemaker_submit_directory .* cannot be copied to .*/opt \(.*gone"):
        staging.fetch(str(code), folder)
    (folder / ".fetched").unlink(missing_ok=True)
    with pytest.raises(
        ConfigError, match=r"already holds train\.py, which would run in its place; leave one of them out"
    ):
        staging.fetch(str(code), folder)


def test_a_program_that_is_not_python_must_install_its_requirements_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.sh").write_text("true\n")
    staging.install("run.sh", tmp_path)
    assert os.access(tmp_path / "run.sh", os.X_OK) and capsys.readouterr().out == ""
    (tmp_path / "requirements.txt").touch()
    staging.install("run.sh", tmp_path)
    assert capsys.readouterr().out == "requirements.txt is not installed: run.sh is not Python and may do that itself\n"


def test_of_two_constraints_the_first_packages_name_is_the_one_to_leave_out() -> None:
    lines = [
        "ERROR: Cannot install torch==1",
        *(f"{staging.CONSTRAINT}{held}" for held in ("torch==2.13", "numpy==2.4")),
    ]
    assert staging._reason(lines) == (
        "Cannot install torch==1: the image has torch 2.13 and numpy 2.4, which a constraint of its pip keeps; leave torch out "
        "of the requirements, or change the version of the package that needs it"
    )


def test_a_process_alone_is_its_whole_world() -> None:
    world, tensor = World(), torch.ones(2)
    assert (
        world.chief
        and world.gather("x") == ["x"]
        and world.broadcast("x") == "x"
        and world.any(True, False) == (True, False)
    )
    assert world.total(tensor) is tensor and world.mine([1, 2, 3]) == [1, 2, 3]
    world.barrier()
    other: Any = World(1, 3)
    assert not other.chief and list(other.mine(range(8))) == [1, 4, 7]


def test_the_cores_are_shared_with_the_other_processes_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(9))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for processes, threads in ((None, 9), ("2", 4), ("9", 1), ("10", 1)):
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
        if processes:
            monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert local_threads() == threads


@pytest.mark.parametrize(
    ("limit", "processes", "threads"), [("2", "1", 2), ("20", "1", 9), ("3,1", "1", 3), ("0", "1", 9), ("1", "3", 3)]
)
def test_omp_num_threads_limits_the_only_process_of_a_host(
    monkeypatch: pytest.MonkeyPatch, limit: str, processes: str, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(9))
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert local_threads() == threads


def test_a_configuration_made_in_code_keeps_to_the_ranges() -> None:
    with pytest.raises(ConfigError, match="hyperparameter batch-size is 0; it must lie between 1 and 65536"):
        Config(batch_size=0)
    with pytest.raises(ConfigError, match="hyperparameter lr is nan; it must lie between 1e-07 and 10"):
        Config(lr=float("nan"))
    assert Config(batch_size=1, lr=10).lr == 10

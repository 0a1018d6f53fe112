"""Problems found before a job begins, such as a missing package, and the program's status and messages for each end."""

import importlib.util
import json
import os
import signal
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from classifier.errors import ConfigError, DataError
from train import stop
from train.train import _failed, _run, main

find_spec = importlib.util.find_spec


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "input" / "data" / "training").mkdir(parents=True)
    (tmp_path / "input" / "config").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("setting", "value", "package"), [("export-onnx", "true", "onnxscript"), ("search-trials", "3", "optuna")]
)
def test_a_setting_whose_package_is_missing_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, package: str
) -> None:
    def without(name: str) -> ModuleSpec | None:
        return None if name == package else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    hyperparameters = base / "input" / "config" / "hyperparameters.json"
    hyperparameters.write_text(json.dumps({setting: value}))
    message = f"^{setting} needs the package {package}, which is not installed; install it or leave {setting} out$"
    with pytest.raises(ConfigError, match=message):
        _run(base, None, [])
    # Without the setting the package is not needed, so the next step is to check the photos.
    hyperparameters.write_text("{}")
    with pytest.raises(DataError, match="no train photos in"):
        _run(base, None, [])


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (stop.Stopped("stopped by SIGTERM early"), 143, "stopped by SIGTERM early"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C, no model was written"),
        (ConfigError("lr is odd"), 1, "training failed: lr is odd"),
        (PermissionError(13, "Permission denied", "/nowhere"), 1, "may not use /nowhere (Permission denied)"),
        (
            RuntimeError("CUDA out of memory. Tried to"),
            1,
            "training failed: the GPU's memory is full: raise accumulate",
        ),
        (ValueError("odd"), 1, "training failed: ValueError: odd\n\nTraceback"),
    ],
)
def test_each_end_has_its_status_and_its_sentence(
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    sentence: str,
) -> None:
    def ends(name: str) -> None:
        raise error

    # find_spec is called at the start of a job without a script.
    monkeypatch.setattr(importlib.util, "find_spec", ends)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    (base / "input" / "config" / "hyperparameters.json").write_text('{"export-onnx": "true"}')
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main([]) == status
    finally:
        signal.signal(signal.SIGTERM, before)
    output = "".join(capsys.readouterr())
    assert sentence in output
    failure = base / "output" / "failure"
    assert failure.exists() == (status == 1) and (
        status != 1 or sentence.removeprefix("training failed: ") in failure.read_text()
    )


def test_a_failure_text_that_cannot_be_written_is_reported(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base / "output").write_text("a file")
    assert _failed(base, "the reason") == 1
    sentence, lost = capsys.readouterr().err.splitlines()
    assert sentence == "training failed: the reason"
    assert lost.startswith(f"the failure text could not be written to {base}/output/failure: ")


def test_an_earlier_attempts_failure_is_forgotten_by_the_first_process_alone(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "output").mkdir()
    (base / "input" / "config" / "hyperparameters.json").write_text('{"lr": "quick"}')
    for variable, kept in (("TORCHELASTIC_RUN_ID", True), ("NOTHING", False)):
        (base / "output" / "failure").write_text("of an earlier attempt")
        with monkeypatch.context() as context:
            context.setenv(variable, "1")
            with pytest.raises(ConfigError, match="lr is 'quick'"):
                _run(base, None, [])
        assert (base / "output" / "failure").exists() == kept
    assert "TORCHELASTIC_RUN_ID" not in os.environ

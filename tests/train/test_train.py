"""The training program, run as a user runs it: its results, and one sentence for each problem."""

import io
import json
import re
import runpy
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from classifier.errors import ConfigError
from tests.conftest import LITE, Run, run_training
from train.config import METRIC_DEFINITIONS
from train.contract import read_job
from train.train import main

Train = Callable[..., Run]


def test_an_epoch_prints_one_metric_line_that_sagemaker_can_read(trained: Run) -> None:
    lines = [line for line in trained.output.splitlines() if line.startswith("epoch=")]
    assert len(lines) == 2
    for definition in METRIC_DEFINITIONS:
        numbers = [float(match) for match in re.findall(definition["Regex"], trained.output)]
        assert len(numbers) == 2, definition
    assert float(re.findall(r"validation:accuracy=([-+0-9.e]+)", trained.output)[-1]) > 0.8


def test_the_records_say_what_a_report_needs(trained: Run) -> None:
    assert all(record["version"] == 1 and record["time"] > 0 for record in trained.records)
    assert trained.record("job")["hyperparameters"]["epochs"] == 2
    epoch = trained.record("epoch", epoch=2)
    assert len(epoch["step_losses"]) == len(epoch["step_seconds"]) == 7  # 420 photos, 64 a step
    result = trained.record("result", split="test")
    low, high = result["accuracy_interval"]
    assert result["count"] == 126 and low < result["accuracy"] < high and result["accuracy"] > 0.8
    matrix = np.array(trained.record("confusion", split="test")["matrix"])
    assert matrix.sum() == 126 and matrix.trace() / 126 == pytest.approx(result["accuracy"])
    classes = trained.record("classes", split="test")["classes"]
    assert [item["class"] for item in classes] == trained.record("job")["classes"]
    truths, predictions, hits = matrix.sum(1).tolist(), matrix.sum(0).tolist(), matrix.diagonal().tolist()
    for item, truth, predicted, hit in zip(classes, truths, predictions, hits, strict=True):
        assert item["count"] == truth and item["recall"] == pytest.approx(hit / truth)
        assert item["precision"] == (pytest.approx(hit / predicted) if predicted else None)
        assert item["f1"] == pytest.approx(2 * hit / (truth + predicted))
    assert trained.record("done")["seconds"]["total"] > 0


def test_every_kind_of_record_is_described(trained: Run) -> None:
    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text()
    for record in trained.records:
        assert f"`{record['kind']}`" in text
        for key in record:
            assert f"`{key}`" in text, (record["kind"], key)


@pytest.mark.slow
def test_named_channels_train_too_and_a_repeat_gives_the_same_model(tiny: Path, tmp_path: Path) -> None:
    channels = {"train": tiny / "train", "valid": tiny / "validation"}
    first = run_training(tmp_path / "a", channels, {})
    second = run_training(tmp_path / "b", channels, {})
    assert first.status == second.status == 0, first.errors
    # Only nearly equal, because threads change the order of sums.
    weights = [load_file(run.base / "model" / "model.safetensors") for run in (first, second)]
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_every_odd_but_sound_image_trains(tiny: Path, train: Train) -> None:
    target = tiny / "train" / "brick"
    photo = Image.open(target / "000.jpg").convert("RGB")
    sixteen = (np.asarray(photo.convert("L"), dtype=np.uint16) * 257).astype(np.uint16)
    Image.fromarray(sixteen).save(target / "sixteen.png")
    photo.convert("CMYK").save(target / "cmyk.jpg")
    photo.quantize(16).save(target / "palette.png")
    photo.convert("RGBA").save(target / "rgba.png")
    photo.save(target / "animated.gif", save_all=True, append_images=[photo.rotate(90)])
    run = train(tiny)
    assert run.status == 0, run.errors
    assert run.record("job")["photos"]["train"] == 13 and "left out" not in run.output


@pytest.mark.slow
def test_the_channel_training_beside_validation_and_testing_is_the_training_split(tiny: Path, tmp_path: Path) -> None:
    channels = {"training": tiny / "train", "validation": tiny / "validation", "testing": tiny / "test"}
    run = run_training(tmp_path / "job", channels, {"backbone": LITE, "epochs": "1"})
    assert run.status == 0, run.errors
    photos = {split: len(list((tiny / split).rglob("*.jpg"))) for split in ("train", "validation", "test")}
    assert run.record("job")["photos"] == photos


def spoil(folder: Path) -> None:
    target = folder / "train" / "brick"
    good = (target / "000.jpg").read_bytes()
    (target / "corrupt.jpg").write_bytes(good[:200] + b"\x00" * 400 + good[200:400])
    (target / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (target / "zero.jpg").touch()
    (target / "text.jpg").write_text("a text file named .jpg")
    (target / "list.csv").write_text("a,b\n")
    Image.new("1", (20_000, 20_000)).save(target / "bomb.png")


def test_unreadable_photos_above_the_limit_stop_training_before_it_starts(tiny: Path, train: Train) -> None:
    spoil(tiny)
    run = train(tiny)
    assert run.status == 1 and "epoch=" not in run.output and "Traceback" not in run.errors
    assert re.match(
        r"\d of 21 photos cannot be read, over the limit of 1 % \(hyperparameter max-unreadable\)", run.failure
    )
    assert "byoc data check" in run.failure and not (run.base / "model").exists()


def test_unreadable_photos_below_the_limit_are_left_out_counted_and_listed(tiny: Path, train: Train) -> None:
    spoil(tiny)
    run = train(tiny, **{"max-unreadable": "50"})
    assert run.status == 0, run.errors
    left_out = {Path(r["path"]).name: r["reason"] for r in run.records if r["kind"] == "unreadable"}
    assert left_out.keys() == {"corrupt.jpg", "truncated.jpg", "zero.jpg", "text.jpg", "bomb.png"}
    assert "20000 x 20000 pixels" in left_out["bomb.png"]
    assert run.output.count("left out ") == 5 and "files that are not photos: 1 .csv (brick/list.csv)" in run.output


@pytest.mark.slow
def test_a_file_without_read_permission_is_named(tiny: Path, tmp_path: Path) -> None:
    target = tiny / "train" / "brick" / "000.jpg"
    target.chmod(0)
    # Root ignores file permissions unless these capabilities are dropped.
    drop = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
    run = run_training(tmp_path / "opt-ml", {"training": tiny}, {}, prefix=drop)
    assert run.status == 1 and f"{target.name}: cannot be read: Permission denied" in run.failure


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"lr": "quick"}, "hyperparameter lr is 'quick'; it must be a number"),
        ({"learning_rte": "0.1"}, "hyperparameter 'learning_rte' (did you mean 'learning-rate'?) is unknown"),
        ({"backbone": "inception_v4"}, "backbone 'inception_v4' is neither a torchvision classification model"),
        ({"backbone": "timm/tf_efficientnet_lite9"}, "did you mean 'timm/tf_efficientnet_lite"),
    ],
)
def test_a_wrong_hyperparameter_fails_with_one_sentence(
    tiny: Path, train: Train, hyperparameters: dict[str, str], message: str
) -> None:
    run = train(tiny, **hyperparameters)
    assert run.status == 1 and message in run.failure and "Traceback" not in run.errors
    assert len(run.failure) <= 1024 and run.failure.strip() in run.errors


def test_a_missing_folder_fails_with_one_sentence(tmp_path: Path, train: Train) -> None:
    run = train(tmp_path / "absent")
    assert run.status == 1 and "is not a folder; name one that holds train/" in run.failure


def test_an_empty_folder_fails_with_one_sentence(tmp_path: Path, train: Train) -> None:
    (tmp_path / "empty").mkdir()
    run = train(tmp_path / "empty")
    assert run.status == 1 and "no train photos in" in run.failure


def test_one_class_only_fails_with_one_sentence(tiny: Path, train: Train) -> None:
    shutil.rmtree(tiny / "train" / "brick")
    run = train(tiny)
    assert run.status == 1 and "only the class 'coffee'" in run.failure


def test_a_class_that_training_lacks_fails_with_one_sentence(tiny: Path, train: Train) -> None:
    shutil.copytree(tiny / "validation" / "brick", tiny / "validation" / "stone")
    run = train(tiny)
    assert run.status == 1 and "the class 'stone' is in" in run.failure


def test_a_loss_that_is_not_a_number_fails_with_the_step_and_the_remedy(
    tiny: Path, model: Path, tmp_path: Path
) -> None:
    weights = load_file(model / "model.safetensors")
    weights["backbone.conv_stem.weight"][0] = torch.nan
    (tmp_path / "weights").mkdir()
    save_file(weights, tmp_path / "weights" / "broken.safetensors")
    run = run_training(tmp_path / "opt-ml", {"training": tiny, "pretrained": tmp_path / "weights"}, {"lr": "0.02"})
    assert run.status == 1 and "the loss is no longer a number at step 1 of epoch 1; lower lr, now 0.02" in run.failure


def test_a_job_whose_host_is_none_of_its_hosts_fails_with_one_sentence(tiny: Path, tmp_path: Path) -> None:
    config = tmp_path / "opt-ml" / "input" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-3", "hosts": ["algo-1", "algo-2"]}))
    run = run_training(tmp_path / "opt-ml", {"training": tiny}, {})
    assert run.status == 1 and run.failure.startswith("current_host 'algo-3' is none of the hosts algo-1, algo-2")


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"hosts": 3}, "hosts is 3 in resourceconfig.json; write a list of names"),
        (
            {"hosts": "algo-1", "current_host": "algo-1"},
            "hosts is 'algo-1' in resourceconfig.json; write a list of names",
        ),
        ({"hosts": {"algo-1": 1}}, "hosts is {'algo-1': 1} in resourceconfig.json"),
        ({"hosts": ["algo-1", None]}, "hosts is ['algo-1', None] in resourceconfig.json"),
        ({"hosts": ["algo-1", ""]}, "write a list of names"),
        ({"hosts": ["algo-1", "algo-1"], "current_host": "algo-1"}, "name each host once"),
        ({"hosts": ["algo-1"], "current_host": ["algo-1"]}, "current_host ['algo-1'] is none of the hosts algo-1"),
        ({"hosts": ["algo-1"], "current_host": 1}, "current_host 1 is none of the hosts algo-1"),
    ],
)
def test_hosts_that_are_not_a_list_of_names_are_refused_in_one_sentence(
    tmp_path: Path, resources: dict[str, object], message: str
) -> None:
    write_resources(tmp_path, resources)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_job(tmp_path)


@pytest.mark.parametrize(
    "resources", [{}, {"hosts": None, "current_host": None, "network_interface_name": None}, {"hosts": []}]
)
def test_a_job_that_names_no_hosts_has_one(tmp_path: Path, resources: dict[str, object]) -> None:
    write_resources(tmp_path, resources)
    job = read_job(tmp_path)
    assert job.hosts == ("localhost",) and job.current_host == "localhost" and job.network_interface == ""


@pytest.mark.parametrize("current", ["algo-1", "algo-2", "algo-3"])
@pytest.mark.parametrize("order", [(3, 1, 2), (2, 3, 1), (1, 2, 3)])
def test_hosts_that_are_reported_in_another_order_agree_on_the_chief(
    tmp_path: Path, order: tuple[int, ...], current: str
) -> None:
    write_resources(tmp_path, {"hosts": [f"algo-{number}" for number in order], "current_host": current})
    job = read_job(tmp_path)
    # The hosts are sorted: the first is the chief, and a host's index is its rank.
    assert job.hosts == ("algo-1", "algo-2", "algo-3") and job.current_host == current


def write_resources(base: Path, resources: dict[str, object]) -> None:
    config = base / "input" / "config"
    config.mkdir(parents=True)
    (base / "input" / "data").mkdir()
    (config / "resourceconfig.json").write_text(json.dumps(resources))


def test_configuration_that_is_not_json_fails_with_one_sentence(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    run_training(base, {"training": tiny}, {"epochs": "none"})
    (base / "input/config/hyperparameters.json").write_text("[")
    from train.train import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        assert main([]) == 1
    assert "hyperparameters.json cannot be read as JSON" in (base / "output/failure").read_text()


@pytest.mark.slow
@pytest.mark.host("no image holds onnxruntime")
def test_the_onnx_model_computes_what_the_selftest_holds(tiny: Path, train: Train) -> None:
    import onnxruntime
    from safetensors.numpy import load_file

    run = train(tiny, **{"export-onnx": "true"})
    assert run.status == 0, run.errors
    files = json.loads((run.base / "model/model.json").read_text())["files"]
    assert files.keys() == {"model.safetensors", "selftest.safetensors", "guard.safetensors", "model.onnx"}
    assert {path.name for path in (run.base / "model").iterdir()} == files.keys() | {"model.json"}
    stored = load_file(run.base / "model" / "selftest.safetensors")
    session = onnxruntime.InferenceSession(run.base / "model" / "model.onnx", providers=["CPUExecutionProvider"])
    for batch in (slice(0, 1), slice(0, 3)):
        (logits,) = session.run(["logits"], {"pixels": stored["pixels"][batch]})
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        np.testing.assert_allclose(shifted / shifted.sum(1, keepdims=True), stored["probabilities"][batch], atol=1e-4)


def test_a_program_whose_output_is_not_a_file_says_its_reason_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main([]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    reason = (tmp_path / "output" / "failure").read_text()
    assert "holds no input/data" in reason and reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "meanwhile"),
    [(signal.default_int_handler, [signal.SIG_DFL]), (signal.SIG_IGN, [])],
    ids=["in the foreground", "in the background"],
)
def test_ctrl_c_ends_the_imports_without_a_traceback_where_it_is_heard_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: Any, meanwhile: list[Any]
) -> None:
    set_to, set_it, own = list[Any](), signal.signal, signal.getsignal(signal.SIGINT)

    def watched(number: int, handler: Any) -> Any:
        if number == signal.SIGINT:
            set_to.append(handler)
        return set_it(number, handler)

    monkeypatch.setattr(sys, "argv", ["train", "--help"])
    set_it(signal.SIGINT, before)
    try:
        monkeypatch.setattr(signal, "signal", watched)
        with pytest.raises(SystemExit, match="0"):
            runpy.run_module("train", run_name="__main__")
    finally:
        set_it(signal.SIGINT, own)
    assert set_to == [*meanwhile, before] and "usage: python -m train" in capsys.readouterr().out

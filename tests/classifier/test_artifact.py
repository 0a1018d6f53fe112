"""The artifact: its content, the damage that is found, and the self-test that checks the model's results."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import nn

from classifier import artifact
from classifier.backends.ir import IR_FILES
from classifier.errors import ArtifactError
from classifier.models import Classifier, build_head
from classifier.selftest import Selftest, check_selftest, read_selftest, run_selftest
from classifier.spec import ModelSpec, Preprocessing
from tests.conftest import ONNX, OPENVINO, Run


@pytest.fixture
def copy(plain_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain_model, tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / "model.json").read_text())
    change(document)
    (folder / "model.json").write_text(json.dumps(document))


def test_training_writes_the_artifact_and_nothing_else(model: Path) -> None:
    names = {"model.json", "model.safetensors", "selftest.safetensors", "guard.safetensors"}
    names |= ({"model.onnx"} if ONNX else set()) | (set(IR_FILES) if OPENVINO else set())
    assert {path.name for path in model.iterdir()} == names


def test_model_json_says_everything_that_is_not_a_weight(plain_model: Path, trained: Run) -> None:
    contents = artifact.check(plain_model)
    assert contents.spec.classes == tuple(trained.record("job")["classes"])
    assert contents.spec.preprocessing.crop == 224 and contents.spec.preprocessing.mean == (0.5, 0.5, 0.5)
    assert contents.training["hyperparameters"]["lr"] == 0.01
    assert contents.training["metrics"]["test"]["count"] == 126
    assert contents.training["libraries"]["torch"].startswith("2.13.0")


@pytest.mark.slow
def test_a_loaded_model_passes_its_selftest(plain_model: Path) -> None:
    loaded, _ = artifact.load(plain_model)
    assert run_selftest(plain_model, loaded) < 1e-5


@pytest.mark.parametrize("name", ["model.safetensors", "selftest.safetensors"])
def test_a_flipped_bit_is_found(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name} does not match its checksum"):
        artifact.check(copy)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "selftest.safetensors"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing"):
        artifact.check(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format_version=3), "format version 3, this program reads versions 1 to 2"),
        (lambda d: d.update(format_version=0), "format version 0"),
        (lambda d: d["measured"].pop("precision"), "measured in model.json lacks the key 'precision'"),
        (lambda d: d.update(measured=[]), "measured in model.json must be an object"),
        (lambda d: d.pop("format_version"), "format version None"),
        (lambda d: d.pop("model"), "lacks the object 'model'"),
        (lambda d: d["model"].pop("classes"), "lacks the key 'classes'"),
        (lambda d: d["model"].update(colour="red"), "unknown key 'colour'"),
        (lambda d: d["model"].update(features="many"), "features in model.json has the wrong type"),
        (lambda d: d["model"]["preprocessing"].pop("mean"), "lacks the key 'mean'"),
        (lambda d: d["files"].update({"../../evil": {}}), "names the files"),
        (lambda d: d["files"].pop("selftest.safetensors"), "names the files"),
    ],
)
def test_a_wrong_document_is_refused_with_a_sentence(copy: Path, change: Callable[[Any], object], message: str) -> None:
    edit(copy, change)
    with pytest.raises(ArtifactError, match=message):
        artifact.check(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), ("[]", "must hold a JSON object"), ("null", "must hold a JSON object")],
)
def test_text_that_is_not_a_json_object_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ArtifactError, match=rf"model\.json {message}.*; copy the artifact again"):
        artifact.check(tmp_path)


@pytest.mark.slow
def test_the_selftest_finds_weights_that_are_intact_but_not_the_trained_ones(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["backbone.conv_stem.weight"] += 0.05 * torch.randn_like(weights["backbone.conv_stem.weight"])
    save_file(weights, copy / "model.safetensors")
    edit(copy, lambda d: d["files"].update({"model.safetensors": artifact._fingerprint(copy / "model.safetensors")}))
    loaded, _ = artifact.load(copy)
    with pytest.raises(ArtifactError, match="fails its self-test"):
        run_selftest(copy, loaded)


def test_a_probability_past_the_tolerance_fails_though_every_best_class_stays(tmp_path: Path) -> None:
    expected = np.array([[0.5, 0.3, 0.2], [0.25, 0.125, 0.625]], np.float32)
    selftest = Selftest(np.zeros((2, 8, 8, 3), np.uint8), expected)
    within, past = (expected + np.array([[0, 0, 0], [0, far, -far]], np.float32) for far in (0.0009, 0.0011))
    told = check_selftest(tmp_path, within, selftest)
    assert [told.largest, told.mean] == pytest.approx([0.0009, 0.0003], abs=1e-6)
    with pytest.raises(ArtifactError, match=r"differs by 0\.0011 from what training saw \(at most 0\.001 is allowed\)"):
        check_selftest(tmp_path, past, selftest)
    check_selftest(tmp_path, past, selftest, tolerance=0.01)
    with pytest.raises(ArtifactError, match="fails its self-test: a probability differs by nan"):
        check_selftest(tmp_path, np.where(expected == 0.5, np.float32("nan"), expected), selftest, 1.0)
    # A changed top-1 class fails even if every probability is within the tolerance.
    close = Selftest(selftest.pixels[:1], np.array([[0.5, 0.49999]], np.float32))
    with pytest.raises(ArtifactError, match="fails its self-test"):
        check_selftest(tmp_path, close.probabilities[:, ::-1], close)


def test_everybody_may_read_every_file_and_only_its_owner_write(tmp_path: Path) -> None:
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(resize=8, crop=8, interpolation="bicubic", mean=half, std=half)
    loaded = Classifier(nn.Flatten(), build_head(3 * 8 * 8, (), 0.0, 2), preprocessing, 1.0)
    spec = ModelSpec(
        backbone="any",
        features=3 * 8 * 8,
        head_hidden=(),
        head_dropout=0.0,
        classes=("cat", "dog"),
        preprocessing=preprocessing,
    )
    before = os.umask(0o077)
    try:
        artifact.save(tmp_path, loaded, spec, torch.zeros((2, 8, 8, 3), dtype=torch.uint8), {})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("model.json", "model.safetensors", "selftest.safetensors"), 0o644)


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    edit(copy, lambda d: d["model"].update(classes=["a", "b"]))
    with pytest.raises(ArtifactError, match="does not fit"):
        artifact.load(copy)


def test_nothing_in_the_artifact_is_a_pickle(model: Path) -> None:
    for path in model.iterdir():
        pickles = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1))
        assert not path.read_bytes().startswith((*pickles, b"PK")), path  # torch.save writes a ZIP archive


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tensors", "selftest.safetensors is not a safetensors file"),
        ({"pixels": np.zeros((1, 8, 8, 3), np.uint8)}, r"holds \['pixels'\], not pixels and probabilities"),
        ((np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 2), np.float32)), r"holds pixels float32 \[1, 8, 8, 3\]"),
        ((np.zeros((8, 8, 3), np.uint8), np.zeros((8, 2), np.float32)), r"holds pixels uint8 \[8, 8, 3\]"),
        ((np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.float32)), r"and probabilities \[2\], not a few photos"),
        ((np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 2), np.float32)), r"and probabilities \[1, 2\], not a few"),
        ((np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 2), np.float32)), r"and probabilities \[0, 2\], not a few"),
    ],
)
def test_a_selftest_that_holds_something_else_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "selftest.safetensors").write_bytes(content)
    else:
        held = content if isinstance(content, dict) else dict(zip(("pixels", "probabilities"), content, strict=True))
        save_arrays(held, tmp_path / "selftest.safetensors")
    with pytest.raises(ArtifactError, match=message):
        read_selftest(tmp_path)


def test_a_selftest_of_photos_or_classes_that_the_model_does_not_take_is_refused(tmp_path: Path) -> None:
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(resize=8, crop=8, interpolation="bicubic", mean=half, std=half)
    small = Classifier(nn.Flatten(), build_head(3 * 8 * 8, (), 0.0, 2), preprocessing, 1.0)
    for side, classes, message in (
        (9, 2, r"selftest\.safetensors holds no photos for this model \(.+\); save the artifact again"),
        (8, 3, r"the self-test holds probabilities \[1, 3\], the model gives \[1, 2\]; save it again"),
    ):
        held = {"pixels": np.zeros((1, side, side, 3), np.uint8), "probabilities": np.zeros((1, classes), np.float32)}
        save_arrays(held, tmp_path / "selftest.safetensors")
        with pytest.raises(ArtifactError, match=message):
            run_selftest(tmp_path, small)


def test_a_link_and_files_that_are_not_an_artifacts_own_are_refused(tmp_path: Path) -> None:
    def check(*names: str) -> None:
        document = {"format_version": 1, "model": {}, "training": {}, "files": {name: {} for name in names}}
        (tmp_path / "model.json").write_text(json.dumps(document))
        artifact.check(tmp_path)

    own = ("model.safetensors", "selftest.safetensors")
    (tmp_path / "model.safetensors").symlink_to("elsewhere")
    with pytest.raises(ArtifactError, match=r"model\.safetensors is a link; an artifact holds the files themselves"):
        check(*own)
    for names, listed in (((*own, "code.py"), "'code.py', 'model.*'"), (own[1:], "'selftest.*'"), ((), "")):
        with pytest.raises(ArtifactError, match=rf"names the files \[{listed}\]; expected model\.safetensors and self"):
            check(*names)
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").symlink_to("elsewhere")
    with pytest.raises(ArtifactError, match=r"model\.json is a link"):
        artifact.check(tmp_path)


def test_a_file_of_half_its_content_is_never_seen(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("before")

    def fails(path: Path) -> None:
        path.write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        artifact._replace(tmp_path / "model.json", fails)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"model.json": "before"}

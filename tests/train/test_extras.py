"""The files that training adds to the artifact for serving: the guard's photos, and the OpenVINO model where possible and wanted."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier import artifact
from classifier.backbones import build_backbone
from classifier.backends import ir
from classifier.guard_photos import GuardPhotos
from classifier.models import Classifier, build_head
from classifier.photos import Photo, load_photo_set
from tests.conftest import Run, needs_openvino
from tests.small_job import job
from train import extras
from train.extras import keep_guard, write_ir

LEFT_OUT = "the artifact holds no OpenVINO model, so serving starts more slowly: "


@pytest.fixture(scope="module")
def small() -> Classifier:
    torch.manual_seed(0)
    backbone, features, preprocessing = build_backbone("timm/test_efficientnet")
    return Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0).eval()


@pytest.fixture
def photos(tiny: Path) -> list[Photo]:
    return list(load_photo_set({"training": tiny}, validation_share=0.1, seed=0).splits["validation"])


@pytest.fixture
def guard(small: Classifier, photos: list[Photo]) -> GuardPhotos:
    kept = keep_guard(small, photos, 0)
    assert kept is not None
    return kept


def test_all_photos_of_a_small_validation_split_are_kept_with_the_models_logits(
    small: Classifier, photos: list[Photo], guard: GuardPhotos
) -> None:
    assert sorted(guard.labels) == sorted(photo.label for photo in photos) == [0, 0, 1, 1]
    pixels = torch.from_numpy(guard.pixels(small.preprocessing.crop, 0, 4))
    with torch.inference_mode():
        np.testing.assert_allclose(small(pixels).numpy(), guard.logits, atol=1e-5)
    assert 0 < guard.rounding < 0.05  # the error by rounding this network to bfloat16


def test_photos_end_where_the_bytes_do_and_one_that_is_gone_is_left_out(
    small: Classifier, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keep_guard(small, photos, 0)
    assert whole is not None
    monkeypatch.setattr(extras, "MOST_BYTES", sum(map(len, whole.files)) - 1)
    fewer = keep_guard(small, photos, 0)
    assert fewer is not None and list(fewer.files) == list(whole.files)[:3]
    for photo in photos:
        photo.path.unlink()
    assert keep_guard(small, photos, 0) is None


@needs_openvino
@pytest.mark.parametrize(
    ("wanted", "largest", "written"), [("auto", 10**9, True), ("auto", 1000, False), ("on", 1000, True)]
)
def test_a_model_is_written_for_openvino_up_to_a_size_and_above_it_where_it_is_asked_for(
    small: Classifier,
    guard: GuardPhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wanted: str,
    largest: int,
    written: bool,
) -> None:
    monkeypatch.setattr(extras, "LARGEST", largest)
    (folder := tmp_path / "ir").mkdir()
    assert write_ir(small, guard, folder, wanted) is written
    assert {path.name for path in folder.iterdir()} == (set(ir.IR_FILES) if written else set())
    said = capsys.readouterr().out
    wished = rf"{LEFT_OUT}the weights take \d MB, and 0 are allowed; export-openvino=on writes it\n"
    assert re.fullmatch("" if written else wished, said), said


def test_off_writes_and_says_nothing(
    small: Classifier, guard: GuardPhotos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "ir").mkdir()
    assert not write_ir(small, guard, folder, "off")
    assert list(folder.iterdir()) == [] and capsys.readouterr().out == ""


def test_where_openvino_is_missing_a_line_says_so(
    small: Classifier,
    guard: GuardPhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not write_ir(small, guard, tmp_path, "on")
    assert capsys.readouterr().out == f"{LEFT_OUT}this environment has no package openvino\n"


@needs_openvino
def test_a_conversion_that_computes_something_else_is_left_out(
    small: Classifier,
    guard: GuardPhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    convert: Callable[..., object] = ir.from_torch
    other = copy.deepcopy(small)
    other.head[0].bias.data += torch.tensor([0.0, 1.0])
    monkeypatch.setattr(ir, "from_torch", lambda model, crop: convert(other, crop))
    assert not write_ir(small, guard, tmp_path, "auto")
    assert capsys.readouterr().out.startswith(f"{LEFT_OUT}ArtifactError: the model in ")


@needs_openvino
def test_training_writes_the_model_for_openvino_with_its_checksums(model: Path, trained: Run) -> None:
    files = json.loads((model / "model.json").read_text())["files"]
    for name in ir.IR_FILES:
        assert files[name] == artifact._fingerprint(model / name)
    assert LEFT_OUT not in trained.output


def test_a_model_that_will_be_discarded_gets_no_extras(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(tmp_path / "kept", tiny)
    monkeypatch.setenv("BYOC_DISCARD_MODEL", "1")
    job(tmp_path / "discarded", tiny)
    assert (tmp_path / "kept" / "model" / "guard.safetensors").exists()
    assert sorted(path.name for path in (tmp_path / "discarded" / "model").iterdir()) == [
        "model.json",
        "model.safetensors",
        "selftest.safetensors",
    ]
    assert artifact.load(tmp_path / "discarded" / "model")[1] == artifact.load(tmp_path / "kept" / "model")[1]

"""The preparation when a backend's library fails: the next backend serves, unless it has too little memory as well."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from classifier import artifact
from classifier.backbones import build_backbone
from classifier.errors import ArtifactError
from classifier.models import Classifier, build_head
from classifier.spec import ModelSpec
from serve.prepare import prepare
from tests.conftest import needs_openvino


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An artifact of the smallest backbone, whose model.onnx is not an ONNX model."""
    backbone, features, preprocessing = build_backbone("timm/test_efficientnet")
    spec = ModelSpec(
        backbone="timm/test_efficientnet",
        features=features,
        head_hidden=(),
        head_dropout=0.0,
        classes=("cat", "dog"),
        preprocessing=preprocessing,
    )
    model = Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0).eval()
    with torch.no_grad():
        model.head[0].bias.copy_(torch.tensor([1.0, 0.0]))  # so rounding changes no best class
    folder, side = tmp_path / "model", preprocessing.crop
    artifact.save(folder, model, spec, torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8), {})
    (folder / artifact.ONNX).write_bytes(b"not ONNX")
    document = json.loads((folder / artifact.SPEC).read_text())
    document["files"][artifact.ONNX] = artifact._fingerprint(folder / artifact.ONNX)
    (folder / artifact.SPEC).write_text(json.dumps(document))
    return folder


def failing(monkeypatch: pytest.MonkeyPatch, method: str, reason: str) -> None:
    def fails(*_: object, **__: object) -> Any:
        raise RuntimeError(reason)

    monkeypatch.setattr(f"openvino.Core.{method}", fails)


@needs_openvino
def test_where_a_library_fails_the_next_backend_serves_and_the_reason_is_kept(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, "compile_model", "no kernel for this processor")
    assert prepare(small, tmp_path / "out", "auto").library == "torch"
    document = json.loads((tmp_path / "out" / "prepared.json").read_text())
    assert document["refused"]["openvino"] == "RuntimeError: no kernel for this processor"
    assert "openvino is not used: RuntimeError: no kernel for this processor\n" in capsys.readouterr().out
    with pytest.raises(
        ArtifactError, match=r"backend 'openvino' cannot serve the model in .*: RuntimeError: no kernel"
    ):
        prepare(small, tmp_path / "named", "openvino")


@needs_openvino
def test_an_onnx_file_that_cannot_be_read_is_left_out(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openvino's converter emits warnings
        assert prepare(small, tmp_path / "out", "openvino").name == "openvino"
    assert "model.onnx is not used: RuntimeError: " in capsys.readouterr().out


@needs_openvino
@pytest.mark.parametrize("method", ["compile_model", "read_model"])
def test_where_memory_is_short_no_other_backend_is_tried(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    failing(monkeypatch, method, "std::bad_alloc")
    with pytest.raises(RuntimeError, match=r"^std::bad_alloc$"):
        prepare(small, tmp_path / "out", "auto")
    assert not (tmp_path / "out" / "prepared.json").exists()
    # If memory ran out, the IR is not made from the torch model either, because that needs more memory.
    assert ("model.onnx is not used" in capsys.readouterr().out) == (method == "compile_model")

